"""Who is told of a decision, and what: the target is the notice, the content is read when the mail is handed off."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime, time
from typing import Any, ClassVar, Final
from uuid import UUID

from django.db.models import Q, QuerySet

from courses.models import Course
from email_automation.events import FactResolver, active_account, happened_on_run_day
from email_automation.packing import View
from email_automation.pipeline.conditions import Condition
from email_automation.pipeline.resolver import Draft
from email_automation.pipeline.run import Run

from . import links
from .models import (
    ApprovalItem,
    ApprovalWindow,
    CouponCodeRequest,
    DeclineNotice,
    LicenseRequest,
    SubsidyRequest,
    SubsidyRequestCustomerConfiguration,
)
from .models.configuration import COUPON, LICENSE
from .models.notices import Notice

#: Why a mail that is due waits: there is nothing to link to yet.
NO_SLUG: Final = "no_slug"
#: So many courses are named, the rest is a number.
MOST_COURSES: Final = 20

Reference = tuple[str, UUID]


def _of_site(run: Run) -> Q:
    return Q() if run.triggered else Q(site_id=run.site_id)


def _conditions(date_field: str, decided: str, what: str) -> tuple[Condition, ...]:
    """Return who is due: those of whom something was `decided` on the run day, by the site of the first course."""
    return (
        happened_on_run_day(date_field, decided),
        active_account("user"),
        Condition("of_site", _of_site, f"The first {what} course, or else the platform, belongs to the run's site"),
    )


class NoticeResolver(FactResolver):
    """One mail per notice. Subclasses name message, date and conditions, and say which requests a notice is about."""

    model: ClassVar[type[Notice]]

    def rows(self) -> QuerySet[Any]:
        """Return every notice."""
        return self.model._default_manager.select_related("user")

    def course_of(self, fact: Notice) -> Course | None:
        """Return none: requests name courses, not runs of them."""
        return None

    def subject_of(self, row: Notice) -> str:
        """Return the enterprise and the notice's number."""
        return f"enterprise {row.enterprise_customer_uuid} (notice {row.pk})"

    def about(self, fact: Notice) -> dict[str, Any]:
        """Return by which number the platform, and a service that keeps the text itself, knows the learner."""
        requests = self._requests_of(fact)
        return {"external_user_id": str(requests[0].lms_user_id) if requests else ""}

    def references(self, notices: Sequence[Any]) -> dict[int, list[Reference]]:
        """Return {notice: kinds and uuids of its requests, in the order in which they are named}."""
        raise NotImplementedError

    def prepared(self, run: Run, facts: Sequence[Any]) -> None:
        """Read customers and requests, in a constant number of statements."""
        self._customers = SubsidyRequestCustomerConfiguration.objects.in_bulk(
            {fact.enterprise_customer_uuid for fact in facts}
        )
        self._references = self.references(facts)
        wanted: dict[str, set[UUID]] = {LICENSE: set(), COUPON: set()}
        for found in self._references.values():
            for kind, uuid in found:
                wanted[kind].add(uuid)
        licences = LicenseRequest.objects.filter(uuid__in=wanted[LICENSE])
        codes = CouponCodeRequest.objects.filter(uuid__in=wanted[COUPON])
        self._requests: dict[Reference, SubsidyRequest] = {
            (row.kind, row.uuid): row for rows in (licences, codes) for row in rows
        }

    def _requests_of(self, fact: Notice) -> list[SubsidyRequest]:
        return [self._requests[key] for key in self._references.get(fact.pk, []) if key in self._requests]

    def shared(self, fact: Any, view: View) -> dict[str, Any] | None:
        """Return the courses and the ways on; None when no request of the notice is there any more."""
        requests = self._requests_of(fact)
        if not requests:
            return None
        customer = self._customers.get(fact.enterprise_customer_uuid)
        dashboard = links.dashboard_url(customer)
        if customer is None or not dashboard:
            return {}
        # A course that is named twice is shown once.
        titles = {request.course_id: request.course_title for request in reversed(requests)}
        courses = [
            {
                "course_title": titles[course_id] or "",
                "course_about_page_url": links.about_page_url(dashboard, course_id),
            }
            for course_id in dict.fromkeys(request.course_id for request in requests)
        ]
        return {
            **courses[0],
            "enterprise_dashboard_url": dashboard,
            "organization": customer.name,
            "contact_admin_link": links.contact_link(customer),
            "courses": courses[:MOST_COURSES],
            "course_count": len(courses),
            "more_count": max(0, len(courses) - MOST_COURSES),
        }

    def drafts(self, run: Run, target_ids: Sequence[int]) -> list[Draft]:
        """Return a draft per notice; one whose enterprise has no page to link to says so and waits."""
        drafts = super().drafts(run, target_ids)
        for draft in drafts:
            if not draft.skip and not draft.shared:
                draft.skip = NO_SLUG
        return drafts


def _has_closed(run: Run) -> Q:
    """Return the rule that a window is not open any more, by the clock of a run that has one.

    One of a given day begins with the day and has none. A triggered one was asked for when the window had closed.
    """
    begins = datetime.combine(run.day, time(), tzinfo=UTC)
    return Q() if run.triggered or run.now == begins else Q(closes_at__lte=run.now)


class ApprovalResolver(NoticeResolver):
    """Windows that have closed."""

    model = ApprovalWindow
    message_name = "request_approved"
    date_field = "closes_at"
    conditions = (
        *_conditions("closes_at", "The window in which approvals are collected closed", "approved"),
        Condition("has_closed", _has_closed, "The window is not open any more"),
    )

    def references(self, notices: Sequence[Any]) -> dict[int, list[Reference]]:
        """Return the items of the windows, in the order in which they were fulfilled."""
        found = defaultdict(list)
        items = ApprovalItem.objects.filter(window_id__in=[notice.pk for notice in notices])
        for item in items.order_by("fulfilled_at", "pk"):
            found[item.window_id].append((item.kind, item.subsidy_request_uuid))
        return dict(found)


class DeclineResolver(NoticeResolver):
    """Refusals of one call, or of a change of the subsidy type."""

    model = DeclineNotice
    message_name = "request_declined"
    date_field = "declined_at"
    conditions = _conditions("declined_at", "The requests were declined", "declined")

    def references(self, notices: Sequence[Any]) -> dict[int, list[Reference]]:
        """Return the requests that the notices name."""
        return {notice.pk: [(notice.kind, UUID(uuid)) for uuid in notice.subsidy_request_uuids] for notice in notices}

    def shared(self, fact: DeclineNotice, view: View) -> dict[str, Any] | None:
        """Return also why."""
        shared = super().shared(fact, view)
        if not shared:
            return shared
        return shared | {"decline_reason": fact.decline_reason, "auto_declined": fact.auto_declined}
