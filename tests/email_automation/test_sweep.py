"""The sweep, retention, and how people are told of faults."""

from __future__ import annotations

import logging
from datetime import date, timedelta
from io import StringIO
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.core import mail
from django.core.management import call_command
from django.utils import timezone

from email_automation import alerts, tasks, words
from email_automation.models import EmailLog, MessageRun
from email_automation.pipeline import dispatch, ledger, message, sweep
from email_automation.pipeline.outcome import OURS, Tally
from schedules.models import ScheduleConfig
from tests.crowd import learners_due

pytestmark = pytest.mark.django_db

DAY = date(2017, 8, 1)
KIND = message.get("recurringnudge_day3")


@pytest.fixture
def rows(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Seven planned mails that nobody has delivered."""
    ScheduleConfig.objects.create(
        site_id=django_settings.SITE_ID, enqueue_recurring_nudge=True, deliver_recurring_nudge=True
    )
    learners_due(7, day=DAY)
    with monkeypatch.context() as patched:
        patched.setattr(dispatch, "_deliver_here", lambda *args: None)
        dispatch.run_daily(KIND, django_settings.SITE_ID, day=DAY)
    return list(EmailLog.objects.order_by("pk").values_list("pk", flat=True))


def by_status(status: str) -> list[int]:
    return list(EmailLog.objects.filter(status=status).order_by("pk").values_list("pk", flat=True))


def test_case_010_with_a_limit_the_urgent_ones_go_first(rows: list[int]) -> None:
    EmailLog.objects.filter(pk=rows[5]).update(priority=words.URGENT)
    EmailLog.objects.filter(pk=rows[0]).update(priority=words.LOW)
    EmailLog.objects.filter(pk=rows[3]).update(next_attempt_at=timezone.now() - timedelta(hours=1))
    assert sweep.sweep(limit=2)[words.SENT] == 2
    assert by_status(words.SENT) == [rows[3], rows[5]]
    assert sweep.sweep(limit=4)[words.SENT] == 4
    assert by_status(words.PENDING) == [rows[0]]


def test_it_decides_doubts_and_expiry_before_it_sends(rows: list[int]) -> None:
    past = timezone.now() - timedelta(seconds=1)
    EmailLog.objects.filter(pk=rows[0]).update(status=words.SENDING, lease_expires_at=past)
    EmailLog.objects.filter(pk=rows[1]).update(expires_at=past)
    seen: list[int] = []
    tally = sweep.sweep(progress=seen.append)
    assert (tally[words.UNKNOWN], tally.reasons, tally[words.SENT], sum(seen)) == (1, {"expired": 1}, 5, 5)
    record = MessageRun.objects.get()
    assert (record.status, record.sent, record.failed, record.skipped) == (MessageRun.DONE, 5, 1, {"expired": 1})


def test_an_error_that_ends_it_is_told_and_leaves_the_rest_for_the_next(
    rows: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(ledger, "lease", lambda ids: 1 / 0)
        out = StringIO()
        with pytest.raises(SystemExit) as ended:
            call_command("process_email_queue", stdout=out)
    assert ended.value.code == 1
    assert out.getvalue().startswith("process_email_queue sent=0")
    call_command("process_email_queue", stdout=StringIO())
    assert by_status(words.SENT) == rows


def test_the_task_sweeps_and_returns_counts(rows: list[int]) -> None:
    assert tasks.process_email_queue()[words.SENT] == 7
    assert tasks.process_email_queue().get(words.SENT, 0) == 0


def test_a_worker_tells_of_faults_too(rows: list[int], monkeypatch: pytest.MonkeyPatch, caplog: Any) -> None:
    monkeypatch.setattr("edx_ace.presentation.render", lambda *args: 1 / 0)
    with caplog.at_level(logging.ERROR, "courses.alerts"):
        tasks.deliver_mails(rows)
        EmailLog.objects.update(next_attempt_at=timezone.now())
        tasks.deliver_mails(rows)
    told = [record.getMessage() for record in caplog.records if record.name == "courses.alerts"]
    assert len(told) == 1
    assert "faults=7" in told[0]


def test_retention_follows_the_settings(rows: list[int], settings: Any) -> None:
    sweep.sweep()
    settings.EMAIL_LOG_DAYS, settings.EMAIL_LOG_CONTENT_DAYS = 60, 10
    EmailLog.objects.filter(pk=rows[0]).update(created_at=timezone.now() - timedelta(days=61))
    EmailLog.objects.filter(pk=rows[1]).update(created_at=timezone.now() - timedelta(days=11))
    assert tasks.cleanup_old_email_logs() == {"rows": 1, "contents": 1, "entries": 0, "bodies": 0}


# Alerts


def faults(number: int = 2) -> Tally:
    return Tally({OURS: number})


def test_by_default_an_alert_is_a_line_in_the_log_and_a_mail_to_admins(settings: Any, caplog: Any) -> None:
    settings.ADMINS = [("Ops", "ops@example.com")]
    alerts.announce("process_email_queue", faults(), errors=["OperationalError"])
    (sent,) = mail.outbox
    assert sent.to == ["ops@example.com"]
    assert "process_email_queue faults=2 errors=OperationalError" in sent.body
    (line,) = [record for record in caplog.records if record.name == "courses.alerts"]
    assert line.levelname == "ERROR"


def test_faults_of_mails_without_a_run_are_told_of_once_an_hour(caplog: Any) -> None:
    for _ in range(3):
        alerts.announce("process_email_queue", faults())
    assert len([record for record in caplog.records if record.name == "courses.alerts"]) == 1


def test_a_sink_that_fails_breaks_nothing_and_the_others_are_told(settings: Any, caplog: Any) -> None:
    settings.ALERT_SINKS = ["email_automation.nowhere", "email_automation.alerts.log_line"]
    alerts.announce("process_email_queue", faults())
    text = [record.getMessage() for record in caplog.records if record.name == "courses.alerts"]
    assert "alert sink email_automation.nowhere failed" in text[0]
    assert text[1] == "faults: process_email_queue faults=2"


def test_an_alert_goes_out_even_when_the_database_is_what_broke(monkeypatch: pytest.MonkeyPatch, caplog: Any) -> None:
    monkeypatch.setattr(alerts.runs, "first_fault", lambda run_id: 1 / 0)
    alerts.announce("schedules.recurringnudge_day3", Tally({OURS: 1, f"{OURS}:5": 1}))
    assert "faults: schedules.recurringnudge_day3 faults=1" in caplog.text
