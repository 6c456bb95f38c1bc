"""With the embedded transport an event …"""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.core.management import call_command
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from courses.alerts import Alert
from courses.eventbus import (
    Deferred,
    Never,
    OutsideTransaction,
    emit,
    envelope,
    lease,
    pokes,
    processor,
    relay,
    retention,
)
from courses.eventbus import inbox as inbox_module
from courses.eventbus.inbox import Arrival
from courses.events import LICENSE_ASSIGNED, LICENSE_MANAGER, LICENSE_REQUEST_APPROVED
from courses.models import EventInbox, EventOutbox, EventRelay
from tests.courses.eventbus.helpers import (
    ACCESS,
    assignment,
    emit_all,
    emit_code,
    emit_request,
    handled,
)

pytestmark = [pytest.mark.every_database, pytest.mark.django_db(transaction=True)]


def due_now() -> None:
    """Let the time pass that rows of the inbox wait for."""
    EventInbox.objects.filter(due_at__isnull=False).update(due_at=timezone.now())


def test_is_handled_right_after_the_commit_with_its_data_and_its_own_id(taken: list[Any]) -> None:
    given = assignment()
    (row,) = emit_all(given)
    ((data, metadata),) = taken
    assert data == given
    assert (metadata.id, metadata.event_type) == (row.event_id, LICENSE_ASSIGNED.event_type)
    stored = EventInbox.objects.get()
    assert (stored.consumer, stored.event_id, stored.state) == (ACCESS, str(row.event_id), EventInbox.DONE)
    assert EventOutbox.objects.get().published_at is not None


def test_needs_a_transaction() -> None:
    with pytest.raises(OutsideTransaction, match=r"transaction.atomic"):
        emit(LICENSE_ASSIGNED, assignment=assignment())
    assert not EventOutbox.objects.exists()


def test_case_03_goes_with_the_transaction_that_wrote_it(taken: list[Any]) -> None:
    with pytest.raises(RuntimeError), transaction.atomic():
        emit(LICENSE_ASSIGNED, assignment=assignment())
        raise RuntimeError
    assert (EventOutbox.objects.count(), EventInbox.objects.count(), taken) == (0, 0, [])


@pytest.mark.parametrize(
    "wrong",
    [
        {"license": "3"},
        {"attempt": "1"},
        {"attempt": True},
        {"lms_user_id": 2**63},
        {"course_id": 7},
    ],
)
def test_of_a_bad_value_fails_its_caller(wrong: dict[str, Any]) -> None:
    with pytest.raises((TypeError, ValueError), match=next(iter(wrong))):
        assignment(**wrong)


def test_with_other_data_than_its_contract_fails_its_caller() -> None:
    with transaction.atomic():
        with pytest.raises(TypeError, match="takes exactly assignment"):
            emit(LICENSE_ASSIGNED, request=assignment())
        with pytest.raises(TypeError, match="allowed is LicenseRequestData"):
            emit(LICENSE_REQUEST_APPROVED, request=assignment())
    assert not EventOutbox.objects.exists()


def test_case_21_carries_false_as_false() -> None:
    seen: list[Any] = []
    with handled(lambda data, metadata: seen.append(data), LICENSE_REQUEST_APPROVED, LICENSE_MANAGER):
        emit_request(attempt_auto_enrollment=False, learner_requests_in_action=0, course_id=None)
    (data,) = seen
    assert data.attempt_auto_enrollment is False
    assert (data.learner_requests_in_action, data.course_id) == (0, None)


def test_case_04_is_stored_once_however_often_it_comes(taken: list[Any]) -> None:
    (row,) = emit_all(assignment())
    for _ in range(2):
        EventOutbox.objects.update(published_at=None)
        pokes.poke()
    assert len(taken) == 1
    assert EventInbox.objects.count() == 1
    EventOutbox.objects.filter(pk=row.pk).update(published_at=None, event_id=UUID(int=9))
    EventOutbox.objects.update(headers=row.headers | {"id": str(UUID(int=9))})
    pokes.poke()
    assert (len(taken), EventInbox.objects.count()) == (2, 2)


def test_case_06_that_can_never_be_handled_does_not_hold_up_the_next_one(told: list[Alert]) -> None:
    good: list[Any] = []

    def handler(data: Any, metadata: Any) -> None:
        if data.attempt == 13:
            raise Never("orphaned subsidy")
        good.append(data)

    with handled(handler):
        emit_all(assignment(attempt=13), assignment(attempt=1))
    dead = EventInbox.objects.get(state=EventInbox.DEAD)
    assert (dead.reason, dead.due_at, len(good)) == ("orphaned subsidy", None, 1)
    (alert,) = told
    assert "orphaned subsidy" in str(alert)
    assert dead.event_id in str(alert)


def test_for_two_consumers_is_stored_for_each(taken: list[Any]) -> None:
    others: list[Any] = []
    with handled(lambda data, metadata: others.append(data), consumer=LICENSE_MANAGER):
        emit_all(assignment(), assignment())
    assert (len(taken), len(others), EventInbox.objects.count()) == (2, 2, 4)
    assert set(EventInbox.objects.values_list("state", flat=True)) == {EventInbox.DONE}


def test_dead_ones_of_one_pass_are_told_of_together(told: list[Alert]) -> None:
    def handler(data: Any, metadata: Any) -> None:
        raise Never("orphaned subsidy")

    with handled(handler):
        rows = emit_all(*(assignment() for _ in range(5)))
    (alert,) = told
    (entry,) = alert.entries
    assert (alert.faults, entry.ids["event"]) == (5, tuple(str(row.event_id) for row in rows))


def test_that_leads_to_another_one_is_followed_to_the_end(taken: list[Any]) -> None:
    def grant(data: Any, metadata: Any) -> None:
        emit(LICENSE_ASSIGNED, assignment=assignment(subsidy_request_uuid=data.uuid))

    with handled(grant, LICENSE_REQUEST_APPROVED, LICENSE_MANAGER):
        row = emit_request()
    ((data, _),) = taken
    assert str(data.subsidy_request_uuid) in str(envelope.data_of(row.headers, row.payload))
    assert set(EventInbox.objects.values_list("state", flat=True)) == {EventInbox.DONE}


def test_whose_handler_fails_leaves_no_effect_and_no_event_behind() -> None:
    def handler(data: Any, metadata: Any) -> None:
        emit(LICENSE_ASSIGNED, assignment=assignment())
        raise RuntimeError("ada@example.com")

    with handled(handler, LICENSE_REQUEST_APPROVED, LICENSE_MANAGER):
        emit_request()
    assert EventOutbox.objects.count() == 1
    row = EventInbox.objects.get()
    assert (row.state, row.attempts, row.reason) == (EventInbox.RECEIVED, 1, "RuntimeError")


def test_case_25_is_tried_five_times_with_growing_pauses_and_then_dead(
    told: list[Alert], caplog: pytest.LogCaptureFixture
) -> None:
    calls: list[Any] = []
    pauses = []

    def handler(data: Any, metadata: Any) -> None:
        calls.append(data)
        raise RuntimeError("ada@example.com")

    with handled(handler):
        emit_all(assignment())
        while (row := EventInbox.objects.get()).due_at is not None:
            pauses.append(round((row.due_at - timezone.now()).total_seconds()))
            assert processor.run() == {}
            due_now()
            processor.run()
        good: list[Any] = []
    assert (pauses, len(calls)) == ([1, 5, 30, 120], 5)
    assert (row.state, row.attempts) == (EventInbox.DEAD, 5)
    assert len(told) == 1
    assert "ada@example.com" not in caplog.text
    with handled(lambda data, metadata: good.append(data)):
        emit_all(assignment())
        assert len(good) == 1
        call_command("requeue_events", "--id", str(row.pk))
        call_command("process_events", "--once")
    row.refresh_from_db()
    assert (row.state, row.attempts, len(good)) == (EventInbox.DONE, 0, 2)


def test_case_25_that_works_the_third_time_is_done() -> None:
    calls: list[Any] = []

    def handler(data: Any, metadata: Any) -> None:
        calls.append(data)
        if len(calls) < 3:
            raise RuntimeError

    with handled(handler):
        emit_all(assignment())
        for _ in range(2):
            due_now()
            processor.run()
    assert (len(calls), EventInbox.objects.get().state) == (3, EventInbox.DONE)


def test_that_overtakes_the_one_it_needs_is_handled_after_it() -> None:
    approved: list[UUID] = []
    fulfilled: list[UUID] = []

    def on_assigned(data: Any, metadata: Any) -> None:
        if data.subsidy_request_uuid not in approved:
            raise Deferred("not approved yet")
        fulfilled.append(data.subsidy_request_uuid)

    uuid = UUID(int=5)
    with (
        handled(on_assigned),
        handled(lambda data, metadata: approved.append(data.uuid), LICENSE_REQUEST_APPROVED, LICENSE_MANAGER),
    ):
        emit_all(assignment(subsidy_request_uuid=uuid))
        assert EventInbox.objects.get().reason == "not approved yet"
        emit_request(uuid=uuid)
        due_now()
        assert processor.run() == Counter(done=1)
    assert fulfilled == [uuid]
    assert not EventInbox.objects.exclude(state=EventInbox.DONE, reason="").exists()


def test_that_is_put_off_is_tried_for_a_day_and_then_dead(told: list[Alert]) -> None:
    def handler(data: Any, metadata: Any) -> None:
        raise Deferred("still requested")

    pauses = []
    with handled(handler):
        emit_all(assignment())
        for _ in range(6):
            row = EventInbox.objects.get()
            assert (row.state, row.attempts) == (EventInbox.DEFERRED, 0)
            assert row.due_at is not None
            pauses.append(round((row.due_at - timezone.now()).total_seconds()))
            due_now()
            processor.run()
        assert pauses == [5, 30, 120, 600, 600, 600]
        assert not told
        nearly = timezone.now() - timedelta(hours=23, minutes=55)
        EventInbox.objects.update(received_at=nearly, due_at=timezone.now())
        processor.run()
        assert EventInbox.objects.get().due_at == nearly + timedelta(hours=24)
        EventInbox.objects.update(received_at=timezone.now() - timedelta(hours=24), due_at=timezone.now())
        assert processor.run() == Counter(dead=1)
    assert EventInbox.objects.get().reason == "put off for a day: still requested"
    assert len(told) == 1


def test_that_nobody_handles_is_published_and_stored_for_nobody() -> None:
    emit_code("SAVE-ALL-4711")
    assert EventOutbox.objects.get().published_at is not None
    assert set(EventInbox.objects.values_list("consumer", flat=True)) <= {ACCESS}


def test_case_28_sent_locally_reaches_no_handler(taken: list[Any]) -> None:
    LICENSE_ASSIGNED.send_event(assignment=assignment())
    assert (taken, EventInbox.objects.count(), EventOutbox.objects.count()) == ([], 0, 0)


@pytest.mark.parametrize("debug", [False, True])
def test_reaches_foreign_receivers_and_outlives_what_they_raise(taken: list[Any], settings: Any, debug: bool) -> None:
    settings.DEBUG = debug
    heard: list[Any] = []

    def broken(**kwargs: Any) -> None:
        raise RuntimeError("boom")

    def listener(**kwargs: Any) -> None:
        heard.append(kwargs)

    LICENSE_ASSIGNED.connect(broken)
    LICENSE_ASSIGNED.connect(listener)
    try:
        (row,) = emit_all(assignment())
    finally:
        LICENSE_ASSIGNED.disconnect(broken)
        LICENSE_ASSIGNED.disconnect(listener)
    (kwargs,) = heard
    assert (kwargs["metadata"].id, kwargs["from_event_bus"]) == (row.event_id, True)
    assert len(taken) == 1


def test_of_a_lower_id_that_commits_later_is_published_too(no_pokes: None, taken: list[Any]) -> None:
    first, second = emit_all(assignment(), assignment())
    EventOutbox.objects.filter(pk=first.pk).update(published_at=timezone.now())
    assert relay.run() == 1
    EventOutbox.objects.filter(pk=first.pk).update(published_at=None)
    assert relay.run() == 1


def test_is_published_by_one_process_at_a_time(no_pokes: None) -> None:
    emit_all(assignment())
    token = lease.take()
    assert token
    assert relay.run() == 0
    EventRelay.objects.update(leased_until=timezone.now() - timedelta(seconds=1))
    assert relay.run() == 1
    assert lease.keep(token, None) is None


def test_whose_carrier_fails_stays_and_is_tried_after_growing_pauses(
    no_pokes: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    emit_all(assignment(), assignment())
    pauses = []
    with monkeypatch.context() as patched:
        patched.setattr("courses.eventbus.embedded.carry", lambda row, mark: 1 / 0)
        for _ in range(8):
            assert relay.run() == 0
            not_before = EventRelay.objects.get().not_before
            assert not_before is not None
            pauses.append(round((not_before - timezone.now()).total_seconds()))
            assert not EventOutbox.objects.filter(is_published=True).exists()
            EventRelay.objects.update(not_before=timezone.now())
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60]
    assert relay.run() == 2
    assert EventRelay.objects.get().failures == 0


def test_that_waits_too_long_is_told_of_once_an_hour(no_pokes: None, told: list[Alert]) -> None:
    emit_all(assignment())
    lease.take()
    assert not relay.watch()
    EventOutbox.objects.update(created_at=timezone.now() - timedelta(minutes=11))
    assert [relay.watch(), relay.watch()] == [True, False]
    EventRelay.objects.update(alerted_at=timezone.now() - timedelta(hours=1))
    assert relay.watch()
    assert len(told) == 2
    assert "11 minutes" in str(told[0])


def test_pokes_once_for_a_whole_transaction(monkeypatch: pytest.MonkeyPatch) -> None:
    poked: list[int] = []
    monkeypatch.setattr(relay, "run", lambda limit: poked.append(limit) or 0)
    emit_all(*(assignment() for _ in range(10)))
    assert poked == [pokes.LIMIT]


def test_pokes_after_a_savepoint_of_another_one_was_rolled_back(taken: list[Any]) -> None:
    with transaction.atomic():
        with pytest.raises(RuntimeError), transaction.atomic():
            emit(LICENSE_ASSIGNED, assignment=assignment())
            raise RuntimeError
        emit(LICENSE_ASSIGNED, assignment=assignment())
    assert len(taken) == 1


def test_pokes_within_bounds_and_leaves_the_rest_to_the_beat(taken: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pokes, "LIMIT", 3)
    emit_all(*(assignment() for _ in range(5)))
    assert (len(taken), EventOutbox.objects.filter(is_published=False).count()) == (3, 2)
    call_command("relay_events", "--once")
    call_command("process_events", "--once")
    assert len(taken) == 5


def test_whose_poke_fails_harms_nobody(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(pokes, "run_here", lambda: 1 / 0)
    emit_all(assignment())
    assert "work after a commit broke off: ZeroDivisionError" in caplog.text
    assert EventOutbox.objects.count() == 1


def test_pokes_a_worker_where_there_is_a_broker(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[Any] = []
    settings.CELERY_BROKER_URL = "redis://127.0.0.1:9/0"
    monkeypatch.setattr(pokes.current_app, "send_task", lambda name, **options: sent.append((name, options)))
    emit_all(assignment())
    assert sent == [("courses.tasks.relay_events", {"queue": "transactional", "retry": False})]
    monkeypatch.setattr(pokes.current_app, "send_task", lambda name, **options: 1 / 0)
    emit_all(assignment())


def test_is_forgotten_30_days_after_it_was_dealt_with_and_never_when_dead(taken: list[Any]) -> None:
    emit_all(*(assignment() for _ in range(3)))
    old = timezone.now() - timedelta(days=30, seconds=1)
    ids = list(EventInbox.objects.order_by("pk").values_list("pk", flat=True))
    EventOutbox.objects.filter(pk=EventOutbox.objects.earliest("pk").pk).update(published_at=old)
    EventInbox.objects.filter(pk__in=ids[:2]).update(done_at=old)
    EventInbox.objects.filter(pk=ids[0]).update(state=EventInbox.DEAD)
    assert retention.prune() == {"published": 1, "done": 1}
    assert set(EventInbox.objects.values_list("pk", flat=True)) == {ids[0], ids[2]}


def test_is_stored_again_for_a_consumer_that_has_lost_it(taken: list[Any], capsys: Any) -> None:
    start = timezone.now()
    emit_all(assignment(), assignment())
    EventInbox.objects.earliest("pk").delete()
    call_command("replay_subsidy_events", "--group", ACCESS, "--from", start.isoformat())
    assert "looked_at=2 stored=1" in capsys.readouterr().out
    call_command("process_events", "--once")
    assert len(taken) == 3


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["replay_subsidy_events", "--group", "nobody", "--from", "1-0"], "--group: 'nobody' is not allowed"),
        (["replay_subsidy_events", "--group", ACCESS, "--from", "yesterday"], "--from: 'yesterday' is not allowed"),
        (["replay_subsidy_events", "--group", ACCESS, "--from", "2026-01-01T00:00:00"], "is not allowed"),
        (["replay_subsidy_events", "--group", ACCESS, "--from", "1-0"], "only a time is allowed"),
        (["requeue_events", "--id", "4711"], "--id: 4711 is not the row of a dead event"),
        (["requeue_events", "--dead", "--type", "nothing"], "--type: 'nothing' is unknown"),
        (["requeue_events", "--id", "1", "--type", LICENSE_ASSIGNED.event_type], "--type: goes with --dead only"),
    ],
)
def test_commands_refuse_what_they_cannot_use(arguments: list[str], problem: str) -> None:
    from django.core.management.base import CommandError

    with pytest.raises(CommandError, match=problem.replace("'", ".")) as refused:
        call_command(*arguments)
    assert refused.value.returncode == 2


def test_keeps_its_id_beside_spoilt_copies_of_it(taken: list[Any]) -> None:
    (row,) = emit_all(assignment())
    EventInbox.objects.all().delete()
    good = Arrival(headers=row.headers, payload=bytes(row.payload), entry="9-0")
    spoilt = [
        Arrival(headers=row.headers | {"type": "org.openedx.nothing.v1"}, payload=good.payload, entry="1-0"),
        Arrival(headers=row.headers | {"source": ""}, payload=good.payload, entry="2-0"),
        Arrival(headers=row.headers, payload=b"garbage", entry="3-0"),
        Arrival(headers=row.headers | {"source": ""}, payload=good.payload, entry="4-0"),
    ]
    for arrival in [*spoilt[:3], good, good, spoilt[3], *spoilt[:2]]:
        inbox_module.store(arrival, [ACCESS])
        processor.run()
    found = dict(EventInbox.objects.values_list("event_id", "state"))
    ids = [f"stream:{number}-0" for number in (1, 2, 3, 4)]
    assert found == {str(row.event_id): EventInbox.DONE} | dict.fromkeys(ids, EventInbox.DEAD)
    assert len(taken) == 2


def test_dead_ones_are_requeued_by_type() -> None:
    headers = {"type": LICENSE_ASSIGNED.event_type, "id": "x"}
    for number in range(3):
        inbox_module.store(Arrival(headers=headers, payload=b"", entry=f"{number}-0"), [ACCESS])
    inbox_module.store(Arrival(headers={}, payload=b"", entry="9-0"), [ACCESS])
    assert len(inbox_module.requeue(event_type=LICENSE_ASSIGNED.event_type)) == 3
    assert len(inbox_module.requeue()) == 1
    assert inbox_module.requeue() == []


@pytest.mark.parametrize(("number", "publishing", "handling"), [(1, 16, 8), (50, 16 + 49 * 9, 8 + 49 * 5)])
def test_costs_a_few_queries_each_and_no_more_beside_many_others(
    no_pokes: None, taken: list[Any], number: int, publishing: int, handling: int
) -> None:
    emit_all(*(assignment() for _ in range(number)))
    relay.run()
    EventOutbox.objects.update(published_at=None)
    EventInbox.objects.all().delete()
    with CaptureQueriesContext(connection) as published:
        relay.run()
    with CaptureQueriesContext(connection) as processed:
        processor.run()
    assert EventInbox.objects.filter(state=EventInbox.DONE).count() == number
    assert len(published) <= publishing
    assert len(processed) <= handling
