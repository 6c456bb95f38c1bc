"""The arithmetic of weekly goals …"""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from course_goals import week
from course_goals.week import AccessLimits, Clock, Progress, access_expiry, outcome, usable_zone, zone_of
from tests import test_architecture as house

MONDAY = date(2021, 3, 1)
TOKYO, LOS_ANGELES, BERLIN = (ZoneInfo(name) for name in ("Asia/Tokyo", "America/Los_Angeles", "Europe/Berlin"))
ZONES = sorted(available_timezones() - {"localtime"})
zones = st.sampled_from(ZONES).map(ZoneInfo)
instants = st.datetimes(*(datetime(year, 1, 1) for year in (2020, 2041)), timezones=st.just(UTC))  # noqa: DTZ001


def transitions(zone: ZoneInfo) -> list[datetime]:
    """Return the instants, to the second, at which the zone's clocks change from 2020 to 2040."""
    found = []
    step = timedelta(days=7)
    before = datetime(2020, 1, 1, tzinfo=UTC)
    while before.year < 2041:
        after = before + step
        while before < after and before.astimezone(zone).utcoffset() != after.astimezone(zone).utcoffset():
            low, high = before, after
            while high - low > timedelta(seconds=1):
                middle = low + (high - low) / 2
                if middle.astimezone(zone).utcoffset() == before.astimezone(zone).utcoffset():
                    low = middle
                else:
                    high = middle
            found.append(high.replace(microsecond=0))
            before = found[-1]
        before = after
    return found


def day(number: int) -> date:
    """Return a day of the week by its number, Monday 0."""
    return MONDAY + timedelta(days=number)


def progress(now: datetime, zone: ZoneInfo, goal: int, *done: date) -> Progress:
    return Progress.of(Clock.at(now, zone), goal, done)


class TestOutcome:
    @pytest.mark.parametrize("goal", range(1, 8))
    @pytest.mark.parametrize("today", range(7))
    def test_case_009_a_mail_is_due_exactly_where_needed_is_days_left(self, goal: int, today: int) -> None:
        for done in range(goal):
            dates = [day(number) for number in range(done)]
            now = datetime.combine(day(today), time(10), tzinfo=UTC)
            found = progress(now, ZoneInfo("UTC"), goal, *dates)
            if done <= today:
                assert (found.outcome == week.DUE) == (goal - done == 7 - today)

    def test_case_009_on_the_days_that_are_listed(self) -> None:
        due = {
            (goal, done): today
            for goal in range(1, 8)
            for today in range(7)
            for done in range(min(goal, today + 1))
            if outcome(goal, done=done, left=7 - today, studied_today=done > today) == week.DUE
        }
        assert [due[5, done] for done in range(5)] == [2, 3, 4, 5, 6]
        assert [due[3, done] for done in range(3)] == [4, 5, 6]
        assert due[1, 0] == 6
        assert [due[6, done] for done in range(6)] == [1, 2, 3, 4, 5, 6]
        assert [due[7, done] for done in range(7)] == [0, 1, 2, 3, 4, 5, 6]

    @pytest.mark.parametrize(
        ("goal", "done", "today", "expected"),
        [
            (7, [], 0, "due"),
            (7, [0], 0, "studied_today"),
            (7, [0], 1, "due"),
            (4, [0, 1, 2, 3, 4], 5, "reached"),
            (1, [0, 1], 6, "reached"),
            (2, [], 4, "too_early"),
            (2, [], 5, "due"),
            (2, [], 6, "out_of_reach"),
            (2, [1], 5, "too_early"),
            (2, [1], 6, "due"),
            (7, [0, 1, 2], 2, "studied_today"),
            (7, [0, 1, 2], 3, "due"),
            (7, [0, 1, 2], 4, "out_of_reach"),
            (3, [4], 5, "due"),
            (3, [4, 5], 5, "studied_today"),
            (3, [4, 5], 6, "due"),
        ],
    )
    def test_the_words(self, goal: int, done: list[int], today: int, expected: str) -> None:
        now = datetime.combine(day(today), time(10), tzinfo=UTC)
        assert progress(now, ZoneInfo("UTC"), goal, *map(day, done)).outcome == expected

    @given(st.integers(1, 7), st.sets(st.integers(0, 6)), st.integers(0, 6))
    def test_the_words_exclude_each_other_and_due_can_still_be_made(
        self, goal: int, done: set[int], today: int
    ) -> None:
        now = datetime.combine(day(today), time(10), tzinfo=UTC)
        found = progress(now, ZoneInfo("UTC"), goal, *map(day, done))
        assert found.dates == {day(number) for number in done if number <= today}
        most = found.done + week.free_days(7 - today, today in done)
        assert (found.outcome == "out_of_reach") == (most < goal)
        assert (found.outcome == "reached") == found.reached == (found.done >= goal)
        if found.outcome in ("due", "studied_today"):
            assert most == goal

    def test_case_010_days_of_other_weeks_and_later_ones_do_not_count(self) -> None:
        now = datetime(2021, 3, 3, 10, tzinfo=UTC)
        found = progress(now, ZoneInfo("UTC"), 3, date(2021, 2, 28), day(0), day(2), day(3), day(7))
        assert found.dates == {day(0), day(2)}
        assert found.studied_today
        assert not progress(now, ZoneInfo("UTC"), 0, day(0)).reached


class TestZone:
    @pytest.mark.parametrize(
        ("name", "key"),
        [
            ("Europe/Madrid", "Europe/Madrid"),
            ("Asia/Calcutta", "Asia/Calcutta"),
            (" asia/kolkata ", "Asia/Kolkata"),
            ("Europe/Kiev", "Europe/Kiev"),
            ("us/pacific", "US/Pacific"),
            ("est", "EST"),
            ("Etc/GMT+2", "Etc/GMT+2"),
            ("\x00Asia/\u200bTokyo\n", "Asia/Tokyo"),
            ("\u00a0UTC\ufeff", "UTC"),
        ],
    )
    def test_case_035_is_found_by_any_spelling_of_its_name_or_alias(self, name: str, key: str) -> None:
        zone = usable_zone(name)
        assert zone is not None
        assert zone.key == key

    @pytest.mark.parametrize(
        "name",
        ["", " ", None, "Mars/Base", "UTC+2", "../etc/passwd", "/etc/localtime", "localtime", "posixrules", "Asia"],
    )
    def test_is_not_usable_by_another_name(self, name: str | None) -> None:
        assert usable_zone(name) is None

    @given(st.text())
    def test_is_never_an_error(self, name: str) -> None:
        usable_zone(name)

    def test_every_zone_and_alias_is_usable(self) -> None:
        assert [name for name in ZONES if usable_zone(name.swapcase()) is not ZoneInfo(name)] == []

    @pytest.mark.parametrize(
        ("candidates", "key"),
        [
            (("Mars/Base", "Europe/Kiev", "Asia/Tokyo"), "Europe/Kiev"),
            (("Mars/Base", "UTC+2", "Asia/Tokyo"), "Asia/Tokyo"),
            (("Mars/Base", "", None), "UTC"),
            ((), "UTC"),
            (("Europe/Paris", "Asia/Tokyo", ""), "Europe/Paris"),
            (("", "Asia/Tokyo", ""), "Asia/Tokyo"),
        ],
    )
    def test_case_034_is_the_first_usable_one(self, candidates: tuple[str | None, ...], key: str) -> None:
        assert zone_of(*candidates).key == key


class TestClock:
    @pytest.mark.parametrize(
        ("zone", "now", "day", "part"),
        [
            (TOKYO, "2021-03-05T00:10Z", date(2021, 3, 5), "morning"),
            (TOKYO, "2021-03-05T08:59Z", date(2021, 3, 5), "afternoon"),
            (TOKYO, "2021-03-05T09:00Z", date(2021, 3, 5), "closed"),
            (TOKYO, "2021-03-07T23:00Z", date(2021, 3, 8), "morning"),
            (LOS_ANGELES, "2021-03-05T00:00Z", date(2021, 3, 4), "afternoon"),
            (LOS_ANGELES, "2021-03-05T15:59Z", date(2021, 3, 5), "closed"),
            (LOS_ANGELES, "2021-03-05T16:00Z", date(2021, 3, 5), "morning"),
            (ZoneInfo("Asia/Kolkata"), "2021-03-02T02:29Z", date(2021, 3, 2), "closed"),
            (ZoneInfo("Asia/Kolkata"), "2021-03-02T02:30Z", date(2021, 3, 2), "morning"),
            (ZoneInfo("Australia/Sydney"), "2021-03-07T21:00Z", date(2021, 3, 8), "morning"),
            (LOS_ANGELES, "2021-03-14T14:59Z", date(2021, 3, 14), "closed"),
            (LOS_ANGELES, "2021-03-14T15:00Z", date(2021, 3, 14), "morning"),
            (BERLIN, "2021-10-31T06:00Z", date(2021, 10, 31), "closed"),
            (BERLIN, "2021-10-31T07:00Z", date(2021, 10, 31), "morning"),
            (ZoneInfo("UTC"), "2021-03-02T07:59:59Z", date(2021, 3, 2), "closed"),
            (ZoneInfo("UTC"), "2021-03-02T08:00Z", date(2021, 3, 2), "morning"),
            (ZoneInfo("UTC"), "2021-03-02T11:59:59Z", date(2021, 3, 2), "morning"),
            (ZoneInfo("UTC"), "2021-03-02T12:00Z", date(2021, 3, 2), "afternoon"),
            (ZoneInfo("UTC"), "2021-03-02T17:59:59Z", date(2021, 3, 2), "afternoon"),
            (ZoneInfo("UTC"), "2021-03-02T18:00Z", date(2021, 3, 2), "closed"),
        ],
    )
    def test_reads_the_day_and_its_part_in_the_zone(self, zone: ZoneInfo, now: str, day: date, part: str) -> None:
        clock = Clock.at(datetime.fromisoformat(now), zone)
        assert (clock.day, clock.part) == (day, part)

    @pytest.mark.parametrize(
        ("zone", "sunday", "hours"),
        [(LOS_ANGELES, date(2021, 3, 14), 167), (BERLIN, date(2021, 10, 31), 169), (TOKYO, date(2021, 3, 14), 168)],
    )
    def test_case_046_a_week_in_which_clocks_change_has_seven_dates(
        self, zone: ZoneInfo, sunday: date, hours: int
    ) -> None:
        clock = Clock.at(datetime.combine(sunday, time(9), tzinfo=zone), zone)
        assert (clock.days_left, clock.monday) == (1, sunday - timedelta(days=6))
        assert clock.week_end - clock.week_start == timedelta(hours=hours)
        lefts = [Clock.on(clock.monday + timedelta(days=number), zone).days_left for number in range(7)]
        assert lefts == [7, 6, 5, 4, 3, 2, 1]

    def test_a_given_day_reads_nine_everywhere(self) -> None:
        for zone in (TOKYO, LOS_ANGELES, ZoneInfo("UTC")):
            clock = Clock.on(date(2021, 3, 2), zone)
            assert clock.now.astimezone(zone).isoformat()[:16] == "2021-03-02T09:00"
            assert (clock.day, clock.part) == (date(2021, 3, 2), "morning")

    def test_an_afternoon_is_open_only_without_a_run_in_its_morning(self) -> None:
        utc = ZoneInfo("UTC")
        noon, morning = datetime(2021, 3, 2, 12, tzinfo=UTC), datetime(2021, 3, 2, 9, tzinfo=UTC)
        clock = Clock.at(noon, utc)
        assert clock.is_open(utc)
        assert clock.is_open(utc, [noon, morning - timedelta(days=1), morning - timedelta(hours=2)])
        assert not clock.is_open(utc, [noon, morning])
        assert Clock.at(morning, utc).is_open(utc, [morning])
        assert not Clock.at(datetime(2021, 3, 2, 18, tzinfo=UTC), utc).is_open(utc)

    def test_case_033_a_run_counts_for_the_zones_in_which_it_is_morning(self) -> None:
        run = datetime(2021, 3, 2, tzinfo=UTC)
        assert week.in_morning_of(run, date(2021, 3, 2), TOKYO)
        assert not week.in_morning_of(run, date(2021, 3, 2), ZoneInfo("UTC"))
        assert not week.in_morning_of(run, date(2021, 3, 1), TOKYO)

    def test_refuses_a_naive_instant(self) -> None:
        with pytest.raises(ValueError, match="aware"):
            Clock.at(datetime(2021, 3, 2), TOKYO)  # noqa: DTZ001

    @given(instants, zones)
    def test_week_and_day_hold_the_instant(self, now: datetime, zone: ZoneInfo) -> None:
        clock = Clock.at(now, zone)
        assert clock.week_start <= now < clock.week_end
        assert clock.monday.weekday() == 0
        assert (clock.day - clock.monday).days == 7 - clock.days_left
        assert {instant.tzinfo for instant in (clock.now, clock.week_start, clock.week_end, clock.closes)} == {UTC}
        first, after = week.day_bounds(clock.day, zone)
        assert first <= now < after
        assert (clock.closes > now) == (clock.part != "closed" or now.astimezone(zone).hour < 18)

    @pytest.mark.slow
    @pytest.mark.parametrize("name", ZONES)
    def test_a_day_starts_at_its_first_existing_instant_around_every_change_of_clocks(self, name: str) -> None:
        zone = ZoneInfo(name)
        changes = transitions(zone)
        assert name != "America/Los_Angeles" or len(changes) == 42
        for change in changes:
            for offset in (-1, 0, 1):
                local = change.astimezone(zone).date() + timedelta(days=offset)
                first, after = week.day_bounds(local, zone)
                assert first.astimezone(zone).date() == local
                assert (first - timedelta(seconds=1)).astimezone(zone).date() < local
                assert (after - timedelta(seconds=1)).astimezone(zone).date() == local
            for moment in (change - timedelta(seconds=1), change, change + timedelta(seconds=1)):
                clock = Clock.at(moment, zone)
                assert clock.week_start <= moment < clock.week_end

    def test_a_midnight_that_is_skipped_or_happens_twice(self) -> None:
        havana = ZoneInfo("America/Havana")
        skipped, _ = week.day_bounds(date(2021, 3, 14), havana)
        assert (skipped, skipped.astimezone(havana).hour) == (datetime(2021, 3, 14, 5, tzinfo=UTC), 1)
        twice, after = week.day_bounds(date(2021, 11, 7), havana)
        assert (twice, after - twice) == (datetime(2021, 11, 7, 4, tzinfo=UTC), timedelta(hours=25))

    def test_knows_nothing_of_django(self) -> None:
        source = (house.ROOT / "course_goals" / "week.py").read_text(encoding="utf-8")
        assert house.offences(source, lambda node: house.imports(node, "django")) == []


class TestAccess:
    LIMITS = AccessLimits()

    def expiry(self, **changes: object) -> datetime | None:
        facts = {
            "mode": "audit",
            "enrolled_at": datetime(2021, 2, 1, 10, tzinfo=UTC),
            "course_start": datetime(2021, 1, 1, tzinfo=UTC),
            "weeks_to_complete": None,
            "verified_mode": True,
            "limits": self.LIMITS,
        }
        return access_expiry(**facts | changes)  # type: ignore[arg-type]

    @pytest.mark.parametrize("mode", ["verified", "honor", "professional", ""])
    def test_does_not_end_in_other_modes(self, mode: str) -> None:
        assert self.expiry(mode=mode) is None

    def test_case_020_ends_four_weeks_after_the_enrolment(self) -> None:
        enrolled = datetime(2021, 2, 7, 23, 59, tzinfo=UTC)
        assert self.expiry(enrolled_at=enrolled) == datetime(2021, 3, 7, 23, 59, tzinfo=UTC)
        assert self.expiry(enrolled_at=enrolled, verified_mode=False) is None
        assert self.expiry(enrolled_at=enrolled, limits=AccessLimits(enabled=False)) is None
        late = AccessLimits(enabled_as_of=datetime(2021, 2, 20, tzinfo=UTC))
        assert self.expiry(enrolled_at=enrolled, limits=late) is None
        assert self.expiry(enrolled_at=datetime(2021, 2, 20, tzinfo=UTC), limits=late) is not None

    @pytest.mark.parametrize(
        ("enrolled", "start", "weeks", "expected"),
        [
            ("2021-01-23T00:00Z", "2021-01-01T00:00Z", None, "2021-02-20T00:00Z"),
            ("2021-02-01T10:00Z", "2021-01-01T00:00Z", 7, "2021-03-22T10:00Z"),
            ("2021-02-01T10:00Z", "2021-01-01T00:00Z", 3, "2021-03-01T10:00Z"),
            ("2021-02-01T10:00Z", "2021-01-01T00:00Z", 0, "2021-03-01T10:00Z"),
            ("2021-01-04T00:00Z", "2021-02-08T00:00Z", 4, "2021-03-08T00:00Z"),
            ("2021-02-01T10:00Z", None, 99, "2021-06-07T10:00Z"),
        ],
    )
    def test_case_021_counts_the_courses_weeks_within_the_limits_from_the_later_of_two(
        self, enrolled: str, start: str | None, weeks: int | None, expected: str
    ) -> None:
        found = self.expiry(
            enrolled_at=datetime.fromisoformat(enrolled),
            course_start=datetime.fromisoformat(start) if start else None,
            weeks_to_complete=weeks,
        )
        assert found == datetime.fromisoformat(expected)

    def test_survives_a_course_that_never_starts(self) -> None:
        assert self.expiry(course_start=datetime.max.replace(tzinfo=UTC)) == week.EVER

    @given(instants, instants, st.integers(-5, 60))
    def test_never_ends_before_the_least_nor_after_the_most(
        self, enrolled: datetime, start: datetime, weeks: int
    ) -> None:
        found = self.expiry(enrolled_at=enrolled, course_start=start, weeks_to_complete=weeks)
        assert found is not None
        assume(found != week.EVER)
        assert timedelta(weeks=4) <= found - max(enrolled, start) <= timedelta(weeks=18)


def test_the_occasion_names_the_goal_and_the_monday() -> None:
    assert week.occasion(42, MONDAY) == "goal_reminder:42:2021-03-01"
