"""The mail that follows a payment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from django.db.models import Q, QuerySet

from courses.models import Payment

from .. import values, words
from ..events import EventMessage, FactResolver, active_account, happened_on_run_day, mailed_by_site
from ..links import SiteLinks
from ..packing import View
from ..pipeline.conditions import Condition
from ..pipeline.message import register


class PaymentResolver(FactResolver):
    """Successful payments, each confirmed once."""

    message_name = "payment_confirmation"
    date_field = "paid_at"
    conditions = (
        happened_on_run_day("paid_at", "The money arrived"),
        Condition("successful", Q(is_successful=True), "The payment is successful"),
        active_account("user"),
        mailed_by_site("course"),
    )

    def rows(self) -> QuerySet[Payment]:
        """Return every payment."""
        return Payment.objects.select_related("course")

    def subject_of(self, row: Payment) -> str:
        """Return the payment's number and day."""
        return f"payment {row.pk} of {row.paid_at or row.created_at:%Y-%m-%d %H:%M}Z"

    def about(self, fact: Payment) -> dict[str, Any]:
        """Return the payment and its enrolment."""
        return {"payment_id": fact.pk, "enrollment_id": fact.enrollment_id}

    def shared(self, fact: Payment, view: View) -> dict[str, Any]:
        """Return the payment, its course if it has one, and the way on."""
        dashboard = view.links.dashboard()
        course_url = view.links.course_home(fact.course.key) if fact.course else dashboard
        return {
            "course": values.course(fact.course, url=course_url) if fact.course else None,
            "payment": values.payment(fact, language=view.language),
            "dashboard_url": dashboard,
            "cta_url": course_url,
        }


@register
class PaymentConfirmation(EventMessage):
    """Confirms what was paid, how, and for what."""

    NAME = "payment_confirmation"
    title = "Payment confirmation"
    category = "payment"
    priority = words.URGENT
    resolver = PaymentResolver
    variables: ClassVar[Mapping[str, Any]] = {
        "payment": values.EXAMPLES["payment"],
        "dashboard_url": "https://example.com/dashboard",
        "cta_url": values.EXAMPLES["course"]["url"],
    }

    @classmethod
    def called(cls, given: Mapping[str, Any], links: SiteLinks) -> dict[str, Any]:
        """Return the links."""
        return values.ways_on(given, links)
