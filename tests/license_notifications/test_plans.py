"""A plan that counts …"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from license_notifications.models import CustomerAgreement, SubscriptionPlan
from license_notifications.plans import Choice, chosen, chosen_one
from tests.factories import CustomerAgreementFactory, SubscriptionPlanFactory, add_licenses

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 3, 2, 6, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.fixture
def agreement() -> CustomerAgreement:
    return CustomerAgreementFactory()


def plan_of(agreement: CustomerAgreement, **fields: Any) -> SubscriptionPlan:
    """Store a plan that counts now."""
    return SubscriptionPlanFactory(
        **{
            "customer_agreement": agreement,
            "start_date": NOW - 30 * DAY,
            "expiration_date": NOW + 30 * DAY,
            "created": NOW - 40 * DAY,
            **fields,
        }
    )


def choice_of(agreement: CustomerAgreement, now: datetime = NOW) -> Choice | None:
    return chosen_one(agreement.enterprise_customer_uuid, now)


def numbers(total: int, allocated: int, **fields: Any) -> Choice:
    """Return a choice with these numbers."""
    return Choice(
        enterprise_uuid=UUID(int=1),
        enterprise_name="Acme",
        enterprise_slug=None,
        plan_uuid=UUID(int=2),
        plan_title="Plan",
        expiration_date=NOW,
        total=total,
        allocated=allocated,
        desired=fields.get("desired"),
        provisioning_since=fields.get("since"),
    )


@pytest.mark.parametrize(
    ("total", "allocated", "at_75", "at_100"),
    [
        (10_000, 7_499, False, False),
        (10_000, 7_500, True, False),
        (4, 3, True, False),
        (4, 2, False, False),
        (3, 2, False, False),
        (3, 3, True, True),
        (1, 0, False, False),
        (1, 1, True, True),
        (1_000_000, 749_999, False, False),
        (1_000_000, 750_000, True, False),
        (10**17, 3 * 10**17 // 4 - 1, False, False),
        (0, 0, False, False),
    ],
)
def test_cases_2_3_4_thresholds_are_exact(total: int, allocated: int, at_75: bool, at_100: bool) -> None:
    choice = numbers(total, allocated)
    assert (choice.reached_75, choice.reached_100) == (at_75, at_100)


@pytest.mark.parametrize(
    ("total", "allocated", "percentage"),
    [(10_000, 7_500, 75), (3, 2, 66), (1_000_000, 749_999, 74), (100, 100, 100), (0, 0, 0)],
)
def test_percentages_are_rounded_down(total: int, allocated: int, percentage: int) -> None:
    assert numbers(total, allocated).percentage == percentage


def test_case_5_revoked_licences_do_not_count(agreement: CustomerAgreement) -> None:
    plan_of(agreement, licenses={"assigned": 40, "activated": 35, "unassigned": 25, "revoked": 30})
    choice = choice_of(agreement)
    assert choice is not None
    assert (choice.total, choice.allocated, choice.reached_75) == (100, 75, True)


def test_case_5_nor_do_they_help_over_a_threshold(agreement: CustomerAgreement) -> None:
    plan_of(agreement, licenses={"assigned": 74, "unassigned": 26, "revoked": 50})
    choice = choice_of(agreement)
    assert choice is not None
    assert (choice.total, choice.allocated, choice.reached_75) == (100, 74, False)


@pytest.mark.parametrize(("days_of_a", "days_of_b", "title"), [(10, 200, "A"), (200, 10, "B")])
def test_case_13_ends_first(agreement: CustomerAgreement, days_of_a: int, days_of_b: int, title: str) -> None:
    for name, days, allocated in (("A", days_of_a, 5), ("B", days_of_b, 9)):
        licenses = {"activated": allocated, "unassigned": 10 - allocated}
        plan_of(agreement, title=name, expiration_date=NOW + days * DAY, licenses=licenses)
    choice = choice_of(agreement)
    assert choice is not None
    assert (choice.plan_title, choice.reached_75) == (title, title == "B")


@pytest.mark.parametrize("turned", [False, True])
def test_case_14_then_started_first_then_was_made_first(agreement: CustomerAgreement, turned: bool) -> None:
    later, earlier = NOW - 20 * DAY, NOW - 40 * DAY
    for field in ("start_date", "created"):
        rows = [{"title": "late", field: later}, {"title": "early", field: earlier}]
        for row in reversed(rows) if turned else rows:
            plan_of(agreement, **row)
        assert {getattr(choice_of(agreement), "plan_title", "") for _ in range(5)} == {"early"}
        agreement.plans.all().delete()


@pytest.mark.parametrize("turned", [False, True])
def test_case_14_then_has_the_smaller_uuid(agreement: CustomerAgreement, turned: bool) -> None:
    # Where the first bytes differ in case of letters, sign and byte order, databases disagree.
    uuids = sorted(UUID(text * 32) for text in ("0", "7", "8", "a", "f"))
    for uuid in reversed(uuids) if turned else uuids:
        plan_of(agreement, uuid=uuid, title=str(uuid))
    choice = choice_of(agreement)
    assert choice is not None
    assert choice.plan_uuid == uuids[0]


@pytest.mark.parametrize(
    ("start", "end", "counts"),
    [
        (-30 * DAY, -timedelta(seconds=1), False),
        (-30 * DAY, -timedelta(microseconds=1), False),
        (-30 * DAY, timedelta(), True),
        (timedelta(), 30 * DAY, True),
        (timedelta(microseconds=1), 30 * DAY, False),
    ],
)
def test_case_15_counts_from_its_start_to_its_end(
    agreement: CustomerAgreement, start: timedelta, end: timedelta, counts: bool
) -> None:
    plan_of(agreement, start_date=NOW + start, expiration_date=NOW + end)
    assert (choice_of(agreement) is not None) is counts


@pytest.mark.parametrize(
    "fields",
    [
        {"is_active": False},
        {"should_auto_apply_licenses": False},
        {"should_auto_apply_licenses": None},
        {"start_date": NOW + DAY},
    ],
)
def test_case_16_is_active_switched_on_and_has_started(agreement: CustomerAgreement, fields: dict[str, Any]) -> None:
    plan_of(agreement, **fields)
    assert chosen(NOW) == {}
    # It does not hide another one that does count.
    plan_of(agreement, title="Other", expiration_date=NOW + 300 * DAY)
    choice = choice_of(agreement)
    assert choice is not None
    assert choice.plan_title == "Other"


def test_is_one_for_each_enterprise(agreement: CustomerAgreement) -> None:
    other = CustomerAgreementFactory(enterprise_customer_slug=None)
    plan_of(agreement, title="A", licenses={"activated": 2})
    plan_of(other, title="B", licenses={"unassigned": 3})
    CustomerAgreementFactory()
    found = chosen(NOW)
    assert {choice.plan_title: (choice.total, choice.allocated) for choice in found.values()} == {
        "A": (2, 2),
        "B": (3, 0),
    }
    assert found[agreement.enterprise_customer_uuid].enterprise_name == agreement.enterprise_customer_name
    assert found[other.enterprise_customer_uuid].enterprise_slug is None
    assert list(chosen(NOW, enterprises=[other.enterprise_customer_uuid])) == [other.enterprise_customer_uuid]
    assert chosen(NOW, enterprises=[]) == {}


def test_is_found_in_two_statements_whatever_the_numbers() -> None:
    costs = []
    for more in (1, 49):
        for _ in range(more):
            add_licenses(plan_of(CustomerAgreementFactory()), activated=3, unassigned=1)
        with CaptureQueriesContext(connection) as queries:
            assert chosen(NOW)
        costs.append(len(queries))
    assert costs == [2, 2]


@pytest.mark.parametrize(
    ("desired", "ago", "provisioning", "stuck"),
    [
        (None, None, False, False),
        (10, timedelta(hours=1), False, False),
        (11, timedelta(0), True, False),
        (11, DAY - timedelta(microseconds=1), True, False),
        (11, DAY, False, True),
        # A host's bulk write stamps nothing; such a plan is not waited for for ever.
        (11, None, False, True),
    ],
)
def test_is_waited_for_while_licences_are_made(
    desired: int | None, ago: timedelta | None, provisioning: bool, stuck: bool
) -> None:
    choice = numbers(10, 5, desired=desired, since=None if ago is None else NOW - ago)
    assert (choice.is_provisioning(NOW), choice.is_stuck(NOW)) == (provisioning, stuck)


def test_is_waited_for_as_long_as_the_setting_says(settings: Any) -> None:
    settings.LICENSE_NOTIFICATION_PROVISIONING_GRACE_SECONDS = 60
    choice = numbers(10, 5, desired=11, since=NOW - timedelta(seconds=60))
    assert choice.is_stuck(NOW)
    assert choice.is_provisioning(NOW - timedelta(seconds=1))
