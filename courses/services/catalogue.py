"""Writing courses, sections, modes and content."""

from datetime import datetime
from typing import Any

from courses.bulk import retry_on_deadlock
from courses.models import ContentItem, Course, CourseMode, Section
from courses.services.upsert import Word, check_key, record


@retry_on_deadlock
def record_course(key: str, *, reported_at: datetime | None = None, **fields: Any) -> tuple[Course, Word]:
    """Record a course's facts; `fields` are columns of Course, those not named stay."""
    return record(Course, {"key": key}, fields, reported_at=reported_at)


@retry_on_deadlock
def record_section(course: Course, index: int, **fields: Any) -> tuple[Section, Word]:
    """Record the section at a position of a course."""
    return record(Section, {"course": course, "index": index}, fields)


@retry_on_deadlock
def remove_section(course: Course, index: int) -> bool:
    """Remove the section at a position; tell whether there was one."""
    return Section.objects.filter(course=course, index=index).delete()[0] > 0


@retry_on_deadlock
def record_mode(course: Course, slug: str, **fields: Any) -> tuple[CourseMode, Word]:
    """Record a mode in which a course is offered."""
    return record(CourseMode, {"course": course, "slug": slug}, fields)


@retry_on_deadlock
def remove_mode(course: Course, slug: str) -> bool:
    """Remove a mode of a course; tell whether there was one."""
    return CourseMode.objects.filter(course=course, slug=slug).delete()[0] > 0


@retry_on_deadlock
def record_content_item(course: Course, key: str, *, announce: bool = True, **fields: Any) -> tuple[ContentItem, Word]:
    """Record an item of a course, found by its key alone; `fields` are columns of ContentItem, those not named stay.

    `announce` False: the learners are not told of its first publication.
    """
    check_key("key", key)
    return record(ContentItem, {"key": key}, {"course": course, **fields}, save={"announce": announce})
