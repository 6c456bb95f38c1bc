"""What the card of a weekly goal shows: to the template, and to the script that redraws it without asking again."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any, NamedTuple

from django.contrib.auth.models import AbstractUser
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from courses.models import Course
from courses.switches import learner_flag_is_on
from email_automation.weeks import DAYS

from .. import access, clocks, conf
from ..models import MOST_DAYS, CourseGoal
from ..services import GoalState
from ..week import Progress


class Option(NamedTuple):
    """One radio; `selected` is how the page comes, with what a link offers."""

    days: int
    name: str
    detail: str
    selected: bool


class Day(NamedTuple):
    """One day of the week."""

    date: date
    done: bool
    today: bool


def preview_state(user: AbstractUser, course: Course, now: datetime) -> GoalState:
    """Return what a new learner would see, whose first visit has just been recorded."""
    if not learner_flag_is_on(access.FLAG, course.pk, user):
        return GoalState(enabled=False)
    clock = clocks.clock_of(user.pk, course, now)
    return GoalState(True, None, Progress.of(clock, 0, [clock.day]))


def shown(
    goal: CourseGoal | None, progress: Progress, course: Course, user: AbstractUser, *, wish: str, preview: bool
) -> dict[str, Any]:
    """Return the template's values for a goal and its week; `wish` is what a link asks for, in the address's words."""
    days = progress.days_per_week
    offered = next((choice.days for choice in conf.choices() if str(choice.days) == wish), None)
    texts = _texts(progress)
    return {
        "preview": preview,
        "goal": goal,
        "options": _options(days, days if offered is None else offered),
        "progress": progress,
        "progress_text": texts["done"][days],
        "week": _week(progress),
        "card": {
            "course": course.key,
            "save": reverse("course_goals:save"),
            "zone": reverse("course_goals:last-seen-time-zone"),
            "days": days,
            "subscribed": goal is not None and goal.subscribed_to_reminders,
            "offered": offered,
            "done": progress.done,
            # What a browser remembers is of one goal, which is of one learner in one course, and of one week.
            "goal": f"{user.pk}:{course.pk}",
            "week": str(progress.clock.monday),
            "until": int(progress.clock.week_end.timestamp() * 1000),
            "learner": user.pk,
            "preview": preview,
            "texts": texts,
        },
    }


def _options(stored: int, selected: int) -> list[Option]:
    """Return the choices, and what is stored if it is none of them."""
    found = [
        Option(choice.days, choice.name, _a_week(choice.days), choice.days == selected) for choice in conf.choices()
    ]
    if stored and all(option.days != stored for option in found):
        name = _("Custom: %(goal)s") % {"goal": _a_week(stored)}
        found.append(Option(stored, name, "", stored == selected))
    return found


def _a_week(days: int) -> str:
    return ngettext("%(days)d day a week", "%(days)d days a week", days) % {"days": days}


def _week(progress: Progress) -> list[Day]:
    monday = progress.clock.monday
    days = [monday + timedelta(days=number) for number in range(DAYS)]
    return [Day(day, day in progress.dates, day == progress.clock.day) for day in days]


def _texts(progress: Progress) -> dict[str, Any]:
    """Return all that the script may have to say. `done` has a sentence for each goal, 0 first: for none."""
    done = progress.done
    without = ngettext("%(done)d day done this week", "%(done)d days done this week", done) % {"done": done}
    return {
        "done": [without, *[_done_of(done, days) for days in range(1, MOST_DAYS + 1)]],
        "saving": _("Saving …"),
        "reached": _("You have reached your goal for this week!"),
        "offered": _("The link has set your goal."),
        "undone": _("Your goal is as it was before."),
        "preview": _("This is a preview: nothing is saved."),
        "failed": _("Your change is not saved."),
        "problems": {
            "offline": _("There is no connection."),
            "timeout": _("There was no answer for ten seconds."),
            "server": _("The server did not answer as expected."),
            "not_authenticated": _("You are not signed in any more. Open this page again."),
            "csrf_failed": _("This page is out of date. Open it again."),
            "not_enrolled": _("You are not enrolled in this course."),
            "goals_not_enabled": _("Weekly goals are not available in this course."),
            "course_not_found": _("There is no such course."),
            "throttled": _("You have changed it too often in a short time. Wait a minute."),
        },
    }


def _done_of(done: int, days: int) -> str:
    text = ngettext("%(done)d of %(days)d day done", "%(done)d of %(days)d days done", days)
    return text % {"done": done, "days": days}
