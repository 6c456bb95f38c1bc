"""The arithmetic of schedules, for any dates at all."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schedules import dates
from schedules.dates import DeadlineSetting

ZONES = st.timezones() | st.just(UTC)
MOMENTS = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=ZONES, allow_imaginary=False)  # noqa: DTZ001
DATES = st.dates(date(2000, 1, 1), date(2100, 1, 1))
DAYS = st.integers(1, 2000)
SETTINGS = st.none() | st.builds(DeadlineSetting, st.booleans(), DAYS, st.booleans())


@given(MOMENTS)
def test_every_moment_lies_in_exactly_one_day(moment: datetime) -> None:
    day = moment.astimezone(UTC).date()
    around = [day + timedelta(days=step) for step in (-1, 0, 1)]
    inside = [one for one in around if dates.day_window(one)[0] <= moment < dates.day_window(one)[1]]
    assert inside == [day]


@given(DATES)
def test_days_follow_each_other_without_gap_or_overlap(day: date) -> None:
    first, after = dates.day_window(day)
    assert after == dates.day_window(day + timedelta(days=1))[0]
    assert after - first == timedelta(days=1)
    assert first == dates.day_start(day)
    assert first.utcoffset() == timedelta(0)


@given(MOMENTS, st.none() | MOMENTS)
def test_the_clock_starts_at_the_later_of_enrolment_and_course_start(
    enrolled: datetime, start: datetime | None
) -> None:
    found = dates.start_date(enrolled, start)
    assert found in (enrolled, start)
    assert found >= enrolled
    assert start is None or found >= start


def deadline(start: datetime, **given: object) -> datetime | None:
    values = {"days": 21, "verified_mode": True, "verified_expires_at": None, "course_end": None, "now": start}
    return dates.upgrade_deadline(start, **(values | given))  # type: ignore[arg-type]


@given(MOMENTS, DAYS, st.none() | MOMENTS, st.none() | MOMENTS, MOMENTS)
def test_the_deadline_is_the_earliest_of_its_limits(
    start: datetime, days: int, expires: datetime | None, end: datetime | None, now: datetime
) -> None:
    found = deadline(start, days=days, verified_expires_at=expires, course_end=end, now=now)
    if expires is not None and expires <= now:
        assert found is None
        return
    limits = [limit for limit in (start + timedelta(days=days), expires, end) if limit is not None]
    assert found in limits
    assert all(found <= limit for limit in limits if found is not None)


@given(MOMENTS, MOMENTS)
def test_there_is_no_deadline_without_days_or_a_verified_mode(start: datetime, now: datetime) -> None:
    assert deadline(start, days=None, now=now) is None
    assert deadline(start, verified_mode=False, now=now) is None


@given(MOMENTS, DAYS, DAYS)
def test_more_days_never_bring_the_deadline_forward(start: datetime, few: int, more: int) -> None:
    nearer, farther = (deadline(start, days=days) for days in sorted((few, more)))
    assert nearer is not None
    assert farther is not None
    assert nearer <= farther


@pytest.mark.parametrize(("expires", "kept"), [(0, False), (1, True), (-1, False)])
def test_a_mode_ends_at_its_last_instant(expires: int, kept: bool) -> None:
    now = datetime(2017, 8, 1, tzinfo=UTC)
    moment = now + timedelta(microseconds=expires)
    assert (deadline(now, verified_expires_at=moment, now=now) is not None) is kept


@given(st.lists(SETTINGS, max_size=4))
def test_the_nearest_opinion_wins(nearest_first: list[DeadlineSetting | None]) -> None:
    opinions = [setting for setting in nearest_first if setting is not None and setting.enabled]
    expected = None if not opinions or opinions[0].opt_out else opinions[0].deadline_days
    assert dates.effective_days(nearest_first) == expected


@given(SETTINGS, SETTINGS, DAYS)
def test_a_setting_that_is_not_enabled_has_no_opinion(
    one: DeadlineSetting | None, other: DeadlineSetting | None, days: int
) -> None:
    for opt_out in (True, False):
        silent = DeadlineSetting(False, days, opt_out)
        assert dates.effective_days([silent, one, other]) == dates.effective_days([one, silent, other])
        assert dates.effective_days([one, silent, other]) == dates.effective_days([one, other])


@given(st.text(), st.integers(0, 2**63), st.text())
def test_the_hold_back_fraction_is_stable_and_below_one(key: str, user_id: int, course_key: str) -> None:
    fraction = dates.hold_back_fraction(key, user_id, course_key)
    assert 0 <= fraction < 1
    assert fraction == dates.hold_back_fraction(key, user_id, course_key)


@pytest.mark.parametrize(("user_id", "course", "expected"), [(1, "C", 0.45296), (2, "C", 0.50772), (2, "D", 0.66865)])
def test_cases_008_and_009_have_these_fractions(user_id: int, course: str, expected: float) -> None:
    key = f"course-v1:edX+{course}+2017"
    assert round(dates.hold_back_fraction("schedules.hold_back", user_id, key), 5) == expected


def test_hold_back_spreads_learners_evenly() -> None:
    held = sum(dates.hold_back_fraction("schedules.hold_back", number, "course-v1:edX+C+2017") < 0.3
               for number in range(5000))  # fmt: skip
    assert 1400 < held < 1600


def test_a_course_that_never_starts_has_a_deadline_at_the_end_of_the_calendar() -> None:
    never = datetime(9999, 12, 31, tzinfo=UTC)
    found = dates.upgrade_deadline(
        never,
        days=21,
        verified_mode=True,
        verified_expires_at=None,
        course_end=None,
        now=datetime(2026, 1, 1, tzinfo=UTC),
    )
    assert found is not None and found > never
