"""The mail that follows a demo class."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from django.db.models import Q, QuerySet

from courses.models import Course, Participant

from .. import values, words
from ..events import EventMessage, FactResolver, active_account, happened_on_run_day, mailed_by_site
from ..links import SiteLinks
from ..packing import View
from ..pipeline.conditions import Condition
from ..pipeline.message import register


class ParticipationResolver(FactResolver):
    """People who have left a demo class of a course, each mailed about once."""

    message_name = "demo_completed"
    date_field = "left_at"
    conditions = (
        happened_on_run_day("left_at", "The person left the meeting"),
        Condition("has_left", Q(left_at__isnull=False), "The person has left the meeting"),
        Condition("demo_class", Q(meeting__is_demo=True), "The meeting is a demo class"),
        Condition("of_a_course", Q(meeting__course__isnull=False), "The demo class belongs to a course"),
        active_account("user"),
        mailed_by_site("meeting__course"),
    )

    def rows(self) -> QuerySet[Participant]:
        """Return every participation."""
        return Participant.objects.select_related("meeting__course")

    def subject_of(self, row: Participant) -> str:
        """Return the meeting's and the participation's number."""
        return f"meeting {row.meeting_id} (participation {row.pk})"

    def course_of(self, fact: Participant) -> Course | None:
        """Return the meeting's course."""
        return fact.meeting.course

    def shared(self, fact: Participant, view: View) -> dict[str, Any] | None:
        """Return the meeting, its course, and the way in."""
        course = fact.meeting.course
        if course is None:
            return None
        course_url = view.links.course_home(course.key)
        return {
            "course": values.course(course, url=course_url),
            "meeting": values.meeting(fact.meeting, language=view.language),
            "cta_url": course_url,
        }


@register
class DemoCompleted(EventMessage):
    """Thanks for coming to a demo class and shows the course behind it."""

    NAME = "demo_completed"
    title = "After a demo class"
    category = "demo"
    priority = words.HIGH
    resolver = ParticipationResolver
    variables: ClassVar[Mapping[str, Any]] = {
        "course": values.EXAMPLES["course"],
        "meeting": {"title": "A first look at the chart", "date": "March 2, 2026"},
        "cta_url": values.EXAMPLES["course"]["url"],
    }

    @classmethod
    def called(cls, given: Mapping[str, Any], links: SiteLinks) -> dict[str, Any]:
        """Return the links, and a meeting of which nothing is known."""
        return {**values.ways_on(given, links), "meeting": {"title": "", "date": ""}}
