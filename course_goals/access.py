"""Who has weekly goals in a course: the flag, an active enrolment, and the preview that shows without being used."""

from __future__ import annotations

from typing import Final, TypeGuard

from django.contrib.auth.models import AbstractUser, AnonymousUser
from django.http import HttpRequest

from courses.models import Course, Enrollment
from courses.switches import learner_flag_is_on

FLAG: Final = "course_experience.enable_course_goals"
PREVIEW: Final = "learner"

Person = AbstractUser | AnonymousUser | None


class NotAvailable(Exception):
    """Weekly goals are switched off for this course and learner."""


class NotEnrolled(Exception):
    """The learner has no active enrolment in the course."""


def signed_in(user: Person) -> TypeGuard[AbstractUser]:
    """Return whether there is somebody."""
    return user is not None and user.is_authenticated


def check(user: AbstractUser, course: Course) -> None:
    """Raise NotAvailable or NotEnrolled, in this order, unless the learner has goals in the course. Two statements."""
    if not learner_flag_is_on(FLAG, course.pk, user):
        raise NotAvailable
    if not Enrollment.objects.filter(user_id=user.pk, course=course, is_active=True).exists():
        raise NotEnrolled


def has_goals(user: Person, course: Course) -> bool:
    """Return whether the learner has goals in the course; nobody has none."""
    if not signed_in(user):
        return False
    try:
        check(user, course)
    except (NotAvailable, NotEnrolled):
        return False
    return True


def is_preview(request: HttpRequest) -> bool:
    """Return whether staff only look at what a new learner would see; then nothing is saved or recorded."""
    return request.GET.get("preview") == PREVIEW and bool(getattr(request.user, "is_staff", False))
