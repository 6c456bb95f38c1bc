"""The mail about new content of a course."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from django.db.models import Exists, OuterRef, Q, QuerySet

from courses.models import Certificate, ContentItem, Enrollment

from .. import announcements, values
from ..events import FactResolver, SwitchedMessage, active_account, mailed_by_site, on_run_day
from ..links import SiteLinks
from ..models import EmailQueue
from ..packing import View
from ..pipeline.conditions import Condition
from ..pipeline.message import register
from ..pipeline.run import Run

NAME = "new_content"


def not_completed(user: str, course: str) -> Condition:
    """Return the condition that the learner has no certificate of the course; the arguments lead to their ids."""
    certificates = Certificate.objects.filter(user_id=OuterRef(user), course_id=OuterRef(course), status="downloadable")
    return Condition("not_completed", ~Q(Exists(certificates)), "The learner has not completed the course")


def _news(run: Run) -> Q:
    """Return the rule that a course has something new: announced by this run, or published silently on its day."""
    announced = EmailQueue.objects.filter(email_type=NAME, target_id=OuterRef("course_id"), recipient=None)
    if run.triggered:
        # Another site's course may have been announced, or hastened, at the very same instant.
        return Q(Exists(announced.filter(scheduled_at=run.now, site_id=run.site_id)))
    published = ContentItem.objects.filter(course_id=OuterRef("course_id"), is_published=True)
    return Q(Exists(published.filter(on_run_day(run, "published_at")))) & ~Q(
        Exists(announced.filter(on_run_day(run, "created_at")))
    )


class NewContentResolver(FactResolver):
    """Learners of courses that have something new: the target is the enrolment, the occasion the announcement."""

    message_name = NAME
    content_path = "course_id"
    conditions = (
        Condition("something_new", _news, "Content of the course was published on the run day, and not announced yet"),
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
        """Return the enrolments of the courses that have something new."""
        return self.rows().filter(_news(run))

    def occasion(self, run: Run, target_id: int, *values: Any) -> str:
        """Return `new_content:<enrolment>:<the announcement's instant, or the day>`."""
        return f"{self.message_name}:{target_id}:{run.now.isoformat() if run.triggered else run.day}"

    def subject_of(self, row: Enrollment) -> str:
        """Return the course's key."""
        return f"{row.course.key} (enrolment {row.pk})"

    def about(self, fact: Enrollment) -> dict[str, Any]:
        """Return the enrolment."""
        return {"enrollment_id": fact.pk}

    def prepared(self, run: Run, facts: Sequence[Enrollment]) -> None:
        """Read what is new in the courses, in two statements."""
        courses = {fact.course_id for fact in facts}
        self._entries: dict[int, EmailQueue] = {}
        self._items: dict[int, list[ContentItem]] = defaultdict(list)
        items = ContentItem.objects.filter(course_id__in=courses, is_published=True)
        if run.triggered:
            found = EmailQueue.objects.filter(
                email_type=NAME, target_id__in=courses, recipient=None, scheduled_at=run.now
            )
            self._entries = {entry.target_id: entry for entry in found if entry.target_id is not None}
            ids = {pk for entry in self._entries.values() for pk in announcements.item_ids(entry)}
            items = items.filter(pk__in=ids)
        else:
            items = items.filter(on_run_day(run, "published_at"))
        for item in items.order_by("published_at", "pk"):
            self._items[item.course_id].append(item)

    def shared(self, fact: Enrollment, view: View) -> dict[str, Any] | None:
        """Return the course and what is new in it; None when all of it was withdrawn meanwhile."""
        entry, items = self._entries.get(fact.course_id), self._items[fact.course_id]
        if entry is not None and announcements.item_ids(entry) and not items:
            return None
        course_url = view.links.course_home(fact.course.key)
        return {
            "course": values.course(fact.course, url=course_url),
            "items": [values.item(item, url=view.tracked(item.url)) for item in items],
            "item_count": len(items),
            "new_content_description": announcements.description(entry) if entry is not None else "",
            "cta_url": course_url,
        }


@register
class NewContent(SwitchedMessage):
    """Tells the learners of a course what was added to it."""

    NAME = NAME
    title = "New course content"
    category = "content"
    max_lateness = 2
    resolver = NewContentResolver
    variables: ClassVar[Mapping[str, Any]] = {
        "items": [
            {"title": "Reading a tide table", "kind": "video", "url": "https://example.com/videos/tides"},
            {"title": "Tides: check yourself", "kind": "quiz", "url": "https://example.com/quizzes/tides"},
        ],
        "item_count": 2,
        "new_content_description": "The chapter on tides is complete.",
        "cta_url": values.EXAMPLES["course"]["url"],
    }

    @classmethod
    def called(cls, given: Mapping[str, Any], links: SiteLinks) -> dict[str, Any]:
        """Return the links, and that nothing in particular is new where a course is named all the same."""
        items = given.get("items")
        items = items if isinstance(items, list) else []
        known: dict[str, Any] = {"items": items, "item_count": len(items)}
        if items or given.get("course"):
            known["new_content_description"] = ""
        return values.ways_on(given, links) | known
