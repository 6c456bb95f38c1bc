"""The mail that follows an enrolment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from django.db.models import Q, QuerySet

from courses.models import Enrollment

from .. import values, words
from ..events import EventMessage, FactResolver, active_account, happened_on_run_day, mailed_by_site
from ..links import SiteLinks
from ..packing import View
from ..pipeline.conditions import Condition
from ..pipeline.message import register


class EnrollmentResolver(FactResolver):
    """Enrolments, each mailed about once."""

    message_name = "enrollment"
    date_field = "created_at"
    content_path = "course_id"
    conditions = (
        happened_on_run_day("created_at", "The learner enrolled"),
        Condition("active_enrollment", Q(is_active=True), "The enrolment is active"),
        active_account("user"),
        mailed_by_site("course"),
    )

    def rows(self) -> QuerySet[Enrollment]:
        """Return every enrolment."""
        return Enrollment.objects.select_related("course")

    def subject_of(self, row: Enrollment) -> str:
        """Return the course's key and the day."""
        return f"{row.course.key} (enrolment {row.pk} of {row.created_at:%Y-%m-%d %H:%M}Z)"

    def about(self, fact: Enrollment) -> dict[str, Any]:
        """Return the enrolment."""
        return {"enrollment_id": fact.pk}

    def shared(self, fact: Enrollment, view: View) -> dict[str, Any]:
        """Return the course, the enrolment, and the way in."""
        course_url = view.links.course_home(fact.course.key)
        return {
            "course": values.course(fact.course, url=course_url),
            "enrollment": values.enrollment(fact, language=view.language),
            "dashboard_url": view.links.dashboard(),
            "cta_url": course_url,
            "custom_message": "",
        }


@register
class EnrollmentMail(EventMessage):
    """Welcomes a learner to a course."""

    NAME = "enrollment"
    title = "Enrolment confirmation"
    category = "enrollment"
    priority = words.HIGH
    resolver = EnrollmentResolver
    variables: ClassVar[Mapping[str, Any]] = {
        "dashboard_url": "https://example.com/dashboard",
        "cta_url": values.EXAMPLES["course"]["url"],
        "custom_message": "The first live class is on Thursday.",
    }

    @classmethod
    def called(cls, given: Mapping[str, Any], links: SiteLinks) -> dict[str, Any]:
        """Return the links; without a course they lead to the dashboard."""
        return {**values.ways_on(given, links), "custom_message": ""}
