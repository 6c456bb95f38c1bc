"""When the reminder of a weekly goal is due, and that it goes out once …"""

from __future__ import annotations

from typing import Any

import pytest
import time_machine

from course_goals import conditions, services, week
from course_goals.models import CourseGoalReminderStatus
from courses.models import Course
from email_automation.models import EmailLog
from email_automation.pipeline import sweep
from email_automation.pipeline.delivery import deliver
from tests import test_architecture as house
from tests.factories import UserActivityFactory

from . import scene
from .reminding import DAYS, at, goal_of, mailed, plan, remind, sentence, studied, unstudied, why

pytestmark = pytest.mark.django_db

NAMES = list(DAYS)


def reminded(goal: Any, moment: str) -> bool:
    return CourseGoalReminderStatus.for_goals([goal], at(moment))[goal.pk].email_reminder_sent


class TestArithmetic:
    def test_case_001_002_one_mail_and_no_second(self, course: Course, mailoutbox: list[Any]) -> None:
        goal = goal_of(course)
        assert remind("Tue").sent == 1
        row = EmailLog.objects.get()
        assert (row.dedupe_key, row.status) == (f"goal_reminder:{goal.pk}:2021-03-01", "sent")
        assert reminded(goal, "Tue 12:00")
        for moment in ("Tue 11:00", "Wed"):
            assert remind(moment).sent == 0
        assert why(goal, "Tue 11:00") == "not_reminded_this_week"
        assert [sent.to for sent in mailoutbox] == [[goal.user.email]]

    def test_case_003_nothing_is_reset_on_a_monday(self, course: Course) -> None:
        goal = goal_of(course)
        assert remind("2021-02-23T10:00Z").sent == 1
        before = EmailLog.objects.values().get()
        assert not reminded(goal, "Mon 00:00")
        assert remind("Mon").sent == 0
        assert EmailLog.objects.values().get() == before
        assert remind("Tue").sent == 1

    def test_case_004_a_goal_of_seven_is_mailed_on_monday_or_after_a_visit_on_tuesday(self, course: Course) -> None:
        goal, visited = goal_of(course, 7), goal_of(course, 7)
        studied(visited, "Mon")
        remind("Mon")
        assert (mailed(goal), mailed(visited)) == (["sent"], [])
        assert "studied_today" in sentence(visited, "Mon", "days_left_match")
        remind("Tue")
        assert mailed(visited) == ["sent"]

    @pytest.mark.parametrize(
        ("days", "done", "moment", "word"),
        [
            (4, ["Mon", "Tue", "Wed", "Thu", "Fri"], "Sat", "reached"),
            (1, ["Mon", "Tue"], "Sun", "reached"),
            (2, [], "Fri", "too_early"),
            (2, [], "Sat", "due"),
            (2, [], "Sun", "out_of_reach"),
            (2, ["Tue"], "Sat", "too_early"),
            (2, ["Tue"], "Sun", "due"),
            (7, ["Mon", "Tue", "Wed"], "Wed", "studied_today"),
            (7, ["Mon", "Tue", "Wed"], "Thu", "due"),
            (7, ["Mon", "Tue", "Wed"], "Fri", "out_of_reach"),
            (3, ["2021-02-28"], "Fri", "due"),
            (3, ["Sat", "Sun"], "Fri", "due"),
        ],
    )
    def test_case_005_to_008_and_010_the_words(
        self, course: Course, days: int, done: list[str], moment: str, word: str
    ) -> None:
        goal = goal_of(course, days)
        studied(goal, *done)
        assert sentence(goal, moment, "days_left_match").partition("(")[2].startswith(f"{word}:")
        assert why(goal, moment) == ("due" if word == "due" else "days_left_match")
        assert remind(moment).sent == (word == "due")

    @pytest.mark.parametrize("today", range(7))
    def test_case_009_a_mail_exactly_where_needed_is_days_left(self, course: Course, today: int) -> None:
        goals = {}
        for days in range(1, 8):
            for done in range(days):
                goals[days, done] = goal_of(course, days)
                studied(goals[days, done], *NAMES[:done])
        remind(NAMES[today])
        for (days, done), goal in goals.items():
            # Days that are done later do not count yet.
            so_far = min(done, today + 1)
            due = days - so_far == 7 - today and done <= today
            assert bool(mailed(goal)) == due, (days, done)

    def test_case_011_another_courses_days_do_not_count(self, course: Course) -> None:
        goal = goal_of(course, 6)
        UserActivityFactory(user=goal.user, course=scene.base_course(), date=DAYS["Mon"])
        UserActivityFactory(course=course, date=DAYS["Tue"])
        assert remind("Tue").sent == 1


class TestMissedDay:
    def test_case_013_014_study_on_the_missed_day_decides(self, course: Course) -> None:
        visited, stayed_away = goal_of(course, 3), goal_of(course, 3)
        studied(visited, "Fri")
        remind("Sat")
        assert (mailed(visited), mailed(stayed_away)) == (["sent"], [])
        assert "out_of_reach" in sentence(stayed_away, "Sat", "days_left_match")

    def test_case_015_a_visit_before_the_run_puts_it_off_by_a_day(self, course: Course) -> None:
        goal = goal_of(course, 3)
        studied(goal, "Fri")
        assert remind("Fri 09:00").sent == 0
        assert remind("Sat 09:00").sent == 1
        assert mailed(goal) == ["sent"]

    def test_case_016_two_missed_days(self, course: Course) -> None:
        goal = goal_of(course, 3)
        studied(goal, "Fri", "Sat")
        assert remind("Sat").sent == 0
        assert "studied_today" in sentence(goal, "Sat", "days_left_match")
        assert remind("Sun").sent == 1

    def test_case_017_study_between_planning_and_hand_off_stops_it(self, course: Course) -> None:
        goal = goal_of(course, 5)
        rows = plan("Wed 08:00")
        studied(goal, "Wed")
        with time_machine.travel(at("Wed 08:05"), tick=False):
            assert deliver(rows).reasons == {"days_left_match": 1}
        assert EmailLog.objects.get().dedupe_key is None
        assert remind("Thu").sent == 1
        assert mailed(goal) == ["skipped", "sent"]


class TestHandOff:
    def test_case_027_nothing_goes_out_after_six_in_the_evening_and_the_week_stays_free(self, course: Course) -> None:
        goal = goal_of(course, 6, account="Asia/Tokyo")
        plan("2021-03-02T00:10Z")
        row = EmailLog.objects.get()
        assert row.expires_at == at("2021-03-02T09:00Z")
        with time_machine.travel(row.expires_at, tick=False):
            assert sweep.sweep().reasons == {"expired": 1}
        assert EmailLog.objects.get().dedupe_key is None
        studied(goal, "Tue")
        assert remind("2021-03-03T00:10Z").sent == 1

    def test_case_028_reminders_that_go_off_meanwhile_stop_it(self, course: Course) -> None:
        goal = goal_of(course)
        rows = plan("Tue")
        services.unsubscribe(goal.unsubscribe_token, source="one-click")
        with time_machine.travel(at("Tue 10:01"), tick=False):
            assert deliver(rows).reasons == {"reminders_on": 1}
        assert EmailLog.objects.get().dedupe_key is None

    def test_it_is_asked_about_its_own_morning_and_week_also_in_the_afternoon(self, course: Course) -> None:
        goal_of(course)
        rows = plan("Tue 11:59")
        with time_machine.travel(at("Tue 17:59"), tick=False):
            assert deliver(rows)["sent"] == 1

    def test_who_moved_into_another_week_meanwhile_is_judged_by_that_ones_key(self, course: Course) -> None:
        goal = goal_of(course, 7, account="Asia/Tokyo")
        rows = plan("2021-02-28T23:30Z")
        assert EmailLog.objects.get().occasion == f"goal_reminder:{goal.pk}:2021-03-01"
        profile = goal.user.learner_profile
        profile.time_zone = "America/Los_Angeles"
        profile.save()
        unstudied(goal)
        goal.days_per_week = 1
        goal.save()
        with time_machine.travel(at("2021-02-28T23:31Z"), tick=False):
            assert deliver(rows)["sent"] == 0
        assert EmailLog.objects.get().dedupe_key is None


def test_the_key_of_the_statement_is_the_occasion(course: Course) -> None:
    goal = goal_of(course)
    assert f"({week.occasion(goal.pk, DAYS['Mon'])})" in sentence(goal, "Tue", "not_reminded_this_week")


def test_nothing_of_it_reads_a_clock_or_writes() -> None:
    for name in ("conditions", "readings", "resolver"):
        source = (house.ROOT / "course_goals" / f"{name}.py").read_text(encoding="utf-8")
        assert house.offences(source, house.reads_a_clock) == []
        assert house.offences(source, house.writes) == []


def test_who_is_counted_as_due_passes_the_first_four() -> None:
    assert [rule.name for rule in conditions.DUE] == ["goal_set", "reminders_on", "local_morning", "days_left_match"]
