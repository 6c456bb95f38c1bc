"""Acceptance cases 20 to 26: which administrators are told, and in how many requests."""

from __future__ import annotations

from typing import Any

import pytest

from email_automation import consent
from email_automation.models import EmailPreference
from license_notifications.models import EnterpriseAdmin, NotificationTimestamp
from tests.factories import EnterpriseAdminFactory
from tests.license_notifications.scene import Scene

pytestmark = pytest.mark.every_database


@pytest.mark.parametrize(("number", "sizes"), [(0, []), (3, [3]), (50, [50]), (51, [50, 1]), (101, [50, 50, 1])])
def test_case_20_fifty_recipients_a_request(scene: Scene, number: int, sizes: list[int]) -> None:
    scene.enterprise(100, 75, admins=number)
    ran = scene.run()
    assert [len(request.json["recipients"]) for request in scene.braze.requests] == sizes
    assert len(scene.delivered) == NotificationTimestamp.objects.filter(state="sent").count() == number
    assert (ran.status, len(ran.lines)) == (0, len(sizes))
    assert f"requests={len(sizes)} sent={number} " in ran.summary


def test_two_enterprises_never_share_a_request(scene: Scene) -> None:
    sizes = {str(scene.enterprise(100, 75, admins=number).uuid): number for number in (30, 51, 2, 30)}
    scene.run()
    found: dict[str, list[int]] = {}
    for request in scene.braze.requests:
        said = request.json
        found.setdefault(said["trigger_properties"]["enterprise_customer_id"], []).append(len(said["recipients"]))
    assert found == {uuid: [50, 1] if number == 51 else [number] for uuid, number in sizes.items()}
    assert list(found) == sorted(found)


def test_smaller_batches_are_a_setting(scene: Scene, settings: Any) -> None:
    settings.BRAZE_BATCH_SIZE = 2
    scene.enterprise(100, 75, admins=5)
    ran = scene.run()
    assert [len(request.json["recipients"]) for request in scene.braze.requests] == [2, 2, 1]
    assert len(ran.lines) == 3


@pytest.mark.parametrize("both", [True, False])
def test_case_21_who_administers_two_enterprises_gets_the_mails_of_both(scene: Scene, both: bool) -> None:
    first, second = scene.enterprise(10, 8 if both else 1, admins=0), scene.enterprise(10, 8, admins=0)
    for enterprise in (first, second):
        EnterpriseAdminFactory(enterprise_customer_uuid=enterprise.uuid, lms_user_id=7, joined_date=scene.now)
    scene.run()
    named = [message.properties["enterprise_customer_id"] for message in scene.delivered]
    assert named == sorted(str(each.uuid) for each in ((first, second) if both else (second,)))
    assert {message.user for message in scene.delivered} == {"7"}
    assert NotificationTimestamp.objects.values("ecu_id").distinct().count() == len(named)


def test_case_22_who_becomes_administrator_later_is_told_alone(scene: Scene) -> None:
    enterprise = scene.enterprise(10, 8, admins=2)
    scene.run()
    (late,) = enterprise.admins(1, days=0)
    scene.run(days=3)
    assert [message.user for message in scene.delivered[2:]] == [str(late.lms_user_id)]
    enterprise.allocate(10)
    (later,) = enterprise.admins(1, days=0)
    scene.run()
    told = zip(scene.kinds, scene.delivered, strict=True)
    assert [kind for kind, message in told if message.user == str(later.lms_user_id)] == ["M100"]


def test_case_24_an_account_that_is_off_is_told_when_it_is_on_again(scene: Scene) -> None:
    enterprise = scene.enterprise(10, 8, admins=0)
    (person,) = enterprise.admins(1, account_active=False)
    with scene.nothing_more():
        ran = scene.run()
    assert "(account_active=1)" in ran.summary
    assert not NotificationTimestamp.objects.exists()
    EnterpriseAdmin.objects.update(account_active=True)
    scene.run(days=5)
    assert (scene.kinds, scene.delivered[0].user) == (["M75"], str(person.lms_user_id))


def test_case_25_without_an_address_there_is_a_warning(scene: Scene) -> None:
    enterprise = scene.enterprise(10, 8)
    (silent,) = enterprise.admins(1, email="")
    ran = scene.run()
    assert (scene.kinds, ran.status) == (["M75"], 0)
    assert "skipped=1 (no_email_address=1)" in ran.summary
    assert ran.alert is not None
    (entry,) = ran.alert.entries
    assert (entry.severity, entry.ids["ecu"]) == ("warning", (str(silent.ecu_id),))


def test_case_26_who_has_opted_out_is_told_after_opting_in(scene: Scene) -> None:
    scene.enterprise(10, 8, days=8)
    scene.run("--dry-run")
    person = EnterpriseAdmin.objects.get()
    assert person.account is not None
    consent.opt_out(person.account.pk, "admin", source="test")
    with scene.nothing_more():
        ran = scene.run()
    assert "(opted_out=2)" in ran.summary and ran.status == 0
    assert not NotificationTimestamp.objects.exists()
    EmailPreference.objects.update(admin_emails=True)
    scene.run(days=1)
    assert scene.kinds == ["M75", "W"]


def test_the_address_is_that_of_the_directory(scene: Scene) -> None:
    enterprise = scene.enterprise(10, 8, admins=0)
    (person,) = enterprise.admins(1, email="office@example.org")
    assert person.account is not None
    person.account.email = "private@example.net"
    person.account.save()
    scene.run()
    assert [message.email for message in scene.delivered] == ["office@example.org"]


def test_a_suppressed_address_of_the_directory_gets_nothing(scene: Scene) -> None:
    enterprise = scene.enterprise(10, 8, admins=0)
    enterprise.admins(1, email="gone@example.org")
    consent.remember("gone@example.org", reason="bounce")
    with scene.nothing_more():
        assert "(suppressed=1)" in scene.run().summary
    assert not NotificationTimestamp.objects.exists()


def test_who_is_not_listed_any_more_is_told_nothing(scene: Scene) -> None:
    scene.enterprise(10, 8, days=8)
    EnterpriseAdmin.objects.update(listed=False)
    with scene.nothing_more():
        scene.run()
