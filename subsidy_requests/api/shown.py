"""What the API says of requests and configurations, and to whom."""

from __future__ import annotations

from typing import Any

from .. import states
from ..models import SubsidyRequest, SubsidyRequestCustomerConfiguration
from ..models.configuration import COUPON


def request(row: SubsidyRequest, *, viewer: Any) -> dict[str, Any]:
    """Return a request as its learner sees it, or as somebody else does: with the reviewer and a masked code."""
    own = row.user_id == viewer.pk
    values: dict[str, Any] = {
        "uuid": row.uuid,
        "enterprise_customer_uuid": row.enterprise_customer_uuid,
        "lms_user_id": row.lms_user_id,
        "course_id": row.course_id,
        "course_title": row.course_title,
        "state": row.state,
        "created": row.created_at,
        "reviewed_at": row.reviewed_at,
        "fulfilled_at": row.fulfilled_at,
        "decline_reason": row.decline_reason,
        "error_reason": row.error_reason,
    }
    first, second = row.SUBSIDY_FIELDS
    values[first], values[second] = row.subsidy
    if row.kind == COUPON:
        values[second] = _code(values[second], whole=own and row.state == states.FULFILLED)
    if not own:
        profile = getattr(row.reviewer, "learner_profile", None)
        values["reviewer_lms_user_id"] = profile.lms_user_id if profile is not None else None
        values["attempt"] = row.attempt
    return values


def _code(code: str, *, whole: bool) -> str:
    return code if whole else code[-4:]


def configuration(row: SubsidyRequestCustomerConfiguration) -> dict[str, Any]:
    """Return what a customer has chosen."""
    return {
        "enterprise_customer_uuid": row.enterprise_customer_uuid,
        "name": row.name,
        "slug": row.slug,
        "subsidy_requests_enabled": row.subsidy_requests_enabled,
        "subsidy_type": row.subsidy_type,
        "attempt_auto_enrollment": row.attempt_auto_enrollment,
        "contact_email": row.contact_email,
    }
