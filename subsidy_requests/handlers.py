"""What the granting parts tell us: the consumer `enterprise-access` takes it in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from courses.eventbus import Deferred, Never, handles
from courses.events import (
    COUPON_CODE_ASSIGNED,
    COUPON_CODE_ASSIGNMENT_FAILED,
    ENTERPRISE_ACCESS,
    LICENSE_ASSIGNED,
    LICENSE_ASSIGNMENT_FAILED,
    AssignmentFailureData,
    CouponCodeAssignmentData,
    LicenseAssignmentData,
)

from .models.configuration import COUPON, LICENSE
from .services import outcomes


@handles(ENTERPRISE_ACCESS, LICENSE_ASSIGNED)
def on_license_assigned(assignment: LicenseAssignmentData, metadata: Any) -> None:
    """A licence was granted."""
    _assigned(LICENSE, assignment, (assignment.subscription_uuid, assignment.license))


@handles(ENTERPRISE_ACCESS, COUPON_CODE_ASSIGNED)
def on_coupon_code_assigned(assignment: CouponCodeAssignmentData, metadata: Any) -> None:
    """A code was granted."""
    _assigned(COUPON, assignment, (assignment.coupon, assignment.code))


@handles(ENTERPRISE_ACCESS, LICENSE_ASSIGNMENT_FAILED)
def on_license_assignment_failed(failure: AssignmentFailureData, metadata: Any) -> None:
    """No licence could be granted."""
    outcomes.fail(LICENSE, failure.subsidy_request_uuid, attempt=failure.attempt, reason=failure.reason)


@handles(ENTERPRISE_ACCESS, COUPON_CODE_ASSIGNMENT_FAILED)
def on_coupon_code_assignment_failed(failure: AssignmentFailureData, metadata: Any) -> None:
    """No code could be granted."""
    outcomes.fail(COUPON, failure.subsidy_request_uuid, attempt=failure.attempt, reason=failure.reason)


def _assigned(kind: str, assignment: Any, subsidy: tuple[Any, Any]) -> None:
    with _in_words_of_the_bus():
        outcomes.fulfil(
            kind,
            assignment.subsidy_request_uuid,
            subsidy=subsidy,
            lms_user_id=assignment.lms_user_id,
            enterprise_customer_uuid=assignment.enterprise_customer_uuid,
        )


@contextmanager
def _in_words_of_the_bus() -> Iterator[None]:
    try:
        yield
    except outcomes.NotYet as error:
        raise Deferred(str(error)) from error
    except outcomes.Contradiction as error:
        raise Never(str(error)) from error
