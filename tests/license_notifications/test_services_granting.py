"""A request for a licence …"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from license_notifications import plans, services
from license_notifications.models import License, LicenseGrant, SubscriptionPlan
from license_notifications.services import Granted, Learner, Refused
from tests.factories import LearnerProfileFactory, LicenseFactory, SubscriptionPlanFactory

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 3, 2, 6, tzinfo=UTC)
REQUEST = UUID(int=5)


@pytest.fixture
def plan() -> SubscriptionPlan:
    LearnerProfileFactory(lms_user_id=7, user__email="Ann@Example.com")
    return SubscriptionPlanFactory(licenses={"unassigned": 3})


def ask(plan: SubscriptionPlan, attempt: int = 1, **changes: Any) -> Granted | Refused:
    asked = {
        "enterprise_uuid": plan.customer_agreement.enterprise_customer_uuid,
        "plan_uuid": plan.pk,
        "lms_user_id": 7,
        "now": NOW,
        **changes,
    }
    return services.grant(asked.pop("request", REQUEST), attempt, **asked)


def license_of(answer: Granted | Refused) -> License:
    assert isinstance(answer, Granted)
    return License.objects.get(pk=answer.license_uuid)


def test_gets_the_oldest_free_licence(plan: SubscriptionPlan) -> None:
    oldest = LicenseFactory(subscription_plan=plan, created=NOW - timedelta(days=900))
    answer = ask(plan)
    assert answer == Granted(oldest.pk, plan.pk, is_new=True)
    given = license_of(answer)
    assert (given.status, given.lms_user_id, given.user_email) == (License.ASSIGNED, 7, "ann@example.com")
    assert (given.assigned_at, given.auto_applied) == (NOW, False)
    grant = LicenseGrant.objects.get()
    assert (grant.subsidy_request_uuid, grant.license, grant.attempt) == (REQUEST, oldest, 1)
    assert plans.counts([plan.pk])[plan.pk] == (4, 1)


@pytest.mark.parametrize("attempt", [1, 2])
def test_asked_again_gets_the_same_answer(plan: SubscriptionPlan, attempt: int) -> None:
    first = license_of(ask(plan))
    # Also when nothing could be granted any more.
    SubscriptionPlan.objects.update(is_active=False)
    assert ask(plan, attempt) == Granted(first.pk, plan.pk, is_new=False)
    assert LicenseGrant.objects.get().attempt == 1
    assert License.objects.filter(status=License.ASSIGNED).count() == 1


def test_whose_licence_was_taken_back_is_refused_until_it_is_approved_again(plan: SubscriptionPlan) -> None:
    first = license_of(ask(plan))
    services.revoke(first, now=NOW)
    assert ask(plan) == Refused("subsidy_revoked")
    second = license_of(ask(plan, 2))
    assert second != first
    grant = LicenseGrant.objects.get()
    assert (grant.license, grant.attempt) == (second, 2)
    # The old event comes late: what counts is what the request has now.
    assert ask(plan, 1) == Granted(second.pk, plan.pk, is_new=False)


def test_whose_licence_was_taken_back_keeps_its_grant_when_nothing_can_take_its_place(plan: SubscriptionPlan) -> None:
    services.revoke(license_of(ask(plan)), now=NOW)
    License.objects.filter(status=License.UNASSIGNED).delete()
    assert ask(plan, 2) == Refused("no_free_license")
    assert LicenseGrant.objects.get().attempt == 1
    assert ask(plan, 1) == Refused("subsidy_revoked")


def test_can_get_a_licence_of_another_plan_in_its_place(plan: SubscriptionPlan) -> None:
    services.revoke(license_of(ask(plan)), now=NOW)
    other = SubscriptionPlanFactory(customer_agreement=plan.customer_agreement, licenses={"unassigned": 1})
    assert license_of(ask(other, 2)).subscription_plan == other


REFUSALS: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({"plan_uuid": UUID(int=9), "lms_user_id": 404}, {}, "unknown_plan"),
    ({"enterprise_uuid": UUID(int=9), "lms_user_id": 404}, {"is_active": False}, "plan_of_other_enterprise"),
    ({"lms_user_id": 404}, {"is_active": False}, "plan_not_current"),
    ({}, {"start_date": NOW + timedelta(microseconds=1)}, "plan_not_current"),
    ({}, {"expiration_date": NOW - timedelta(microseconds=1)}, "plan_not_current"),
    ({"lms_user_id": 404}, {}, "learner_unknown"),
]


@pytest.mark.parametrize(("asked", "fields", "reason"), REFUSALS)
def test_is_refused_for_the_first_reason(
    plan: SubscriptionPlan, asked: dict[str, Any], fields: dict[str, Any], reason: str
) -> None:
    SubscriptionPlan.objects.update(**fields)
    License.objects.all().delete()
    assert ask(plan, **asked) == Refused(reason)
    assert not LicenseGrant.objects.exists()


@pytest.mark.parametrize("field", ["start_date", "expiration_date"])
def test_is_granted_at_the_very_ends_of_a_plan(plan: SubscriptionPlan, field: str) -> None:
    SubscriptionPlan.objects.update(**{field: NOW})
    assert isinstance(ask(plan), Granted)


def test_of_an_inactive_account_is_refused(plan: SubscriptionPlan) -> None:
    LearnerProfileFactory(lms_user_id=8, user__is_active=False)
    assert ask(plan, lms_user_id=8) == Refused("learner_unknown")


def test_case_7_is_granted_afresh_once_there_are_licences_again(plan: SubscriptionPlan) -> None:
    License.objects.all().delete()
    assert ask(plan) == Refused("no_free_license")
    assert not LicenseGrant.objects.exists()
    services.provision(plan, 1)
    license_of(ask(plan, 2))
    assert LicenseGrant.objects.get().attempt == 2


@pytest.mark.parametrize("held_by", [Learner(7), Learner(7, "old@example.com"), Learner(email="ANN@example.com")])
def test_case_8_of_a_learner_who_holds_one_is_granted_with_that_one(plan: SubscriptionPlan, held_by: Learner) -> None:
    held = services.assign(plan, held_by, now=NOW)
    assert ask(plan) == Granted(held.pk, plan.pk)
    # Two requests of one learner are answered with one licence.
    assert ask(plan, request=uuid4()) == Granted(held.pk, plan.pk)
    assert plans.counts([plan.pk])[plan.pk].allocated == 1


def test_case_8_also_where_none_is_free(plan: SubscriptionPlan) -> None:
    License.objects.all().delete()
    held = LicenseFactory(subscription_plan=plan, status=License.ACTIVATED, lms_user_id=7)
    assert ask(plan) == Granted(held.pk, plan.pk)


def test_is_not_answered_with_somebody_elses_licence_of_the_same_address(plan: SubscriptionPlan) -> None:
    other = services.assign(plan, Learner(8, "ann@example.com"), now=NOW)
    assert license_of(ask(plan)) != other


def test_of_an_account_without_address_leaves_the_licence_without_one(plan: SubscriptionPlan) -> None:
    LearnerProfileFactory(lms_user_id=9, user__email="")
    assert license_of(ask(plan, lms_user_id=9)).user_email is None
