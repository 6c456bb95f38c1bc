"""The whole command where the platform is the directory: acceptance cases 16, 23, 24, 40, 42 and 43, and its rules."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from email_automation.models import EmailLog, MessageRun
from license_notifications.directory import platform
from license_notifications.models import EnterpriseAdmin, NotificationRun, NotificationTimestamp
from tests.license_notifications.lms import HANGS_UP, SERVICE, Lms, answers, stalls
from tests.license_notifications.scene import Enterprise, Ran, Scene

pytestmark = pytest.mark.every_database


@pytest.fixture
def lms(settings: Any) -> Iterator[Lms]:
    """The platform, whose answers say who the administrators are."""
    with Lms.running() as server:
        server.use(settings)
        yield server


def three(scene: Scene, lms: Lms, *, allocated: int = 8) -> list[Enterprise]:
    """Make three enterprises in the order of their uuids; the platform knows one administrator of each."""
    made = [scene.enterprise(10, allocated, admins=0) for _ in range(3)]
    made.sort(key=lambda each: each.uuid)
    for number, enterprise in enumerate(made, 1):
        link(scene, lms, enterprise, number)
    return made


def link(scene: Scene, lms: Lms, enterprise: Enterprise, number: int, *, days: float = 1, **changes: Any) -> Any:
    return lms.link(enterprise.uuid, number, joined_date=(scene.now - timedelta(days=days)).isoformat(), **changes)


def told(scene: Scene) -> Counter[str]:
    """How many messages were delivered about each enterprise."""
    return Counter(message.properties["enterprise_customer_id"] for message in scene.delivered)


def errors(ran: Ran) -> list[tuple[str, str, Any]]:
    assert ran.alert is not None
    return [(entry.severity, entry.step, entry.ids["enterprise"]) for entry in ran.alert.entries]


def directory() -> list[dict[str, Any]]:
    return list(EnterpriseAdmin.objects.order_by("pk").values())


def test_case_16_nobody_is_asked_about_who_is_not_told(scene: Scene, lms: Lms) -> None:
    scene.enterprise(10, 8, admins=0, is_active=False)
    scene.enterprise(0, 0, admins=0)
    asked = scene.enterprise(10, 8, admins=0)
    scene.run()
    assert [UUID(call.query["enterprise_customer_uuid"][0]) for call in lms.asked()] == [asked.uuid]


def test_case_23_three_pages_are_24_recipients_of_one_request(scene: Scene, lms: Lms) -> None:
    enterprise = scene.enterprise(100, 80, admins=0)
    for number in range(1, 25):
        link(scene, lms, enterprise, number)
    ran = scene.run()
    (request,) = scene.braze.requests
    assert len(request.json["recipients"]) == 24
    assert len(lms.asked()) == 3
    assert (ran.status, scene.kinds) == (0, ["M75"] * 24)
    assert "recipients=24" in ran.lines[0]


def test_case_23_an_id_on_two_pages_counts_once(scene: Scene, lms: Lms) -> None:
    enterprise = scene.enterprise(100, 80, admins=0)
    for number in (*range(1, 11), 10, 11):
        link(scene, lms, enterprise, number)
    scene.run()
    assert (len(lms.asked()), scene.kinds) == (2, ["M75"] * 11)
    assert NotificationTimestamp.objects.count() == 11


def test_case_24_what_counts_is_whether_the_account_is_active(scene: Scene, lms: Lms) -> None:
    enterprise = scene.enterprise(100, 80, admins=0)
    link(scene, lms, enterprise, 1, active=False)
    away = link(scene, lms, enterprise, 2, user={"is_active": False})
    ran = scene.run()
    assert [message.user for message in scene.delivered] == ["1001"]
    assert list(NotificationTimestamp.objects.values_list("ecu_id", flat=True)) == [1]
    assert (ran.status, ran.alert) == (0, None)
    assert "account_active=1" in ran.summary
    away["user"]["is_active"] = True
    before = len(scene.delivered)
    scene.run(days=7)
    later = scene.delivered[before:]
    assert {message.properties["notification_kind"] for message in later if message.user == "1002"} == {
        "threshold_75",
        "weekly",
    }


def test_case_40_a_platform_that_fails_for_one_enterprise_costs_only_that_one(scene: Scene, lms: Lms) -> None:
    first, second, third = three(scene, lms)
    lms.list_script.extend([None, *[answers(500)] * 3])
    ran = scene.run()
    assert told(scene) == {str(first.uuid): 1, str(third.uuid): 1}
    assert ran.status == 1
    assert errors(ran) == [("error", "directory", (str(second.uuid),))]
    assert ran.alert is not None and ran.alert.entries[0].ids["plan"] == (str(second.plans[0].uuid),)
    # Between the three tries, on the command's own clock.
    assert 2.4 <= ran.waited <= 3.6
    assert len(lms.asked()) == 5
    ran = scene.run(days=1)
    assert (ran.status, told(scene)[str(second.uuid)]) == (0, 1)
    assert sum(told(scene).values()) == 3


def test_case_40_a_page_that_times_out_leaves_everybody_of_the_enterprise_out(
    scene: Scene, lms: Lms, monkeypatch: Any
) -> None:
    monkeypatch.setattr(platform, "TIMEOUTS", (1, 0.1))
    first, second, third = three(scene, lms)
    scene.run()
    for number in range(11, 35):
        link(scene, lms, second, number)
    before = directory()
    lms.list_script.extend([None, None, *[stalls(0.3)] * 3])
    with scene.nothing_more():
        ran = scene.run(seconds=60)
    assert (ran.status, errors(ran)) == (1, [("error", "directory", (str(second.uuid),))])
    kept = [row for row in before if row["enterprise_customer_uuid"] == second.uuid]
    assert [row for row in directory() if row["enterprise_customer_uuid"] == second.uuid] == kept
    assert EnterpriseAdmin.objects.filter(enterprise_customer_uuid__in=(first.uuid, third.uuid)).count() == 2


@pytest.mark.parametrize(
    "step", [HANGS_UP, answers(503), answers(403), answers(200, "<html>"), answers(200, '{"results": 7}')]
)
def test_no_way_of_failing_stops_the_others(scene: Scene, lms: Lms, step: Any) -> None:
    first, second, third = three(scene, lms)
    lms.list_script.extend([step] * 3 if step in (HANGS_UP, answers(503)) else [step])
    ran = scene.run()
    assert told(scene) == {str(second.uuid): 1, str(third.uuid): 1}
    assert (ran.status, errors(ran)) == (1, [("error", "directory", (str(first.uuid),))])


def test_after_five_enterprises_in_vain_the_rest_is_asked_once_each(scene: Scene, lms: Lms) -> None:
    made = sorted((scene.enterprise(10, 8, admins=0) for _ in range(9)), key=lambda each: each.uuid)
    for number, enterprise in enumerate(made, 1):
        link(scene, lms, enterprise, number)
    lms.list_script.extend([answers(503)] * (5 * 3 + 2))
    ran = scene.run()
    assert set(told(scene)) == {str(each.uuid) for each in made[7:]}
    assert len(lms.asked()) == 5 * 3 + 2 + 2
    assert ran.status == 1
    # Once it answers, it is asked with patience again.
    lms.list_script.extend([None, answers(503), None])
    scene.run(seconds=60)
    assert len(told(scene)) == 9


def test_a_directory_that_failed_is_not_asked_again_for_the_second_message(scene: Scene, lms: Lms) -> None:
    enterprise = scene.enterprise(10, 8, admins=0)
    link(scene, lms, enterprise, 1, days=8)
    lms.list_script.append(answers(404))
    with scene.nothing_more():
        scene.run()
    assert len(lms.asked()) == 1
    scene.run(days=1)
    assert scene.kinds == ["M75", "W"]


def test_a_directory_that_lost_its_administrators_is_an_error_and_unlists_nobody(scene: Scene, lms: Lms) -> None:
    first, second, _ = three(scene, lms, allocated=1)
    scene.run()
    for each in (first, second):
        each.allocate(8)
    row = lms.people.pop(0)
    ran = scene.run(days=1)
    assert told(scene) == {str(second.uuid): 1}
    assert (ran.status, errors(ran)) == (1, [("error", "directory", (str(first.uuid),))])
    assert "directory lost its administrators" in str(ran.alert)
    assert EnterpriseAdmin.objects.get(ecu_id=1).listed
    lms.people.append(row)
    assert scene.run(days=1).status == 0
    assert told(scene)[str(first.uuid)] == 1


def test_an_answer_that_holds_only_the_service_account_is_as_good_as_empty(scene: Scene, lms: Lms) -> None:
    enterprise = scene.enterprise(10, 1, admins=0)
    link(scene, lms, enterprise, 1)
    scene.run()
    enterprise.allocate(8)
    link(scene, lms, enterprise, 2, user={"username": SERVICE})
    lms.caller_is_staff = False
    with scene.nothing_more():
        ran = scene.run(days=1)
    assert (ran.status, errors(ran)) == (1, [("error", "directory", (str(enterprise.uuid),))])


def test_who_is_named_no_more_is_told_no_more_and_keeps_the_row(scene: Scene, lms: Lms) -> None:
    enterprise = scene.enterprise(10, 1, admins=0)
    for number in (1, 2):
        link(scene, lms, enterprise, number)
    scene.run()
    enterprise.allocate(8)
    del lms.people[0]
    scene.run(days=1)
    assert [message.user for message in scene.delivered] == ["1002"]
    assert not EnterpriseAdmin.objects.get(ecu_id=1).listed


def test_weeks_count_from_what_the_platform_said_first(scene: Scene, lms: Lms) -> None:
    enterprise = scene.enterprise(10, 1, admins=0)
    row = link(scene, lms, enterprise, 1, days=5)
    scene.run()
    row["joined_date"] = (scene.now - timedelta(days=400)).isoformat()
    scene.run(days=1)
    assert scene.kinds == []
    scene.run(days=1)
    assert (scene.kinds, scene.row("weekly").slot) == (["W"], 1)


def test_case_42_a_rehearsal_asks_the_platform_and_keeps_nothing(scene: Scene, lms: Lms) -> None:
    for number, enterprise in enumerate(three(scene, lms)):
        for each in range(20):
            link(scene, lms, enterprise, 100 * number + 10 + each, days=8)
    lms.list_script.extend([None, None, None, *[answers(500)] * 3])
    rehearsed = scene.run("--dry-run")
    assert (rehearsed.status, len(rehearsed.lines), scene.braze.requests) == (1, 4, [])
    for model in (EnterpriseAdmin, NotificationTimestamp, NotificationRun, MessageRun, EmailLog):
        assert not model.objects.exists()
    assert rehearsed.alert is None
    lms.list_script.extend([None, None, None, *[answers(500)] * 3])
    ran = scene.run()
    assert rehearsed.lines == [line.replace("sent ", "would send ", 1) for line in ran.lines]
    lines = scene.run("--dry-run").lines
    assert lines == [line.replace("sent ", "would send ", 1) for line in scene.run().lines]
    assert len(lines) == 2


def test_case_43_nothing_says_who_the_platform_has_named(scene: Scene, lms: Lms, caplog: Any) -> None:
    caplog.set_level(logging.DEBUG)
    first, second, _ = three(scene, lms)
    for row in lms.people:
        row["user"] |= {"username": f"grace{row['id']}", "email": f"grace{row['id']}@example.org"}
    lms.list_script.extend([answers(403, "grace@example.org may not")])
    scene.braze.fail_next(
        1, status=400, message="grace2@example.org", properties={"enterprise_customer_id": str(second.uuid)}
    )
    ran = scene.run()
    assert ran.status == 1
    kept = [str(list(model.objects.values())) for model in (NotificationTimestamp, NotificationRun)]
    for text in (*kept, str(ran.alert), caplog.text, "\n".join(ran.out), ran.errors):
        assert "grace" not in text
    assert str(first.uuid) in str(ran.alert)
