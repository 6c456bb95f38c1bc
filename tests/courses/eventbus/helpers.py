"""What the tests of the transport share: events to send, and a consumer of ours to handle them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from django.db import transaction
from openedx_events.data import EventsMetadata
from openedx_events.tooling import OpenEdxPublicSignal

from courses.eventbus import emit, handles
from courses.eventbus.handlers import forget, handler_of
from courses.events import (
    COUPON_CODE_ASSIGNED,
    LICENSE_ASSIGNED,
    LICENSE_ASSIGNMENT_FAILED,
    LICENSE_REQUEST_APPROVED,
    AssignmentFailureData,
    CouponCodeAssignmentData,
    LicenseAssignmentData,
    LicenseRequestData,
)
from courses.models import EventOutbox

ACCESS = "enterprise-access"
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


def assignment(**values: Any) -> LicenseAssignmentData:
    """A licence that was granted."""
    given: dict[str, Any] = {
        "subsidy_request_uuid": uuid4(),
        "attempt": 1,
        "lms_user_id": 7,
        "enterprise_customer_uuid": UUID(int=1),
        "subscription_uuid": UUID(int=2),
        "license": UUID(int=3),
        "course_id": "edX+DemoX",
    }
    return LicenseAssignmentData(**given | values)


def code_assignment(code: str = "SAVE-ALL-4711") -> CouponCodeAssignmentData:
    """A coupon code that was granted."""
    return CouponCodeAssignmentData(
        subsidy_request_uuid=uuid4(),
        attempt=1,
        lms_user_id=7,
        enterprise_customer_uuid=UUID(int=1),
        coupon=5,
        code=code,
    )


def request(**values: Any) -> LicenseRequestData:
    """A request for a licence that was approved."""
    given: dict[str, Any] = {
        "uuid": uuid4(),
        "lms_user_id": 7,
        "enterprise_customer_uuid": UUID(int=1),
        "subscription_plan_uuid": UUID(int=2),
        "reviewed_at": NOON,
        "reviewer_lms_user_id": 9,
        "attempt": 1,
        "learner_requests_in_action": 1,
        "attempt_auto_enrollment": False,
        "course_id": "edX+DemoX",
    }
    return LicenseRequestData(**given | values)


def failure(reason: str = "no_free_license") -> AssignmentFailureData:
    """Why nothing was granted."""
    return AssignmentFailureData(subsidy_request_uuid=uuid4(), attempt=1, reason=reason)


def emit_all(*assignments: LicenseAssignmentData) -> list[EventOutbox]:
    """Emit events in one transaction."""
    with transaction.atomic():
        return [emit(LICENSE_ASSIGNED, assignment=each) for each in assignments]


def emit_code(code: str) -> EventOutbox:
    """Emit an event that carries a coupon code."""
    with transaction.atomic():
        return emit(COUPON_CODE_ASSIGNED, assignment=code_assignment(code))


def emit_request(**values: Any) -> EventOutbox:
    """Emit an approval."""
    with transaction.atomic():
        return emit(LICENSE_REQUEST_APPROVED, request=request(**values))


def emit_failure(**values: Any) -> EventOutbox:
    """Emit a failure."""
    with transaction.atomic():
        return emit(LICENSE_ASSIGNMENT_FAILED, failure=failure(**values))


@contextmanager
def handled(
    handler: Callable[[Any, EventsMetadata], object],
    signal: OpenEdxPublicSignal = LICENSE_ASSIGNED,
    consumer: str = ACCESS,
) -> Iterator[None]:
    """Have a function, and no other one, handle a type for a consumer."""
    usual = handler_of(consumer, signal.event_type)
    forget(consumer, signal)
    handles(consumer, signal)(handler)
    try:
        yield
    finally:
        forget(consumer, signal)
        if usual is not None:
            handles(consumer, signal)(usual)
