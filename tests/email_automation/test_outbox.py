"""The outbox: what waits in it, in which order it is claimed, and what happens to a key that is used again."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import pytest
from django.core import mail
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from courses.models import Enrollment
from email_automation import consent, tasks, triggers, words
from email_automation.models import EmailLog, EmailQueue, WeeklyProgressReport
from email_automation.pipeline import message, outbox, sweep
from email_automation.pipeline.outcome import OURS
from email_automation.services import EmailService
from tests import factories
from tests.smtp import Server, answers

pytestmark = pytest.mark.django_db

SERVICE = EmailService()
SENT_MAIL = {"custom_message": "x"}


@pytest.fixture
def ann() -> Any:
    return factories.UserFactory()


@pytest.fixture
def server(settings: Any) -> Iterator[Server]:
    with Server.running() as running:
        running.use(settings)
        yield running


def waiting(number: int = 1, **fields: Any) -> list[EmailQueue]:
    """Entries that are due and that nobody was woken up for."""
    return [
        EmailQueue.objects.create(
            **{"recipient": factories.UserFactory(), "email_type": "enrollment", "site_id": 1, **fields}
        )
        for _ in range(number)
    ]


def later() -> Any:
    """Sweep when every retry is due."""
    EmailLog.objects.filter(status=words.PENDING).update(next_attempt_at=timezone.now())
    return sweep.sweep()


def sent_to() -> list[str]:
    return [sent.to[0] for sent in mail.outbox]


class TestClaiming:
    def test_case_010_takes_the_urgent_ones_first_and_leaves_the_rest(self) -> None:
        (low,) = waiting(priority=words.LOW, scheduled_at=timezone.now() - timedelta(days=3))
        (normal,) = waiting(priority=words.NORMAL)
        (urgent,) = waiting(priority=words.URGENT)
        assert sweep.sweep(limit=2)[words.SENT] == 2
        assert sent_to() == [urgent.recipient.email, normal.recipient.email]
        assert EmailQueue.objects.get(is_processed=False) == low
        assert sweep.sweep()[words.SENT] == 1

    def test_goes_by_priority_and_then_by_age(self) -> None:
        now = timezone.now()
        made = {
            (priority, age): waiting(priority=priority, scheduled_at=now - timedelta(hours=age))[0].recipient.email
            for priority in (words.LOW, words.URGENT, words.NORMAL, words.HIGH)
            for age in (1, 3, 2)
        }
        assert sweep.sweep(limit=7)[words.SENT] == 7
        order = sorted(made, key=lambda key: (key[0], -key[1]))
        assert sent_to() == [made[key] for key in order[:7]]
        sweep.sweep()
        assert sent_to() == [made[key] for key in order]

    def test_leaves_what_is_not_due(self) -> None:
        waiting(scheduled_at=timezone.now() + timedelta(minutes=1))
        assert outbox.claim_due(10).entries == 0
        assert sweep.sweep()[words.SENT] == 0

    def test_leaves_a_message_that_is_not_known_here(self) -> None:
        (entry,) = waiting(email_type="of_a_newer_version")
        waiting()
        assert sweep.sweep()[words.SENT] == 1
        assert EmailQueue.objects.get(is_processed=False) == entry

    def test_marks_each_with_the_row_it_became(self) -> None:
        entries = waiting(3)
        claimed = outbox.claim_due(10)
        assert (claimed.entries, claimed.faulty, claimed.late) == (3, [], False)
        for entry in entries:
            entry.refresh_from_db()
            assert entry.is_processed
            assert entry.processed_at
            assert (entry.log.recipient, entry.log.status, entry.log.target_id) == (entry.recipient, "pending", None)

    def test_of_one_message_that_breaks_holds_up_nobody_elses_mail(self, monkeypatch: Any, caplog: Any) -> None:
        broken = waiting(2, email_type="new_content")
        fine = waiting(2)
        monkeypatch.setattr(message.get("new_content"), "on_claim", lambda run, rows: 1 / 0)
        tally = sweep.sweep()
        assert (tally[words.SENT], tally[OURS]) == (2, 2)
        assert sorted(sent_to()) == sorted(entry.recipient.email for entry in fine)
        assert set(EmailQueue.objects.filter(is_processed=False)) == set(broken)
        assert "could not be planned: ZeroDivisionError" in caplog.text
        monkeypatch.undo()
        assert sweep.sweep().total() > 0
        assert not EmailQueue.objects.filter(is_processed=False).exists()

    def test_of_what_a_resolver_cannot_find_holds_up_nobody_elses_mail(self, monkeypatch: Any) -> None:
        waiting(recipient=None, email_type="new_content", target_id=1)
        waiting()
        monkeypatch.setattr("email_automation.pipeline.outbox.planned", lambda *args: 1 / 0)
        tally = sweep.sweep()
        assert (tally[words.SENT], tally[OURS]) == (1, 1)

    def test_costs_the_same_for_one_and_for_fifty(self) -> None:
        costs = []
        for number in (1, 50):
            waiting(number)
            with CaptureQueriesContext(connection) as queries:
                outbox.claim_due(number)
            # SQLite takes at most so many parameters in a statement.
            costs.append(len([query for query in queries if not query["sql"].startswith(("INSERT", "UPDATE"))]))
        assert costs[0] == costs[1]

    def test_keeps_its_order_over_many_batches(self) -> None:
        waiting(120)
        (urgent,) = waiting(priority=words.URGENT)
        assert sweep.sweep()[words.SENT] == 121
        assert sent_to()[0] == urgent.recipient.email

    def test_skips_what_has_expired_and_says_so(self) -> None:
        now = timezone.now()
        waiting(2, scheduled_at=now - timedelta(hours=2), expires_at=now - timedelta(hours=1))
        waiting(1, expires_at=now + timedelta(hours=1))
        tally = sweep.sweep()
        assert (tally[words.SENT], tally.reasons) == (1, {"expired": 2})
        assert EmailLog.objects.filter(status=words.SKIPPED, reason=words.EXPIRED).count() == 2
        assert sweep.sweep()[words.SKIPPED] == 0


class TestAnOutage:
    def test_leaves_every_mail_waiting_and_then_sends_each_once(self, server: Server) -> None:
        entries = waiting(60)
        server.stop()
        tally = sweep.sweep()
        assert (tally[words.SENT], tally[words.PENDING]) == (0, 60)
        assert set(EmailLog.objects.values_list("status", flat=True)) == {words.PENDING}
        assert not EmailLog.objects.filter(next_attempt_at__lte=timezone.now()).exists()
        assert not EmailQueue.objects.filter(is_processed=False).exists()
        assert sweep.sweep()[words.SENT] == 0
        server.start()
        assert later()[words.SENT] == 60
        assert later()[words.SENT] == 0
        assert server.addresses == sorted(entry.recipient.email for entry in entries)

    def test_ends_a_mail_at_its_time(self, server: Server) -> None:
        waiting(expires_at=timezone.now() + timedelta(hours=1))
        server.stop()
        sweep.sweep()
        EmailLog.objects.update(expires_at=timezone.now())
        server.start()
        assert later().reasons == {"expired": 1}
        assert server.received == []

    def test_loses_no_call_and_no_word_of_it(self, server: Server, ann: Any) -> None:
        course = factories.CourseFactory(title="Tides")
        server.stop()
        assert SERVICE.send_email(ann, "enrollment", {"custom_message": "Hello"}, course=course) is False
        assert SERVICE.send_bulk_email([ann], "enrollment", course=course) == {"success": 0, "failed": 1, "skipped": 0}
        server.start()
        assert later()[words.SENT] == 2
        assert "Hello" in server.received[0].part("plain")
        assert all("Tides" in received.part("plain") for received in server.received)

    def test_sends_the_urgent_ones_first_when_it_is_over(self, server: Server) -> None:
        made = {priority: waiting(priority=priority)[0].recipient.email for priority in (words.LOW, words.URGENT)}
        server.stop()
        sweep.sweep()
        made[words.NORMAL] = waiting(priority=words.NORMAL)[0].recipient.email
        server.start()
        later()
        assert [received.recipients[0] for received in server.received] == [made[number] for number in sorted(made)]

    def test_case_011_refused_twice_for_now_a_call_is_one_mail(self, server: Server, ann: Any) -> None:
        server.script.extend([answers("END", "451 4.3.0 later"), answers("RCPT", "451 4.2.1 later still")])
        assert SERVICE.send_email(ann, "enrollment") is False
        gaps = []
        for _ in range(2):
            row = EmailLog.objects.get()
            assert (row.status, row.reason) == (words.PENDING, "try_again")
            assert row.error_message.startswith("451")
            gaps.append(row.next_attempt_at - row.updated_at)
            later()
        assert gaps[0] < gaps[1]
        row = EmailLog.objects.get()
        assert (row.status, row.attempts, row.error_message) == (words.SENT, 3, "")
        assert len(server.received) == 1
        assert server.received[0].message["Message-ID"] == row.message_id

    def test_case_011_refused_for_good_a_call_fails_at_once(self, server: Server, ann: Any) -> None:
        server.script.append(answers("END", "550 5.7.1 not wanted"))
        assert SERVICE.send_email(ann, "enrollment") is False
        row = EmailLog.objects.get()
        assert (row.status, row.attempts, row.error_message) == (words.FAILED, 1, "550 5.7.1 not wanted")
        later()
        assert server.received == []


class TestTheSameAgain:
    """A task somebody starts by hand, or a key somebody uses twice."""

    @pytest.fixture
    def enrollment(self, ann: Any) -> Enrollment:
        return factories.EnrollmentFactory(user=ann)  # type: ignore[return-value]  # what a factory makes

    @pytest.fixture
    def report(self, enrollment: Enrollment) -> WeeklyProgressReport:
        return WeeklyProgressReport.objects.create(
            user=enrollment.user, course=enrollment.course, week_start=date(2026, 2, 23), week_end=date(2026, 3, 1)
        )

    def test_is_not_mailed_twice(self, enrollment: Enrollment) -> None:
        assert len(triggers.enrollments([enrollment])) == 1
        assert triggers.enrollments([enrollment]) == []
        assert triggers.enrollments([enrollment], again=True) == []
        assert len(mail.outbox) == 1

    def test_is_mailed_after_all_when_it_was_skipped(self, enrollment: Enrollment) -> None:
        consent.opt_out(enrollment.user_id, "enrollment", source="test")
        triggers.enrollments([enrollment])
        consent.set_preferences(enrollment.user_id, {"enrollment_emails": True}, source="test")
        assert triggers.enrollments([enrollment]) == []
        assert len(triggers.enrollments([enrollment], again=True)) == 1
        assert len(mail.outbox) == 1
        assert EmailQueue.objects.get().log.status == words.SENT

    def test_is_not_mailed_beside_what_the_clock_has_sent(self, enrollment: Enrollment) -> None:
        from email_automation.pipeline import dispatch

        day = enrollment.created_at.date()
        assert dispatch.run_daily(message.get("enrollment"), 1, day=day).sent == 1
        triggers.enrollments([enrollment], again=True)
        assert len(mail.outbox) == 1
        assert EmailQueue.objects.get().log is None

    def test_keeps_what_a_mail_that_waits_is_drafted_from(
        self, server: Server, report: WeeklyProgressReport, enrollment: Enrollment
    ) -> None:
        server.stop()
        assert tasks.send_weekly_progress_email(report.pk) == {"queued": 1}
        entry = EmailQueue.objects.get()
        assert tasks.send_weekly_progress_email(report.pk) == {"queued": 0}
        assert EmailQueue.objects.get().log_id == entry.log_id is not None
        server.start()
        assert later()[words.SENT] == 1
        report.refresh_from_db()
        assert report.email_sent

    def test_of_a_report_without_an_enrolment_is_mailed_and_remembered(
        self, report: WeeklyProgressReport, enrollment: Enrollment
    ) -> None:
        enrollment.delete()
        assert tasks.send_weekly_progress_email(report.pk) == {"queued": 1}
        assert len(mail.outbox) == 1
        report.refresh_from_db()
        assert report.email_sent
        assert EmailLog.objects.get().status == words.SENT
        assert tasks.send_weekly_progress_email(report.pk) == {"queued": 0}

    def test_wakes_somebody_up_for_what_still_waits(self, enrollment: Enrollment, monkeypatch: Any) -> None:
        with monkeypatch.context() as patched:
            patched.setattr(outbox, "process", lambda ids: None)
            triggers.enrollments([enrollment])
        assert mail.outbox == []
        triggers.enrollments([enrollment], again=True)
        assert len(mail.outbox) == 1


def test_retention_takes_processed_entries_and_no_others() -> None:
    old, recent = waiting(2)
    outbox.claim_due(10)
    EmailQueue.objects.filter(pk=old.pk).update(processed_at=timezone.now() - timedelta(days=91))
    (unsent,) = waiting(scheduled_at=timezone.now() - timedelta(days=400), email_type="of_a_newer_version")
    assert tasks.cleanup_old_email_logs()["entries"] == 1
    assert set(EmailQueue.objects.all()) == {recent, unsent}


def test_the_log_names_nobody(ann: Any, caplog: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(message.get("enrollment"), "on_claim", lambda run, rows: 1 / 0)
    waiting(recipient=ann)
    with caplog.at_level(logging.DEBUG):
        sweep.sweep()
    text = "\n".join(record.getMessage() for record in caplog.records if record.name.startswith("email_automation"))
    assert "ZeroDivisionError" in text
    assert not any(word in text for word in (ann.email, ann.username, ann.last_name))
