"""The courses that requests name: `org+course`, without a run."""

from __future__ import annotations

import re
from typing import Final

from courses import sites
from courses.models import Course

from .models.requests import LONGEST_COURSE

_PART: Final = r"[\w\-~.]+"
COURSE: Final = re.compile(rf"{_PART}\+{_PART}")
ALLOWED: Final = "org+course, such as edX+DemoX"


def is_course(text: str) -> bool:
    """Return whether a text reads as the key of a course and not of a run."""
    return len(text) <= LONGEST_COURSE and COURSE.fullmatch(text) is not None


def title_of(course_id: str | None) -> str:
    """Return the title of a course: that of its newest run, or the key where none is known; '' for no course."""
    if not course_id:
        return ""
    org, _, number = course_id.partition("+")
    rows: list[tuple[str, str]] = []
    for prefix in (f"course-v1:{org}+{number}+", f"{org}/{number}/"):
        found = Course.objects.filter(key__startswith=prefix).order_by("-start", "-pk")
        # Not every database tells upper from lower case here.
        rows += [row for row in found.values_list("key", "title")[:100] if row[0].startswith(prefix)]
    named = [title for key, title in rows if title and title != key]
    return named[0] if named else course_id


def site_of(course_id: str | None) -> int:
    """Return the id of the site that mails about a course: the owner of its org, else SITE_ID."""
    org = (course_id or "").partition("+")[0]
    return sites.sites_for_orgs({org})[org].pk
