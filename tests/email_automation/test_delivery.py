"""Delivery: what one call makes of some rows, and what one mail's trouble does to the others."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.contrib.sites.models import Site
from django.core import mail
from django.db import OperationalError, connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from courses.models import Course
from email_automation import consent, words
from email_automation.channels.mail import DjangoMailChannel
from email_automation.models import CourseOptOut, EmailLog
from email_automation.pipeline import dispatch, ledger, message, sweep, waiting
from email_automation.pipeline.delivery import deliver
from email_automation.pipeline.desk import Desk
from email_automation.pipeline.outcome import OURS
from schedules.resolver import LearnerResolver
from tests.crowd import learners_due
from tests.message_factories import NudgeDay3, NudgeDay10

pytestmark = pytest.mark.django_db

DAY = date(2017, 8, 1)
DAY3, DAY10 = message.get("recurringnudge_day3"), message.get("recurringnudge_day10")


@pytest.fixture
def site() -> Site:
    return Site.objects.get(pk=django_settings.SITE_ID)


@pytest.fixture
def plan(site: Site, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[int]]:
    """Plan a nudge for some new learners, and return the ids of the rows, which nobody has delivered."""
    factories = {DAY3: NudgeDay3(), DAY10: NudgeDay10()}
    factories[DAY3].switch(site, enqueue=True, deliver=True)

    def planned(number: int, kind: Any = DAY3, **options: Any) -> list[int]:
        people = [person.pk for person in factories[kind].due(number, day=DAY, site=site)]
        with monkeypatch.context() as patched:
            patched.setattr(dispatch, "_deliver_here", lambda *args: None)
            dispatch.run_daily(kind, site.pk, day=DAY, **options)
        rows = EmailLog.objects.filter(email_type=kind.NAME, status=words.PENDING, recipient__in=people)
        return list(rows.order_by("pk").values_list("pk", flat=True))

    return planned


@pytest.fixture
def at_hand_off(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[str], None]], None]:
    """Do something with the address of each mail right before it is handed to the provider."""

    def before(act: Callable[[str], None]) -> None:
        real = DjangoMailChannel.deliver

        def hand_over(channel: Any, letter: Any, rendered: Any) -> str:
            act(letter.recipient.email_address)
            return real(channel, letter, rendered)

        monkeypatch.setattr(DjangoMailChannel, "deliver", hand_over)

    return before


def row_of(pk: int) -> EmailLog:
    return EmailLog.objects.get(pk=pk)


def states() -> dict[str, int]:
    return dict(ledger.Tally(EmailLog.objects.values_list("status", flat=True))) if EmailLog.objects.exists() else {}


def mailed() -> list[str]:
    return sorted(sent.to[0] for sent in mail.outbox)


@pytest.mark.parametrize("number", [1, 50])
def test_a_mail_costs_one_statement(plan: Any, number: int) -> None:
    ids = plan(number)
    with CaptureQueriesContext(connection) as queries:
        assert deliver(ids)[words.SENT] == number
    # PostgreSQL takes two updates in one statement, which then begins with WITH.
    writes = [query["sql"] for query in queries.captured_queries if query["sql"].startswith(("UPDATE", "WITH"))]
    # The lease; then the first beginning, one statement between each two mails, and the last outcome.
    assert len(writes) == 1 + 1 + (number - 1) + 1
    assert len(queries) - len(writes) <= 16


def test_rows_that_are_not_ours_are_left_alone_and_not_counted(plan: Any) -> None:
    ids = plan(3)
    ledger.lease(ids[:1])
    EmailLog.objects.filter(pk=ids[1]).update(status=words.SENT)
    assert dict(deliver([*ids, 10**9])) == {words.SENT: 1}
    assert deliver(ids).total() == 0
    assert len(mail.outbox) == 1


def test_case_008_nothing_is_handed_off_after_an_opt_out_between_planning_and_hand_off(plan: Any) -> None:
    learners_due(999, day=DAY)
    plan(1)
    ids = list(EmailLog.objects.order_by("pk").values_list("pk", flat=True))
    assert len(ids) == 1000
    out = [row_of(pk).recipient_id for pk in ids[::10]]
    for user_id in out:
        consent.opt_out(user_id, DAY3.category, source="test")
    tally = deliver(ids)
    assert (tally[words.SENT], tally[words.SKIPPED]) == (900, 0)
    skipped = EmailLog.objects.filter(status=words.SKIPPED, reason="opted_out:reminder", dedupe_key=None)
    assert sorted(skipped.values_list("recipient_id", flat=True)) == sorted(out)
    assert len(mail.outbox) == 900


@pytest.mark.parametrize("how", ["category", "course", "everything"])
def test_an_opt_out_in_the_middle_of_a_slice_holds_for_the_mails_behind_it(
    plan: Any, at_hand_off: Any, how: str
) -> None:
    ids = plan(5)
    fourth = row_of(ids[3])

    def opt_out(address: str) -> None:
        if address != row_of(ids[1]).to_address:
            return
        if how == "course":
            for course in Course.objects.all():
                CourseOptOut.objects.create(user=fourth.recipient, course=course)
        else:
            switch = "is_subscribed" if how == "everything" else "reminder_emails"
            consent.set_preferences(fourth.recipient_id, {switch: False}, source="test")

    at_hand_off(opt_out)
    tally = deliver(ids)
    assert tally[words.SENT] == 4
    assert fourth.to_address not in mailed()
    # About one course of several a mail is only drafted anew; here none is left.
    sweep.sweep()
    assert row_of(fourth.pk).status == words.SKIPPED
    assert len(mail.outbox) == 4


def test_the_account_is_mailed_where_it_is_now(plan: Any) -> None:
    (pk,) = plan(1)
    person = row_of(pk).recipient
    person.email = "moved@example.com"
    person.save()
    deliver([pk])
    assert mailed() == ["moved@example.com"]
    assert row_of(pk).to_address == "moved@example.com"


def test_two_test_runs_to_one_address_are_both_sent(plan: Any, site: Site) -> None:
    plan(2, override="qa@example.com")
    plan(0, override="qa@example.com")
    ids = list(EmailLog.objects.values_list("pk", flat=True))
    assert len(ids) == 4
    assert deliver(ids)[words.SENT] == 4
    assert mailed() == ["qa@example.com"] * 4


def test_a_resolver_that_drafts_somebody_twice_mails_them_once(plan: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    real = LearnerResolver.drafts
    monkeypatch.setattr(LearnerResolver, "drafts", lambda *args: real(*args) * 2)
    assert deliver(plan(3))[words.SENT] == 3
    assert len(mail.outbox) == 3


def test_a_message_that_cannot_be_drafted_holds_up_no_other(plan: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: Any) -> None:
        raise ZeroDivisionError

    broken, good = plan(60), plan(3, DAY10)
    EmailLog.objects.filter(pk__in=broken).update(priority=words.URGENT)
    monkeypatch.setattr(DAY3.resolver, "drafts", fail)
    tally = sweep.sweep()
    assert (tally[words.SENT], tally[words.PENDING], tally[OURS]) == (3, 60, 60)
    assert {row_of(pk).status for pk in good} == {words.SENT}
    row = row_of(broken[0])
    assert (row.status, row.reason, row.attempts) == (words.PENDING, "broke_off", 1)
    assert row.next_attempt_at > timezone.now()
    monkeypatch.undo()
    EmailLog.objects.filter(status=words.PENDING).update(next_attempt_at=timezone.now())
    assert sweep.sweep()[words.SENT] == 60


def test_rows_of_a_message_that_is_not_known_here_wait(plan: Any) -> None:
    unknown, known = plan(2)
    EmailLog.objects.filter(pk=unknown).update(email_type="of_a_newer_version", priority=words.URGENT)
    assert sweep.sweep()[words.SENT] == 1
    assert row_of(known).status == words.SENT
    assert (row_of(unknown).status, row_of(unknown).attempts) == (words.PENDING, 0)


def test_when_somebody_interrupts_the_rest_is_free_at_once_and_one_mail_in_doubt(plan: Any, at_hand_off: Any) -> None:
    ids = plan(5)

    def interrupt(address: str) -> None:
        if address == row_of(ids[2]).to_address:
            raise KeyboardInterrupt

    at_hand_off(interrupt)
    with pytest.raises(KeyboardInterrupt):
        deliver(ids)
    assert states() == {words.SENT: 2, words.SENDING: 1, words.PENDING: 2}
    assert waiting.due_ids(10) == ids[3:]


def test_a_database_that_is_away_after_a_hand_off_leaves_one_mail_in_doubt(
    plan: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = plan(4)
    real, calls = ledger.writes.change_each, []

    def change_each(*args: Any) -> set[int]:
        calls.append(args)
        if len(calls) in (3, 4):
            raise OperationalError("the server is restarting")
        return real(*args)

    monkeypatch.setattr(ledger.writes, "change_each", change_each)
    monkeypatch.setattr(ledger, "turn", ledger._turn)
    tally = deliver(ids)
    # The second mail's outcome could not be written, nor when it was tried again.
    assert (tally[words.SENT], tally[words.PENDING], tally[OURS]) == (1, 2, 2)
    assert states() == {words.SENT: 1, words.SENDING: 1, words.PENDING: 2}
    assert len(mail.outbox) == 2


def test_an_outcome_that_could_not_be_written_at_first_is_written_before_the_slice_steps_back(
    plan: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = plan(4)
    real = Desk.prepare

    def prepare(desk: Desk, row: EmailLog, *args: Any) -> Any:
        if row.pk == ids[2]:
            raise OperationalError("gone for a moment")
        return real(desk, row, *args)

    monkeypatch.setattr(Desk, "prepare", prepare)
    tally = deliver(ids)
    assert (tally[words.SENT], tally[words.PENDING]) == (2, 2)
    assert states() == {words.SENT: 2, words.PENDING: 2}


def test_a_receiver_of_aces_signal_that_fails_does_not_undo_a_mail(plan: Any) -> None:
    from edx_ace.signals import ACE_MESSAGE_SENT

    def fail(**kwargs: Any) -> None:
        raise ZeroDivisionError

    ACE_MESSAGE_SENT.connect(fail)
    try:
        assert deliver(plan(1))[words.SENT] == 1
    finally:
        ACE_MESSAGE_SENT.disconnect(fail)


def test_a_second_attempt_carries_the_same_ids(plan: Any, at_hand_off: Any) -> None:
    (pk,) = plan(1)
    attempts = []

    def fail_once(address: str) -> None:
        attempts.append(row_of(pk).message_id)
        if len(attempts) == 1:
            raise ConnectionResetError

    at_hand_off(fail_once)
    assert deliver([pk])[words.PENDING] == 1
    EmailLog.objects.update(next_attempt_at=timezone.now())
    assert deliver([pk])[words.SENT] == 1
    assert attempts[0] == attempts[1] == mail.outbox[0].extra_headers["Message-ID"]
