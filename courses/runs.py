"""The runs of a course: a request names the course (`edX+DemoX`), a learner enrols in a run of it."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from django.db.models import Q
from opaque_keys import InvalidKeyError
from opaque_keys.edx.keys import CourseKey

from courses.models import Course

PREFERRED_MODE: Final = "verified"
#: The platform's own default first; a course that is not offered in it has the next one.
DEFAULT_MODES: Final = ("audit", "honor")


def runs_of(course: str) -> list[Course]:
    """Return every run of a course, which is named `org+course`, by key."""
    org, _, number = course.partition("+")
    if not org or not number:
        return []
    # A LIKE takes no account of case on SQLite, so the keys are read once more.
    found = Course.objects.filter(
        Q(key__startswith=f"course-v1:{org}+{number}+") | Q(key__startswith=f"{org}/{number}/")
    )
    return [run for run in found.order_by("key") if course_of(run.key) == course]


def course_of(key: str) -> str:
    """Return the course of a run's key as `org+course`, '' for a key that is none."""
    try:
        parsed = CourseKey.from_string(key)
    except InvalidKeyError:
        return ""
    return f"{parsed.org}+{parsed.course}"


def is_open(run: Course, now: datetime) -> bool:
    """Return whether learners can find a run and enrol in it now; a bound that is missing is open."""
    has_begun = run.enrollment_start is None or run.enrollment_start <= now
    has_ended = any(end is not None and end < now for end in (run.enrollment_end, run.end))
    return run.is_active and run.is_visible and has_begun and not has_ended


def mode_of(run: Course, now: datetime) -> str:
    """Return the verified mode where a run is offered in it now, else its default one."""
    offered = [mode.slug for mode in run.modes.all() if mode.expires_at is None or mode.expires_at > now]
    for slug in (PREFERRED_MODE, *DEFAULT_MODES):
        if slug in offered:
            return slug
    return min(offered, default=DEFAULT_MODES[0])
