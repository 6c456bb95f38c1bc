"""Granting codes, once for each request, and the only writer of codes beside the upload."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from django.contrib.auth import get_user_model
from django.db import IntegrityError, transaction

from courses.bulk import locked, retry_on_deadlock

from .models import ASSIGNED, FREE, HELD, REDEEMED, VOID, Coupon, CouponCode

SUBSIDY_REVOKED: Final = "subsidy_revoked"
UNKNOWN_COUPON: Final = "unknown_coupon"
COUPON_OF_OTHER_ENTERPRISE: Final = "coupon_of_other_enterprise"
COUPON_NOT_CURRENT: Final = "coupon_not_current"
LEARNER_UNKNOWN: Final = "learner_unknown"
NO_FREE_CODE: Final = "no_free_code"


@dataclass(frozen=True, slots=True)
class Granted:
    """The code that a request has got; `is_new` is false for an answer that is only given again."""

    code: CouponCode
    is_new: bool = True


@dataclass(frozen=True, slots=True)
class Refused:
    """Why a request got none: one word of the closed list above."""

    reason: str


@retry_on_deadlock
def grant(
    request_uuid: UUID, attempt: int, *, enterprise_uuid: UUID, coupon_id: int, lms_user_id: int, now: datetime
) -> Granted | Refused:
    """Give the learner of an approved request the oldest free code of a coupon.

    Asked again, the answer is the code that the request has. Was that one taken back meanwhile, the same attempt is
    refused and a higher one gets another. A refusal leaves nothing behind. Runs inside the caller's transaction, or
    one of its own.
    """
    with transaction.atomic():
        # The lock comes first, also for an answer that is only repeated: everybody locks in the same order.
        coupon = locked(Coupon.objects.filter(pk=coupon_id)).first()
        earlier = _earlier(request_uuid)
        if earlier is not None and (answer := _again(earlier, attempt)) is not None:
            return answer
        if coupon is None:
            return Refused(UNKNOWN_COUPON)
        if coupon.enterprise_customer_uuid != enterprise_uuid:
            return Refused(COUPON_OF_OTHER_ENTERPRISE)
        if not coupon.is_current(now):
            return Refused(COUPON_NOT_CURRENT)
        if not _is_known(lms_user_id):
            return Refused(LEARNER_UNKNOWN)
        return _give(coupon, request_uuid, attempt=attempt, lms_user_id=lms_user_id, earlier=earlier)


def _earlier(request_uuid: UUID) -> CouponCode | None:
    """Return the code the request has got before, locked."""
    return locked(CouponCode.objects.filter(subsidy_request_uuid=request_uuid)).first()


def _again(earlier: CouponCode, attempt: int) -> Granted | Refused | None:
    """Return the answer to a request that had one before; None when it has to be given a code in its place."""
    if earlier.status in HELD:
        return Granted(earlier, is_new=False)
    return Refused(SUBSIDY_REVOKED) if attempt <= earlier.attempt else None


def _is_known(lms_user_id: int) -> bool:
    users = get_user_model()._default_manager.filter(learner_profile__lms_user_id=lms_user_id, is_active=True)
    return users.exists()


def _give(
    coupon: Coupon, request_uuid: UUID, *, attempt: int, lms_user_id: int, earlier: CouponCode | None
) -> Granted | Refused:
    """Take the oldest free code; one that was taken back stays void and is the request's no longer."""
    code = locked(CouponCode.objects.filter(coupon=coupon, status=FREE).order_by("pk")).first()
    if code is None:
        return Refused(NO_FREE_CODE)
    try:
        with transaction.atomic():
            if earlier is not None:
                CouponCode.objects.filter(pk=earlier.pk).update(subsidy_request_uuid=None)
            code.status, code.lms_user_id = ASSIGNED, lms_user_id
            code.subsidy_request_uuid, code.attempt = request_uuid, attempt
            code.save(update_fields=["status", "lms_user_id", "subsidy_request_uuid", "attempt"])
    except IntegrityError:
        # The same request for another coupon, at the same moment: the other one's answer is everybody's.
        faster = _earlier(request_uuid)
        answer = None if faster is None else _again(faster, attempt)
        if answer is None:
            raise
        return answer
    return Granted(code)


def redeem(request_uuid: UUID, run_key: str) -> bool:
    """Note that the code of a request has paid for a place in a run; return whether that was news."""
    codes = CouponCode.objects.filter(subsidy_request_uuid=request_uuid, status=ASSIGNED)
    return bool(codes.update(status=REDEEMED, redeemed_course_run=run_key))


def void(code_ids: list[int]) -> int:
    """Take codes back that are free or assigned, and return how many; what is redeemed is spent.

    The request of one that was assigned stays named, so that a repeated event learns of it.
    """
    return CouponCode.objects.filter(pk__in=code_ids, status__in=(FREE, ASSIGNED)).update(status=VOID)
