"""The figures of a run: of each enterprise the plan that counts and its numbers, read once. Reads only."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from email_automation.pipeline.run import Run

from . import plans
from .conf import setting
from .models import THRESHOLD_75, THRESHOLD_100
from .plans import Choice

#: Under these names the job puts what it has read into a run's memory, for both of its messages.
CHOICES: Final = "license_choices"
UNREACHED: Final = "license_directories_unreached"


def choices(run: Run) -> Mapping[UUID, Choice]:
    """Return the plan that counts for each enterprise of a run."""
    only = [UUID(run.part)] if run.part else None
    return run.once(CHOICES, lambda: plans.chosen(run.now, enterprises=only))


def choices_of(run: Run, enterprises: Collection[UUID]) -> Mapping[UUID, Choice]:
    """Return the plans that count for some enterprises: as the run has read them, or read now, and only theirs."""
    known: Mapping[UUID, Choice] | None = run.memory.get(CHOICES)
    return plans.chosen(run.now, enterprises=enterprises) if known is None else known


def unreached(run: Run) -> Collection[UUID]:
    """Return the enterprises whose directory has not answered in this run."""
    nobody: frozenset[UUID] = frozenset()
    return run.once(UNREACHED, lambda: nobody)


def where(run: Run, holds: Callable[[Choice], bool]) -> list[UUID]:
    """Return the enterprises whose choice is such."""
    return [enterprise for enterprise, choice in choices(run).items() if holds(choice)]


def is_told(choice: Choice, now: datetime) -> bool:
    """Return whether there is anything to tell of an enterprise: it has licences, and they are all there."""
    return choice.total > 0 and not choice.is_provisioning(now)


def threshold(choice: Choice) -> str:
    """Return the kind of notice that a plan's numbers call for; of two reached thresholds the higher one."""
    if choice.reached_100:
        return THRESHOLD_100
    return THRESHOLD_75 if choice.reached_75 else ""


def told(choice: Choice, kind: str) -> dict[str, Any]:
    """Return what a notice says of an enterprise; every value is a JSON scalar."""
    return {
        "enterprise_customer_id": str(choice.enterprise_uuid),
        "enterprise_customer_name": choice.enterprise_name,
        "subscription_plan_uuid": str(choice.plan_uuid),
        "subscription_plan_title": choice.plan_title,
        "subscription_plan_expiration_date": choice.expiration_date.astimezone(UTC).date().isoformat(),
        "allocated_license_count": choice.allocated,
        "total_license_count": choice.total,
        "utilization_percentage": choice.percentage,
        "admin_portal_url": portal_url(choice.enterprise_slug),
        "notification_kind": kind,
    }


def portal_url(slug: str | None) -> str:
    """Return the page on which an enterprise's administrators manage their licences."""
    base = str(setting("ENTERPRISE_ADMIN_PORTAL_BASE_URL")).rstrip("/")
    return f"{base}/{slug}" if slug else base
