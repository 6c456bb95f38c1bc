"""The arithmetic of schedules: days, windows, deadlines, hold-back. Pure: no Django, no clock."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

MODES_THAT_CAN_UPGRADE = ("audit", "honor")


def day_start(day: date) -> datetime:
    """Return the first instant of a UTC day."""
    return datetime.combine(day, time(), tzinfo=UTC)


def day_window(day: date) -> tuple[datetime, datetime]:
    """Return [first instant, first instant of the next day): what belongs to a UTC day."""
    return day_start(day), day_start(day + timedelta(days=1))


def start_date(enrolled_at: datetime, course_start: datetime | None) -> datetime:
    """Return when a learner's clock starts: the later of the two, or the enrolment when the course has no start."""
    return enrolled_at if course_start is None else max(enrolled_at, course_start)


@dataclass(frozen=True)
class DeadlineSetting:
    """One row about deadlines: an opinion when it is enabled, and none otherwise."""

    enabled: bool
    deadline_days: int
    opt_out: bool = False


def effective_days(nearest_first: Iterable[DeadlineSetting | None]) -> int | None:
    """Return the days of the nearest setting with an opinion (course, org, global), or None: no soft deadline."""
    for setting in nearest_first:
        if setting is not None and setting.enabled:
            return None if setting.opt_out else setting.deadline_days
    return None


def upgrade_deadline(
    start: datetime,
    *,
    days: int | None,
    verified_mode: bool,
    verified_expires_at: datetime | None,
    course_end: datetime | None,
    now: datetime,
) -> datetime | None:
    """Return until when a learner may upgrade: the earliest of soft limit, mode's expiry and course end.

    None without an unexpired verified mode or without an effective number of days. The answer may lie in the past.
    """
    if not verified_mode or days is None or (verified_expires_at is not None and verified_expires_at <= now):
        return None
    limits = (_later(start, days), verified_expires_at, course_end)
    return min(limit for limit in limits if limit is not None)


def _later(moment: datetime, days: int) -> datetime:
    # A course that starts at the end of the calendar, as some say "never", must not break everybody else's job.
    try:
        return moment + timedelta(days=days)
    except OverflowError:
        return datetime.max.replace(tzinfo=UTC)


def hold_back_fraction(key: str, user_id: int, course_key: str) -> float:
    """Return a learner's fixed place in [0, 1) for one course; below the ratio means held back."""
    digest = hmac.new(key.encode(), f"{user_id}|{course_key}".encode(), hashlib.sha256).digest()
    return int.from_bytes(digest[:6], "big") / 2**48
