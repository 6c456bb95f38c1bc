"""What Braze takes for a request to trigger a campaign, and how it refuses the rest."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final, NoReturn

IDENTIFIERS: Final = ("external_user_id", "user_alias", "email")
MOST_RECIPIENTS: Final = 50
NO_RECIPIENTS: Final = "No Recipients"
TOO_MANY: Final = "The max number of external_ids and aliases per request was exceeded"
UNKNOWN_CAMPAIGN: Final = "Invalid Campaign ID"


class Refusal(Exception):
    """A request that is answered by an error: its status and its message."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


@dataclass(frozen=True)
class Recipient:
    """One entry of `recipients` that has passed the rules; `user` is its identifier as one text."""

    identifier: str
    user: str
    properties: Mapping[str, Any]
    attributes: Mapping[str, Any]
    existing_only: bool


@dataclass(frozen=True)
class Order:
    """A request that has passed the rules."""

    campaign_id: str
    properties: Mapping[str, Any]
    recipients: tuple[Recipient, ...]
    broadcast: bool


def read(body: bytes, content_type: str, *, campaigns: Collection[str]) -> Order:
    """Return what a request asks for. Raises Refusal with the words of the original where it has some."""
    if content_type.partition(";")[0].strip().lower() != "application/json":
        raise Refusal(400, "Content-Type: must be application/json")
    try:
        request = json.loads(body.decode("utf-8"), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise Refusal(400, f"The body is not JSON: {error}") from error
    if not isinstance(request, dict):
        raise Refusal(400, "The body must be a JSON object")
    properties = _object(request, "trigger_properties", "trigger_properties")
    broadcast = _flag(request, "broadcast", "broadcast", default=False)
    entries = request.get("recipients", [])
    if not isinstance(entries, list):
        raise Refusal(400, "recipients: must be an array")
    if request.get("campaign_id") not in [*campaigns]:
        raise Refusal(400, UNKNOWN_CAMPAIGN)
    if not entries and not broadcast:
        raise Refusal(400, NO_RECIPIENTS)
    if len(entries) > MOST_RECIPIENTS:
        raise Refusal(400, TOO_MANY)
    if entries and broadcast:
        raise Refusal(400, "broadcast: must not be true together with recipients")
    recipients = tuple(_recipient(entry, f"recipients[{number}]") for number, entry in enumerate(entries))
    return Order(request["campaign_id"], properties, recipients, broadcast)


def _recipient(entry: Any, where: str) -> Recipient:
    if not isinstance(entry, dict):
        raise Refusal(400, f"{where}: must be an object")
    given = [name for name in IDENTIFIERS if name in entry]
    if len(given) != 1:
        raise Refusal(400, f"{where}: must have exactly one of {', '.join(IDENTIFIERS)}")
    (identifier,) = given
    user = _user(entry[identifier], identifier, where)
    properties = _object(entry, "trigger_properties", f"{where}.trigger_properties")
    attributes = _object(entry, "attributes", f"{where}.attributes")
    existing_only = _flag(entry, "send_to_existing_only", f"{where}.send_to_existing_only", default=True)
    if not existing_only and identifier == "user_alias":
        raise Refusal(400, f"{where}.send_to_existing_only: must be true for a user_alias")
    if not existing_only and "attributes" not in entry:
        raise Refusal(400, f"{where}.attributes: must be given where send_to_existing_only is false")
    if not isinstance(attributes.get("email", ""), str):
        raise Refusal(400, f"{where}.attributes.email: must be a string")
    return Recipient(identifier, user, properties, attributes, existing_only)


def _user(value: Any, identifier: str, where: str) -> str:
    if identifier != "user_alias":
        if not isinstance(value, str) or not value:
            raise Refusal(400, f"{where}.{identifier}: must be a string that is not empty")
        return value
    names = [value.get(name) for name in ("alias_label", "alias_name")] if isinstance(value, dict) else []
    texts = [name for name in names if isinstance(name, str) and name]
    if len(texts) != 2:
        raise Refusal(400, f"{where}.user_alias: must have the strings alias_name and alias_label")
    return ":".join(texts)


def _object(holder: Mapping[str, Any], name: str, where: str) -> dict[str, Any]:
    value = holder.get(name, {})
    if not isinstance(value, dict):
        raise Refusal(400, f"{where}: must be an object")
    return value


def _flag(holder: Mapping[str, Any], name: str, where: str, *, default: bool) -> bool:
    value = holder.get(name, default)
    if not isinstance(value, bool):
        raise Refusal(400, f"{where}: must be true or false")
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON")
