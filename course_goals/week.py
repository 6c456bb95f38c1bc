"""The arithmetic of weekly goals: zones, local days and weeks, what is left to do, audit access. Pure: no clock.

Calendar arithmetic counts dates, not hours, so a week with a day of 23 or 25 hours has seven days like any other.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import cache
from typing import Final, Literal
from zoneinfo import ZoneInfo, available_timezones

from email_automation.weeks import DAYS, Week, first_instant

Outcome = Literal["reached", "out_of_reach", "too_early", "studied_today", "due"]
Part = Literal["morning", "afternoon", "closed"]

REACHED: Final = "reached"
OUT_OF_REACH: Final = "out_of_reach"
TOO_EARLY: Final = "too_early"
STUDIED_TODAY: Final = "studied_today"
DUE: Final = "due"

OPENS: Final = time(8)
NOON: Final = time(12)
CLOSES: Final = time(18)
#: What every learner's clock reads on a run of a given day.
ON_A_GIVEN_DAY: Final = time(9)

#: A zone that is the machine's own and no place's; available_timezones lists it where the system has such a file.
OF_THE_MACHINE: Final = "localtime"
EVER: Final = datetime.max.replace(tzinfo=UTC)


def usable_zone(name: str | None) -> ZoneInfo | None:
    """Return the zone that a stored name means, or None.

    Usable is the name of an IANA zone or alias in any letter case; what cannot be printed and outer spaces are passed
    over.
    """
    printable = "".join(character for character in name or "" if character.isprintable())
    known = _names().get(printable.strip().lower())
    return ZoneInfo(known) if known else None


def zone_of(*candidates: str | None) -> ZoneInfo:
    """Return the zone of the first usable name, else UTC; for a learner: account, browser, site."""
    return next((zone for zone in map(usable_zone, candidates) if zone), ZoneInfo("UTC"))


@cache
def _names() -> dict[str, str]:
    return {name.lower(): name for name in available_timezones() - {OF_THE_MACHINE}}


@dataclass(frozen=True)
class Clock:
    """What one zone's clocks and calendar read at one instant, `now`.

    `day` is the local date, `monday` the first day of its week. `week_start` and `week_end` are the first instants of
    this Monday and of the next one, and `closes` is 18:00 of the day, after which no mail of that day goes out. All
    instants are in UTC.
    """

    now: datetime
    day: date
    monday: date
    days_left: int
    part: Part
    week_start: datetime
    week_end: datetime
    closes: datetime

    @classmethod
    def at(cls, now: datetime, zone: tzinfo) -> Clock:
        """Return how a zone reads an aware instant. Raises ValueError for a naive one."""
        if now.tzinfo is None:
            raise ValueError("now: must be aware, a naive instant was given.")
        local = now.astimezone(zone)
        week = Week.of(local.date())
        return cls(
            now=now.astimezone(UTC),
            day=local.date(),
            monday=week.start,
            days_left=days_left(local.date()),
            part=part_of_day(local.time()),
            week_start=week.first(zone),
            week_end=week.after(zone),
            closes=datetime.combine(local.date(), CLOSES, tzinfo=zone).astimezone(UTC),
        )

    @classmethod
    def on(cls, day: date, zone: tzinfo) -> Clock:
        """Return how a zone reads on a given day at nine in the morning."""
        return cls.at(datetime.combine(day, ON_A_GIVEN_DAY, tzinfo=zone), zone)

    def is_open(self, zone: tzinfo, runs: Iterable[datetime] = ()) -> bool:
        """Return whether it is a time to send: the morning, or an afternoon whose morning had no run.

        `runs` are the instants of the runs that count.
        """
        if self.part == "afternoon":
            return not any(in_morning_of(instant, self.day, zone) for instant in runs)
        return self.part == "morning"


def part_of_day(local: time) -> Part:
    """Return which part of the day a local time belongs to: morning from 8:00, afternoon from 12:00 until 18:00."""
    if OPENS <= local < NOON:
        return "morning"
    return "afternoon" if NOON <= local < CLOSES else "closed"


def in_morning_of(instant: datetime, day: date, zone: tzinfo) -> bool:
    """Return whether an aware instant lies in the morning of a day in a zone."""
    local = instant.astimezone(zone)
    return local.date() == day and part_of_day(local.time()) == "morning"


def day_bounds(day: date, zone: tzinfo) -> tuple[datetime, datetime]:
    """Return [first instant, first instant of the next day) of a day in a zone, in UTC."""
    return first_instant(day, zone), first_instant(day + timedelta(days=1), zone)


def kept_since(today: date, weeks: int) -> date:
    """Return the Monday that lies so many weeks before this one."""
    return Week.of(today).start - timedelta(weeks=weeks)


def days_left(day: date) -> int:
    """Return how many days of its week are left, the day itself counted: Monday 7, Sunday 1."""
    return DAYS - day.weekday()


def needed(days_per_week: int, done: int) -> int:
    """Return how many days are still to be earned; 0 or less when the goal is reached."""
    return days_per_week - done


def free_days(left: int, studied_today: bool) -> int:
    """Return on how many days a further day can still be earned; `left` is what `days_left` says."""
    return left - 1 if studied_today else left


def outcome(days_per_week: int, *, done: int, left: int, studied_today: bool) -> Outcome:
    """Return what a goal's week has come to; a mail goes out on `due` alone.

    `done` counts the days from Monday up to and including today.
    """
    missing, free = needed(days_per_week, done), free_days(left, studied_today)
    if missing <= 0:
        return REACHED
    if missing != free:
        return OUT_OF_REACH if missing > free else TOO_EARLY
    return STUDIED_TODAY if studied_today else DUE


@dataclass(frozen=True)
class Progress:
    """A goal's week so far. `days_per_week` 0: no goal; `dates` are the days done, none later than today."""

    clock: Clock
    days_per_week: int
    dates: frozenset[date]

    @classmethod
    def of(cls, clock: Clock, days_per_week: int, dates: Iterable[date]) -> Progress:
        """Return the progress of the clock's week; other weeks' days and later ones do not count."""
        return cls(clock, days_per_week, frozenset(day for day in dates if clock.monday <= day <= clock.day))

    @property
    def done(self) -> int:
        """The number of days done."""
        return len(self.dates)

    @property
    def studied_today(self) -> bool:
        """Whether today is one of them."""
        return self.clock.day in self.dates

    @property
    def reached(self) -> bool:
        """Whether there is a goal and the days done are enough."""
        return 0 < self.days_per_week <= self.done

    @property
    def outcome(self) -> Outcome:
        """What the week has come to."""
        return outcome(self.days_per_week, done=self.done, left=self.clock.days_left, studied_today=self.studied_today)


def occasion(goal_id: int, monday: date) -> str:
    """Return what a reminder is once-only about, which is also its dedupe key: a goal's week by its Monday."""
    return f"goal_reminder:{goal_id}:{monday}"


@dataclass(frozen=True)
class AccessLimits:
    """Until when the platform lets learners in who do not pay; `enabled_as_of` None: whenever they enrolled."""

    enabled: bool = True
    enabled_as_of: datetime | None = None
    min_weeks: int = 4
    max_weeks: int = 18


def access_expiry(
    *,
    mode: str,
    enrolled_at: datetime,
    course_start: datetime | None,
    weeks_to_complete: int | None,
    verified_mode: bool,
    limits: AccessLimits,
) -> datetime | None:
    """Return when a learner's access ends, or None when it does not.

    It ends for the mode audit of a course that also has a verified one, whose upgrade date may be past. The later of
    enrolment and start counts, then the course's weeks within the limits; a week is 7 times 24 hours.
    """
    if not limits.enabled or mode != "audit" or not verified_mode:
        return None
    if limits.enabled_as_of is not None and enrolled_at < limits.enabled_as_of:
        return None
    weeks = min(max(weeks_to_complete or 0, limits.min_weeks), limits.max_weeks)
    begin = enrolled_at if course_start is None else max(enrolled_at, course_start)
    # A course that starts at the end of the calendar, as some say "never", must not break everybody else's run.
    return EVER if begin > EVER - timedelta(weeks=weeks) else begin + timedelta(weeks=weeks)
