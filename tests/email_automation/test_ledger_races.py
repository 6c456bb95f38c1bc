"""Several connections at the same rows: whatever the order, one of them makes each step."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection, connections, transaction

from courses.bulk import is_deadlock
from email_automation import words
from email_automation.models import EmailLog, EmailPreference
from email_automation.pipeline import delivery, ledger
from tests.factories import UserFactory, platform_site

from .test_ledger import KIND, LEASE, SENT, Step, begin, begun, claim, finish, follow, leased, prepared, silence, status

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _site() -> None:
    # Emptied with the other tables after each of these tests.
    platform_site()


def at_once(*actions: Callable[[], Any]) -> list[Any]:
    """Do these things at the same moment, each on a connection of its own, and return their results."""
    start = threading.Barrier(len(actions))
    results: list[Any] = [None] * len(actions)

    def act(number: int, action: Callable[[], Any]) -> None:
        try:
            start.wait(10)
            results[number] = action()
        except BaseException as error:
            results[number] = error
        finally:
            connections.close_all()

    threads = [threading.Thread(target=act, args=each) for each in enumerate(actions)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return results


@pytest.mark.parametrize("callers", [2, 4])
def test_callers_that_claim_the_same_keys_get_each_row_once(callers: int) -> None:
    people = UserFactory.create_batch(120)
    orders = [people, people[::-1], people[60:] + people[:60], people[::2] + people[1::2]]
    found = at_once(*(lambda order=order: claim(people=order) for order in orders[:callers]))
    claimed = [row.pk for rows in found for row in rows]
    assert len(claimed) == len(set(claimed)) == EmailLog.objects.count() == 120


def test_workers_that_lease_the_same_rows_share_them_out() -> None:
    ids = [row.pk for row in claim(100)]
    found = at_once(*(lambda order=order: ledger.lease(order) for order in (ids, ids[::-1], ids, ids[::-1])))
    taken = [row.pk for rows in found for row in rows]
    assert sorted(taken) == ids


def test_workers_that_work_briefly_on_the_same_rows_begin_each_once() -> None:
    ids = [row.pk for row in claim(60)]

    def work(order: list[int]) -> list[int]:
        rows = ledger.lease(order, briefly=True)
        return sorted(ledger.begin_all([(row, prepared(row), LEASE) for row in rows]))

    found = at_once(*(lambda order=order: work(order) for order in (ids, ids[::-1], ids, ids[::-1])))
    assert sorted(pk for begun_here in found for pk in begun_here) == ids
    assert set(EmailLog.objects.values_list("status", "attempts")) == {(words.SENDING, 1)}


def test_an_old_and_a_new_holder_that_begin_at_once_begin_it_once() -> None:
    for _ in range(5):
        (old,) = leased()
        silence(old)
        (new,) = ledger.lease([old.pk])
        assert at_once(lambda: begin(old), lambda: begin(new)) == [False, True]  # noqa: B023  (used at once)
        assert EmailLog.objects.get(pk=old.pk).attempts == 1


def test_an_opt_out_and_a_beginning_end_one_way_or_the_other() -> None:
    for _ in range(10):
        first, second = leased(2)
        begin(first)
        preference = EmailPreference(user=second.recipient, is_subscribed=False)
        step, _ = at_once(lambda: follow(first, SENT, second), preference.save)  # noqa: B023  (used at once)
        assert step.recorded == SENT
        assert status(first) == words.SENT
        assert status(second) == (words.SENDING if step.begun else words.SKIPPED)


def test_a_beginning_waits_for_an_opt_out_that_is_being_committed() -> None:
    if connection.vendor == "sqlite":
        pytest.skip("SQLite has one writer at a time")
    first, second = leased(2)
    begin(first)
    written, may_commit = threading.Event(), threading.Event()

    def opt_out() -> None:
        with transaction.atomic():
            EmailPreference(user=second.recipient, is_subscribed=False).save()
            written.set()
            may_commit.wait(10)

    def hand_off() -> Step:
        written.wait(10)
        threading.Timer(0.3, may_commit.set).start()
        return follow(first, SENT, second)

    _, step = at_once(opt_out, hand_off)
    assert step == (SENT, False)
    assert (status(first), status(second)) == (words.SENT, words.SKIPPED)


def test_the_truth_and_a_doubt_that_meet_end_with_the_truth() -> None:
    for _ in range(5):
        (row,) = begun()
        silence(row)
        at_once(lambda row=row: finish(row, SENT), ledger.resolve_doubts)
        assert status(row) == words.SENT


def test_two_paced_runs_that_plan_at_once_do_not_double_the_pace(settings: Any) -> None:
    gap = ledger.timedelta(seconds=1)
    at_once(*(lambda: claim(20, gap=gap) for _ in range(3)))
    starts = sorted(EmailLog.objects.values_list("next_attempt_at", flat=True))
    assert len(starts) == 60
    assert min(later - earlier for earlier, later in zip(starts, starts[1:], strict=False)) >= gap


def test_writers_of_one_persons_rows_do_not_lock_each_other_out_for_good() -> None:
    """Leases, withdrawals and hand-offs of the same rows in different orders: a lock cycle is tried again."""
    people = UserFactory.create_batch(20)
    rows = claim(people=people)
    ids = [row.pk for row in rows]

    def opt_out() -> None:
        for person in reversed(people):
            ledger.reconsider(person.pk)

    def lease_and_release() -> None:
        for _ in range(5):
            ledger.release(ledger.lease(ids[::-1]))

    def expire() -> None:
        for _ in range(10):
            ledger.expire()
            ledger.resolve_doubts()

    at_once(opt_out, lease_and_release, lease_and_release, expire)
    assert set(EmailLog.objects.values_list("status", flat=True)) == {words.PENDING}


def test_a_lock_cycle_is_tried_again_and_not_taken_for_a_broken_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    (row,) = leased()
    error = ledger.OperationalError(1213, "Deadlock found")
    assert is_deadlock(error)
    real, calls = ledger.writes.change_each, []

    def change_each(*args: Any) -> set[int]:
        calls.append(args)
        if len(calls) == 1:
            raise error
        return real(*args)

    monkeypatch.setattr(ledger.writes, "change_each", change_each)
    monkeypatch.setattr(connection, "close", lambda: pytest.fail("closed"))
    assert begin(row)
    assert len(calls) == 2


@pytest.mark.parametrize("vendor", ["postgresql", "mysql"])
def test_a_connection_that_breaks_before_an_outcome_is_written_is_opened_again(vendor: str) -> None:
    if connection.vendor != vendor:
        pytest.skip(f"kills a connection of {vendor}")
    first, second = leased(2)
    begin(first)
    kill_this_connection()
    assert follow(first, SENT, second) == (SENT, True)
    assert (status(first), status(second)) == (words.SENT, words.SENDING)


@pytest.mark.parametrize("vendor", ["postgresql", "mysql"])
def test_a_connection_that_breaks_after_a_window_was_written_finds_it_written(
    vendor: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if connection.vendor != vendor:
        pytest.skip(f"kills a connection of {vendor}")
    told: list[int] = []
    follow_rows = classmethod(lambda cls, rows: told.extend(row.pk for row in rows))
    monkeypatch.setattr(KIND, "on_finish", follow_rows)
    ended, next_ones = begun(3), leased(3)
    real, calls = ledger._turn, []

    def break_after_the_first(*args: Any) -> ledger.Turn:
        calls.append(real(*args))
        if len(calls) == 1:
            kill_this_connection()
            connection.cursor().execute("SELECT 1")
        return calls[-1]

    monkeypatch.setattr(ledger, "_turn", break_after_the_first)
    result = ledger.turn([(row, SENT) for row in ended], [(row, prepared(row), LEASE) for row in next_ones])
    assert result == ([SENT] * 3, {row.pk for row in next_ones})
    assert len(calls) == 2
    assert told == [row.pk for row in ended]
    assert {status(row) for row in next_ones} == {words.SENDING}
    assert EmailLog.objects.filter(attempts=1).count() == 6


def kill_this_connection() -> None:
    """Let another connection end this one, as an administrator or a fail-over would."""
    question, order = {
        "postgresql": ("SELECT pg_backend_pid()", "SELECT pg_terminate_backend(%s)"),
        "mysql": ("SELECT CONNECTION_ID()", "KILL %s"),
    }[connection.vendor]
    with connection.cursor() as cursor:
        cursor.execute(question)
        (number,) = cursor.fetchone()

    def kill() -> None:
        with connection.cursor() as cursor:
            cursor.execute(order, [number])

    at_once(kill)


def test_inside_somebodys_transaction_nothing_is_handed_off() -> None:
    ids = [row.pk for row in claim(2)]
    with pytest.raises(RuntimeError, match="durable"), transaction.atomic():
        delivery.deliver(ids)
    assert EmailLog.objects.filter(status=words.PENDING, lease_expires_at=None).count() == 2


def test_a_broken_connection_inside_a_transaction_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    (row,) = begun()
    error = ledger.OperationalError("gone")

    def fail(*args: Any) -> None:
        raise error

    monkeypatch.setattr(ledger.writes, "change_each", fail)
    with pytest.raises(ledger.OperationalError), transaction.atomic():
        ledger.turn([], [(row, prepared(row), LEASE)])
