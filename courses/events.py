"""The contracts of the events that the parts exchange about subsidies; nobody else knows both sides of them.

A published class never changes, not even by an attribute at its end: a change is a new type `.v2`. Flags and numbers
are required, because a falsy value of an attribute with a default is lost on the way; only text may be None. No event
carries an address or a name.

Nobody calls `send_event` for these signals, and none stands in EVENT_BUS_PRODUCER_CONFIG: both would publish before
the transaction has committed and swallow errors. `courses.eventbus.emit` publishes them.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import attr
from openedx_events.tooling import OpenEdxPublicSignal

TOPIC: Final = "enterprise-subsidy-requests"

LARGEST_LONG: Final = 2**63 - 1


def _of(kind: type) -> Callable[[Any, "attr.Attribute[Any]", Any], None]:
    """Return a validator that takes values of one type and, for a number, none that Avro has no room for."""

    def check(instance: Any, attribute: "attr.Attribute[Any]", value: Any) -> None:
        if kind is int and isinstance(value, bool) or not isinstance(value, kind):
            raise TypeError(f"{attribute.name}: {type(value).__name__} is not allowed; allowed is {kind.__name__}")
        if isinstance(value, int) and abs(value) > LARGEST_LONG:
            raise ValueError(f"{attribute.name}: is too large; allowed is a number of 64 bits")
        if isinstance(value, datetime) and value.tzinfo is None:
            raise ValueError(f"{attribute.name}: a time needs a zone; allowed is for example 2026-03-01T00:00:00Z")

    return check


def _required(kind: type) -> Any:
    """Return an attribute that must be given."""
    return attr.ib(type=kind, validator=_of(kind))


def _optional_text() -> Any:
    """Return a text that may be None."""
    return attr.ib(type=str, default=None, validator=attr.validators.optional(_of(str)))


@attr.s(frozen=True)
class LicenseRequestData:
    """An approved request for a licence."""

    uuid = _required(UUID)
    lms_user_id = _required(int)
    enterprise_customer_uuid = _required(UUID)
    subscription_plan_uuid = _required(UUID)
    reviewed_at = _required(datetime)
    reviewer_lms_user_id = _required(int)
    attempt = _required(int)
    learner_requests_in_action = _required(int)
    # A command among facts, deliberately: the granting side needs it, and the requesting side is where it is kept.
    attempt_auto_enrollment = _required(bool)
    course_id = _optional_text()


@attr.s(frozen=True)
class CouponCodeRequestData:
    """An approved request for a coupon code."""

    uuid = _required(UUID)
    lms_user_id = _required(int)
    enterprise_customer_uuid = _required(UUID)
    coupon_id = _required(int)
    reviewed_at = _required(datetime)
    reviewer_lms_user_id = _required(int)
    attempt = _required(int)
    learner_requests_in_action = _required(int)
    attempt_auto_enrollment = _required(bool)
    course_id = _optional_text()


@attr.s(frozen=True)
class LicenseAssignmentData:
    """A licence that was granted for a request."""

    subsidy_request_uuid = _required(UUID)
    attempt = _required(int)
    lms_user_id = _required(int)
    enterprise_customer_uuid = _required(UUID)
    subscription_uuid = _required(UUID)
    license = _required(UUID)
    course_id = _optional_text()


@attr.s(frozen=True)
class CouponCodeAssignmentData:
    """A coupon code that was granted for a request."""

    subsidy_request_uuid = _required(UUID)
    attempt = _required(int)
    lms_user_id = _required(int)
    enterprise_customer_uuid = _required(UUID)
    coupon = _required(int)
    code = _required(str)
    course_id = _optional_text()


@attr.s(frozen=True)
class AssignmentFailureData:
    """Why nothing could be granted for a request, in one word."""

    subsidy_request_uuid = _required(UUID)
    attempt = _required(int)
    reason = _required(str)


LICENSE_REQUEST_APPROVED = OpenEdxPublicSignal(
    event_type="org.openedx.enterprise.access.license-request.approved.v1", data={"request": LicenseRequestData}
)
COUPON_CODE_REQUEST_APPROVED = OpenEdxPublicSignal(
    event_type="org.openedx.enterprise.access.coupon-code-request.approved.v1", data={"request": CouponCodeRequestData}
)
LICENSE_ASSIGNED = OpenEdxPublicSignal(
    event_type="org.openedx.license-manager.license.assigned.v1", data={"assignment": LicenseAssignmentData}
)
COUPON_CODE_ASSIGNED = OpenEdxPublicSignal(
    event_type="org.openedx.ecommerce.coupon-code.assigned.v1", data={"assignment": CouponCodeAssignmentData}
)
LICENSE_ASSIGNMENT_FAILED = OpenEdxPublicSignal(
    event_type="org.openedx.license-manager.license.assignment-failed.v1", data={"failure": AssignmentFailureData}
)
COUPON_CODE_ASSIGNMENT_FAILED = OpenEdxPublicSignal(
    event_type="org.openedx.ecommerce.coupon-code.assignment-failed.v1", data={"failure": AssignmentFailureData}
)

SIGNALS: Final = (
    LICENSE_REQUEST_APPROVED,
    COUPON_CODE_REQUEST_APPROVED,
    LICENSE_ASSIGNED,
    COUPON_CODE_ASSIGNED,
    LICENSE_ASSIGNMENT_FAILED,
    COUPON_CODE_ASSIGNMENT_FAILED,
)
TYPES: Final = frozenset(signal.event_type for signal in SIGNALS)

#: The parts that consume, by the names of the services whose place they take.
ENTERPRISE_ACCESS: Final = "enterprise-access"
LICENSE_MANAGER: Final = "license-manager"
ECOMMERCE: Final = "ecommerce"
CONSUMERS: Final = (ENTERPRISE_ACCESS, LICENSE_MANAGER, ECOMMERCE)
