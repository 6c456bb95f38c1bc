"""Acceptance cases 1 to 12: three quarters and all of the licences, told once each."""

from __future__ import annotations

import pytest

from email_automation.models import EmailLog
from license_notifications import services
from license_notifications.models import NotificationTimestamp
from license_notifications.services import Learner
from tests.factories import add_licenses
from tests.license_notifications.scene import Scene

pytestmark = pytest.mark.every_database


def test_case_01_three_quarters_are_told_once(scene: Scene) -> None:
    scene.enterprise(100, 75)
    ran = scene.run()
    assert scene.kinds == ["M75"]
    row = NotificationTimestamp.objects.get()
    assert (row.kind, row.state, row.last_sent_at, row.channel) == ("threshold_75", "sent", scene.now, "braze_campaign")
    assert (row.allocated, row.total, row.attempts, bool(row.dispatch_id)) == (75, 100, 1, True)
    assert (ran.status, ran.alert) == (0, None)
    with scene.nothing_more():
        again = scene.run(seconds=10)
    assert (again.status, again.alert, again.lines) == (0, None, [])
    assert "skipped=1 (already_sent=1)" in again.summary


@pytest.mark.parametrize(
    ("total", "allocated", "kinds"),
    [
        (4, 3, ["M75"]),
        (4, 2, []),
        (3, 2, []),
        (3, 3, ["M100"]),
        (1, 0, []),
        (1, 1, ["M100"]),
        (10_000, 7_499, []),
        (10_000, 7_500, ["M75"]),
    ],
)
def test_cases_02_and_03_the_arithmetic_is_exact(scene: Scene, total: int, allocated: int, kinds: list[str]) -> None:
    scene.enterprise(total, allocated)
    scene.run()
    assert scene.kinds == kinds
    assert NotificationTimestamp.objects.exists() == bool(kinds)
    if kinds == ["M75"]:
        assert scene.delivered[0].properties["utilization_percentage"] == 75


def test_case_05_revoked_licences_do_not_count(scene: Scene) -> None:
    first, second = scene.enterprise(0, 0), scene.enterprise(0, 0)
    add_licenses(first.plans[0], assigned=40, activated=35, unassigned=25, revoked=30)
    add_licenses(second.plans[0], assigned=74, unassigned=26, revoked=50)
    scene.run()
    (message,) = scene.delivered
    assert message.properties["enterprise_customer_id"] == str(first.uuid)
    assert (message.properties["allocated_license_count"], message.properties["total_license_count"]) == (75, 100)


def test_case_06_a_jump_to_all_tells_only_that(scene: Scene) -> None:
    enterprise = scene.enterprise(100, 70)
    scene.run()
    assert scene.kinds == []
    enterprise.allocate(100)
    scene.run(days=1)
    assert scene.kinds == ["M100"]
    assert scene.row("threshold_75").state == "superseded"
    assert scene.row("threshold_100").state == "sent"


@pytest.mark.parametrize(("days", "kinds"), [((75, 74, 75), ["M75"]), ((100, 99, 100), ["M100"])])
def test_case_07_falling_and_rising_again_tells_nothing_new(
    scene: Scene, days: tuple[int, ...], kinds: list[str]
) -> None:
    enterprise = scene.enterprise(100, days[0])
    for allocated in days:
        enterprise.allocate(allocated)
        scene.run(days=1)
    assert scene.kinds == kinds


def test_case_08_both_thresholds_are_told_as_they_are_reached(scene: Scene) -> None:
    enterprise = scene.enterprise(100, 75)
    scene.run()
    enterprise.allocate(100)
    scene.run(days=4)
    assert scene.kinds == ["M75", "M100"]
    assert {row.kind: row.state for row in NotificationTimestamp.objects.all()} == {
        "threshold_75": "sent",
        "threshold_100": "sent",
    }
    scene.run(days=1)
    assert scene.kinds == ["M75", "M100"]


def test_case_09_more_licences_arm_nothing_again(scene: Scene) -> None:
    enterprise = scene.enterprise(100, 75)
    scene.run()
    enterprise.allocate(75, of=200)
    scene.run(days=1)
    enterprise.allocate(150, of=200)
    scene.run(days=1)
    assert scene.kinds == ["M75"]


def test_case_10_a_plan_without_licences_uses_no_week_up(scene: Scene) -> None:
    enterprise = scene.enterprise(0, 0, admins=0)
    enterprise.admins(1, days=7)
    assert scene.run().status == 0
    assert not NotificationTimestamp.objects.exists()
    enterprise.allocate(1, of=10)
    scene.run(days=1)
    assert scene.kinds == ["W"]
    assert scene.row("weekly").slot == 1


def test_case_11_the_payload_says_what_the_record_asks_for(scene: Scene) -> None:
    enterprise = scene.enterprise(100, 75)
    scene.run()
    (request,) = scene.braze.requests
    sent = request.json
    assert sent["broadcast"] is False
    top = sent["trigger_properties"]
    assert {name: type(top[name]) for name in ("allocated_license_count", "total_license_count")} == {
        "allocated_license_count": int,
        "total_license_count": int,
    }
    assert top == {
        "enterprise_customer_id": str(enterprise.uuid),
        "enterprise_customer_name": enterprise.agreement.enterprise_customer_name,
        "subscription_plan_uuid": str(enterprise.plans[0].uuid),
        "subscription_plan_title": enterprise.plans[0].title,
        "subscription_plan_expiration_date": "2040-01-01",
        "allocated_license_count": 75,
        "total_license_count": 100,
        "utilization_percentage": 75,
        "admin_portal_url": f"https://portal.example.com/{enterprise.agreement.enterprise_customer_slug}",
        "notification_kind": "threshold_75",
    }
    (recipient,) = sent["recipients"]
    assert isinstance(recipient["external_user_id"], str)
    assert recipient["trigger_properties"] == {"user_name": f"admin{recipient['external_user_id']}"}
    assert recipient["send_to_existing_only"] is False
    assert recipient["attributes"] == {"email": f"admin{recipient['external_user_id']}@example.com"}


def test_case_12_a_failed_notice_is_told_next_day_with_that_days_numbers(scene: Scene) -> None:
    enterprise = scene.enterprise(100, 75)
    scene.braze.fail_next(1, status=400)
    assert scene.run().status == 1
    assert (scene.kinds, scene.row("threshold_75").state) == ([], "failed")
    enterprise.allocate(77)
    assert scene.run(days=1).status == 0
    assert scene.kinds == ["M75"]
    assert scene.delivered[0].properties["allocated_license_count"] == 77
    row = scene.row("threshold_75")
    assert (row.state, row.allocated, row.attempts, row.last_error) == ("sent", 77, 2, "")


def test_a_claim_that_all_is_told_supersedes_a_failed_lower_one(scene: Scene) -> None:
    enterprise = scene.enterprise(100, 75)
    scene.braze.fail_next(1, status=400)
    scene.run()
    enterprise.allocate(100)
    scene.run(days=1)
    assert (scene.kinds, scene.row("threshold_75").state) == (["M100"], "superseded")


def test_a_failed_higher_one_supersedes_nothing(scene: Scene) -> None:
    enterprise = scene.enterprise(100, 100)
    scene.braze.fail_next(1, status=400)
    scene.run()
    assert not NotificationTimestamp.objects.filter(kind="threshold_75").exists()
    enterprise.allocate(80)
    scene.run(days=1)
    assert scene.kinds == ["M75"]


def test_pruning_the_log_arms_nothing_again(scene: Scene) -> None:
    scene.enterprise(100, 75)
    scene.run()
    EmailLog.objects.all().delete()
    scene.run(days=100)
    assert scene.kinds == ["M75", "W"]


def test_a_licence_given_by_hand_counts_in_the_next_run(scene: Scene) -> None:
    enterprise = scene.enterprise(4, 2)
    scene.run()
    services.assign(enterprise.plans[0], Learner(1, "ada@example.com"), now=scene.now)
    scene.run(days=1)
    assert scene.kinds == ["M75"]
    assert enterprise.plans[0].licenses.count() == 4
