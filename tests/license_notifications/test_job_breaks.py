"""A run in which something breaks: what goes on all the same, and what is told of it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError
from django.utils import timezone

from email_automation.models import EmailLog, MessageRun
from email_automation.pipeline import dispatch, ledger, patience
from license_notifications import job, parts
from license_notifications.directory import rows
from license_notifications.models import EnterpriseAdmin, NotificationRun, NotificationTimestamp
from license_notifications.models import NotificationTimestamp as Row
from tests.license_notifications.scene import Enterprise, Scene

pytestmark = pytest.mark.every_database


def three(scene: Scene) -> list[Enterprise]:
    return sorted((scene.enterprise(10, 8, days=8) for _ in range(3)), key=lambda each: each.uuid)


def killed(*arguments: Any) -> Any:
    raise SystemExit(9)


def test_an_enterprise_that_cannot_be_planned_stops_no_other(scene: Scene, monkeypatch: Any) -> None:
    first, second, third = three(scene)
    broken = EnterpriseAdmin.objects.get(enterprise_customer_uuid=second.uuid).pk
    real = ledger.claim

    def claim(message: Any, run: Any, wanted: Sequence[Any], **options: Any) -> list[EmailLog]:
        if any(row.target_id == broken for row in wanted):
            raise RuntimeError("grace@example.org")
        return real(message, run, wanted, **options)

    monkeypatch.setattr(ledger, "claim", claim)
    ran = scene.run()
    told = sorted(
        (message.properties["enterprise_customer_id"], kind)
        for message, kind in zip(scene.delivered, scene.kinds, strict=True)
    )
    assert told == [(str(each.uuid), kind) for each in (first, third) for kind in ("M75", "W")]
    assert ran.status == 1 and ran.alert is not None
    assert {entry.ids["enterprise"] for entry in ran.alert.entries} == {(str(second.uuid),)}
    assert "grace" not in str(ran.alert)


def test_a_hand_off_that_breaks_once_is_told_of_and_costs_nobody_a_notice(scene: Scene, monkeypatch: Any) -> None:
    three(scene)
    scene.enterprise(10, 8, admins=0).admins(1, days=8, account_active=False)
    real, broken = patience.deliver, []

    def deliver(log_ids: Sequence[int]) -> Any:
        if not broken:
            broken.append(log_ids)
            raise OperationalError("the database is away")
        return real(log_ids)

    monkeypatch.setattr(patience, "deliver", deliver)
    ran = scene.run()
    assert sorted(scene.kinds) == ["M75"] * 3 + ["W"] * 3
    assert set(Row.objects.values_list("state", flat=True)) == {"sent"}
    assert ran.status == 1 and ran.alert is not None
    (entry,) = ran.alert.entries
    assert (entry.step, "OperationalError" in entry.text) == ("claim", True)
    assert "account_active=2" in ran.summary


def test_an_enterprise_whose_directory_cannot_be_completed_stops_no_other(scene: Scene, monkeypatch: Any) -> None:
    first, second, third = three(scene)
    real = rows.fill

    def fill(found: Any) -> None:
        found = list(found)
        if any(row.enterprise_customer_uuid == second.uuid for row in found):
            raise RuntimeError("grace@example.org")
        real(found)

    # As a host leaves them that writes past `save`.
    EnterpriseAdmin.objects.update(account=None)
    monkeypatch.setattr(rows, "fill", fill)
    ran = scene.run()
    assert {message.properties["enterprise_customer_id"] for message in scene.delivered} == {
        str(first.uuid),
        str(third.uuid),
    }
    assert ran.status == 1 and ran.alert is not None
    (entry,) = ran.alert.entries
    assert (entry.step, entry.ids["enterprise"]) == ("directory", (str(second.uuid),))
    assert "grace" not in str(ran.alert)


def test_a_run_that_a_sweep_has_closed_meanwhile_ends_with_its_own_status(scene: Scene, monkeypatch: Any) -> None:
    scene.enterprise(10, 8)
    scene.braze.fail_next(1, status=400)
    real = dispatch.run_part

    def run_part(*arguments: Any, **options: Any) -> dispatch.Summary:
        summary = real(*arguments, **options)
        NotificationRun.objects.update(started_at=timezone.now() - timedelta(hours=3))
        parts.close_finished()
        return summary

    monkeypatch.setattr(job.dispatch, "run_part", run_part)
    ran = scene.run()
    assert ran.status == 1
    assert "400" in ran.errors
    assert NotificationRun.objects.get().status == MessageRun.DONE


def test_a_rehearsal_names_also_what_a_killed_run_has_left(scene: Scene, monkeypatch: Any) -> None:
    scene.enterprise(10, 8, admins=3, days=8)
    with monkeypatch.context() as patch:
        patch.setattr(ledger, "begin_all", killed)
        assert scene.run().status == 9
    assert scene.run("--dry-run", seconds=60).lines == ["would send " + line for line in remaining(scene)]
    rehearsed = scene.run("--dry-run", seconds=3600)
    assert set(Row.objects.values_list("state", flat=True)) == {"claimed"}
    ran = scene.run()
    assert rehearsed.lines == [line.replace("sent ", "would send ", 1) for line in ran.lines]
    assert len(ran.lines) == 2


def remaining(scene: Scene) -> list[str]:
    """What was not claimed by a run that was killed at its first hand-off: the week's figures."""
    (enterprise,) = set(EnterpriseAdmin.objects.values_list("enterprise_customer_uuid", flat=True))
    ecu_ids = EnterpriseAdmin.objects.order_by("ecu_id").values_list("ecu_id", flat=True)
    plan = NotificationTimestamp.objects.values_list("reported_plan_uuid", flat=True)[0]
    return [f"weekly enterprise={enterprise} plan={plan} recipients=3 ecu_ids={','.join(map(str, ecu_ids))}"]


@pytest.mark.parametrize("kept", [True, False])
def test_a_claim_of_all_allocated_that_ran_out_supersedes_three_quarters(
    scene: Scene, kept: bool, monkeypatch: Any
) -> None:
    scene.enterprise(10, 10)
    with monkeypatch.context() as patch:
        patch.setattr(ledger, "finish_all", killed)
        assert scene.run().status == 9
    if kept:
        # The provider's own report was quicker than the lease.
        EmailLog.objects.update(
            status="delivered", sent_at=scene.now, provider_message_id="a1", channel="braze_campaign"
        )
    else:
        EmailLog.objects.all().delete()
    ran = scene.run(seconds=7200)
    assert scene.row("threshold_75").state == "superseded"
    row = scene.row("threshold_100")
    if kept:
        assert (row.state, row.last_sent_at, row.dispatch_id, row.channel) == (
            "sent",
            scene.now - timedelta(seconds=7200),
            "a1",
            "braze_campaign",
        )
        assert ran.lines == []
    else:
        assert (row.state, row.resends) == ("sent", 1)


def test_what_a_sweep_holds_is_waited_for_without_haste(scene: Scene, monkeypatch: Any) -> None:
    scene.enterprise(10, 8)
    real = ledger.claim

    def claim(*arguments: Any, **options: Any) -> list[EmailLog]:
        claimed = real(*arguments, **options)
        held_until = timezone.now() + timedelta(seconds=100)
        EmailLog.objects.filter(pk__in=[row.pk for row in claimed]).update(lease_expires_at=held_until)
        return claimed

    monkeypatch.setattr(ledger, "claim", claim)
    ran = scene.run()
    assert (ran.status, scene.kinds) == (0, ["M75"])
    assert 100 <= ran.waited <= 102


def test_a_mail_whose_time_passes_while_it_waits_ends_with_its_run(scene: Scene, settings: Any) -> None:
    settings.LICENSE_NOTIFICATION_STALE_CLAIM_SECONDS = 60
    scene.enterprise(10, 8)
    for turn in (1, 2):
        scene.braze.fail_next(1, status=429, reset=str(int(scene.now.timestamp()) + 50 * turn))
    ran = scene.run()
    assert (ran.status, scene.row("threshold_75").state) == (1, "failed")
    assert 100 <= ran.waited <= 102
    scene.run(days=1)
    assert scene.kinds == ["M75"]
