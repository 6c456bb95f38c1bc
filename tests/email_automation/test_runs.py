"""The memory of runs: opening, breaking off, closing, and which days are missed."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from django.conf import settings as django_settings

from email_automation import words
from email_automation.models import EmailLog, MessageRun
from email_automation.pipeline import ledger, message, runs
from email_automation.pipeline.outcome import Tally
from email_automation.pipeline.resolver import AudienceRow
from email_automation.pipeline.run import Run
from tests.factories import UserFactory

pytestmark = pytest.mark.django_db

KIND = message.get("recurringnudge_day3")
DAY = date(2017, 8, 4)
RUN = Run.starting(KIND.label(), django_settings.SITE_ID, now=datetime(2017, 8, 4, 6, tzinfo=UTC))


def opened(day: date = DAY) -> MessageRun:
    return runs.open_run(KIND, RUN.on(day))


def planned(statuses: list[str], *, skipped: dict[str, int] | None = None, attempts: int = 1) -> MessageRun:
    """Return a run that has been planned, with a row of each of these statuses."""
    record = opened()
    people = UserFactory.create_batch(len(statuses))
    rows = ledger.claim(
        KIND,
        RUN,
        [AudienceRow(person.pk, person.pk, f"x:{person.pk}") for person in people],
        addresses={person.pk: person.email for person in people},
        record=record,
    )
    for row, status in zip(rows, statuses, strict=True):
        word, _, reason = status.partition(":")
        EmailLog.objects.filter(pk=row.pk).update(status=word, reason=reason, attempts=attempts)
    left_out = Tally({f"skipped:{reason}": number for reason, number in (skipped or {}).items()})
    runs.end_planning(record, audience=len(statuses) + left_out.total(), skipped=left_out)
    return record


def refreshed(record: MessageRun) -> MessageRun:
    return MessageRun.objects.get(pk=record.pk)


def test_a_slot_has_one_run_however_often_it_is_opened() -> None:
    assert opened().pk == opened().pk
    assert opened(DAY - timedelta(days=1)).pk != opened().pk
    assert MessageRun.objects.count() == 2


def test_a_run_that_broke_off_runs_again_when_it_is_opened() -> None:
    record = opened()
    runs.break_off(record)
    assert refreshed(record).status == MessageRun.PARTIAL
    opened()
    assert refreshed(record).status == MessageRun.RUNNING


def test_a_finished_run_is_not_reopened_by_breaking_off() -> None:
    record = planned([words.SENT])
    runs.close_finished(record)
    runs.break_off(record)
    assert refreshed(record).status == MessageRun.DONE


@pytest.mark.parametrize(
    ("status", "attempts", "closed"),
    [
        (words.SENDING, 1, 0),
        (words.PENDING, 0, 0),
        (words.PENDING, 1, 1),
        (words.UNKNOWN, 1, 1),
        (words.FAILED, 1, 1),
        (words.SKIPPED, 0, 1),
    ],
)
def test_a_run_is_finished_when_every_mail_had_its_turn(status: str, attempts: int, closed: int) -> None:
    record = planned([words.SENT, status], attempts=attempts)
    assert runs.close_finished() == closed
    assert refreshed(record).status == (MessageRun.DONE if closed else MessageRun.PLANNED)


def test_a_run_that_is_still_being_planned_is_not_closed() -> None:
    opened()
    assert runs.close_finished() == 0


def test_the_figures_of_a_closed_run_add_up() -> None:
    statuses = [
        words.SENT,
        words.OPENED,
        words.BOUNCED,
        words.FAILED,
        words.UNKNOWN,
        words.PENDING,
        "skipped:stopped",
        "skipped:opted_out:goal",
        "skipped:opted_out:course",
    ]
    record = planned(statuses, skipped={"opted_out": 2, "inactive_user": 1})
    assert runs.close_finished(record) == 1
    record = refreshed(record)
    assert (record.sent, record.failed, record.retry, record.stopped) == (3, 2, 1, 1)
    assert record.skipped == {"opted_out": 4, "inactive_user": 1}
    parts = record.sent + record.failed + record.retry + record.stopped + sum(record.skipped.values())
    assert record.audience == parts == 12
    assert record.finished_at is not None


def test_the_figures_follow_the_retries_of_a_closed_run() -> None:
    record = planned([words.SENT, words.PENDING, words.PENDING], skipped={"inactive_user": 1})
    runs.close_finished()
    assert refreshed(record).retry == 2
    assert runs.recount() == 0
    first, second = EmailLog.objects.filter(status=words.PENDING)
    EmailLog.objects.filter(pk=first.pk).update(status=words.SENT)
    EmailLog.objects.filter(pk=second.pk).update(status=words.SKIPPED, reason=words.EXPIRED)
    assert [runs.recount(), runs.recount()] == [1, 0]
    record = refreshed(record)
    assert (record.sent, record.retry, record.audience) == (2, 0, 4)
    assert record.skipped == {"inactive_user": 1, "expired": 1}


def test_who_was_skipped_and_mailed_when_the_day_was_run_again_counts_once() -> None:
    record = planned(["skipped:stopped", "skipped:stopped", "skipped:expired"])
    first, second, _ = EmailLog.objects.order_by("pk")
    for row, status, reason in (
        (first, words.SKIPPED, words.STOPPED),
        (first, words.SENT, ""),
        (second, words.SENT, ""),
    ):
        EmailLog.objects.create(
            recipient=row.recipient,
            email_type=KIND.NAME,
            category="reminder",
            occasion=row.occasion,
            run=record,
            site_id=RUN.site_id,
            instant=RUN.now,
            expires_at=RUN.now,
            status=status,
            reason=reason,
        )
    runs.close_finished()
    record = refreshed(record)
    assert (record.audience, record.sent, record.stopped, record.skipped) == (3, 2, 0, {"expired": 1})


def test_only_one_of_many_closes_a_run() -> None:
    record = planned([words.SENT])
    assert [runs.close_finished(record), runs.close_finished(record)] == [1, 0]


def test_missed_days_are_those_no_finished_run_has_closed() -> None:
    assert runs.missed_days(KIND, RUN) == [date(2017, 8, 2), date(2017, 8, 3)]
    MessageRun.objects.create(message=KIND.label(), site_id=RUN.site_id, slot="2017-08-02", status=MessageRun.DONE)
    MessageRun.objects.create(message=KIND.label(), site_id=RUN.site_id, slot="2017-08-03", status=MessageRun.PARTIAL)
    assert runs.missed_days(KIND, RUN) == [date(2017, 8, 3)]


def test_a_planned_day_whose_mails_have_all_gone_is_not_missed() -> None:
    record = planned([words.SENT])
    MessageRun.objects.filter(pk=record.pk).update(slot="2017-08-03")
    assert runs.missed_days(KIND, RUN) == [date(2017, 8, 2)]


def test_the_first_fault_of_a_run_is_told_once_and_what_apps_remember_stays() -> None:
    record = opened()
    MessageRun.objects.filter(pk=record.pk).update(details={"theirs": 1})
    assert runs.first_fault(record.pk) == record
    assert runs.first_fault(record.pk) is None
    assert runs.first_fault(10**9) is None
    details: dict[str, Any] = refreshed(record).details
    assert details["theirs"] == 1
