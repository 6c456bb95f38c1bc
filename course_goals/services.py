"""The only writer of weekly goals, and what page, outline and mail show of one."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from django.contrib.auth.models import AbstractUser
from django.db import IntegrityError, transaction

from courses.bulk import locked, retry_on_deadlock
from courses.models import Course
from courses.services import Word, record_profile

from . import access, activity, clocks, signals
from .activity import record_user_activity
from .models import MOST_DAYS, CourseGoal
from .week import Progress, usable_zone

__all__ = [
    "SOURCES",
    "DaysMissing",
    "GoalState",
    "goal_state",
    "record_last_seen_zone",
    "record_user_activity",
    "set_goal",
    "unsubscribe",
]

# Who changed a goal, as the history and the signal say it.
PAGE: Final = "page"
API: Final = "api"
UNSUBSCRIBE_PAGE: Final = "unsubscribe page"
ONE_CLICK: Final = "one-click"
ADMIN: Final = "admin"
SOURCES: Final = (PAGE, API, UNSUBSCRIBE_PAGE, ONE_CLICK, ADMIN)


class DaysMissing(Exception):
    """Reminders are wanted, and there is no goal to be reminded of."""


@dataclass(frozen=True)
class GoalState:
    """A learner's goal in a course as everybody shows it.

    `enabled` is whether there are goals here for this person at all; without, the rest is None. `goal` is the stored
    row, None while nothing was ever chosen; one that is cleared counts as none in `selected`.
    """

    enabled: bool
    goal: CourseGoal | None = None
    progress: Progress | None = None

    @property
    def selected(self) -> CourseGoal | None:
        """The goal, unless it is cleared."""
        return self.goal if self.goal is not None and self.goal.days_per_week else None


def goal_state(user: access.Person, course: Course, now: datetime) -> GoalState:
    """Return a learner's goal and week in a course at an aware instant, in at most eight statements."""
    if not access.signed_in(user) or not access.has_goals(user, course):
        return GoalState(enabled=False)
    goal = CourseGoal.objects.filter(user_id=user.pk, course=course).first()
    clock = clocks.clock_of(user.pk, course, now)
    dates = activity.study_dates([(user.pk, course.pk)], clock.monday, clock.day)[user.pk, course.pk]
    return GoalState(True, goal, Progress.of(clock, goal.days_per_week if goal else 0, dates))


@retry_on_deadlock
def set_goal(
    user: AbstractUser,
    course: Course,
    *,
    days_per_week: int | None,
    subscribed: bool,
    source: str,
    by: Any = None,
) -> tuple[CourseGoal | None, Word]:
    """Set a learner's goal and reminders; (None, "unchanged") where nothing is stored and nothing is to be.

    `days_per_week` None keeps what is stored; 0 clears the goal, and its reminders go off whatever `subscribed` says.
    Whether the learner may have a goal here is for the caller to ask (`access.check`). `by` is who decided it, for the
    history, where that is not who made the request. Raises DaysMissing for reminders without a goal, ValueError for
    days there are not in a week.
    """
    if days_per_week is not None and not 0 <= days_per_week <= MOST_DAYS:
        raise ValueError(f"days_per_week: must be 0 to {MOST_DAYS}, {days_per_week} was given.")
    wanted = (days_per_week, subscribed)
    stored = locked(CourseGoal.objects.filter(user_id=user.pk, course=course))
    with transaction.atomic():
        goal = stored.first()
        if goal is None:
            goal = CourseGoal(user_id=user.pk, course=course)
            changed = _assign(goal, *wanted)
            if not changed:
                return None, "unchanged"
            try:
                with transaction.atomic():
                    _save(goal, changed, created=True, source=source, by=by)
                return goal, "created"
            except IntegrityError:
                # Somebody else has saved the first row meanwhile.
                goal = stored.get()
        changed = _assign(goal, *wanted)
        if not changed:
            return goal, "unchanged"
        _save(goal, changed, created=False, source=source, by=by)
        return goal, "changed"


@retry_on_deadlock
def unsubscribe(token: uuid.UUID, *, source: str) -> CourseGoal:
    """Stop the reminders of the goal with this token and return it with its course; its days stay.

    Nothing is written where they are off already. Raises CourseGoal.DoesNotExist.
    """
    goal = CourseGoal.objects.select_related("course").get(unsubscribe_token=token)
    with transaction.atomic():
        row = locked(CourseGoal.objects.filter(pk=goal.pk)).get()
        row.course = goal.course
        changed = _assign(row, None, False)
        if changed:
            _save(row, changed, created=False, source=source, by=None)
    return row


def record_last_seen_zone(user: AbstractUser, name: str) -> bool:
    """Record the zone that a learner's browser reports; return whether anything was written.

    A name that is not usable is ignored, and one that means what is stored writes nothing.
    """
    zone = usable_zone(name)
    if zone is None:
        return False
    _, word = record_profile(user, last_seen_time_zone=zone.key)
    if word == "unchanged":
        return False
    activity.forget(user.pk)
    return True


def _assign(goal: CourseGoal, days: int | None, subscribed: bool) -> frozenset[str]:
    """Set days and reminders; return the names of the fields that differ."""
    after = {"days_per_week": goal.days_per_week if days is None else days}
    if days == 0:
        subscribed = False
    if subscribed and not after["days_per_week"]:
        raise DaysMissing
    after["subscribed_to_reminders"] = subscribed
    changed = frozenset(name for name, value in after.items() if getattr(goal, name) != value)
    for name in changed:
        setattr(goal, name, after[name])
    return changed


def _save(goal: CourseGoal, changed: frozenset[str], *, created: bool, source: str, by: Any) -> None:
    """Write a goal with its history, and tell others once that is committed."""
    goal._change_reason = source  # type: ignore[attr-defined]  # read by simple_history
    if by is not None:
        goal._history_user = by  # type: ignore[attr-defined]  # read by simple_history
    goal.save(update_fields=None if created else changed)
    transaction.on_commit(
        lambda: signals.course_goal_changed.send_robust(
            sender=CourseGoal, goal=goal, created=created, changed=changed, source=source
        )
    )
