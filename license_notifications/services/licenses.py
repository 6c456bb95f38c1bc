"""Giving licences to learners and taking them back."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import QuerySet

from courses.bulk import locked, retry_on_deadlock

from .. import plans
from ..models import CustomerAgreement, License, SubscriptionPlan


class LicenseError(Exception):
    """What was asked for cannot be done with the licences as they are."""


class NoPlan(LicenseError):
    """No plan of the agreement counts at this time."""

    def __init__(self, agreement: CustomerAgreement) -> None:
        super().__init__(f"Agreement {agreement.pk} has no active plan now whose licences are applied by themselves.")


class NoFreeLicense(LicenseError):
    """Every licence of the plan is taken."""

    def __init__(self, plan_uuid: UUID) -> None:
        super().__init__(f"Plan {plan_uuid} has no unassigned licence.")


class AlreadyHeld(LicenseError):
    """The learner holds a licence of the plan, `license`."""

    def __init__(self, held: License) -> None:
        super().__init__(f"The learner holds licence {held.pk} of plan {held.subscription_plan_id} already.")
        self.license = held


class WrongStatus(LicenseError):
    """The licence is not in a status from which this leads on."""

    def __init__(self, license_uuid: UUID, *, status: str, allowed: tuple[str, ...]) -> None:
        super().__init__(f"Licence {license_uuid} is {status}. Allowed: {', '.join(allowed)}.")


class Learner(NamedTuple):
    """Whom a licence is for: a number on the platform, an address, or both."""

    lms_user_id: int | None = None
    email: str | None = None


@retry_on_deadlock
def assign(plan: SubscriptionPlan, learner: Learner, *, now: datetime) -> License:
    """Assign the oldest unassigned licence of a plan. Raises AlreadyHeld and NoFreeLicense."""
    with transaction.atomic():
        return take(lock(plan.pk), learner, status=License.ASSIGNED, now=now)


@retry_on_deadlock
def activate(license_: License, *, now: datetime, lms_user_id: int | None = None) -> License:
    """Activate an assigned licence; `lms_user_id` is who does so, where only the address was known.

    Raises WrongStatus, AlreadyHeld for who holds another one of the plan, and ValidationError for somebody else.
    """
    with transaction.atomic():
        lock(license_.subscription_plan_id)
        stored = License.objects.get(pk=license_.pk)
        if lms_user_id is not None and stored.lms_user_id not in (None, lms_user_id):
            raise ValidationError({"lms_user_id": "The licence is somebody else's. Allowed: its own learner."})
        holder = stored.lms_user_id if lms_user_id is None else lms_user_id
        other = held(stored.subscription_plan_id, Learner(holder))
        if other is not None and other.pk != stored.pk:
            raise AlreadyHeld(other)
        _move(stored, (License.ASSIGNED,), status=License.ACTIVATED, activated_at=now, lms_user_id=holder)
        return stored


@retry_on_deadlock
def auto_apply(agreement: CustomerAgreement, learner: Learner, *, now: datetime) -> License:
    """Activate a licence of the plan that counts for an enterprise now, which is the one that notices tell of.

    Raises NoPlan, AlreadyHeld and NoFreeLicense.
    """
    choice = plans.chosen_one(agreement.enterprise_customer_uuid, now)
    if choice is None:
        raise NoPlan(agreement)
    with transaction.atomic():
        return take(lock(choice.plan_uuid), learner, status=License.ACTIVATED, now=now, auto_applied=True)


@retry_on_deadlock
def revoke(license_: License, *, now: datetime) -> License:
    """Take a licence back and return the unassigned one that the plan gets in its place. Raises WrongStatus."""
    with transaction.atomic():
        lock(license_.subscription_plan_id)
        _move(license_, License.ALLOCATED, status=License.REVOKED, revoked_at=now)
        return License.objects.create(subscription_plan_id=license_.subscription_plan_id)


def lock(plan_uuid: UUID) -> SubscriptionPlan:
    """Return a plan, locked until the transaction ends."""
    return locked(SubscriptionPlan.objects.filter(pk=plan_uuid)).get()


def take(
    plan: SubscriptionPlan, learner: Learner, *, status: str, now: datetime, auto_applied: bool = False
) -> License:
    """Give a learner the oldest unassigned licence of a locked plan. Raises AlreadyHeld and NoFreeLicense."""
    if learner.lms_user_id is None and not learner.email:
        raise ValidationError({"learner": "Nobody is named. Allowed: a learner with lms_user_id, email or both."})
    if (found := held(plan.pk, learner)) is not None:
        raise AlreadyHeld(found)
    while (free := oldest_free(plan.pk).first()) is not None:
        times = {"assigned_at": now} | ({"activated_at": now} if status == License.ACTIVATED else {})
        try:
            _move(
                free,
                (License.UNASSIGNED,),
                status=status,
                auto_applied=auto_applied,
                lms_user_id=learner.lms_user_id,
                user_email=learner.email,
                **times,
            )
        except WrongStatus:
            # Somebody who holds no lock of the plan, a host's own save for one, was faster.
            continue
        return free
    raise NoFreeLicense(plan.pk)


def oldest_free(plan_uuid: UUID) -> QuerySet[License]:
    """Return the unassigned licences of a plan, the oldest first."""
    return License.objects.filter(subscription_plan=plan_uuid, status=License.UNASSIGNED).order_by("created", "uuid")


def held(plan_uuid: UUID, learner: Learner) -> License | None:
    """Return the licence of a plan that a learner holds: by number, else by address where a number is missing."""
    mine = License.objects.filter(subscription_plan=plan_uuid)
    if learner.lms_user_id is not None:
        found = mine.filter(held_by=learner.lms_user_id).first()
        if found is not None:
            return found
        mine = mine.filter(lms_user_id=None)
    if not learner.email:
        return None
    return mine.filter(user_email=learner.email, status__in=License.ALLOCATED).order_by("created", "uuid").first()


def _move(license_: License, allowed: tuple[str, ...], **values: object) -> None:
    """Write a licence if its stored status is one of those allowed."""
    if not License.objects.filter(pk=license_.pk, status__in=allowed).update(**values):
        status = License.objects.values_list("status", flat=True).get(pk=license_.pk)
        raise WrongStatus(license_.pk, status=status, allowed=allowed)
    license_.refresh_from_db()
