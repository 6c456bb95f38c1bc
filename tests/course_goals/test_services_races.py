"""Learners who do things twice at once …"""

from __future__ import annotations

from typing import Any

import pytest

from course_goals import services
from course_goals.models import CourseGoal
from courses.models import UserActivity
from tests.courses.test_bulk_races import WRITERS, at_once

from . import scene

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def place() -> tuple[Any, Any]:
    """A learner and a course with goals."""
    scene.goals_on()
    course = scene.base_course()
    return scene.learner(course), course


def test_leave_one_goal_and_no_error(place: tuple[Any, Any]) -> None:
    user, course = place

    def save(number: int) -> str:
        return services.set_goal(user, course, days_per_week=1 + number, subscribed=True, source="api")[1]

    words = at_once(save)
    goal = CourseGoal.objects.get()
    assert sorted(words) == ["changed"] * (WRITERS - 1) + ["created"]
    assert goal.history.count() == WRITERS
    assert goal.history.latest().days_per_week == goal.days_per_week


def test_change_the_same_goal_once(place: tuple[Any, Any]) -> None:
    user, course = place
    services.set_goal(user, course, days_per_week=1, subscribed=True, source="api")

    def save(number: int) -> str:
        return services.set_goal(user, course, days_per_week=5, subscribed=True, source="api")[1]

    assert sorted(at_once(save)) == ["changed"] + ["unchanged"] * (WRITERS - 1)
    assert CourseGoal.history.count() == 2


def test_unsubscribe_once(place: tuple[Any, Any]) -> None:
    user, course = place
    goal, _ = services.set_goal(user, course, days_per_week=1, subscribed=True, source="api")
    assert goal is not None
    token = goal.unsubscribe_token
    found = at_once(lambda number: services.unsubscribe(token, source="one-click").subscribed_to_reminders)
    assert found == [False] * WRITERS
    assert goal.history.count() == 2


def test_leave_one_row_of_their_day(place: tuple[Any, Any]) -> None:
    user, course = place
    written = at_once(lambda number: services.record_user_activity(user, course, scene.TUESDAY))
    assert sum(written) == 1 == UserActivity.objects.count()
