"""Weeks, Monday to Sunday, in every zone there is."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from email_automation.weeks import DAYS, Week, first_instant

MOMENT = timedelta(microseconds=1)
HOUR = timedelta(hours=1)

days = st.dates(date(2020, 1, 1), date(2040, 12, 31))
zones = st.sampled_from(sorted(available_timezones())).map(ZoneInfo)
instants = st.datetimes(datetime(2020, 1, 1), datetime(2040, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001


@given(days)
def test_a_week_begins_on_monday_and_holds_its_day(day: date) -> None:
    week = Week.of(day)
    assert (week.start.weekday(), week.end.weekday()) == (0, 6)
    assert week.start <= day <= week.end
    assert (week.end - week.start).days == DAYS - 1


@given(days)
def test_the_week_before_ends_the_day_before(day: date) -> None:
    assert Week.before(day).end + timedelta(days=1) == Week.of(day).start
    assert Week.of(Week.before(day).end) == Week.before(day)


@settings(max_examples=500, deadline=None)
@given(days, zones)
def test_weeks_follow_each_other_without_gap_or_overlap(day: date, zone: ZoneInfo) -> None:
    week = Week.of(day)
    following = Week.of(week.end + timedelta(days=1))
    assert Week.before(day).after(zone) == week.first(zone) < week.after(zone) == following.first(zone)
    # A clock change makes a week longer or shorter; whole days are left out only before 2012.
    assert abs(week.after(zone) - week.first(zone) - timedelta(days=DAYS)) <= 2 * HOUR


@settings(max_examples=500, deadline=None)
@given(instants, zones)
def test_every_instant_lies_in_the_week_of_its_day_and_in_no_other(instant: datetime, zone: ZoneInfo) -> None:
    local = instant.astimezone(zone).date()
    week, before, after = Week.of(local), Week.before(local), Week.of(local + timedelta(days=DAYS))
    assert week.first(zone) <= instant < week.after(zone)
    for other in (before, after):
        assert not other.first(zone) <= instant < other.after(zone)


@settings(max_examples=500, deadline=None)
@given(days, zones)
def test_a_day_begins_when_the_clock_first_shows_it(day: date, zone: ZoneInfo) -> None:
    first = first_instant(day, zone)
    assert first.tzinfo is UTC
    assert first.astimezone(zone).date() == day
    assert (first - MOMENT).astimezone(zone).date() == day - timedelta(days=1)


@pytest.mark.parametrize(
    ("zone", "day", "first"),
    [
        ("UTC", date(2026, 3, 2), datetime(2026, 3, 2, tzinfo=UTC)),
        ("Pacific/Auckland", date(2026, 3, 2), datetime(2026, 3, 1, 11, tzinfo=UTC)),
        ("America/Los_Angeles", date(2026, 3, 2), datetime(2026, 3, 2, 8, tzinfo=UTC)),
        ("Asia/Kathmandu", date(2026, 3, 2), datetime(2026, 3, 1, 18, 15, tzinfo=UTC)),
        ("Europe/Madrid", date(2026, 7, 6), datetime(2026, 7, 5, 22, tzinfo=UTC)),
        # Midnight itself is left out: the clock goes from 23:59 to 01:00 …
        ("Africa/Cairo", date(2026, 4, 24), datetime(2026, 4, 23, 22, tzinfo=UTC)),
        ("Asia/Beirut", date(2026, 3, 29), datetime(2026, 3, 28, 22, tzinfo=UTC)),
        # … or comes twice: from 00:59 to 00:00, and the first one counts.
        ("America/Havana", date(2026, 11, 1), datetime(2026, 11, 1, 4, tzinfo=UTC)),
        ("Atlantic/Azores", date(2026, 10, 25), datetime(2026, 10, 25, tzinfo=UTC)),
    ],
)
def test_a_day_begins_at(zone: str, day: date, first: datetime) -> None:
    assert first_instant(day, ZoneInfo(zone)) == first


@pytest.mark.parametrize(
    ("zone", "start", "hours"),
    [
        ("Pacific/Auckland", date(2026, 3, 30), 169),
        ("Pacific/Auckland", date(2026, 9, 21), 167),
        ("America/Los_Angeles", date(2026, 3, 2), 167),
        ("America/Los_Angeles", date(2026, 10, 26), 169),
        ("Australia/Lord_Howe", date(2026, 3, 30), 168.5),
        ("Asia/Kathmandu", date(2026, 3, 2), 168),
        ("Europe/Madrid", date(2026, 3, 23), 167),
    ],
)
def test_a_week_with_a_clock_change_is_longer_or_shorter(zone: str, start: date, hours: float) -> None:
    week = Week(start)
    assert week.after(ZoneInfo(zone)) - week.first(ZoneInfo(zone)) == timedelta(hours=hours)


def test_case_006_the_week_reported_on_a_monday_is_the_one_before() -> None:
    for day in (date(2026, 3, 2), date(2026, 3, 5), date(2026, 3, 8)):
        week = Week.before(day)
        assert (week.start, week.end) == (date(2026, 2, 23), date(2026, 3, 1))
    assert datetime.combine(week.start, time(), tzinfo=UTC) == week.first(UTC)
