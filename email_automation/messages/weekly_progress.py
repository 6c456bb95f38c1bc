"""The weekly progress report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, tzinfo
from typing import Any, ClassVar

from django.db.models import Q, QuerySet

from courses.models import Enrollment

from .. import progress, values
from ..events import FactResolver, SwitchedMessage, active_account, mailed_by_site
from ..links import SiteLinks
from ..models import EmailLog
from ..packing import View
from ..pipeline.conditions import Condition
from ..pipeline.message import Beat, register
from ..pipeline.run import Run
from ..weeks import Week
from .new_content import not_completed


class WeeklyProgressResolver(FactResolver):
    """Learners with a course to go on with: the target is the enrolment, the occasion the week before the run day."""

    message_name = progress.NAME
    conditions = (
        Condition("active_enrollment", Q(is_active=True), "The enrolment is active"),
        active_account("user"),
        not_completed("user_id", "course_id"),
        Condition("course_active", Q(course__is_active=True), "The course is offered"),
        mailed_by_site("course"),
    )

    def rows(self) -> QuerySet[Enrollment]:
        """Return every enrolment."""
        return Enrollment.objects.select_related("course")

    def candidates(self, run: Run) -> QuerySet[Enrollment]:
        """Return the active enrolments."""
        return self.rows().filter(is_active=True)

    def occasion(self, run: Run, target_id: int, *values: Any) -> str:
        """Return `weekly_progress:<enrolment>:<Monday of the week reported>`."""
        return progress.occasion(target_id, Week.before(run.day).start)

    def subject_of(self, row: Enrollment) -> str:
        """Return the course's key."""
        return f"{row.course.key} (enrolment {row.pk})"

    def about(self, fact: Enrollment) -> dict[str, Any]:
        """Return the enrolment."""
        return {"enrollment_id": fact.pk}

    def prepared(self, run: Run, facts: Sequence[Enrollment]) -> None:
        """Read the reports, and count anew what has none."""
        self._reports = progress.reports(facts, Week.before(run.day), progress.zone_of(run.site_id))

    def shared(self, fact: Enrollment, view: View) -> dict[str, Any]:
        """Return the course and the week's figures."""
        course_url = view.links.course_home(fact.course.key)
        return {
            "course": values.course(fact.course, url=course_url),
            "report": values.report(self._reports[fact.user_id, fact.course_id], language=view.language),
            "cta_url": course_url,
        }


@register
class WeeklyProgress(SwitchedMessage):
    """Shows a learner what was done in a course in the week before, and how far that is."""

    NAME = progress.NAME
    title = "Weekly progress report"
    category = "progress"
    resolver = WeeklyProgressResolver
    beat: ClassVar[Beat | None] = Beat("0 9 * * 1", zone="")
    variables: ClassVar[Mapping[str, Any]] = {
        "course": values.EXAMPLES["course"],
        "report": {
            "week_start": "February 23, 2026",
            "week_end": "March 1, 2026",
            "completion_percentage": "60",
            "completed": 3,
            "total": 5,
            "videos_completed": 2,
            "total_videos": 4,
            "videos_this_week": 1,
            "quizzes_completed": 1,
            "total_quizzes": 1,
            "quizzes_this_week": 1,
            "assignments_completed": 0,
            "total_assignments": 0,
            "assignments_this_week": 0,
            "time_spent": 95,
        },
        "cta_url": values.EXAMPLES["course"]["url"],
    }

    @classmethod
    def zone(cls, site_id: int) -> tzinfo:
        """Return the site's zone: the week is the site's."""
        return progress.zone_of(site_id)

    @classmethod
    def slot(cls, run: Run) -> str:
        """Return the Monday of the week reported, so that a week has one run."""
        return Week.before(run.day).start.isoformat()

    @classmethod
    def expiry(cls, run: Run) -> datetime:
        """Return the end of the run's own week, when the next report comes."""
        return Week.of(run.day).after(cls.zone(run.site_id))

    @classmethod
    def prepare(cls, run: Run) -> None:
        """Keep the figures of everybody the report is about, mailed or not."""
        if cls.gate(run, "enqueue"):
            progress.keep_reports(cls.resolver(), run)

    @classmethod
    def on_finish(cls, rows: Sequence[EmailLog]) -> None:
        """Remember of which reports the mail went out."""
        progress.mark_sent(rows)

    @classmethod
    def called(cls, given: Mapping[str, Any], links: SiteLinks) -> dict[str, Any]:
        """Return the links."""
        return values.ways_on(given, links)
