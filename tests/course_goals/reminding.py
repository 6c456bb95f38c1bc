"""How the tests of the reminder say what was stored, run it at an instant, and ask why."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any
from unittest import mock

import time_machine
from django.conf import settings
from django.test import override_settings

from course_goals.messages.goal_reminder import GoalReminder
from course_goals.models import CourseGoal
from courses.models import Course, UserActivity
from email_automation.models import EmailLog
from email_automation.pipeline import dispatch, wake
from email_automation.pipeline.run import Run
from tests.factories import CourseGoalFactory, LearnerProfileFactory, UserActivityFactory

from . import scene

DAYS = {
    name: date(2021, 3, 1 + number) for number, name in enumerate(("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"))
}


def at(moment: str) -> datetime:
    """Return an instant: `Tue`, `Tue 08:00` (UTC, 10:00 unless said), or in ISO 8601."""
    name, _, clock = moment.partition(" ")
    if name in DAYS:
        return datetime.fromisoformat(f"{DAYS[name]}T{clock or '10:00'}").replace(tzinfo=UTC)
    return datetime.fromisoformat(moment)


def goal_of(course: Course, days: int = 6, *, account: str = "", browser: str = "", **fields: Any) -> CourseGoal:
    """Return the goal of a new learner in a course, whose profile says these zones, if any."""
    user = fields.pop("user", None) or scene.learner(course)
    if account or browser:
        LearnerProfileFactory(user=user, time_zone=account, last_seen_time_zone=browser)
    return CourseGoalFactory(user=user, course=course, days_per_week=days, **fields)


def studied(goal: CourseGoal, *days: str) -> None:
    """Record days of study: names of the week, or dates."""
    for day in days:
        moment = DAYS.get(day) or date.fromisoformat(day)
        UserActivityFactory(user=goal.user, course=goal.course, date=moment)


def unstudied(goal: CourseGoal) -> None:
    """Take the goal's days away."""
    UserActivity.objects.filter(user=goal.user, course=goal.course).delete()


def run_of(moment: str, **options: Any) -> Run:
    """Return a run of an instant."""
    return replace(Run.starting(GoalReminder.label(), settings.SITE_ID, now=at(moment)), **options)


def remind(moment: str, **options: Any) -> dispatch.Summary:
    """Run the reminder at an instant, with the clock standing there."""
    with time_machine.travel(at(moment), tick=False):
        return dispatch.run_one(GoalReminder, run_of(moment, **options))


def plan(moment: str, **options: Any) -> list[int]:
    """Plan as with workers elsewhere, and return the ids of the rows that wait."""
    with (
        time_machine.travel(at(moment), tick=False),
        override_settings(CELERY_BROKER_URL="memory://"),
        mock.patch.object(wake.current_app, "send_task"),
    ):
        summary = dispatch.run_one(GoalReminder, run_of(moment, **options))
    assert summary.errors == []
    return list(EmailLog.objects.filter(status="pending").order_by("pk").values_list("pk", flat=True))


def why(goal: CourseGoal, moment: str) -> str:
    """Return the first condition of a goal that does not hold at an instant, or `due`."""
    (answers,) = [found.answers for found in findings(goal, moment) if f"(goal {goal.pk})" in found.subject]
    return next((rule.name for rule, holds in answers if not holds), "due")


def findings(goal: CourseGoal, moment: str) -> list[Any]:
    """Return what `explain` says of a goal's learner at an instant."""
    return GoalReminder.resolver().explain(run_of(moment), goal.user_id)


def sentence(goal: CourseGoal, moment: str, condition: str) -> str:
    """Return what `explain` says of one condition."""
    (found,) = findings(goal, moment)
    return next(rule.sentence for rule, _ in found.answers if rule.name == condition)


def mailed(goal: CourseGoal) -> list[str]:
    """Return the statuses of a goal's mails, oldest first."""
    return list(EmailLog.objects.filter(target_id=goal.pk).order_by("pk").values_list("status", flat=True))
