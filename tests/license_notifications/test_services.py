"""The numbers of a plan …"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext

from license_notifications import plans, services
from license_notifications.models import License, SubscriptionPlan
from license_notifications.services import Learner, provisioning
from tests.factories import CustomerAgreementFactory, LicenseFactory, SubscriptionPlanFactory

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 3, 2, 6, tzinfo=UTC)
ANN = Learner(7, "Ann@Example.com")


def numbers(plan: SubscriptionPlan) -> tuple[int, int]:
    return tuple(plans.counts([plan.pk])[plan.pk])


class TestProvisioning:
    """… grow and are frozen."""

    @pytest.mark.parametrize("n", [0, 1, 299, 300, 301, 650])
    def test_to_what_was_asked_for(self, n: int) -> None:
        plan = SubscriptionPlanFactory()
        assert services.provision(plan, n) == n
        assert numbers(plan) == (n, 0)
        assert (plan.desired_num_licenses, plan.provisioning_since) == (n, None)

    def test_in_steps_that_are_visible_one_by_one(self, monkeypatch: pytest.MonkeyPatch) -> None:
        plan, seen = SubscriptionPlanFactory(), []
        make = provisioning._make_some

        def watched(plan: SubscriptionPlan) -> int:
            made = make(plan)
            plan.refresh_from_db()
            seen.append((numbers(plan)[0], plan.desired_num_licenses, plan.provisioning_since is not None))
            return made

        monkeypatch.setattr(provisioning, "_make_some", watched)
        services.provision(plan, 650)
        assert seen == [(300, 650, True), (600, 650, True), (650, 650, False), (650, 650, False)]

    def test_again_after_a_break(self, monkeypatch: pytest.MonkeyPatch) -> None:
        plan = SubscriptionPlanFactory()
        with monkeypatch.context() as patch:
            patch.setattr(provisioning, "_make_some", lambda plan: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                services.provision(plan, 5)
        plan.refresh_from_db()
        assert plan.desired_num_licenses == 5
        assert plan.provisioning_since is not None
        assert services.provision(plan, 5) == 5
        assert services.provision(plan, 5) == 0
        assert (numbers(plan), plan.provisioning_since) == ((5, 0), None)

    def test_beside_revoked_ones(self) -> None:
        plan = SubscriptionPlanFactory(licenses={"activated": 2, "revoked": 3})
        assert services.provision(plan, 4) == 2
        assert numbers(plan) == (4, 2)

    def test_but_never_shrink(self) -> None:
        plan = SubscriptionPlanFactory(licenses={"activated": 2, "unassigned": 3})
        with pytest.raises(ValidationError, match="The plan has 5 licences already. Allowed: 5 or more"):
            services.provision(plan, 4)
        plan.refresh_from_db()
        assert plan.desired_num_licenses is None

    def test_freezing_leaves_what_is_taken(self) -> None:
        plan = SubscriptionPlanFactory(
            licenses={"activated": 2, "assigned": 1, "unassigned": 3, "revoked": 1}, desired_num_licenses=10
        )
        other = SubscriptionPlanFactory(licenses={"unassigned": 2})
        assert services.freeze(plan) == 3
        choice = plans.chosen_one(plan.customer_agreement.enterprise_customer_uuid, NOW)
        assert choice is not None
        assert (choice.total, choice.percentage, choice.is_unfinished, choice.desired) == (3, 100, False, 3)
        assert (plan.desired_num_licenses, plan.provisioning_since) == (3, None)
        assert numbers(other) == (2, 0)
        assert services.freeze(plan) == 0


class TestSaving:
    """… are compared with what is wanted when a plan is saved."""

    def test_wanting_more_is_stamped_once(self) -> None:
        plan = SubscriptionPlanFactory(desired_num_licenses=2)
        since = plan.provisioning_since
        assert since is not None
        plan.title = "Other"
        plan.save(update_fields=["title"])
        plan.refresh_from_db()
        assert plan.provisioning_since == since

    def test_and_the_stamp_goes_when_they_meet(self) -> None:
        plan = SubscriptionPlanFactory(desired_num_licenses=2)
        LicenseFactory.create_batch(2, subscription_plan=plan)
        plan.save(update_fields=["title"])
        plan.refresh_from_db()
        assert plan.provisioning_since is None

    def test_a_plan_ends_after_it_starts(self) -> None:
        plan = SubscriptionPlanFactory.build(
            customer_agreement=CustomerAgreementFactory(), start_date=NOW, expiration_date=NOW
        )
        with pytest.raises(ValidationError, match="expiration_date: must be after start_date"):
            plan.full_clean()
        with pytest.raises(IntegrityError), transaction.atomic():
            plan.save()

    def test_addresses_are_lower_case_whoever_writes_them(self) -> None:
        plan = SubscriptionPlanFactory()
        License.objects.bulk_create([License(subscription_plan=plan, user_email="Ann@Example.COM ")])
        assert License.objects.get(user_email="ANN@example.com").user_email == "ann@example.com"
        License.objects.update(user_email="BOB@example.com")
        assert License.objects.get().user_email == "bob@example.com"
        assert LicenseFactory(user_email="").user_email is None

    def test_nobody_holds_two_of_a_plan(self) -> None:
        plan, other = SubscriptionPlanFactory.create_batch(2)
        rows = [
            License(subscription_plan=plan, lms_user_id=7, status=License.REVOKED),
            License(subscription_plan=plan, lms_user_id=7, status=License.REVOKED),
            License(subscription_plan=plan, lms_user_id=7, status=License.ACTIVATED),
            License(subscription_plan=other, lms_user_id=7, status=License.ACTIVATED),
        ]
        License.objects.bulk_create(rows)
        with pytest.raises(IntegrityError), transaction.atomic():
            License.objects.bulk_create([License(subscription_plan=plan, lms_user_id=7, status=License.ASSIGNED)])


class TestGiving:
    """… follow licences that are given and taken back."""

    def test_the_oldest_is_assigned_then_activated(self) -> None:
        plan = SubscriptionPlanFactory()
        _young, old = (LicenseFactory(subscription_plan=plan, created=NOW - timedelta(days=days)) for days in (1, 2))
        given = services.assign(plan, ANN, now=NOW)
        assert given == old
        assert (given.status, given.lms_user_id, given.user_email) == (License.ASSIGNED, 7, "ann@example.com")
        assert (given.assigned_at, given.activated_at, given.auto_applied) == (NOW, None, False)
        assert numbers(plan) == (2, 1)
        later = NOW + timedelta(days=1)
        active = services.activate(given, now=later)
        assert (active.status, active.assigned_at, active.activated_at) == (License.ACTIVATED, NOW, later)
        assert numbers(plan) == (2, 1)

    def test_the_number_of_who_was_known_by_address_comes_with_activation(self) -> None:
        plan = SubscriptionPlanFactory(licenses={"unassigned": 1})
        given = services.assign(plan, Learner(email="ann@example.com"), now=NOW)
        assert services.activate(given, now=NOW, lms_user_id=7).lms_user_id == 7

    def test_somebody_else_cannot_activate(self) -> None:
        plan = SubscriptionPlanFactory(licenses={"unassigned": 1})
        given = services.assign(plan, ANN, now=NOW)
        with pytest.raises(ValidationError, match="somebody else's"):
            services.activate(given, now=NOW, lms_user_id=8)

    def test_nor_who_holds_another_one(self) -> None:
        plan = SubscriptionPlanFactory(licenses={"unassigned": 2})
        services.assign(plan, ANN, now=NOW)
        other = services.assign(plan, Learner(email="ann.other@example.com"), now=NOW)
        with pytest.raises(services.AlreadyHeld):
            services.activate(other, now=NOW, lms_user_id=7)

    @pytest.mark.parametrize("status", [License.UNASSIGNED, License.ACTIVATED, License.REVOKED])
    def test_only_what_is_assigned_is_activated(self, status: str) -> None:
        with pytest.raises(services.WrongStatus, match=f"is {status}. Allowed: assigned"):
            services.activate(LicenseFactory(status=status), now=NOW)

    @pytest.mark.parametrize(
        ("first", "again"),
        [
            (ANN, ANN),
            (ANN, Learner(7, "new@example.com")),
            (ANN, Learner(7)),
            (ANN, Learner(email="ANN@example.com")),
            (Learner(email="ann@EXAMPLE.com"), ANN),
            (Learner(email="ann@example.com"), Learner(email="ann@example.com")),
        ],
    )
    def test_nobody_is_given_two(self, first: Learner, again: Learner) -> None:
        plan = SubscriptionPlanFactory(licenses={"unassigned": 3})
        given = services.assign(plan, first, now=NOW)
        with pytest.raises(services.AlreadyHeld) as raised:
            services.assign(plan, again, now=NOW)
        assert raised.value.license == given
        assert "ann" not in str(raised.value).lower()
        assert numbers(plan) == (3, 1)

    def test_an_address_with_another_number_is_another_learner(self) -> None:
        plan = SubscriptionPlanFactory(licenses={"unassigned": 3})
        services.assign(plan, ANN, now=NOW)
        services.assign(plan, Learner(8, "ann@example.com"), now=NOW)
        assert numbers(plan) == (3, 2)

    def test_nothing_is_given_to_nobody(self) -> None:
        plan = SubscriptionPlanFactory(licenses={"unassigned": 1})
        with pytest.raises(ValidationError, match="Allowed: a learner with lms_user_id, email or both"):
            services.assign(plan, Learner(email=""), now=NOW)

    def test_nor_where_none_is_left(self) -> None:
        plan = SubscriptionPlanFactory(licenses={"activated": 1, "revoked": 1})
        with pytest.raises(services.NoFreeLicense, match=str(plan.pk)):
            services.assign(plan, ANN, now=NOW)

    @pytest.mark.parametrize("status", License.ALLOCATED)
    def test_what_is_taken_back_leaves_a_free_one(self, status: str) -> None:
        plan = SubscriptionPlanFactory(licenses={"activated": 2})
        taken = LicenseFactory(subscription_plan=plan, status=status, lms_user_id=7)
        free = services.revoke(taken, now=NOW)
        taken.refresh_from_db()
        assert (taken.status, taken.revoked_at, taken.held_by) == (License.REVOKED, NOW, None)
        assert (free.status, free.lms_user_id) == (License.UNASSIGNED, None)
        assert numbers(plan) == (3, 2)
        assert services.assign(plan, ANN, now=NOW) == free

    @pytest.mark.parametrize("status", [License.UNASSIGNED, License.REVOKED])
    def test_only_what_is_held_is_taken_back(self, status: str) -> None:
        license_ = LicenseFactory(status=status)
        with pytest.raises(services.WrongStatus, match=f"is {status}. Allowed: assigned, activated"):
            services.revoke(license_, now=NOW)
        assert License.objects.count() == 1


class TestApplyingByItself:
    """… follow licences that are applied by themselves."""

    def test_case_52_in_the_plan_that_notices_tell_of(self) -> None:
        agreement = CustomerAgreementFactory()
        soon, late = (
            SubscriptionPlanFactory(
                customer_agreement=agreement, licenses={"unassigned": 2}, expiration_date=NOW + timedelta(days=days)
            )
            for days in (10, 200)
        )
        given = services.auto_apply(agreement, ANN, now=NOW)
        assert given.subscription_plan == soon
        assert (given.status, given.auto_applied) == (License.ACTIVATED, True)
        assert (given.assigned_at, given.activated_at) == (NOW, NOW)
        choice = plans.chosen_one(agreement.enterprise_customer_uuid, NOW)
        assert choice is not None
        assert (choice.plan_uuid, choice.allocated) == (soon.pk, 1)
        assert numbers(late) == (2, 0)

    @pytest.mark.parametrize("fields", [{"is_active": False}, {"should_auto_apply_licenses": None}])
    def test_unless_no_plan_counts(self, fields: dict[str, Any]) -> None:
        plan = SubscriptionPlanFactory(licenses={"unassigned": 1}, **fields)
        with pytest.raises(services.NoPlan, match=str(plan.customer_agreement.pk)):
            services.auto_apply(plan.customer_agreement, ANN, now=NOW)

    def test_once(self) -> None:
        plan = SubscriptionPlanFactory(licenses={"unassigned": 2})
        services.auto_apply(plan.customer_agreement, ANN, now=NOW)
        with pytest.raises(services.AlreadyHeld):
            services.auto_apply(plan.customer_agreement, ANN, now=NOW)


def test_a_licence_costs_the_same_in_a_large_plan() -> None:
    costs = []
    for size in (1, 50):
        plan = SubscriptionPlanFactory(licenses={"unassigned": size, "activated": size})
        with CaptureQueriesContext(connection) as queries:
            services.assign(plan, ANN, now=NOW)
        costs.append(len(queries))
    assert costs[0] == costs[1]
