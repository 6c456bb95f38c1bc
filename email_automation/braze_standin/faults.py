"""Faults on demand: what the stand-in does with its next replies instead of answering well."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Final

OK_STATUSES: Final = range(200, 300)


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What is done with one reply.

    `status` replaces the status, 0 leaves it. `reset` is the value of x-ratelimit-reset: seconds from now, or a text
    that is sent as it stands; a 429 without it carries no such header. `delay` is waited for first. With `hang` nothing
    is ever answered, with `close` the connection is closed. `body` replaces the answer's text. `errors` and `queued`
    alter an answer that says yes, `message` one that says no. `accept` says whether the request is carried out all the
    same, which it is unless the status says no. `campaign` (name or id) and `properties` (of the top level) choose the
    requests it applies to.
    """

    status: int = 0
    reset: float | str | None = None
    delay: float = 0
    hang: bool = False
    close: bool = False
    body: str | None = None
    content_type: str = "text/html"
    errors: tuple[str, ...] = ()
    queued: bool = False
    message: str = ""
    accept: bool | None = None
    campaign: str = ""
    properties: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, (kinds, allowed) in ALLOWED.items():
            value = getattr(self, name)
            # A truth value is a number too, but never means one here.
            if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
                raise ValueError(f"{name}: must be {allowed}")
        if self.status and not 200 <= self.status <= 599:
            raise ValueError("status: must be 0 or from 200 to 599")
        if self.delay < 0:
            raise ValueError("delay: must not be negative")
        if not all(isinstance(error, str) for error in self.errors):
            raise ValueError("errors: must be texts")

    @classmethod
    def from_json(cls, said: Mapping[str, Any]) -> Fault:
        """Return the fault that an object of JSON describes. Raises ValueError that names the field."""
        known = {entry.name for entry in fields(cls)}
        if unknown := sorted(set(said) - known):
            raise ValueError(f"{unknown[0]}: is no field of a fault; there are {', '.join(sorted(known))}")
        values = dict(said)
        if isinstance(values.get("errors"), list):
            values["errors"] = tuple(values["errors"])
        return cls(**values)

    @property
    def accepts(self) -> bool:
        """Whether a request it applies to is carried out."""
        return self.accept if self.accept is not None else not self.status or self.status in OK_STATUSES

    def applies(self, request: Any, *, names: Mapping[str, str]) -> bool:
        """Return whether it is meant for a request; `names` are those of the campaigns by id."""
        said = request if isinstance(request, dict) else {}
        campaign_id = str(said.get("campaign_id"))
        if self.campaign and self.campaign not in (campaign_id, names.get(campaign_id)):
            return False
        properties = said.get("trigger_properties")
        properties = properties if isinstance(properties, dict) else {}
        return all(properties.get(name) == value for name, value in self.properties.items())


#: What each field may hold, and how that is said.
ALLOWED: Final[Mapping[str, tuple[tuple[type, ...], str]]] = {
    "status": ((int,), "a whole number"),
    "reset": ((int, float, str, type(None)), "a number of seconds, a text or null"),
    "delay": ((int, float), "a number of seconds"),
    "hang": ((bool,), "true or false"),
    "close": ((bool,), "true or false"),
    "body": ((str, type(None)), "a text or null"),
    "content_type": ((str,), "a text"),
    "errors": ((tuple,), "a list of texts"),
    "queued": ((bool,), "true or false"),
    "message": ((str,), "a text"),
    "accept": ((bool, type(None)), "true, false or null"),
    "campaign": ((str,), "a text"),
    "properties": ((dict,), "an object"),
}
