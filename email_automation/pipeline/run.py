"""A run: one execution of one message for one site, and the only door through which time enters."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time
from typing import Any, Self
from uuid import UUID, uuid4

from django.utils import timezone


@dataclass(frozen=True, kw_only=True)
class Run:
    """Everything a resolver may know of the moment: the instant `now` (aware, UTC) and the run day `day`.

    `override` is the address that gets every mail of a test run; `dry_run` plans without writing. `catching_up` says
    that the day lies before the day of the clock.
    """

    message: str
    site_id: int
    now: datetime
    day: date
    override: str = ""
    dry_run: bool = False
    id: UUID = field(default_factory=uuid4)

    def __post_init__(self) -> None:
        if self.now.tzinfo is None:
            raise ValueError("now: a run needs an aware instant, a naive one was given.")

    @classmethod
    def starting(cls, message: str, site_id: int, *, now: datetime | None = None, day: date | None = None) -> Self:
        """Return a run that reads the clock once. With `day` and no `now`, its instant is that day's first."""
        if now is None:
            now = datetime.combine(day, time(), tzinfo=UTC) if day else timezone.now()
        return cls(message=message, site_id=site_id, now=now.astimezone(UTC), day=day or now.astimezone(UTC).date())

    @property
    def is_test(self) -> bool:
        """Whether its mails go to an override address: keys of their own, no day closed."""
        return bool(self.override)

    @property
    def leaves_record(self) -> bool:
        """Whether a MessageRun remembers it: dry and override runs close no day."""
        return not (self.dry_run or self.is_test)

    def on(self, day: date) -> Run:
        """Return the run of another day with the same instant, as a caught-up day has."""
        return replace(self, day=day, id=uuid4())

    def key(self, occasion: str) -> str:
        """Return the dedupe key of an occasion; a test run has its own, so that it uses up nobody's."""
        return f"{occasion}:override:{self.id.hex}" if self.is_test else occasion

    def to_json(self) -> dict[str, Any]:
        """Return JSON values from which `from_json` makes an equal run."""
        return {
            "message": self.message,
            "site_id": self.site_id,
            "now": self.now.isoformat(),
            "day": self.day.isoformat(),
            "override": self.override,
            "dry_run": self.dry_run,
            "id": str(self.id),
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """Return the run that `to_json` described."""
        return cls(
            message=data["message"],
            site_id=data["site_id"],
            now=datetime.fromisoformat(data["now"]),
            day=date.fromisoformat(data["day"]),
            override=data["override"],
            dry_run=data["dry_run"],
            id=UUID(data["id"]),
        )
