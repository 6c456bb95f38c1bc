"""What the requesting part tells us: the consumer `ecommerce` grants a code and says so."""

from __future__ import annotations

from typing import Any

from django.utils import timezone

from courses.eventbus import emit, handles
from courses.events import (
    COUPON_CODE_ASSIGNED,
    COUPON_CODE_ASSIGNMENT_FAILED,
    COUPON_CODE_REQUEST_APPROVED,
    ECOMMERCE,
    AssignmentFailureData,
    CouponCodeAssignmentData,
    CouponCodeRequestData,
)

from . import services


@handles(ECOMMERCE, COUPON_CODE_REQUEST_APPROVED)
def on_coupon_code_request_approved(request: CouponCodeRequestData, metadata: Any) -> None:
    """Grant a code; the answer is written down in the same transaction."""
    answer = services.grant(
        request.uuid,
        request.attempt,
        enterprise_uuid=request.enterprise_customer_uuid,
        coupon_id=request.coupon_id,
        lms_user_id=request.lms_user_id,
        now=timezone.now(),
    )
    if isinstance(answer, services.Refused):
        failure = AssignmentFailureData(
            subsidy_request_uuid=request.uuid, attempt=request.attempt, reason=answer.reason
        )
        emit(COUPON_CODE_ASSIGNMENT_FAILED, failure=failure)
        return
    assignment = CouponCodeAssignmentData(
        subsidy_request_uuid=request.uuid,
        attempt=request.attempt,
        lms_user_id=request.lms_user_id,
        enterprise_customer_uuid=request.enterprise_customer_uuid,
        coupon=answer.code.coupon_id,
        code=answer.code.code,
        course_id=request.course_id,
    )
    emit(COUPON_CODE_ASSIGNED, assignment=assignment)
