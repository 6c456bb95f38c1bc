"""The courses that requests name: `org+course`, without a run."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

from courses import runs, sites

from .models.requests import LONGEST_COURSE

_PART: Final = r"[\w\-~.]+"
COURSE: Final = re.compile(rf"{_PART}\+{_PART}")
#: Stands for the start of a run that has none.
UNKNOWN: Final = datetime.min.replace(tzinfo=UTC)
ALLOWED: Final = "org+course, such as edX+DemoX"


def is_course(text: str) -> bool:
    """Return whether a text reads as the key of a course and not of a run."""
    return len(text) <= LONGEST_COURSE and COURSE.fullmatch(text) is not None


def title_of(course_id: str | None) -> str:
    """Return the title of a course: that of its newest run, or the key where none is known; '' for no course."""
    if not course_id:
        return ""
    known = sorted(runs.runs_of(course_id), key=lambda run: (run.start or UNKNOWN, run.pk), reverse=True)
    # A run that nobody has named has its key as its title.
    return next((run.title for run in known if run.title not in ("", run.key)), course_id)


def site_of(course_id: str | None) -> int:
    """Return the id of the site that mails about a course: the owner of its org, else SITE_ID."""
    org = (course_id or "").partition("+")[0]
    return sites.sites_for_orgs({org})[org].pk
