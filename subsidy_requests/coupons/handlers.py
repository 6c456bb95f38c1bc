"""What the requesting part tells us: the consumer `ecommerce` grants a code and says so."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.dispatch import receiver
from django.utils import timezone

from courses import autoenrolment
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
from courses.models import AutoEnrolment
from courses.signals import auto_enrolled

from . import services
from .models import CouponCode


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
        told = {"subsidy_request_uuid": request.uuid, "attempt": request.attempt, "reason": answer.reason}
        emit(COUPON_CODE_ASSIGNMENT_FAILED, failure=AssignmentFailureData(**told))
        return
    emit(COUPON_CODE_ASSIGNED, assignment=CouponCodeAssignmentData(**_granted(request, answer.code)))
    if request.attempt_auto_enrollment:
        autoenrolment.consider(
            subsidy_request_uuid=request.uuid,
            enterprise_customer_uuid=request.enterprise_customer_uuid,
            lms_user_id=request.lms_user_id,
            course_id=request.course_id,
            learner_requests_in_action=request.learner_requests_in_action,
            discount_percent=answer.code.coupon.discount_percent,
        )


def _granted(request: CouponCodeRequestData, code: CouponCode) -> dict[str, Any]:
    return {
        "subsidy_request_uuid": request.uuid,
        "attempt": request.attempt,
        "lms_user_id": request.lms_user_id,
        "enterprise_customer_uuid": request.enterprise_customer_uuid,
        "coupon": code.coupon_id,
        "code": code.code,
        "course_id": request.course_id,
    }


@receiver(auto_enrolled)
def on_auto_enrolled(enrolments: Sequence[AutoEnrolment], **kwargs: Any) -> None:
    """Note of codes that they have paid for a place; an enrolment by a licence has none."""
    for enrolment in enrolments:
        services.redeem(enrolment.subsidy_request_uuid, enrolment.run)
