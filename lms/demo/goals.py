"""Weekly goals in the demo: one learner who needs every day that is left, and the page on which goals are chosen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from typing import Final

from django.contrib.auth.models import AbstractUser
from django.db.models import QuerySet

from course_goals import access, links
from course_goals import services as goals
from course_goals.models import CourseGoal
from course_goals.week import days_left
from courses import services
from courses.models import Course, Flag
from email_automation import words
from email_automation.models import EmailLog

COMMAND: Final = "goal_reminder_email"
#: Who is reminded this morning and of what, and whose goal is still far off.
REMINDED, TOO_EARLY, COURSE = "nadia", "viggo", "NAV101"


def set_up(users: Mapping[str, AbstractUser], courses: Mapping[str, Course], today: date) -> None:
    """Switch weekly goals on and let two learners choose one, who have not studied this week.

    The first needs every day from today on, whatever day it is; the other needs none yet, or on a Sunday too many.
    """
    Flag.objects.create(name=access.FLAG, everyone=True)
    left = days_left(today)
    for username, days in ((REMINDED, left), (TOO_EARLY, left - 1 or left + 1)):
        goals.set_goal(users[username], courses[COURSE], days_per_week=days, subscribed=True, source=goals.PAGE)


def reminded() -> Iterator[tuple[str, str, str]]:
    """Yield whose reminders went out: the user name, the goal and the subject."""
    rows = EmailLog.objects.filter(email_type="goal_reminder", status__in=words.HANDED_OFF).select_related("recipient")
    found = CourseGoal.objects.in_bulk([row.target_id for row in rows])
    for row in rows.order_by("recipient__username"):
        yield row.recipient.get_username(), f"{found[row.target_id].days_per_week} a week", row.subject


def welcome(user: AbstractUser) -> None:
    """Let somebody take part in the course, told to nobody."""
    services.record_enrollment(user, _courses().get(), announce=False)


def home_address() -> str:
    """Return the path of the page on which its goal is chosen, or '' where the course is gone."""
    course = _courses().first()
    return links.course_home(course.key) if course else ""


def _courses() -> QuerySet[Course]:
    return Course.objects.filter(key__contains=f"+{COURSE}+")
