"""The writer of weekly goals …"""

from __future__ import annotations

import uuid
from datetime import UTC, date, datetime
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from course_goals import services
from course_goals.models import CourseGoal
from course_goals.signals import course_goal_changed
from courses.models import Course, CourseFlag, Enrollment, Flag, LearnerProfile
from tests.factories import (
    CourseGoalFactory,
    LearnerProfileFactory,
    SiteConfigurationFactory,
    UserActivityFactory,
    UserFactory,
)

from . import scene

pytestmark = pytest.mark.django_db


def set_goal(user: Any, course: Course, days: int | None, subscribed: bool, source: str = "api") -> Any:
    return services.set_goal(user, course, days_per_week=days, subscribed=subscribed, source=source)


def stored(user: Any, course: Course) -> tuple[int, bool]:
    return CourseGoal.objects.values_list("days_per_week", "subscribed_to_reminders").get(user=user, course=course)


class TestSetting:
    def test_case_048_writes_one_row_and_one_history_row_for_each_change(
        self, ann: Any, course: Course, heard: Any
    ) -> None:
        with heard() as calls:
            goal, word = set_goal(ann, course, 1, True)
        assert word == "created"
        assert [(call["goal"], call["created"], call["source"]) for call in calls] == [(goal, True, "api")]
        assert calls[0]["changed"] == {"days_per_week", "subscribed_to_reminders"}
        assert set_goal(ann, course, 3, True)[1] == "changed"
        with heard() as calls:
            assert set_goal(ann, course, 5, False, "page")[1] == "changed"
        assert [call["changed"] for call in calls] == [{"days_per_week", "subscribed_to_reminders"}]
        assert goal.history.count() == 3
        with heard() as calls, CaptureQueriesContext(connection) as queries:
            assert set_goal(ann, course, 5, False)[1] == "unchanged"
        assert (calls, goal.history.count()) == ([], 3)
        assert not [query for query in queries if query["sql"].startswith(("INSERT", "UPDATE"))]
        history = goal.history.order_by("history_id").values_list("days_per_week", "history_change_reason")
        assert list(history) == [(1, "api"), (3, "api"), (5, "page")]

    def test_case_051_clearing_turns_reminders_off_and_keeps_the_token(self, ann: Any, course: Course) -> None:
        token = set_goal(ann, course, 3, True)[0].unsubscribe_token
        set_goal(ann, course, 0, True)
        assert stored(ann, course) == (0, False)
        assert set_goal(ann, course, 5, True)[0].unsubscribe_token == token
        assert stored(ann, course) == (5, True)
        assert CourseGoal.objects.get().unsubscribe_token == token

    def test_case_052_reminders_need_a_goal(self, ann: Any, course: Course) -> None:
        assert set_goal(ann, course, None, False) == (None, "unchanged")
        assert set_goal(ann, course, 0, True) == (None, "unchanged")
        with pytest.raises(services.DaysMissing):
            set_goal(ann, course, None, True)
        assert not CourseGoal.objects.exists()
        CourseGoalFactory(user=ann, course=course, days_per_week=0, subscribed_to_reminders=False)
        with pytest.raises(services.DaysMissing):
            set_goal(ann, course, None, True)
        assert set_goal(ann, course, None, False)[1] == "unchanged"

    def test_days_left_out_stay(self, ann: Any, course: Course) -> None:
        set_goal(ann, course, 4, True)
        set_goal(ann, course, None, False)
        assert stored(ann, course) == (4, False)

    @pytest.mark.parametrize("days", [-1, 8])
    def test_a_week_has_seven_days(self, ann: Any, course: Course, days: int) -> None:
        with pytest.raises(ValueError, match="days_per_week"):
            set_goal(ann, course, days, True)

    def test_nothing_is_told_of_what_is_rolled_back(self, ann: Any, course: Course, heard: Any) -> None:
        with heard() as calls, pytest.raises(RuntimeError), transaction.atomic():
            set_goal(ann, course, 3, True)
            raise RuntimeError
        assert calls == []
        assert not CourseGoal.objects.exists()

    def test_a_listener_that_fails_harms_nobody(self, ann: Any, course: Course, heard: Any) -> None:
        def fail(**kwargs: Any) -> None:
            raise RuntimeError

        course_goal_changed.connect(fail)
        try:
            with heard() as calls:
                set_goal(ann, course, 3, True)
        finally:
            course_goal_changed.disconnect(fail)
        assert len(calls) == 1

    def test_unenrolling_keeps_the_goal(self, ann: Any, course: Course) -> None:
        set_goal(ann, course, 3, True)
        Enrollment.objects.update(is_active=False)
        assert not services.goal_state(ann, course, scene.TUESDAY).enabled
        Enrollment.objects.update(is_active=True)
        state = services.goal_state(ann, course, scene.TUESDAY)
        assert state.selected is not None
        assert (state.selected.days_per_week, state.selected.subscribed_to_reminders) == (3, True)


class TestUnsubscribing:
    def test_case_057_stops_the_reminders_of_this_goal_alone(self, ann: Any, course: Course, heard: Any) -> None:
        goal, other = CourseGoalFactory(user=ann, course=course), CourseGoalFactory(user=ann)
        with heard() as calls:
            found = services.unsubscribe(goal.unsubscribe_token, source="one-click")
        assert (found, found.course) == (goal, course)
        assert [(call["changed"], call["source"]) for call in calls] == [({"subscribed_to_reminders"}, "one-click")]
        assert stored(ann, course) == (3, False)
        assert stored(ann, other.course) == (3, True)
        with heard() as calls:
            services.unsubscribe(goal.unsubscribe_token, source="unsubscribe page")
        assert calls == []
        assert list(goal.history.values_list("history_change_reason", flat=True)) == ["one-click", None]

    def test_case_058_an_unknown_token_is_told_apart(self) -> None:
        with pytest.raises(CourseGoal.DoesNotExist):
            services.unsubscribe(uuid.uuid4(), source="one-click")

    def test_case_062_reminders_stay_off_until_they_are_asked_for(self, ann: Any, course: Course) -> None:
        goal, _ = set_goal(ann, course, 3, True)
        services.unsubscribe(goal.unsubscribe_token, source="one-click")
        set_goal(ann, course, 5, False)
        assert stored(ann, course) == (5, False)
        set_goal(ann, course, 0, False)
        set_goal(ann, course, 1, True)
        assert stored(ann, course) == (1, True)


class TestState:
    def test_case_056_counts_the_learners_week(self, ann: Any, course: Course) -> None:
        set_goal(ann, course, 3, True)
        for day in (1, 3, 4):
            UserActivityFactory(user=ann, course=course, date=date(2021, 3, day))
        UserActivityFactory(user=ann, course=course, date=date(2021, 2, 28))
        UserActivityFactory(user=ann, date=date(2021, 3, 2))
        state = services.goal_state(ann, course, scene.WEDNESDAY)
        progress = state.progress
        assert progress is not None
        assert (progress.clock.monday, progress.clock.day) == (date(2021, 3, 1), date(2021, 3, 3))
        assert (progress.done, progress.clock.days_left, progress.reached) == (2, 5, False)
        assert progress.dates == {date(2021, 3, 1), date(2021, 3, 3)}

    def test_a_cleared_goal_is_none(self, ann: Any, course: Course) -> None:
        CourseGoalFactory(user=ann, course=course, days_per_week=0, subscribed_to_reminders=False)
        state = services.goal_state(ann, course, scene.WEDNESDAY)
        assert (state.enabled, state.selected) == (True, None)
        assert state.progress is not None
        assert not state.progress.reached

    @pytest.mark.parametrize("user", [None, AnonymousUser()], ids=["none", "anonymous"])
    def test_nobody_has_one(self, course: Course, user: Any) -> None:
        assert services.goal_state(user, course, scene.WEDNESDAY) == services.GoalState(enabled=False)

    def test_is_off_with_the_flag(self, ann: Any, course: Course) -> None:
        set_goal(ann, course, 3, True)
        CourseFlag.objects.create(flag=Flag.objects.get(), course=course, on=False)
        assert services.goal_state(ann, course, scene.WEDNESDAY) == services.GoalState(enabled=False)

    def test_takes_few_statements(self, ann: Any, course: Course, django_assert_num_queries: Any) -> None:
        set_goal(ann, course, 3, True)
        with django_assert_num_queries(8):
            services.goal_state(ann, course, scene.WEDNESDAY)
        LearnerProfileFactory(user=ann, time_zone="Asia/Tokyo")
        with django_assert_num_queries(5):
            services.goal_state(ann, course, scene.WEDNESDAY)


class TestZone:
    """Which clock a learner goes by."""

    def day_at_noon(self, user: Any, course: Course) -> str:
        """Return the zone by which the learner's week is counted."""
        state = services.goal_state(user, course, datetime(2021, 3, 3, 12, tzinfo=UTC))
        assert state.progress is not None
        return state.progress.clock.week_start.strftime("%d %H:%M")

    @pytest.mark.parametrize(
        ("account", "last_seen", "site", "week_start"),
        [
            ("Mars/Base", "Europe/Kiev", "Asia/Tokyo", "28 22:00"),
            ("Mars/Base", "UTC+2", "Asia/Tokyo", "28 15:00"),
            ("Mars/Base", "", "", "01 00:00"),
            ("Europe/Paris", "Asia/Tokyo", "", "28 23:00"),
            ("", "Asia/Tokyo", "", "28 15:00"),
            ("Asia/Calcutta", "", "", "28 18:30"),
            (" asia/kolkata ", "", "", "28 18:30"),
        ],
    )
    def test_case_034_is_the_first_usable_of_account_browser_and_site(
        self, ann: Any, course: Course, account: str, last_seen: str, site: str, week_start: str
    ) -> None:
        SiteConfigurationFactory(site=scene.platform_site(), time_zone=site)
        LearnerProfileFactory(user=ann, time_zone=account, last_seen_time_zone=last_seen)
        assert self.day_at_noon(ann, course) == week_start

    def test_case_034_is_the_sites_without_a_profile(self, ann: Any, course: Course) -> None:
        SiteConfigurationFactory(site=scene.platform_site(), time_zone="Asia/Tokyo")
        assert self.day_at_noon(ann, course) == "28 15:00"

    def test_is_that_of_the_courses_own_site(self, ann: Any, course: Course) -> None:
        SiteConfigurationFactory(site=scene.platform_site(), time_zone="Asia/Tokyo")
        SiteConfigurationFactory(org_filter=[course.org], time_zone="America/Los_Angeles")
        assert self.day_at_noon(ann, course) == "01 08:00"

    def test_is_recorded_as_the_browser_reports_it(self, ann: Any) -> None:
        assert services.record_last_seen_zone(ann, " asia/tokyo ")
        assert LearnerProfile.objects.get().last_seen_time_zone == "Asia/Tokyo"
        assert not services.record_last_seen_zone(ann, "Asia/Tokyo")
        assert not services.record_last_seen_zone(ann, "Mars/Base")
        assert LearnerProfile.objects.get().last_seen_time_zone == "Asia/Tokyo"

    def test_writes_nothing_when_it_is_the_same(self, ann: Any) -> None:
        services.record_last_seen_zone(ann, "Asia/Tokyo")
        with CaptureQueriesContext(connection) as queries:
            services.record_last_seen_zone(ann, "asia/tokyo")
        assert not [query for query in queries if query["sql"].startswith(("INSERT", "UPDATE"))]

    def test_of_many_takes_the_same_statements(self, course: Course, django_assert_num_queries: Any) -> None:
        from course_goals.clocks import zones_for

        pairs = [(user.pk, course.pk) for user in UserFactory.create_batch(50)]
        for asked in (pairs[:1], pairs):
            with django_assert_num_queries(5):
                assert {zone.key for zone in zones_for(asked).values()} == {"UTC"}
