"""What the tests of the flow begin with: an enterprise that can grant, one learner, one administrator."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest import mock
from uuid import UUID

import time_machine
from django.conf import settings
from django.core import mail
from django.test import Client
from django.utils import timezone

from courses.eventbus import processor, relay
from courses.eventbus.conf import EMBEDDED
from courses.events import CONSUMERS
from courses.models import EventInbox, EventOutbox
from email_automation.pipeline import sweep
from license_notifications.models import CustomerAgreement, License, SubscriptionPlan
from subsidy_requests.models import CouponCodeRequest, LicenseRequest, SubsidyRequestCustomerConfiguration
from subsidy_requests.models.configuration import COUPON, LICENSE
from tests.subsidy_requests.factories import CouponCodeFactory, CouponFactory, CustomerFactory, admin_of, learner_of

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
FIRST, LAST = datetime(2020, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
#: Long enough for every window to have closed.
AFTER_THE_WINDOW = timedelta(minutes=11)
PREFIXES = {LICENSE: "license-requests", COUPON: "coupon-code-requests"}
COURSE = "edX+DemoX"


class Scene:
    """An enterprise with slug, requests on, the right type, free licences and codes, a learner, an administrator."""

    def __init__(self, kind: str = LICENSE, *, licences: int = 3, codes: int = 3, **customer: Any) -> None:
        self.kind = kind
        self.customer: SubsidyRequestCustomerConfiguration = CustomerFactory(subsidy_type=kind, **customer)
        self.learner, self.admin = learner_of(self.customer), admin_of(self.customer)
        agreement = CustomerAgreement.objects.create(
            enterprise_customer_uuid=self.customer.enterprise_customer_uuid, enterprise_customer_name="Harbour"
        )
        self.plan = SubscriptionPlan.objects.create(
            customer_agreement=agreement,
            title="Plan",
            is_active=True,
            start_date=FIRST,
            expiration_date=LAST,
        )
        self.add_licences(licences)
        self.coupon = CouponFactory(enterprise_customer_uuid=self.enterprise, starts_at=FIRST, ends_at=LAST)
        CouponCodeFactory.create_batch(codes, coupon=self.coupon)

    @property
    def enterprise(self) -> UUID:
        """The enterprise."""
        return self.customer.enterprise_customer_uuid

    def add_licences(self, number: int) -> None:
        """Add free licences to the plan."""
        for _ in range(number):
            License.objects.create(subscription_plan=self.plan)

    def another_learner(self) -> Any:
        """Return one more learner."""
        return learner_of(self.customer)

    def call(self, who: Any, method: str, path: str, body: Any = None, **headers: Any) -> Any:
        """Call the API as somebody."""
        client = Client()
        if who is not None:
            client.force_login(who)
        options = {} if body is None else {"data": body, "content_type": "application/json"}
        return getattr(client, method)(f"/api/v1/{path}", **options, **headers)

    def ask(self, course_id: str | None = COURSE, *, who: Any = None) -> Any:
        """Have a learner ask; returns the answer."""
        body = {"enterprise_customer_uuid": str(self.enterprise), "course_id": course_id}
        return self.call(who or self.learner, "post", f"{PREFIXES[self.kind]}/", body)

    def asked(self, course_id: str | None = COURSE, *, who: Any = None) -> Any:
        """Have a learner ask, and return the stored request."""
        answer = self.ask(course_id, who=who)
        assert answer.status_code == 201, answer.json()
        return self.model.objects.get(uuid=answer.json()["uuid"])

    @property
    def model(self) -> type[LicenseRequest] | type[CouponCodeRequest]:
        """The model of the requests."""
        return LicenseRequest if self.kind == LICENSE else CouponCodeRequest

    def approve(self, *requests: Any, who: Any = None, **more: Any) -> Any:
        """Have the administrator approve; returns the answer."""
        body: dict[str, Any] = self._batch(requests)
        if self.kind == LICENSE:
            body["subscription_plan_uuid"] = str(self.plan.pk)
        else:
            body["coupon_id"] = self.coupon.pk
        return self.call(who or self.admin, "post", f"{PREFIXES[self.kind]}/approve/", body | more)

    def decline(self, *requests: Any, who: Any = None, **more: Any) -> Any:
        """Have the administrator decline; returns the answer."""
        return self.call(who or self.admin, "post", f"{PREFIXES[self.kind]}/decline/", self._batch(requests) | more)

    def _batch(self, requests: Any) -> dict[str, Any]:
        uuids = [str(getattr(request, "uuid", request)) for request in requests]
        return {"enterprise_customer_uuid": str(self.enterprise), "subsidy_request_uuids": uuids}


def carry() -> None:
    """Publish and handle events until nothing is due, by whichever transport the settings choose."""
    while relay.run() + consumed() + processor.run().total():
        pass


def consumed() -> int:
    """Take in what is on the stream, as the processes of all groups do; returns how many entries that were."""
    if settings.EVENT_TRANSPORT == EMBEDDED:
        return 0
    from courses.eventbus.consumer import Consumer

    number = 0
    # The test's own connection holds its transaction.
    with mock.patch("courses.eventbus.consumer.close_old_connections"):
        for group in CONSUMERS:
            consumer = Consumer(group, "test", claim_idle_ms=60_000)
            while entries := consumer._read():
                for entry_id, fields in entries:
                    consumer._take_in(entry_id, fields or {})
                number += len(entries)
            consumer.db.close()
    return number


def fresh(row: Any) -> Any:
    """Return a row as it is stored now."""
    row.refresh_from_db()
    return row


def mails() -> list[Any]:
    """Return the mails that are out once every window has closed."""
    with time_machine.travel(timezone.now() + AFTER_THE_WINDOW, tick=False):
        sweep.sweep()
    return mail.outbox


def outbox(event: str = "") -> int:
    """Return how many events there are, of all types or of those whose type holds a word."""
    return EventOutbox.objects.filter(event_type__contains=event).count()


def dead() -> list[EventInbox]:
    """Return the events that nobody could handle."""
    return list(EventInbox.objects.filter(state=EventInbox.DEAD).order_by("pk"))


@contextmanager
def at(moment: datetime) -> Iterator[None]:
    """Let it be another moment, at which the clock stands."""
    with time_machine.travel(moment, tick=False):
        yield
