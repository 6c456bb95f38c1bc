"""Which plan of an enterprise counts on an instant, and how far its licences are used up. Reads only."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, NamedTuple
from uuid import UUID

from django.db.models import Count, QuerySet

from .conf import setting
from .models import License, SubscriptionPlan

#: What a candidate is read as, in the order of the fields of Candidate.
COLUMNS: Final = (
    "customer_agreement__enterprise_customer_uuid",
    "customer_agreement__enterprise_customer_name",
    "customer_agreement__enterprise_customer_slug",
    "uuid",
    "title",
    "start_date",
    "expiration_date",
    "created",
    "desired_num_licenses",
    "provisioning_since",
)


class Candidate(NamedTuple):
    """A plan that could be the one that counts."""

    enterprise_uuid: UUID
    enterprise_name: str
    enterprise_slug: str | None
    plan_uuid: UUID
    plan_title: str
    start_date: datetime
    expiration_date: datetime
    created: datetime
    desired: int | None
    provisioning_since: datetime | None

    @property
    def rank(self) -> tuple[datetime, datetime, datetime, UUID]:
        """By what the first of several is found. Here and not in SQL, because databases disagree about uuids."""
        return self.expiration_date, self.start_date, self.created, self.plan_uuid

    def counting(self, total: int, allocated: int) -> Choice:
        """Return the plan with these numbers."""
        return Choice(
            enterprise_uuid=self.enterprise_uuid,
            enterprise_name=self.enterprise_name,
            enterprise_slug=self.enterprise_slug,
            plan_uuid=self.plan_uuid,
            plan_title=self.plan_title,
            expiration_date=self.expiration_date,
            total=total,
            allocated=allocated,
            desired=self.desired,
            provisioning_since=self.provisioning_since,
        )


class Counts(NamedTuple):
    """Licences of a plan that are not revoked, and those of them that are assigned or activated."""

    total: int = 0
    allocated: int = 0

    @property
    def percentage(self) -> int:
        """How much of the plan is allocated, rounded down; 0 of a plan without licences."""
        return self.allocated * 100 // self.total if self.total else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The plan that counts for an enterprise, with its numbers as they were when it was chosen."""

    enterprise_uuid: UUID
    enterprise_name: str
    enterprise_slug: str | None
    plan_uuid: UUID
    plan_title: str
    expiration_date: datetime
    total: int
    allocated: int
    desired: int | None
    provisioning_since: datetime | None

    @property
    def reached_75(self) -> bool:
        """Whether three quarters are allocated; of a plan without licences nothing is."""
        return self.total > 0 and 4 * self.allocated >= 3 * self.total

    @property
    def reached_100(self) -> bool:
        """Whether all are allocated."""
        return self.total > 0 and self.allocated >= self.total

    @property
    def percentage(self) -> int:
        """How much is allocated, rounded down."""
        return Counts(self.total, self.allocated).percentage

    @property
    def is_unfinished(self) -> bool:
        """Whether the plan has fewer licences than it wants."""
        return (self.desired or 0) > self.total

    def is_provisioning(self, now: datetime) -> bool:
        """Return whether the missing licences are still being made, so that the numbers say nothing yet."""
        if not self.is_unfinished or self.provisioning_since is None:
            return False
        grace = timedelta(seconds=setting("LICENSE_NOTIFICATION_PROVISIONING_GRACE_SECONDS"))
        return now - self.provisioning_since < grace

    def is_stuck(self, now: datetime) -> bool:
        """Return whether licences are missing that should have been made by now; the plan counts as it is."""
        return self.is_unfinished and not self.is_provisioning(now)


def chosen(now: datetime, *, enterprises: Collection[UUID] | None = None) -> dict[UUID, Choice]:
    """Return the plan that counts for each enterprise on an instant, in two statements; those without one are absent.

    With `enterprises` only theirs. Of several plans the one that ends first counts, then the one that started first,
    was made first, has the smaller uuid.
    """
    candidates = _candidates(now)
    if enterprises is not None:
        candidates = candidates.filter(customer_agreement__enterprise_customer_uuid__in=set(enterprises))
    firsts = _firsts(Candidate._make(row) for row in candidates.values_list(*COLUMNS))
    counted = counts([first.plan_uuid for first in firsts])
    return {first.enterprise_uuid: first.counting(*counted[first.plan_uuid]) for first in firsts}


def chosen_one(enterprise: UUID, now: datetime) -> Choice | None:
    """Return the plan that counts for one enterprise on an instant, if one does."""
    return chosen(now, enterprises=[enterprise]).get(enterprise)


def described(plan_uuids: Collection[UUID]) -> dict[UUID, Candidate]:
    """Return plans by uuid, whether they count or not, in one statement; their numbers are not read."""
    if not plan_uuids:
        return {}
    rows = SubscriptionPlan.objects.filter(pk__in=plan_uuids).values_list(*COLUMNS)
    return {plan.plan_uuid: plan for plan in map(Candidate._make, rows)}


def counts(plan_uuids: Collection[UUID]) -> defaultdict[UUID, Counts]:
    """Return the numbers of licences of each plan, in one statement."""
    found: defaultdict[UUID, Counts] = defaultdict(Counts)
    if not plan_uuids:
        return found
    # By plan and status, as the index has them: no row of the table is read.
    rows = License.objects.filter(subscription_plan__in=plan_uuids).exclude(status=License.REVOKED)
    grouped = rows.order_by().values_list("subscription_plan", "status").annotate(number=Count("*"))
    for plan_uuid, status, number in grouped:
        total, allocated = found[plan_uuid]
        found[plan_uuid] = Counts(total + number, allocated + (number if status in License.ALLOCATED else 0))
    return found


def _candidates(now: datetime) -> QuerySet[SubscriptionPlan]:
    return SubscriptionPlan.objects.filter(
        should_auto_apply_licenses=True, is_active=True, start_date__lte=now, expiration_date__gte=now
    )


def _firsts(candidates: Iterable[Candidate]) -> list[Candidate]:
    firsts: dict[UUID, Candidate] = {}
    for candidate in candidates:
        known = firsts.setdefault(candidate.enterprise_uuid, candidate)
        if candidate.rank < known.rank:
            firsts[candidate.enterprise_uuid] = candidate
    return [firsts[enterprise] for enterprise in sorted(firsts)]
