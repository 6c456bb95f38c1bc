"""A run: one execution of one message for one site, and the only door through which time enters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, tzinfo
from typing import Any, Self, TypeVar
from uuid import UUID, uuid4

from django.utils import timezone

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Run:
    """Everything a resolver may know of the moment: the instant `now` (aware, UTC) and the run day `day`.

    `part` names the part of the audience that is planned, where the message can be planned in parts; '' is everybody.
    `memory` holds what was read once for the whole run. `override` is the address that gets every mail of a test run;
    `dry_run` plans without writing. `triggered` says that an event or a call started it and not the clock: then
    somebody has named the targets, and no window is asked about.
    """

    message: str
    site_id: int
    now: datetime
    day: date
    override: str = ""
    dry_run: bool = False
    triggered: bool = False
    part: str = ""
    memory: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)
    id: UUID = field(default_factory=uuid4)

    def __post_init__(self) -> None:
        if self.now.tzinfo is None:
            raise ValueError("now: a run needs an aware instant, a naive one was given.")

    @classmethod
    def starting(
        cls,
        message: str,
        site_id: int,
        *,
        now: datetime | None = None,
        day: date | None = None,
        zone: tzinfo = UTC,
    ) -> Self:
        """Return a run that reads the clock once, with days as `zone` has them.

        With `day` and no `now`, its instant is that day's first.
        """
        if now is None:
            now = datetime.combine(day, time(), tzinfo=zone) if day else timezone.now()
        return cls(message=message, site_id=site_id, now=now.astimezone(UTC), day=day or now.astimezone(zone).date())

    @classmethod
    def triggered_now(cls, message: str, site_id: int, *, now: datetime | None = None) -> Self:
        """Return the run of an event or a call; `now` where the event has an instant of its own."""
        return replace(cls.starting(message, site_id, now=now), triggered=True)

    @property
    def is_test(self) -> bool:
        """Whether its mails go to an override address: keys of their own, no day closed."""
        return bool(self.override)

    @property
    def leaves_record(self) -> bool:
        """Whether a MessageRun remembers it: dry, override and triggered runs close no day."""
        return not (self.dry_run or self.is_test or self.triggered)

    def on(self, day: date) -> Run:
        """Return the run of another day with the same instant, as a caught-up day has."""
        return replace(self, day=day, id=uuid4(), memory={})

    def once(self, name: str, read: Callable[[], T]) -> T:
        """Return what `read` gives, which is asked once a run: everybody of it is told by the same figures."""
        if name not in self.memory:
            self.memory[name] = read()
        found: T = self.memory[name]
        return found

    def key(self, occasion: str) -> str:
        """Return the dedupe key of an occasion; a test run has its own, so that it uses up nobody's."""
        return f"{occasion}:override:{self.id.hex}" if self.is_test else occasion
