"""Weekly goals in the demo: one learner who needs every day that is left, and the page on which goals are chosen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from typing import Final

from django.contrib.auth.models import AbstractUser

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


def reminded() -> Iterator[tuple[str, str, str, str]]:
    """Yield whose reminders went out: the user name, the goal, the subject and the course."""
    rows = EmailLog.objects.filter(email_type="goal_reminder", status__in=words.HANDED_OFF).select_related("recipient")
    found = CourseGoal.objects.select_related("course").in_bulk([row.target_id for row in rows])
    for row in rows.order_by("recipient__username"):
        goal = found[row.target_id]
        yield row.recipient.get_username(), f"{goal.days_per_week} a week", row.subject, goal.course.title


def welcome(user: AbstractUser) -> str:
    """Let somebody take part in the course, told to nobody, and return the path of its home page."""
    course = Course.objects.get(key__contains=f"+{COURSE}+")
    services.record_enrollment(user, course, announce=False)
    return links.course_home(course.key)
