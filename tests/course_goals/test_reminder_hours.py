"""At what time of a learner's own day the reminder goes out …"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

import pytest
from django.conf import settings as django_settings

from course_goals import week
from course_goals.conditions import LABEL
from course_goals.messages.goal_reminder import GoalReminder
from course_goals.readings import Zones
from course_goals.week import Clock
from courses.models import Course, LearnerProfile
from email_automation.models import MessageRun
from email_automation.pipeline import ledger
from tests.factories import LearnerProfileFactory, SiteConfigurationFactory

from . import scene
from .reminding import at, goal_of, mailed, remind, run_of, sentence, why

pytestmark = pytest.mark.django_db


def in_zone(course: Course, days: int, zone: str) -> Any:
    """Return the goal of a learner in a zone, in a course without end."""
    Course.objects.update(end=None)
    return goal_of(course, days, account=zone)


class TestMorning:
    @pytest.mark.parametrize(
        ("moment", "sends"),
        [("06:00", False), ("07:59", False), ("08:00", True), ("11:59", True), ("12:00", True), ("17:59", True)]
        + [("18:00", False), ("23:00", False)],
    )
    def test_case_029_030_the_first_run_of_the_day(self, course: Course, moment: str, sends: bool) -> None:
        goal = goal_of(course)
        assert why(goal, f"Tue {moment}") == ("due" if sends else "local_morning")
        assert remind(f"Tue {moment}").sent == sends

    def test_case_031_an_afternoon_after_a_morning_with_a_run(self, course: Course) -> None:
        assert remind("Tue 09:00").audience == 0
        assert MessageRun.objects.get().slot == "2021-03-02T09:00Z"
        goal = goal_of(course)
        assert remind("Tue 13:00").sent == 0
        assert why(goal, "Tue 13:00") == "local_morning"
        assert "13:00 in UTC, afternoon" in sentence(goal, "Tue 13:00", "local_morning")
        assert why(goal, "Wed 13:00") != "local_morning"

    @pytest.mark.parametrize("options", [{"dry_run": True}, {"override": "qa@example.com"}, {"day": date(2021, 3, 2)}])
    def test_case_032_a_run_that_does_not_count(self, course: Course, options: dict[str, Any]) -> None:
        if "day" in options:
            options = {"now": GoalReminder.starting(django_settings.SITE_ID, **options).now, **options}
        remind("Tue 09:00", **options)
        assert not MessageRun.objects.exists()
        goal = goal_of(course)
        assert remind("Tue 13:00").sent == 1
        assert mailed(goal) == ["sent"]

    def test_case_032_a_run_that_broke_off(self, course: Course, monkeypatch: pytest.MonkeyPatch) -> None:
        first, second = goal_of(course), goal_of(course)
        real, claims = ledger.claim, []

        def claim(*args: Any, **options: Any) -> Any:
            claims.append(args)
            if len(claims) == 2:
                raise RuntimeError("the database is away")
            return real(*args, **options)

        with monkeypatch.context() as patched:
            patched.setattr(ledger, "claim", claim)
            patched.setattr(GoalReminder.resolver, "page", 1)
            assert remind("Tue 09:00").errors
        assert MessageRun.objects.get().status == MessageRun.PARTIAL
        # What was claimed is the sweep's; the rest is still due.
        assert remind("Tue 13:00").sent == 1
        assert (mailed(first), mailed(second)) == (["pending"], ["sent"])

    def test_case_032_a_run_that_is_still_claiming(self, course: Course) -> None:
        MessageRun.objects.create(message=LABEL, site_id=django_settings.SITE_ID, slot="2021-03-02T09:00Z")
        assert why(goal_of(course), "Tue 13:00") == "due"

    def test_case_033_a_run_counts_for_the_zones_in_which_it_is_morning(self, course: Course) -> None:
        remind("Tue 00:00")
        here, there = goal_of(course), goal_of(course, account="Asia/Tokyo")
        assert why(there, "Tue 05:00") == "local_morning"
        assert why(here, "Tue 13:00") == "due"

    def test_another_sites_run_does_not_count(self, course: Course) -> None:
        remind("Tue 09:00", site_id=SiteConfigurationFactory(org_filter=["other"]).site_id)
        assert remind("Tue 13:00").audience == 0
        goal = goal_of(course)
        MessageRun.objects.filter(site_id=django_settings.SITE_ID).delete()
        assert why(goal, "Tue 13:00") == "due"

    def test_a_second_run_of_the_same_minute_claims_what_is_left(self, course: Course) -> None:
        goal_of(course)
        remind("2021-03-02T09:00:10Z")
        goal = goal_of(course)
        assert remind("2021-03-02T09:00:50Z").sent == 1
        assert mailed(goal) == ["sent"]
        assert MessageRun.objects.count() == 1


class TestZone:
    @pytest.mark.parametrize(
        ("account", "browser", "site", "zone"),
        [
            ("Mars/Base", "Europe/Kiev", "Asia/Tokyo", "Europe/Kiev"),
            ("Mars/Base", "UTC+2", "Asia/Tokyo", "Asia/Tokyo"),
            ("Mars/Base", "", "", "UTC"),
            ("Europe/Paris", "Asia/Tokyo", "", "Europe/Paris"),
            ("", "Asia/Tokyo", "", "Asia/Tokyo"),
            ("Asia/Calcutta", "", "", "Asia/Calcutta"),
            (" asia/kolkata ", "Asia/Tokyo", "", "Asia/Kolkata"),
        ],
    )
    def test_case_034_035_the_first_that_is_usable(
        self, course: Course, account: str, browser: str, site: str, zone: str
    ) -> None:
        SiteConfigurationFactory(site_id=django_settings.SITE_ID, time_zone=site)
        goal = goal_of(course, account=account, browser=browser)
        assert f" in {zone}," in sentence(goal, "Tue", "local_morning")

    def test_case_034_without_a_profile_it_is_the_sites(self, course: Course) -> None:
        SiteConfigurationFactory(site_id=django_settings.SITE_ID, time_zone="Asia/Tokyo")
        assert " in Asia/Tokyo," in sentence(goal_of(course), "Tue", "local_morning")
        listed = SiteConfigurationFactory(org_filter=["edX"], time_zone="Europe/Berlin")
        found = Zones.stored()
        assert (found.of("", "", "edX").key, found.of("", "", "other").key) == ("Europe/Berlin", "Asia/Tokyo")
        assert listed.site_id != django_settings.SITE_ID

    @pytest.mark.parametrize(
        ("zone", "days", "moment", "sends"),
        [
            ("Asia/Tokyo", 3, "2021-03-05T00:10Z", True),
            ("Asia/Tokyo", 3, "2021-03-05T08:59Z", True),
            ("Asia/Tokyo", 3, "2021-03-05T09:00Z", False),
            ("Asia/Tokyo", 1, "2021-03-07T23:00Z", False),
            ("America/Los_Angeles", 3, "2021-03-05T00:00Z", False),
            ("America/Los_Angeles", 3, "2021-03-05T15:59Z", False),
            ("America/Los_Angeles", 3, "2021-03-05T16:00Z", True),
            ("Asia/Kolkata", 6, "2021-03-02T02:29Z", False),
            ("Asia/Kolkata", 6, "2021-03-02T02:30Z", True),
            ("Australia/Sydney", 1, "2021-03-07T21:00Z", False),
            ("America/Los_Angeles", 1, "2021-03-14T14:59Z", False),
            ("America/Los_Angeles", 1, "2021-03-14T15:00Z", True),
            ("Europe/Berlin", 1, "2021-10-31T06:00Z", False),
            ("Europe/Berlin", 1, "2021-10-31T07:00Z", True),
        ],
    )
    def test_case_036_to_039_041_042_044_045_by_the_learners_clock(
        self, course: Course, zone: str, days: int, moment: str, sends: bool
    ) -> None:
        goal = in_zone(course, days, zone)
        assert (why(goal, moment) == "due") == sends
        assert remind(moment).sent == sends

    def test_case_040_a_sunday_that_is_monday_elsewhere(self, course: Course) -> None:
        goal = in_zone(course, 1, "America/Los_Angeles")
        later = in_zone(course, 1, "America/Los_Angeles")
        later.subscribed_to_reminders = False
        later.save()
        assert remind("2021-03-07T17:00Z").sent == 1
        assert remind("2021-03-08T00:00Z").sent == 0
        later.subscribed_to_reminders = True
        later.save()
        MessageRun.objects.all().delete()
        assert remind("2021-03-08T00:00Z").sent == 1
        assert why(goal, "2021-03-08T00:00Z") == "not_reminded_this_week"
        assert f"goal_reminder:{later.pk}:2021-03-01" in sentence(later, "2021-03-08T00:00Z", "not_reminded_this_week")


EVERY_ZONE = sorted(available_timezones() - {week.OF_THE_MACHINE})
BEGIN, END = datetime(2021, 2, 28, tzinfo=UTC), datetime(2021, 3, 10, tzinfo=UTC)


def schedule(hours: int, minute: int) -> list[datetime]:
    """Return the instants of a schedule of ten days."""
    number = int((END - BEGIN) / timedelta(hours=hours))
    return [BEGIN + timedelta(hours=hours * step, minutes=minute) for step in range(number)]


def first_open(zone: ZoneInfo, runs: Iterable[datetime]) -> list[datetime]:
    """Return the instants, local, at which a goal of 5 with nothing done is due and the time is open."""
    done: list[datetime] = []
    found = []
    for instant in sorted({*runs}):
        clock = Clock.at(instant, zone)
        due = week.outcome(5, done=0, left=clock.days_left, studied_today=False) == week.DUE
        if clock.monday == date(2021, 3, 1) and due and clock.is_open(zone, done):
            found.append(instant.astimezone(zone))
        done.append(instant)
    return found


class TestEveryZone:
    @pytest.mark.parametrize(
        ("runs", "latest"),
        [(schedule(3, minute), 11) for minute in (0, 17, 59)]
        + [(schedule(1, 41), 9), (schedule(3, 0) + schedule(1, 41), 9)],
        ids=["0", "17", "59", "hourly", "both"],
    )
    def test_case_043_the_first_open_run_is_on_wednesday_morning(self, runs: list[datetime], latest: int) -> None:
        for name in EVERY_ZONE:
            found = first_open(ZoneInfo(name), runs)
            assert found, name
            assert (found[0].date(), 8 <= found[0].hour < latest) == (date(2021, 3, 3), True), (name, found[0])
            assert {moment.date() for moment in found} == {date(2021, 3, 3)}, name

    @pytest.mark.slow
    @pytest.mark.timeout(300)
    def test_case_043_set_based_each_of_them_is_due_once(self, course: Course) -> None:
        Course.objects.update(end=None)
        goals = {name: goal_of(course, 5, account=name) for name in EVERY_ZONE}
        names = {goal.pk: name for name, goal in goals.items()}
        assert LearnerProfile.objects.count() == len(EVERY_ZONE)
        resolver = GoalReminder.resolver()
        for instant in schedule(3, 17):
            if not datetime(2021, 3, 2, 12, tzinfo=UTC) <= instant < datetime(2021, 3, 4, tzinfo=UTC):
                continue
            found = {row.target_id for page in resolver.audience(run_of(instant.isoformat())) for row in page}
            expected = set()
            for name in EVERY_ZONE:
                clock = Clock.at(instant, ZoneInfo(name))
                if clock.is_open(ZoneInfo(name)) and clock.days_left == 5:
                    expected.add(name)
            assert {names[pk] for pk in found} == expected, instant


def test_case_038_a_visit_is_of_the_learners_own_day(course: Course) -> None:
    from course_goals.services import record_user_activity

    Course.objects.update(end=None)
    goal = goal_of(course, 7, account="Asia/Tokyo")
    assert record_user_activity(goal.user, course, at("2021-02-28T15:00Z"))
    assert "studied_today" in sentence(goal, "2021-03-01T00:10Z", "days_left_match")
    assert remind("2021-03-02T00:10Z").sent == 1
    assert mailed(goal) == ["sent"]


def test_a_profile_without_zones_goes_by_the_site(course: Course) -> None:
    goal = goal_of(course)
    LearnerProfileFactory(user=goal.user, language="es")
    assert " in UTC," in sentence(goal, "Tue", "local_morning")
    assert scene.learner(course)
