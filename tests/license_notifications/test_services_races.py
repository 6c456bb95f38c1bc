"""Two at the same moment …"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from license_notifications import plans, services
from license_notifications.models import License, LicenseGrant
from license_notifications.services import Granted, Learner, Refused
from tests.courses.helpers import at_once
from tests.factories import LearnerProfileFactory, SubscriptionPlanFactory

pytestmark = pytest.mark.django_db(transaction=True)

WRITERS = 4
NOW = datetime(2026, 3, 2, 6, tzinfo=UTC)


def try_at_once(function: Callable[[int], Any]) -> list[Any]:
    """Run a function in several threads that start together; an error of ours is a result."""

    def run(number: int) -> Any:
        try:
            return function(number)
        except services.LicenseError as error:
            return error

    return at_once(run, WRITERS)


def kinds(results: list[Any]) -> list[str]:
    return sorted(type(result).__name__ for result in results)


@pytest.mark.parametrize("free", [1, 3])
def test_are_assigned_no_licence_twice(free: int) -> None:
    plan = SubscriptionPlanFactory(licenses={"unassigned": free})
    results = try_at_once(lambda number: services.assign(plan, Learner(number + 1), now=NOW))
    assert kinds(results) == ["License"] * free + ["NoFreeLicense"] * (WRITERS - free)
    assert len({result.pk for result in results if isinstance(result, License)}) == free
    assert plans.counts([plan.pk])[plan.pk] == (free, free)


@pytest.mark.parametrize("learner", [Learner(7), Learner(email="ann@example.com")])
def test_give_one_learner_one_licence(learner: Learner) -> None:
    plan = SubscriptionPlanFactory(licenses={"unassigned": 10})

    def give(number: int) -> License:
        if number % 2:
            return services.assign(plan, learner, now=NOW)
        return services.auto_apply(plan.customer_agreement, learner, now=NOW)

    assert kinds(try_at_once(give)) == ["AlreadyHeld"] * (WRITERS - 1) + ["License"]
    assert plans.counts([plan.pk])[plan.pk] == (10, 1)


def test_take_a_licence_back_once() -> None:
    plan = SubscriptionPlanFactory(licenses={"activated": 1})
    taken = plan.licenses.get()
    results = try_at_once(lambda _: services.revoke(License.objects.get(pk=taken.pk), now=NOW))
    assert kinds(results) == ["License"] + ["WrongStatus"] * (WRITERS - 1)
    assert plans.counts([plan.pk])[plan.pk] == (1, 0)


def test_provision_no_licence_too_many() -> None:
    plan = SubscriptionPlanFactory()
    made = try_at_once(lambda _: services.provision(type(plan).objects.get(pk=plan.pk), 1_000))
    assert sum(made) == 1_000
    plan.refresh_from_db()
    assert plans.counts([plan.pk])[plan.pk] == (1_000, 0)
    assert plan.provisioning_since is None


def test_freeze_a_plan_while_licences_are_given() -> None:
    plan = SubscriptionPlanFactory(licenses={"unassigned": 50, "activated": 3})

    def work(number: int) -> Any:
        if number == 0:
            return services.freeze(type(plan).objects.get(pk=plan.pk))
        return services.assign(plan, Learner(number), now=NOW)

    results = try_at_once(work)
    plan.refresh_from_db()
    total, allocated = plans.counts([plan.pk])[plan.pk]
    assert total == allocated == plan.desired_num_licenses == 3 + kinds(results).count("License")


def test_grant_a_repeated_event_once() -> None:
    LearnerProfileFactory(lms_user_id=7)
    plan = SubscriptionPlanFactory(licenses={"unassigned": 10})
    results = try_at_once(lambda _: _grant(plan, UUID(int=1), 7))
    assert len({result.license_uuid for result in results}) == 1
    assert sum(result.is_new for result in results) == 1
    assert LicenseGrant.objects.count() == 1
    assert plans.counts([plan.pk])[plan.pk].allocated == 1


def test_grant_one_request_once_whatever_plans_it_names() -> None:
    LearnerProfileFactory(lms_user_id=7)
    first = SubscriptionPlanFactory(licenses={"unassigned": 10})
    second = SubscriptionPlanFactory(licenses={"unassigned": 10}, customer_agreement=first.customer_agreement)
    results = try_at_once(lambda number: _grant((first, second)[number % 2], UUID(int=1), 7))
    assert len({(result.license_uuid, result.plan_uuid) for result in results}) == 1
    assert sum(counted.allocated for counted in plans.counts([first.pk, second.pk]).values()) == 1


def test_grant_the_last_licence_to_one_request() -> None:
    for number in range(WRITERS):
        LearnerProfileFactory(lms_user_id=number)
    plan = SubscriptionPlanFactory(licenses={"unassigned": 1})
    results = try_at_once(lambda number: _grant(plan, UUID(int=number), number))
    assert kinds(results) == ["Granted"] + ["Refused"] * (WRITERS - 1)
    assert LicenseGrant.objects.count() == 1


def _grant(plan: Any, request: UUID, lms_user_id: int) -> Granted | Refused:
    return services.grant(
        request,
        1,
        enterprise_uuid=plan.customer_agreement.enterprise_customer_uuid,
        plan_uuid=plan.pk,
        lms_user_id=lms_user_id,
        now=NOW,
    )
