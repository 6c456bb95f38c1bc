"""The rules of who is told, each with a name and a sentence."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from django.db.models import Exists, OuterRef, Q, QuerySet

from email_automation.pipeline.conditions import Condition
from email_automation.pipeline.run import Run

from . import figures
from .models import THRESHOLD_75, THRESHOLD_100, WEEKLY, EnterpriseAdmin, NotificationTimestamp

WEEK: Final = timedelta(days=7)

#: The states of a row after which its thing is not told again; a mail in doubt is sent again once.
CLOSED: Final = Q(
    state__in=(NotificationTimestamp.CLAIMED, NotificationTimestamp.SENT, NotificationTimestamp.SUPERSEDED)
) | Q(state=NotificationTimestamp.UNKNOWN, resends__gte=1)


def rows_of_admin() -> QuerySet[NotificationTimestamp]:
    """Return what the memory has of the administrator that a query is about."""
    return NotificationTimestamp.objects.filter(
        enterprise_customer_uuid=OuterRef("enterprise_customer_uuid"), ecu_id=OuterRef("ecu_id")
    )


def this_week(run: Run) -> Q:
    """Return the rule that a weekly row is of the week the run falls into."""
    return Q(kind=WEEKLY, slot_start__gt=run.now - WEEK, slot_start__lte=run.now)


def week_of(anchor: datetime, now: datetime) -> int:
    """Return how many whole weeks have passed since an administrator became active; negative before."""
    return (now - anchor) // WEEK


def _chosen(run: Run) -> Q:
    return Q(enterprise_customer_uuid__in=list(figures.choices(run)))


def _has_licenses(run: Run) -> Q:
    return Q(enterprise_customer_uuid__in=figures.where(run, lambda choice: choice.total > 0))


def _provisioned(run: Run) -> Q:
    return Q(enterprise_customer_uuid__in=figures.where(run, lambda choice: not choice.is_provisioning(run.now)))


def _reached(run: Run) -> Q:
    return Q(enterprise_customer_uuid__in=figures.where(run, lambda choice: choice.reached_75))


def _fresh(run: Run) -> Q:
    silent = figures.unreached(run)
    return ~Q(enterprise_customer_uuid__in=list(silent)) if silent else Q()


def _first_of_person() -> Q:
    earlier = EnterpriseAdmin.objects.filter(
        enterprise_customer_uuid=OuterRef("enterprise_customer_uuid"),
        lms_user_id=OuterRef("lms_user_id"),
        listed=True,
        ecu_id__lt=OuterRef("ecu_id"),
    )
    return ~Q(Exists(earlier))


def _threshold_open(run: Run) -> Q:
    plans = [choice.plan_uuid for choice in figures.choices(run).values()]
    closed = rows_of_admin().filter(CLOSED, plan_uuid__in=plans)
    full = Q(enterprise_customer_uuid__in=figures.where(run, lambda choice: choice.reached_100))
    return (full & ~Q(Exists(closed.filter(kind=THRESHOLD_100)))) | (
        ~full & ~Q(Exists(closed.filter(kind__in=(THRESHOLD_75, THRESHOLD_100))))
    )


def _slot_due(run: Run) -> Q:
    told = rows_of_admin().filter(kind=WEEKLY).filter(Q(slot_start__gt=run.now) | (this_week(run) & CLOSED))
    return ~Q(Exists(told))


OF_PLAN: Final = (
    Condition("plan_chosen", _chosen, "The enterprise has a plan that counts at that moment"),
    Condition("plan_has_licenses", _has_licenses, "The plan has licences"),
    Condition("plan_provisioned", _provisioned, "The plan's licences have all been made, or should have been by now"),
    Condition("directory_fresh", _fresh, "The directory of administrators has answered in this run"),
)
THRESHOLD_REACHED: Final = Condition(
    "threshold_reached", _reached, "Three quarters of the plan's licences are assigned or activated"
)
OF_PERSON: Final = (
    Condition("admin_listed", Q(listed=True), "The directory names this person as an administrator"),
    Condition("first_of_person", _first_of_person(), "The enterprise lists the person under no smaller ECU"),
    Condition("account_active", Q(account_active=True), "The account on the platform is active"),
    Condition("has_address", ~Q(email=""), "The directory has an e-mail address of the person"),
)
THRESHOLD_OPEN: Final = Condition(
    "threshold_open", _threshold_open, "The person has not been told this or a higher threshold of the plan"
)
HAS_ANCHOR: Final = Condition(
    "has_anchor", Q(anchor_at__isnull=False), "It is known since when the person is an active administrator"
)
WEEK_OVER: Final = Condition(
    "week_over", lambda run: Q(anchor_at__lte=run.now - WEEK), "The person has been one for a whole week"
)
SLOT_DUE: Final = Condition("slot_due", _slot_due, "The person has not had the figures of the week")

UTILIZATION: Final = (*OF_PLAN, THRESHOLD_REACHED, *OF_PERSON, THRESHOLD_OPEN)
# Whose week is not due is not missed, so that is asked before what is wrong with the person.
DIGEST: Final = (*OF_PLAN, HAS_ANCHOR, WEEK_OVER, SLOT_DUE, *OF_PERSON)
