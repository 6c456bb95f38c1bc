"""Granting a licence for an approved request. Who asks hears of it by events, which are others' to send."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from django.contrib.auth import get_user_model
from django.db import IntegrityError, transaction

from courses.bulk import locked, retry_on_deadlock

from ..models import License, LicenseGrant, SubscriptionPlan
from .licenses import AlreadyHeld, Learner, NoFreeLicense, take

SUBSIDY_REVOKED: Final = "subsidy_revoked"
UNKNOWN_PLAN: Final = "unknown_plan"
PLAN_OF_OTHER_ENTERPRISE: Final = "plan_of_other_enterprise"
PLAN_NOT_CURRENT: Final = "plan_not_current"
LEARNER_UNKNOWN: Final = "learner_unknown"
NO_FREE_LICENSE: Final = "no_free_license"


@dataclass(frozen=True, slots=True)
class Granted:
    """The licence that a request has got; `is_new` is false for an answer that is only given again."""

    license_uuid: UUID
    plan_uuid: UUID
    is_new: bool = True


@dataclass(frozen=True, slots=True)
class Refused:
    """Why a request got none: one word of the closed list above."""

    reason: str


@retry_on_deadlock
def grant(
    request_uuid: UUID, attempt: int, *, enterprise_uuid: UUID, plan_uuid: UUID, lms_user_id: int, now: datetime
) -> Granted | Refused:
    """Give the learner of an approved request a licence of a plan, once for each request.

    Asked again, the answer is the licence that the request has. Was that one taken back meanwhile, the same attempt
    is refused and a higher one gets another. A refusal leaves nothing behind. Runs inside the caller's transaction,
    or one of its own.
    """
    with transaction.atomic():
        # The lock comes first, also for an answer that is only repeated: everybody locks in the same order.
        plan = locked(SubscriptionPlan.objects.filter(pk=plan_uuid)).first()
        earlier = _earlier(request_uuid)
        if earlier is not None and (answer := _again(earlier, attempt)) is not None:
            return answer
        learner = _learner(lms_user_id)
        if plan is None:
            return Refused(UNKNOWN_PLAN)
        if plan.customer_agreement.enterprise_customer_uuid != enterprise_uuid:
            return Refused(PLAN_OF_OTHER_ENTERPRISE)
        if not (plan.is_active and plan.start_date <= now <= plan.expiration_date):
            return Refused(PLAN_NOT_CURRENT)
        if learner is None:
            return Refused(LEARNER_UNKNOWN)
        return _give(plan, learner, request_uuid, attempt=attempt, earlier=earlier, now=now)


def _earlier(request_uuid: UUID) -> LicenseGrant | None:
    """Return what the request has got before, locked."""
    return locked(LicenseGrant.objects.filter(subsidy_request_uuid=request_uuid)).first()


def _again(earlier: LicenseGrant, attempt: int) -> Granted | Refused | None:
    """Return the answer to a request that had one before; None when it has to be given a licence in its place."""
    license_ = earlier.license
    if license_.status in License.ALLOCATED:
        return Granted(license_.pk, license_.subscription_plan_id, is_new=False)
    return Refused(SUBSIDY_REVOKED) if attempt <= earlier.attempt else None


def _learner(lms_user_id: int) -> Learner | None:
    """Return the learner with this number on the platform, if there is an active account."""
    users = get_user_model()._default_manager.filter(learner_profile__lms_user_id=lms_user_id, is_active=True)
    email = users.values_list("email", flat=True).first()
    return None if email is None else Learner(lms_user_id, email)


def _give(
    plan: SubscriptionPlan,
    learner: Learner,
    request_uuid: UUID,
    *,
    attempt: int,
    earlier: LicenseGrant | None,
    now: datetime,
) -> Granted | Refused:
    """Take a licence, or the one the learner holds, and remember for which request."""
    row = earlier or LicenseGrant(subsidy_request_uuid=request_uuid)
    row.attempt = attempt
    try:
        with transaction.atomic():
            try:
                row.license = take(plan, learner, status=License.ASSIGNED, now=now)
            except AlreadyHeld as error:
                row.license = error.license
            row.save()
    except NoFreeLicense:
        return Refused(NO_FREE_LICENSE)
    except IntegrityError:
        # The same request for another plan, at the same moment: the other one's answer is everybody's.
        faster = _earlier(request_uuid)
        answer = None if faster is None else _again(faster, attempt)
        if answer is None:
            raise
        return answer
    return Granted(row.license.pk, plan.pk)
