"""The ledger, step by step: what each write does, and what it refuses to do."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple

import pytest
from django.conf import settings as django_settings
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from email_automation import words
from email_automation.models import EmailLog, EmailPreference
from email_automation.pipeline import ledger, message, outcome, waiting
from email_automation.pipeline.ledger import Prepared
from email_automation.pipeline.message import MessageType
from email_automation.pipeline.outcome import Outcome
from email_automation.pipeline.resolver import AudienceRow
from email_automation.pipeline.run import Run
from tests.factories import UserFactory

pytestmark = pytest.mark.django_db

KIND = message.get("recurringnudge_day3")
OTHER = message.get("recurringnudge_day10")
LEASE = timedelta(seconds=300)
SENT = Outcome.sent()
LATER = Outcome(status=words.PENDING, reason="try_again", detail="451 later")
FAILED = Outcome(status=words.FAILED, reason="refused", detail="550 no")
IN_DOUBT = Outcome(status=words.UNKNOWN, reason=words.IN_DOUBT)


def claim(
    number: int = 1, *, run: Run | None = None, people: list[Any] | None = None, gap: timedelta = timedelta(0)
) -> list[EmailLog]:
    """Claim a mail for some people, new ones unless given."""
    run = run or Run.starting(KIND.label(), django_settings.SITE_ID)
    people = people or UserFactory.create_batch(number)
    rows = [AudienceRow(person.pk, person.pk, f"{run.message}:{person.pk}:{run.day}") for person in people]
    addresses = {person.pk: person.email for person in people}
    return ledger.claim(message.get(run.message), run, rows, addresses=addresses, record=None, gap=gap)


def leased(number: int = 1) -> list[EmailLog]:
    rows = ledger.lease([row.pk for row in claim(number)])
    assert len(rows) == number
    return rows


def prepared(row: EmailLog) -> Prepared:
    return Prepared(
        to_address=row.to_address, channel="django_mail", subject="Hello", message_id="<1@example.com>", content=b"c"
    )


def begin(row: EmailLog) -> bool:
    return row.pk in ledger.begin_all([(row, prepared(row), LEASE)])


def finish(row: EmailLog, result: Outcome) -> Outcome | None:
    return ledger.finish_all([(row, result)])[0]


def begun(number: int = 1) -> list[EmailLog]:
    rows = leased(number)
    assert all(begin(row) for row in rows)
    return rows


class Step(NamedTuple):
    recorded: Outcome | None
    begun: bool


def follow(done: EmailLog, result: Outcome, row: EmailLog) -> Step:
    turn = ledger.turn([(done, result)], [(row, prepared(row), LEASE)])
    assert turn.begun <= {row.pk}
    return Step(turn.recorded[0], row.pk in turn.begun)


def stored(row: EmailLog) -> EmailLog:
    return EmailLog.objects.get(pk=row.pk)


def status(row: EmailLog) -> str:
    return stored(row).status


def make_due(**changes: Any) -> None:
    EmailLog.objects.filter(status=words.PENDING).update(next_attempt_at=timezone.now(), **changes)


def silence(*rows: EmailLog) -> None:
    """Let the leases of these rows run out."""
    EmailLog.objects.filter(pk__in=[row.pk for row in rows]).update(
        lease_expires_at=timezone.now() - timedelta(seconds=1)
    )


# Claiming


def test_claiming_twice_gives_the_rows_once() -> None:
    people = UserFactory.create_batch(3)
    first, second = claim(people=people), claim(people=[*people, UserFactory()])
    assert (len(first), len(second)) == (3, 1)
    assert EmailLog.objects.count() == 4
    assert {row.pk for row in first} | {row.pk for row in second} == set(EmailLog.objects.values_list("pk", flat=True))


def test_a_claimed_row_says_whom_it_is_for_and_until_when() -> None:
    run = Run.starting(KIND.label(), django_settings.SITE_ID, day=date(2017, 8, 1))
    (row,) = claim(run=run)
    row = stored(row)
    assert (row.status, row.attempts, row.email_type) == (words.PENDING, 0, KIND.NAME)
    assert (row.category, row.priority, row.day) == ("reminder", words.NORMAL, date(2017, 8, 1))
    assert row.to_address == row.recipient.email
    # Real time: the run's clock stands in 2017.
    assert row.expires_at - row.created_at == KIND.expiry(run) - run.now


def test_two_messages_about_the_same_thing_are_two_claims() -> None:
    people = UserFactory.create_batch(2)
    claim(people=people)
    assert len(claim(people=people, run=Run.starting(OTHER.label(), django_settings.SITE_ID))) == 2


def test_what_an_app_refuses_is_not_claimed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(KIND, "on_claim", classmethod(lambda cls, run, rows: list(rows)[1:]))
    rows = claim(3)
    assert len(rows) == EmailLog.objects.count() == 2


def test_an_error_of_an_app_leaves_no_claim(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(cls: Any, run: Run, rows: Any) -> None:
        raise RuntimeError

    monkeypatch.setattr(KIND, "on_claim", classmethod(refuse))
    with pytest.raises(RuntimeError), transaction.atomic():
        claim(2)
    assert not EmailLog.objects.exists()


@pytest.mark.parametrize(
    ("result", "free"), [(Outcome.skipped("stopped"), True), (FAILED, False), (SENT, False), (IN_DOUBT, False)]
)
def test_only_a_skipped_row_gives_its_key_back(result: Outcome, free: bool) -> None:
    (row,) = begun()
    finish(row, result)
    person = row.recipient
    assert bool(claim(people=[person])) is free
    assert stored(row).occasion


def test_paced_mails_become_due_one_after_the_other_behind_those_that_wait() -> None:
    gap = timedelta(hours=1)
    first, second = claim(3, gap=gap), claim(2, gap=gap)
    starts = [row.next_attempt_at for row in [*first, *second]]
    assert [later - earlier for earlier, later in zip(starts, starts[1:], strict=False)] == [gap] * 4
    assert len(waiting.due_ids(10)) == 1


def test_a_mail_that_waits_for_another_attempt_delays_no_paced_run() -> None:
    (row,) = begun()
    finish(row, LATER)
    (paced,) = claim(1, gap=timedelta(seconds=1))
    assert paced.next_attempt_at <= timezone.now()


# Leasing


def test_a_leased_row_is_nobody_elses() -> None:
    (row,) = leased()
    assert ledger.lease([row.pk]) == []
    assert waiting.due_ids(10) == []


def test_a_lease_that_ran_out_can_be_taken_and_the_old_holder_can_do_nothing() -> None:
    (old,) = leased()
    silence(old)
    (new,) = ledger.lease([old.pk])
    assert not begin(old)
    assert ledger.settle([old], FAILED).total() == 0
    ledger.release([old])
    assert begin(new)
    assert status(new) == words.SENDING


@pytest.mark.parametrize(
    "change",
    [
        {"next_attempt_at": timezone.now() + timedelta(days=1)},
        {"expires_at": timezone.now() - timedelta(days=1)},
        {"status": words.SKIPPED},
        {"status": words.SENT},
        {"email_type": "of_an_app_that_is_newer_than_this_process"},
    ],
    ids=lambda change: next(iter(change)),
)
@pytest.mark.parametrize("briefly", [False, True])
def test_what_is_not_due_or_not_ours_is_not_leased(change: dict[str, Any], briefly: bool) -> None:
    (row,) = claim()
    EmailLog.objects.filter(pk=row.pk).update(**change)
    assert ledger.lease([row.pk], briefly=briefly) == []
    assert waiting.due_ids(10) == []


def test_who_works_briefly_writes_nothing_about_new_rows_and_leases_the_others() -> None:
    new, tried, other = claim(3)
    EmailLog.objects.filter(pk=tried.pk).update(claim_token=None, attempts=1)
    ledger.lease([other.pk])
    rows = ledger.lease([new.pk, tried.pk, other.pk], briefly=True)
    assert [row.pk for row in rows] == [new.pk, tried.pk]
    assert {row.pk for row in rows} == set(waiting.due_ids(10)) | {tried.pk}
    assert stored(new).claim_token == new.claim_token
    assert stored(tried).lease_expires_at is not None
    assert len({row.worker_token for row in rows}) == 1
    assert [begin(row) for row in rows] == [True, True]
    assert {stored(row).claim_token for row in rows} == {rows[0].worker_token}
    assert ledger.finish_all([(row, SENT) for row in rows]) == [SENT, SENT]


def test_a_row_that_two_work_on_briefly_is_begun_by_one_and_ended_by_the_same() -> None:
    (row,) = claim()
    (one,), (other,) = (ledger.lease([row.pk], briefly=True) for _ in range(2))
    assert (begin(one), begin(other)) == (True, False)
    # As after a connection that broke: the same beginning is found written, another's is not.
    one.claim_token = row.claim_token
    assert (begin(one), begin(other)) == (True, False)
    assert (finish(other, SENT), finish(one, SENT)) == (None, SENT)
    assert ledger.settle([other], LATER).total() == 0
    assert status(row) == words.SENT


def test_what_is_taken_from_somebody_who_works_briefly_is_not_begun() -> None:
    (row,) = claim()
    (brief,) = ledger.lease([row.pk], briefly=True)
    (holder,) = ledger.lease([row.pk])
    ledger.release([brief])
    assert ledger.settle([brief], FAILED).total() == 0
    assert (begin(brief), begin(holder)) == (False, True)
    (row,) = claim()
    (brief,) = ledger.lease([row.pk], briefly=True)
    ledger.reconsider(row.recipient_id)
    assert not begin(brief)


def test_a_released_row_can_be_taken_at_once() -> None:
    (row,) = leased()
    ledger.release([row])
    assert len(ledger.lease([row.pk])) == 1


def test_urgent_rows_come_first_then_the_oldest() -> None:
    rows = claim(4)
    EmailLog.objects.filter(pk=rows[2].pk).update(priority=words.URGENT)
    EmailLog.objects.filter(pk=rows[1].pk).update(next_attempt_at=timezone.now() - timedelta(days=1))
    order = [rows[2].pk, rows[1].pk, rows[0].pk, rows[3].pk]
    assert waiting.due_ids(10) == order
    assert [row.pk for row in ledger.lease(sorted(order))] == order


@pytest.mark.parametrize("briefly", [False, True])
def test_what_is_equally_urgent_and_old_stays_in_the_order_given(briefly: bool) -> None:
    rows = claim(4)
    EmailLog.objects.filter(pk=rows[0].pk).update(priority=words.URGENT)
    order = [rows[2].pk, rows[1].pk, rows[3].pk]
    assert [row.pk for row in ledger.lease([*order, rows[0].pk], briefly=briefly)] == [rows[0].pk, *order]


def test_each_message_has_its_own_lease(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(OTHER, "lease", timedelta(seconds=3600))
    (short,), (long,) = claim(), claim(run=Run.starting(OTHER.label(), django_settings.SITE_ID))
    before = timezone.now()
    ledger.lease([short.pk, long.pk])
    ends = [stored(row).lease_expires_at for row in (short, long)]
    assert [round((end - before).total_seconds(), -2) for end in ends if end] == [300, 3600]


# Handing off


def test_beginning_writes_down_what_is_handed_off() -> None:
    (row,) = begun()
    row = stored(row)
    assert (row.status, row.attempts, row.channel, row.subject) == (words.SENDING, 1, "django_mail", "Hello")
    assert (row.message_id, bytes(row.content or b"")) == ("<1@example.com>", b"c")


@pytest.mark.parametrize("taken", [words.SKIPPED, words.SENT, words.SENDING])
def test_begin_refuses_a_row_that_is_not_pending_any_more(taken: str) -> None:
    (row,) = leased()
    EmailLog.objects.filter(pk=row.pk).update(status=taken, claim_token=None)
    assert not begin(row)
    assert stored(row).attempts == 0


def test_begin_refuses_a_row_that_an_opt_out_withdrew() -> None:
    (row,) = leased()
    EmailPreference(user=row.recipient, reminder_emails=False).save()
    assert not begin(row)
    assert (status(row), stored(row).reason) == (words.SKIPPED, "opted_out:reminder")


def test_finishing_one_and_beginning_the_next_is_one_statement() -> None:
    first, second = leased(2)
    begin(first)
    with CaptureQueriesContext(connection) as queries:
        step = follow(first, Outcome.sent("id-1"), second)
    assert len(queries) == 1
    assert step == (Outcome.sent("id-1"), True)
    assert (status(first), status(second)) == (words.SENT, words.SENDING)
    assert (stored(first).provider_message_id, stored(second).provider_message_id) == ("id-1", "")
    assert stored(first).sent_at is not None
    assert (stored(second).sent_at, stored(second).attempts, stored(first).attempts) == (None, 1, 1)
    assert bytes(stored(second).content or b"") == b"c"


@pytest.mark.parametrize("result", [SENT, LATER, FAILED, IN_DOUBT], ids=lambda result: result.status)
def test_an_outcome_is_written_whatever_follows(result: Outcome) -> None:
    first, second = leased(2)
    begin(first)
    step = follow(first, result, second)
    assert step.begun
    assert step.recorded is not None
    assert step.recorded.status == status(first) == result.status
    assert stored(first).lease_expires_at is None
    assert stored(second).lease_expires_at is not None


def test_when_the_second_row_is_withdrawn_the_first_is_finished_and_nothing_begun() -> None:
    first, second = leased(2)
    begin(first)
    EmailPreference(user=second.recipient, is_subscribed=False).save()
    step = follow(first, SENT, second)
    assert (step.recorded, step.begun) == (SENT, False)
    assert (status(first), status(second)) == (words.SENT, words.SKIPPED)


def test_when_the_first_row_is_taken_over_the_second_begins_all_the_same() -> None:
    first, second = leased(2)
    begin(first)
    EmailLog.objects.filter(pk=first.pk).update(status=words.PENDING, claim_token=None, doubts=1)
    step = follow(first, SENT, second)
    assert (step.recorded, step.begun) == (None, True)
    assert (status(first), status(second)) == (words.PENDING, words.SENDING)


def test_when_both_rows_are_lost_nothing_is_written() -> None:
    first, second = leased(2)
    begin(first)
    EmailLog.objects.filter(pk=first.pk).update(status=words.PENDING, claim_token=None)
    ledger.withdraw(EmailPreference(user=second.recipient, is_subscribed=False))
    step = follow(first, SENT, second)
    assert (step.recorded, step.begun) == (None, False)
    assert (status(first), status(second)) == (words.PENDING, words.SKIPPED)


def test_a_step_that_is_said_again_finds_itself_done() -> None:
    first, second = leased(2)
    begin(first)
    assert follow(first, SENT, second) == follow(first, SENT, second) == (SENT, True)
    assert stored(second).attempts == 1


def test_a_deleted_row_holds_up_nothing() -> None:
    first, second = leased(2)
    begin(first)
    EmailLog.objects.filter(pk=first.pk).delete()
    assert follow(first, SENT, second) == (None, True)


def test_what_a_database_cannot_store_does_not_keep_an_outcome_from_being_written() -> None:
    (row,) = begun()
    detail = "550 \0 no \udcff" + "x" * 5000
    finish(row, Outcome(status=words.FAILED, reason="r" * 300, detail=detail))
    row = stored(row)
    assert (row.status, len(row.reason)) == (words.FAILED, 100)
    assert row.error_message.startswith("550  no ?xxx")


# Trying again


def test_the_gaps_between_attempts_grow_and_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outcome.random, "uniform", lambda low, high: 1.0)
    (row,) = claim()
    gaps = []
    for attempt in range(1, KIND.max_attempts + 1):
        make_due()
        (row,) = ledger.lease([row.pk])
        assert begin(row)
        written = finish(row, LATER)
        assert stored(row).attempts == attempt
        if status(row) == words.PENDING:
            gaps.append((stored(row).next_attempt_at - stored(row).updated_at).total_seconds())
    assert gaps == [60, 120, 240, 480, 960, 1920, 3600]
    assert written == Outcome(status=words.FAILED, reason="gave_up:try_again", detail="451 later")
    assert (status(row), stored(row).reason) == (words.FAILED, "gave_up:try_again")
    assert stored(row).dedupe_key


def test_a_provider_can_ask_for_more_time_but_not_for_less() -> None:
    first, second = begun(2)
    far = timezone.now() + timedelta(hours=5)
    finish(first, Outcome(status=words.PENDING, retry_at=far))
    finish(second, Outcome(status=words.PENDING, retry_at=timezone.now()))
    assert abs(stored(first).next_attempt_at - far) < timedelta(seconds=1)
    assert stored(second).next_attempt_at > timezone.now() + timedelta(seconds=40)


def test_settling_counts_what_was_written_and_leaves_the_rest_alone() -> None:
    first, second, third = leased(3)
    ledger.withdraw(EmailPreference(user=second.recipient, is_subscribed=False))
    tally = ledger.settle([first, second, third], LATER)
    assert dict(tally) == {words.PENDING: 2}
    assert [status(row) for row in (first, second, third)] == [words.PENDING, words.SKIPPED, words.PENDING]
    assert stored(first).attempts == 1
    assert stored(first).next_attempt_at > timezone.now()


def test_settling_says_so_when_it_was_the_last_attempt() -> None:
    rows = claim(2)
    EmailLog.objects.filter(pk=rows[0].pk).update(attempts=KIND.max_attempts - 1)
    tally = ledger.settle(ledger.lease([row.pk for row in rows]), LATER)
    assert dict(tally) == {words.PENDING: 1, words.FAILED: 1}


# Doubt


def test_a_silent_worker_leaves_an_unknown_mail_that_is_never_sent_again() -> None:
    (row,) = begun()
    assert ledger.resolve_doubts() == {"unknown": 0, "resent": 0}
    silence(row)
    assert ledger.resolve_doubts() == {"unknown": 1, "resent": 0}
    assert ledger.resolve_doubts() == {"unknown": 0, "resent": 0}
    assert (status(row), stored(row).reason, stored(row).doubts) == (words.UNKNOWN, words.IN_DOUBT, 1)
    assert waiting.due_ids(10) == []
    assert stored(row).dedupe_key


@pytest.mark.parametrize("result", [SENT, FAILED, LATER], ids=lambda result: result.status)
def test_the_truth_is_welcome_even_when_it_comes_late(result: Outcome) -> None:
    (row,) = begun()
    silence(row)
    ledger.resolve_doubts()
    assert finish(row, result) is not None
    assert status(row) == result.status


def test_a_mail_that_may_be_sent_twice_is_sent_once_more_and_then_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(KIND, "resend_unknown", 1)
    (row,) = begun()
    silence(row)
    assert ledger.resolve_doubts() == {"unknown": 0, "resent": 1}
    (again,) = ledger.lease([row.pk])
    # The silent worker is too late: somebody else has the row.
    assert finish(row, SENT) is None
    begin(again)
    silence(again)
    assert ledger.resolve_doubts() == {"unknown": 1, "resent": 0}
    assert status(row) == words.UNKNOWN


def test_a_mail_in_doubt_whose_time_has_passed_stays_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(KIND, "resend_unknown", 1)
    (row,) = begun()
    silence(row)
    EmailLog.objects.update(expires_at=timezone.now())
    assert ledger.resolve_doubts() == {"unknown": 1, "resent": 0}
    assert stored(row).dedupe_key


@pytest.mark.parametrize("end", ["expire", "opt out", "skip"])
def test_a_mail_that_may_have_arrived_keeps_its_key_whatever_becomes_of_the_second_attempt(
    monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    monkeypatch.setattr(KIND, "resend_unknown", 1)
    (row,) = begun()
    finish(row, IN_DOUBT)
    assert (status(row), stored(row).doubts) == (words.PENDING, 1)
    if end == "expire":
        EmailLog.objects.update(expires_at=timezone.now())
        ledger.expire()
    elif end == "opt out":
        EmailPreference(user=row.recipient, is_subscribed=False).save()
    else:
        make_due()
        ledger.settle(ledger.lease([row.pk]), Outcome.skipped("stopped"))
    assert status(row) == words.SKIPPED
    assert stored(row).dedupe_key
    assert claim(people=[row.recipient]) == []


def test_doubts_about_a_message_that_is_gone_end_as_unknown() -> None:
    (row,) = begun()
    EmailLog.objects.update(email_type="of_an_app_that_was_removed")
    silence(row)
    assert ledger.resolve_doubts() == {"unknown": 1, "resent": 0}


# Withdrawing


def test_what_expired_is_skipped_and_gives_its_key_back() -> None:
    late, early = claim(2)
    EmailLog.objects.filter(pk=late.pk).update(expires_at=timezone.now())
    assert ledger.expire() == 1
    assert (status(late), stored(late).reason, stored(late).dedupe_key) == (words.SKIPPED, words.EXPIRED, None)
    assert status(early) == words.PENDING


@pytest.mark.parametrize(
    ("preference", "reason"),
    [
        ({"reminder_emails": False}, "opted_out:reminder"),
        ({"is_subscribed": False}, words.UNSUBSCRIBED),
        ({"suppressed_at": datetime(2026, 1, 1, tzinfo=timezone.get_fixed_timezone(0))}, words.SUPPRESSED),
        ({"goal_emails": False}, ""),
    ],
)
def test_an_opt_out_withdraws_what_is_waiting(preference: dict[str, Any], reason: str) -> None:
    mine, other, begun_one = leased(3)
    begin(begun_one)
    for row in (mine, begun_one):
        EmailPreference(user=row.recipient, **preference).save()
    assert (status(mine), stored(mine).reason) == (words.SKIPPED if reason else words.PENDING, reason)
    assert (status(other), status(begun_one)) == (words.PENDING, words.SENDING)


def test_an_opt_out_that_is_rolled_back_withdraws_nothing() -> None:
    (row,) = leased()
    with pytest.raises(RuntimeError), transaction.atomic():
        EmailPreference(user=row.recipient, is_subscribed=False).save()
        raise RuntimeError
    assert begin(row)


def test_a_mail_to_reconsider_is_drafted_anew_by_whoever_comes_next() -> None:
    (row,) = leased()
    ledger.reconsider(row.recipient_id)
    assert not begin(row)
    (again,) = ledger.lease([row.pk])
    assert begin(again)


# Apps that follow outcomes


def heard_by_the_app(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, str]]:
    """Have the message's app follow outcomes from now on, and return what it will have been told: (row, status)."""
    heard: list[tuple[int, str]] = []

    def follow_rows(cls: type[MessageType], rows: Any) -> None:
        assert connection.in_atomic_block
        heard.extend((row.pk, row.status) for row in rows)

    monkeypatch.setattr(KIND, "on_finish", classmethod(follow_rows))
    return heard


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, str]]:
    return heard_by_the_app(monkeypatch)


@pytest.mark.parametrize(
    ("act", "expected"),
    [
        (lambda row: begin(row) and finish(row, SENT), words.SENT),
        (lambda row: begin(row) and finish(row, FAILED), words.FAILED),
        (lambda row: ledger.settle([row], Outcome.skipped("stopped")), words.SKIPPED),
        (lambda row: ledger.withdraw(EmailPreference(user=row.recipient, is_subscribed=False)), words.SKIPPED),
        (lambda row: EmailLog.objects.update(expires_at=timezone.now()) and ledger.expire(), words.SKIPPED),
        (lambda row: begin(row) and (silence(row), ledger.resolve_doubts()), words.UNKNOWN),
    ],
    ids=["sent", "failed", "skipped", "withdrawn", "expired", "unknown"],
)
def test_an_app_is_told_of_every_end(
    told: list[tuple[int, str]], act: Callable[[EmailLog], Any], expected: str
) -> None:
    (row,) = leased()
    act(row)
    assert told == [(row.pk, expected)]


def test_an_app_is_told_of_its_own_rows_only(told: list[tuple[int, str]]) -> None:
    claim(2, run=Run.starting(OTHER.label(), django_settings.SITE_ID))
    (mine,) = claim()
    EmailLog.objects.update(expires_at=timezone.now())
    assert ledger.expire() == 3
    assert told == [(mine.pk, words.SKIPPED)]


def test_with_an_app_that_follows_the_next_mail_begins_all_the_same(told: list[tuple[int, str]]) -> None:
    first, second = leased(2)
    begin(first)
    assert follow(first, SENT, second) == (SENT, True)
    assert told == [(first.pk, words.SENT)]
    assert status(second) == words.SENDING


def test_an_outcome_whose_app_fails_is_not_written(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(cls: Any, rows: Any) -> None:
        raise RuntimeError

    (row,) = begun()
    monkeypatch.setattr(KIND, "on_finish", classmethod(fail))
    with pytest.raises(RuntimeError):
        finish(row, SENT)
    assert status(row) == words.SENDING


# Retention


def aged(number: int, state: str, *, days: int) -> list[int]:
    rows = claim(number)
    ids = [row.pk for row in rows]
    EmailLog.objects.filter(pk__in=ids).update(
        status=state, content=b"c", created_at=timezone.now() - timedelta(days=days)
    )
    return ids


def test_pruning_deletes_ended_rows_in_batches_and_keeps_what_is_still_to_be_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ledger, "BATCH", 2)
    kept = [*aged(3, words.PENDING, days=200), *aged(1, words.SENDING, days=200), *aged(2, words.SENT, days=1)]
    for state in (words.SENT, words.FAILED, words.SKIPPED, words.UNKNOWN, words.BOUNCED):
        aged(1, state, days=100)
    now = timezone.now()
    counts = ledger.prune(rows_before=now - timedelta(days=90), content_before=now - timedelta(days=30))
    assert counts == {"rows": 5, "contents": 0}
    assert set(EmailLog.objects.values_list("pk", flat=True)) == set(kept)


def test_pruning_forgets_contents_before_it_deletes_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "BATCH", 2)
    old, young, waiting = (
        aged(5, words.SENT, days=40),
        aged(2, words.SENT, days=20),
        aged(1, words.PENDING, days=40),
    )
    now = timezone.now()
    limits = {"rows_before": now - timedelta(days=90), "content_before": now - timedelta(days=30)}
    assert ledger.prune(**limits) == {"rows": 0, "contents": 5}
    empty = set(EmailLog.objects.filter(content=None).values_list("pk", flat=True))
    assert empty == set(old)
    assert EmailLog.objects.filter(pk__in=[*young, *waiting], content__isnull=False).count() == 3
    with CaptureQueriesContext(connection) as queries:
        assert ledger.prune(**limits) == {"rows": 0, "contents": 0}
    assert len(queries) == 2


# Counting


def test_rows_are_counted_by_how_they_ended() -> None:
    rows = claim(6)
    ids = [row.pk for row in rows]
    for pk, state in zip(
        ids, [words.OPENED, words.BOUNCED, words.FAILED, words.UNKNOWN, words.SKIPPED, words.SENDING], strict=True
    ):
        EmailLog.objects.filter(pk=pk).update(status=state, reason="opted_out:goal" if state == words.SKIPPED else "")
    counted = waiting.standing(ids)
    assert (counted[words.SENT], counted[words.FAILED], counted[words.UNKNOWN]) == (2, 1, 1)
    assert counted.reasons == {"opted_out": 1}
    assert waiting.unfinished(record=None, log_ids=ids) == 1


def test_a_fault_of_ours_costs_a_mail_half_of_its_attempts_and_no_more() -> None:
    from email_automation.pipeline import writes

    row = EmailLog(email_type="recurringnudge_day3", attempts=0, doubts=0)
    for _ in range(50):
        columns = writes.ending(row, Outcome(status=words.PENDING, reason="render_error", ours=True), timezone.now())
        row.attempts = columns["attempts"]
    assert columns["status"] == words.PENDING
