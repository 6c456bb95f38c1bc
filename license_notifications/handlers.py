"""What the requesting part tells us: the consumer `license-manager` grants a licence and says so."""

from __future__ import annotations

from typing import Any

from django.utils import timezone

from courses import autoenrolment
from courses.eventbus import emit, handles
from courses.events import (
    LICENSE_ASSIGNED,
    LICENSE_ASSIGNMENT_FAILED,
    LICENSE_MANAGER,
    LICENSE_REQUEST_APPROVED,
    AssignmentFailureData,
    LicenseAssignmentData,
    LicenseRequestData,
)

from .services.granting import Granted, Refused, grant


@handles(LICENSE_MANAGER, LICENSE_REQUEST_APPROVED)
def on_license_request_approved(request: LicenseRequestData, metadata: Any) -> None:
    """Grant a licence; the answer is written down in the same transaction."""
    answer = grant(
        request.uuid,
        request.attempt,
        enterprise_uuid=request.enterprise_customer_uuid,
        plan_uuid=request.subscription_plan_uuid,
        lms_user_id=request.lms_user_id,
        now=timezone.now(),
    )
    if isinstance(answer, Refused):
        told = {"subsidy_request_uuid": request.uuid, "attempt": request.attempt, "reason": answer.reason}
        emit(LICENSE_ASSIGNMENT_FAILED, failure=AssignmentFailureData(**told))
        return
    emit(LICENSE_ASSIGNED, assignment=LicenseAssignmentData(**_granted(request, answer)))
    if request.attempt_auto_enrollment:
        autoenrolment.consider(
            subsidy_request_uuid=request.uuid,
            enterprise_customer_uuid=request.enterprise_customer_uuid,
            lms_user_id=request.lms_user_id,
            course_id=request.course_id,
            learner_requests_in_action=request.learner_requests_in_action,
            license_uuid=answer.license_uuid,
        )


def _granted(request: LicenseRequestData, answer: Granted) -> dict[str, Any]:
    return {
        "subsidy_request_uuid": request.uuid,
        "attempt": request.attempt,
        "lms_user_id": request.lms_user_id,
        "enterprise_customer_uuid": request.enterprise_customer_uuid,
        "subscription_uuid": answer.plan_uuid,
        "license": answer.license_uuid,
        "course_id": request.course_id,
    }
