"""How many licences a plan has."""

from __future__ import annotations

from typing import Final

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from courses.bulk import retry_on_deadlock, slices

from ..models import License, SubscriptionPlan
from .licenses import lock

STEP: Final = 300
#: So many ids of licences are held in memory while they are deleted.
DELETED_AT_ONCE: Final = 5_000


def provision(plan: SubscriptionPlan, n: int) -> int:
    """Bring a plan to `n` licences that are not revoked, and return how many this call has made.

    What is wanted is written at once, the licences in steps with a transaction each, so readers see a plan that is
    being provisioned. A call that was interrupted is simply made again; calls at the same time share the work, and
    the last number asked for holds.
    """
    _want(plan, n)
    made = 0
    while (more := _make_some(plan)) > 0:
        made += more
    plan.refresh_from_db(fields=["desired_num_licenses", "provisioning_since"])
    return made


@retry_on_deadlock
def freeze(plan: SubscriptionPlan) -> int:
    """Delete the unassigned licences of a plan, and return how many. It wants no more than are left.

    One transaction: in between, the plan would look fuller and fuller, and administrators would be told so.
    """
    with transaction.atomic():
        stored = lock(plan.pk)
        unassigned = License.objects.filter(subscription_plan=stored, status=License.UNASSIGNED)
        deleted = 0
        for uuids in slices(list(unassigned.values_list("pk", flat=True)), DELETED_AT_ONCE):
            deleted += unassigned.filter(pk__in=uuids).delete()[1].get(License._meta.label, 0)
        stored.desired_num_licenses = _kept(stored).count()
        stored.save(update_fields=["desired_num_licenses"])
    plan.refresh_from_db(fields=["desired_num_licenses", "provisioning_since"])
    return deleted


@retry_on_deadlock
def _want(plan: SubscriptionPlan, n: int) -> None:
    """Write how many licences a plan wants."""
    with transaction.atomic():
        stored = lock(plan.pk)
        total = _kept(stored).count()
        if n < total:
            raise ValidationError({"n": f"The plan has {total} licences already. Allowed: {total} or more."})
        stored.desired_num_licenses = n
        # The save stamps since when licences are missing.
        stored.save(update_fields=["desired_num_licenses"])


@retry_on_deadlock
def _make_some(plan: SubscriptionPlan) -> int:
    """Make at most one step of the licences that a plan lacks, and return how many."""
    with transaction.atomic():
        stored = lock(plan.pk)
        lacking = (stored.desired_num_licenses or 0) - _kept(stored).count()
        if lacking <= 0:
            if stored.provisioning_since is not None:
                stored.save(update_fields=["provisioning_since"])
            return 0
        now = timezone.now()
        number = min(lacking, STEP)
        License.objects.bulk_create(License(subscription_plan=stored, created=now) for _ in range(number))
        if number == lacking:
            stored.save(update_fields=["provisioning_since"])
        return number


def _kept(plan: SubscriptionPlan) -> QuerySet[License]:
    return License.objects.filter(subscription_plan=plan).exclude(status=License.REVOKED)
