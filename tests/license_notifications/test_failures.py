"""Acceptance cases 33 to 43: what a run does when something is wrong, and what it says."""

from __future__ import annotations

import io
import logging
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import call_command

from courses import alerts
from email_automation import words
from email_automation.models import EmailLog, MessageRun
from email_automation.pipeline import ledger, receipts
from license_notifications.models import (
    RUN_NAME,
    EnterpriseAdmin,
    NotificationRun,
    NotificationTimestamp,
    SubscriptionPlan,
)
from tests.license_notifications.scene import Ran, Scene

pytestmark = pytest.mark.every_database


def told_of(ran: Ran) -> list[tuple[str, str]]:
    """Return (severity, text) of the entries of a run's alert."""
    return [(entry.severity, entry.text) for entry in ran.alert.entries] if ran.alert else []


def test_case_33_a_full_window_is_waited_for(scene: Scene) -> None:
    scene.enterprise(100, 75)
    scene.braze.fail_next(1, status=429, reset=str(int(scene.now.timestamp()) + 30))
    ran = scene.run()
    assert (scene.kinds, len(scene.braze.requests), ran.status) == (["M75"], 2, 0)
    assert 29 <= ran.waited <= 31


def test_a_window_that_ends_later_is_not_waited_for(scene: Scene) -> None:
    scene.enterprise(100, 75)
    scene.braze.fail_next(1, status=429, reset=str(int(scene.now.timestamp()) + 61))
    ran = scene.run()
    assert (scene.kinds, len(scene.braze.requests), ran.status, ran.waited) == ([], 1, 1, 0)
    assert scene.row("threshold_75").state == "failed"


def test_a_third_full_window_in_a_row_fails_the_batch(scene: Scene) -> None:
    scene.enterprise(100, 75)
    scene.braze.fail_next(3, status=429, reset=str(int(scene.now.timestamp()) + 20))
    ran = scene.run()
    assert (scene.kinds, len(scene.braze.requests), ran.status) == ([], 3, 1)


def test_case_34_three_tries_and_no_more(scene: Scene) -> None:
    scene.enterprise(100, 75)
    scene.braze.fail_next(3, status=429)
    ran = scene.run()
    assert (scene.kinds, len(scene.braze.requests), ran.status) == ([], 3, 1)
    assert scene.row("threshold_75").state == "failed"
    assert 2.4 <= ran.waited <= 3.6
    scene.braze.clear()
    scene.braze.fail_next(1, status=502)
    scene.braze.fail_next(1, status=503)
    ran = scene.run(days=1)
    assert (scene.kinds, len(scene.braze.requests), ran.status) == (["M75"], 3, 0)


def test_case_35_one_enterprise_fails_and_the_others_are_told(scene: Scene) -> None:
    first, second, third = sorted((scene.enterprise(10, 8, admins=2) for _ in range(3)), key=lambda each: each.uuid)
    scene.braze.fail_next(3, status=500, properties={"enterprise_customer_id": str(first.uuid)})
    ran = scene.run()
    told = {message.properties["enterprise_customer_id"] for message in scene.delivered}
    assert told == {str(second.uuid), str(third.uuid)}
    assert ran.status == 1 and ran.alert is not None
    (entry,) = ran.alert.entries
    assert entry.ids["enterprise"] == (str(first.uuid),)
    assert entry.ids["plan"] == (str(first.plans[0].uuid),)
    ecus = EnterpriseAdmin.objects.filter(enterprise_customer_uuid=first.uuid).order_by("ecu_id")
    assert entry.ids["ecu"] == tuple(str(each.ecu_id) for each in ecus)
    assert scene.run(days=1).status == 0
    assert len(scene.delivered) == 6


def test_case_36_a_server_that_is_down_means_nothing_went_out(scene: Scene) -> None:
    scene.enterprise(10, 8)
    scene.braze.stop()
    ran = scene.run()
    assert (ran.status, scene.row("threshold_75").state) == (1, "failed")
    scene.braze.start()
    scene.run(days=1)
    assert scene.kinds == ["M75"]


def test_case_37_a_wrong_campaign_stops_only_its_own_notice(scene: Scene, settings: Any) -> None:
    scene.enterprise(10, 8, days=7)
    settings.BRAZE_CAMPAIGNS = {**settings.BRAZE_CAMPAIGNS, "license_utilization_75": "no-such-campaign"}
    ran = scene.run()
    assert (scene.kinds, len(scene.braze.requests), ran.status) == (["W"], 2, 1)
    assert any(severity == "error" and "Invalid Campaign ID" in text for severity, text in told_of(ran))


def test_a_campaign_that_is_not_configured_is_named(scene: Scene, settings: Any) -> None:
    scene.enterprise(10, 8, days=7)
    settings.BRAZE_CAMPAIGNS = {**settings.BRAZE_CAMPAIGNS, "license_utilization_75": ""}
    ran = scene.run()
    assert (scene.kinds, len(scene.braze.requests), ran.status) == (["W"], 1, 1)
    assert any("campaign not configured" in text for _, text in told_of(ran))


def test_case_38_a_refused_key_is_told_once(scene: Scene, settings: Any) -> None:
    for _ in range(3):
        scene.enterprise(10, 8)
    settings.BRAZE_API_KEY = "wrong"
    ran = scene.run()
    assert (len(scene.braze.requests), ran.status) == (3, 1)
    assert set(NotificationTimestamp.objects.values_list("state", flat=True)) == {"failed"}
    assert len(told_of(ran)) == 1


def test_case_39_a_yes_with_errors_is_sent_and_a_yes_nobody_can_read_is_in_doubt(scene: Scene) -> None:
    scene.enterprise(10, 8)
    scene.braze.fail_next(1, errors=("one attribute was not taken",))
    ran = scene.run()
    assert (ran.status, scene.row("threshold_75").state) == (0, "sent")
    ((severity, text),) = told_of(ran)
    assert severity == "warning" and "one attribute was not taken" in text
    second = scene.enterprise(10, 8)
    scene.braze.fail_next(1, status=200, body="<html>", accept=True)
    ran = scene.run()
    assert ran.status == 1
    assert scene.row("threshold_75", enterprise_customer_uuid=second.uuid).state == "unknown"


def test_a_mail_in_doubt_is_sent_once_more_by_the_next_run_and_then_never(scene: Scene) -> None:
    scene.enterprise(10, 8)
    scene.braze.fail_next(2, status=200, body="<html>", accept=True)
    scene.run()
    second = scene.run(days=1)
    row = scene.row("threshold_75")
    assert (row.state, row.resends, row.attempts) == ("unknown", 1, 2)
    assert ("warning", "threshold_75 sent again: the mail before was in doubt") in told_of(second)
    with scene.nothing_more():
        scene.run(days=1)


@pytest.mark.parametrize("allocated", [8, 10])
def test_a_mail_in_doubt_that_its_service_reports_is_not_sent_again(scene: Scene, allocated: int) -> None:
    scene.enterprise(10, allocated)
    scene.braze.fail_next(1, status=200, body="<html>", accept=True)
    scene.run()
    mail, row = EmailLog.objects.get(), NotificationTimestamp.objects.get(state="unknown")
    ledger.report(receipts.Receipt(word=words.DELIVERED, at=scene.now, reference=receipts.reference(mail)))
    row.refresh_from_db()
    assert (row.state, row.resends, row.last_sent_at, row.last_error) == ("sent", 0, mail.instant, "")
    with scene.nothing_more():
        scene.run(days=1)


def test_a_report_of_an_earlier_try_says_nothing_of_the_next(scene: Scene) -> None:
    scene.enterprise(10, 8)
    scene.braze.fail_next(2, status=200, body="<html>", accept=True)
    scene.run()
    scene.run(days=1)
    earlier = EmailLog.objects.earliest("pk")
    ledger.report(receipts.Receipt(word=words.DELIVERED, at=scene.now, reference=receipts.reference(earlier)))
    assert scene.row("threshold_75").state == "unknown"


def test_a_worker_that_fell_silent_leaves_a_mail_in_doubt(scene: Scene, monkeypatch: Any) -> None:
    scene.enterprise(10, 8)

    def killed(rows: Any) -> Any:
        raise SystemExit(9)

    with monkeypatch.context() as patch:
        patch.setattr(ledger, "finish_all", killed)
        assert scene.run().status == 9
    row = scene.row("threshold_75")
    assert (row.state, len(scene.delivered)) == ("claimed", 1)
    with scene.nothing_more():
        scene.run(seconds=600)
    scene.run(seconds=3600)
    row.refresh_from_db()
    assert (row.state, row.resends, row.attempts) == ("sent", 1, 2)


def test_a_claim_whose_mail_was_never_begun_has_failed_after_an_hour(scene: Scene, monkeypatch: Any) -> None:
    scene.enterprise(10, 8)

    def killed(beginnings: Any) -> Any:
        raise SystemExit(9)

    with monkeypatch.context() as patch:
        patch.setattr(ledger, "begin_all", killed)
        assert scene.run().status == 9
    with scene.nothing_more():
        scene.run(seconds=600)
    scene.run(seconds=3600)
    row = scene.row("threshold_75")
    assert (scene.kinds, row.state, row.resends, row.attempts) == (["M75"], "sent", 0, 2)


def test_after_five_batches_in_vain_the_rest_is_tried_once_each(scene: Scene) -> None:
    for _ in range(8):
        scene.enterprise(10, 8)
    scene.braze.fail_next(None, status=503)
    ran = scene.run()
    assert (len(scene.braze.requests), ran.status) == (5 * 3 + 3, 1)


def test_a_run_waits_ten_minutes_in_all(scene: Scene) -> None:
    for _ in range(14):
        scene.enterprise(10, 8)
    for turn in range(100):
        scene.braze.fail_next(1, status=429, reset=str(int(scene.now.timestamp()) + 55 * (turn + 1)))
    ran = scene.run()
    assert ran.status == 1
    assert ran.waited <= 600


def test_case_41_a_sink_that_raises_changes_nothing(scene: Scene, settings: Any, caplog: Any, monkeypatch: Any) -> None:
    told: list[Any] = []
    monkeypatch.setattr("tests.license_notifications.test_failures.SINK", told.append)
    settings.ALERT_SINKS = [f"{__name__}.broken_sink", f"{__name__}.working_sink"]
    scene.enterprise(10, 8)
    scene.braze.fail_next(1, status=400)
    ran = scene.run(tell=alerts.tell)
    assert ran.status == 1
    assert len(told) == 1
    assert "broken_sink" in caplog.text


def broken_sink(alert: alerts.Alert) -> None:
    raise RuntimeError("no")


SINK: Any = None


def working_sink(alert: alerts.Alert) -> None:
    SINK(alert)


@pytest.mark.parametrize("given", ["tomorrow", "2026-02-30", "2026-3-1", "2026-03-01T06:00", "", "2026-03-01T99:00Z"])
def test_case_41_a_bad_date_ends_in_one_line(scene: Scene, given: str, capsys: Any) -> None:
    scene.enterprise(10, 8)
    errors = io.StringIO()
    with pytest.raises(Exception) as caught:
        call_command("send_license_consumption_notifications", f"--date={given}", stderr=errors)
    assert getattr(caught.value, "returncode", None) == 2
    assert repr(given) in str(caught.value)
    assert not NotificationRun.objects.exists()


def test_a_date_far_ahead_needs_a_rehearsal(scene: Scene, settings: Any) -> None:
    settings.LICENSE_NOTIFICATION_ALLOW_TIME_TRAVEL = False
    scene.enterprise(10, 8)
    day = (scene.now + timedelta(days=2)).date().isoformat()
    with pytest.raises(Exception) as caught:
        scene.run("--date", day)
    assert getattr(caught.value, "returncode", None) == 2
    assert scene.run("--date", day, "--dry-run").lines
    settings.LICENSE_NOTIFICATION_ALLOW_TIME_TRAVEL = True
    assert scene.run("--date", day).status == 0


def test_case_42_a_dry_run_says_what_the_next_run_does(scene: Scene) -> None:
    for number in (3, 51, 1):
        scene.enterprise(10, 8, admins=number, days=7)
    scene.enterprise(10, 10, days=7)
    models = (NotificationTimestamp, NotificationRun, MessageRun, EmailLog)
    before = list(EnterpriseAdmin.objects.order_by("pk").values())
    rehearsed = scene.run("--dry-run")
    assert not any(model.objects.exists() for model in models)
    assert list(EnterpriseAdmin.objects.order_by("pk").values()) == before
    assert scene.braze.requests == []
    ran = scene.run()
    assert rehearsed.lines == [line.replace("sent ", "would send ", 1) for line in ran.lines]
    assert len(ran.lines) == 10
    assert rehearsed.summary.startswith(
        "DRY RUN send_license_consumption_notifications as_of=2026-03-02T06:00:00+00:00"
    )


def test_case_43_nothing_says_who_anybody_is(scene: Scene, caplog: Any) -> None:
    caplog.set_level(logging.DEBUG)
    enterprise = scene.enterprise(10, 8, admins=0, days=7)
    enterprise.admins(2, user_name="grace.hopper", email="grace.hopper@example.org", days=8)
    scene.braze.fail_next(1, status=400, message="grace.hopper@example.org is not welcome")
    ran = scene.run()
    kept = [str(list(model.objects.values())) for model in (NotificationTimestamp, NotificationRun)]
    for text in (*kept, str(ran.alert), caplog.text, "\n".join(ran.out), ran.errors):
        assert "grace" not in text
    assert scene.row("threshold_75", ecu_id=EnterpriseAdmin.objects.order_by("ecu_id").first().ecu_id).last_error


def test_an_enterprise_that_breaks_planning_does_not_hide_that_it_did(scene: Scene, monkeypatch: Any) -> None:
    from email_automation.pipeline import policy

    scene.enterprise(10, 8)

    def broken(*arguments: Any) -> Any:
        raise RuntimeError("grace@example.org")

    monkeypatch.setattr(policy, "verdicts", broken)
    ran = scene.run()
    assert ran.status == 1
    assert any("RuntimeError" in text for _, text in told_of(ran))
    record = NotificationRun.objects.get()
    assert (record.exit_code, record.status, record.message) == (1, MessageRun.DONE, RUN_NAME)
    assert SubscriptionPlan.objects.count() == 1
