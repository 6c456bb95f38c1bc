"""Weeks, Monday to Sunday, and when they begin and end in a zone. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Self

DAYS = 7


@dataclass(frozen=True)
class Week:
    """A week by its Monday."""

    start: date

    @classmethod
    def of(cls, day: date) -> Self:
        """Return the week a day lies in."""
        return cls(day - timedelta(days=day.weekday()))

    @classmethod
    def before(cls, day: date) -> Self:
        """Return the week before the one a day lies in."""
        return cls(cls.of(day).start - timedelta(days=DAYS))

    @property
    def end(self) -> date:
        """The Sunday."""
        return self.start + timedelta(days=DAYS - 1)

    def first(self, zone: tzinfo) -> datetime:
        """Return the week's first instant in a zone, in UTC."""
        return first_instant(self.start, zone)

    def after(self, zone: tzinfo) -> datetime:
        """Return the first instant that does not belong to the week any more, in UTC."""
        return first_instant(self.start + timedelta(days=DAYS), zone)


def first_instant(day: date, zone: tzinfo) -> datetime:
    """Return when a day begins in a zone, in UTC; a midnight that a clock change skips is the change itself."""
    return datetime.combine(day, time(), tzinfo=zone).astimezone(UTC)
