"""What the views of the API share: errors of one shape, and who may ask about which course."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from opaque_keys import InvalidKeyError
from opaque_keys.edx.keys import CourseKey

from courses.models import Course
from email_automation.rest import JsonView

from .. import access
from ..conf import setting
from . import errors


class GoalView(JsonView):
    """Base of the views."""

    def added_authentication(self) -> list[str]:
        """Return what the project adds."""
        return list(setting("COURSE_GOALS_AUTHENTICATION_CLASSES"))

    def get_exception_handler(self) -> Callable[..., Any]:
        """Return ours."""
        return errors.answer


def course_of(key: str) -> Course:
    """Return the course with a key. Raises Refused."""
    try:
        CourseKey.from_string(key)
    except InvalidKeyError:
        course = None
    else:
        course = Course.objects.filter(key=key).first()
    if course is None:
        raise errors.Refused(404, "course_not_found", "There is no such course.", "course_id")
    return course


def check_access(user: Any, course: Course) -> None:
    """Raise Refused unless a learner has goals in a course."""
    try:
        access.check(user, course)
    except access.NotAvailable:
        detail = "Weekly goals are not available in this course."
        raise errors.Refused(404, "goals_not_enabled", detail, "course_id") from None
    except access.NotEnrolled:
        detail = "You are not enrolled in this course."
        raise errors.Refused(403, "not_enrolled", detail, "course_id") from None
