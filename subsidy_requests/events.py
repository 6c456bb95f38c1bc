"""What we tell of a request: that it is approved. Events carry numbers and keys, no address and no name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from courses.eventbus import emit
from courses.events import (
    COUPON_CODE_REQUEST_APPROVED,
    LICENSE_REQUEST_APPROVED,
    CouponCodeRequestData,
    LicenseRequestData,
)

from . import accounts
from .models import SubsidyRequest
from .models.configuration import LICENSE


def approved(requests: Sequence[Any]) -> list[UUID]:
    """Write down one event for each approved request, in the caller's transaction; returns their ids, in order."""
    numbers = accounts.numbers_of({row.reviewer_id for row in requests if row.reviewer_id is not None})
    return [_approved_one(row, numbers.get(row.reviewer_id) or accounts.NOBODY) for row in requests]


def _approved_one(request: SubsidyRequest, reviewer_number: int) -> UUID:
    first, _second = request.SUBSIDY_FIELDS
    values: dict[str, Any] = {
        "uuid": request.uuid,
        "lms_user_id": request.lms_user_id,
        "enterprise_customer_uuid": request.enterprise_customer_uuid,
        first: getattr(request, first),
        "reviewed_at": request.reviewed_at,
        "reviewer_lms_user_id": reviewer_number,
        "attempt": request.attempt,
        "learner_requests_in_action": request.learner_requests_in_action,
        "attempt_auto_enrollment": request.attempt_auto_enrollment,
        "course_id": request.course_id,
    }
    if request.kind == LICENSE:
        return emit(LICENSE_REQUEST_APPROVED, request=LicenseRequestData(**values)).event_id
    return emit(COUPON_CODE_REQUEST_APPROVED, request=CouponCodeRequestData(**values)).event_id
