"""With the Redis transport, on a real Redis and with a consumer that is a process of its own, …"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import pytest
import redis
from django.core.management import call_command
from django.utils import timezone

from courses.eventbus import envelope, pokes, relay
from courses.events import LICENSE_ASSIGNED, LICENSE_REQUEST_APPROVED
from courses.models import EventInbox, EventOutbox, EventRelay
from tests.courses.eventbus.apps import traces
from tests.courses.eventbus.helpers import ACCESS, assignment, emit_all, emit_request
from tests.courses.eventbus.proxy import Proxy, proxy
from tests.processes import Process, Project, project, wait_until

pytestmark = [pytest.mark.redis, pytest.mark.slow, pytest.mark.django_db(transaction=True)]

PREFIX = "campus"
STREAM = f"{PREFIX}-enterprise-subsidy-requests"


@dataclass
class Stream:
    """The stream, as Redis tells of it."""

    redis: redis.Redis

    def entries(self) -> list[tuple[bytes, dict[bytes, bytes]]]:
        return self.redis.xrange(STREAM)

    def pending(self, name: str = "") -> int:
        """Count what was handed out, to one name or to all, and not acknowledged."""
        if not self.redis.exists(STREAM) or not self.redis.xinfo_groups(STREAM):
            return 0
        found = self.redis.xpending_range(STREAM, ACCESS, "-", "+", 100, consumername=name or None)
        return len(found)

    def is_through(self) -> bool:
        """Whether the group has read everything and acknowledged it."""
        groups = self.redis.xinfo_groups(STREAM) if self.redis.exists(STREAM) else []
        return bool(groups) and groups[0]["pending"] == 0 and groups[0]["lag"] == 0


@pytest.fixture
def stream(redis_url: str, settings: Any) -> Iterator[Stream]:
    """An empty stream that this process publishes on."""
    settings.EVENT_TRANSPORT = "redis"
    settings.EVENT_BUS_REDIS_CONNECTION_URL = redis_url
    settings.EVENT_BUS_TOPIC_PREFIX = PREFIX
    with redis.Redis.from_url(redis_url) as client:
        yield Stream(client)


@pytest.fixture
def cadence(redis_url: str) -> Iterator[Project]:
    """The project as processes that know the stream and the part of these tests."""
    with project(
        EVENT_TRANSPORT="redis", EVENT_BUS_REDIS_CONNECTION_URL=redis_url, EVENT_BUS_TOPIC_PREFIX=PREFIX
    ) as made:
        made.settings = "tests.courses.eventbus.part"
        yield made


@pytest.fixture
def consume(cadence: Project) -> Callable[..., Process]:
    """Start a consumer."""

    def start(name: str = "one", *options: str) -> Process:
        return cadence.command("consume_subsidy_events", "--group", ACCESS, "--consumer-name", name, *options)

    return start


def published(*uuids: UUID, **values: Any) -> list[EventOutbox]:
    """Publish an assigned licence for each request."""
    return emit_all(*(assignment(subsidy_request_uuid=uuid, **values) for uuid in uuids))


def is_done(*uuids: UUID) -> bool:
    return all(traces(uuid) for uuid in uuids)


def test_an_event_is_on_the_stream_as_it_stands_in_the_outbox(stream: Stream) -> None:
    (row,) = published(uuid4())
    ((_entry_id, fields),) = stream.entries()
    assert fields[b"id"].decode() == str(row.event_id)
    assert fields[b"type"].decode() == LICENSE_ASSIGNED.event_type
    assert fields[envelope.DATA_FIELD] == bytes(row.payload)
    assert EventOutbox.objects.get().published_at is not None


def test_the_stream_keeps_about_as_many_entries_as_it_shall(stream: Stream, settings: Any) -> None:
    settings.EVENT_BUS_REDIS_STREAM_MAX_LEN = 1
    for _ in range(2):
        published(*(uuid4() for _ in range(99)))
    # Redis gives up whole nodes of a hundred entries.
    assert stream.redis.xlen(STREAM) < 198


def test_case_22_what_is_emitted_while_redis_is_away_goes_out_later(
    stream: Stream, redis_url: str, settings: Any
) -> None:
    where = urlsplit(redis_url)
    with proxy(where.hostname or "", where.port or 6379) as between:
        settings.EVENT_BUS_REDIS_CONNECTION_URL = f"redis://127.0.0.1:{between.port}{where.path}"
        between.close()
        started = time.monotonic()
        published(uuid4())
        assert time.monotonic() - started < 5
        assert (stream.entries(), EventRelay.objects.get().failures) == ([], 1)
        between.open()
        EventRelay.objects.update(not_before=timezone.now())
        call_command("relay_events", "--once")
    assert len(stream.entries()) == 1
    assert EventOutbox.objects.get().published_at is not None


def test_a_crash_after_publishing_repeats_the_event_under_the_same_id(
    stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(relay, "_mark", lambda row: 1 / 0)
        published(uuid4())
    EventRelay.objects.update(not_before=None)
    pokes.poke()
    first, second = stream.entries()
    assert first[1][b"id"] == second[1][b"id"]


def test_case_23_a_consumer_takes_up_what_came_while_it_was_away(
    stream: Stream, consume: Callable[..., Process]
) -> None:
    uuids = [uuid4() for _ in range(3)]
    published(*uuids[:2])
    consumer = consume()
    wait_until(lambda: is_done(*uuids[:2]), "the backlog is handled", process=consumer)
    consumer.kill()
    published(uuids[2])
    again = consume()
    wait_until(lambda: is_done(*uuids), "what came meanwhile is handled", process=again)
    wait_until(stream.is_through, "all is acknowledged", process=again)
    assert [traces(uuid) for uuid in uuids] == [1, 1, 1]
    assert set(EventInbox.objects.values_list("state", flat=True)) == {EventInbox.DONE}


@pytest.mark.parametrize("name", ["one", "two"])
def test_case_24_what_a_killed_consumer_had_read_is_handled_once(
    stream: Stream, consume: Callable[..., Process], name: str
) -> None:
    uuid = uuid4()
    published(uuid)
    stream.redis.xgroup_create(STREAM, ACCESS, id="0")
    stream.redis.xreadgroup(ACCESS, "one", {STREAM: ">"})
    assert stream.pending("one") == 1
    time.sleep(0.3)
    consumer = consume(name, "--claim-idle-ms", "200")
    wait_until(lambda: is_done(uuid), "the entry is handled", process=consumer)
    wait_until(lambda: not stream.pending(), "it is acknowledged", process=consumer)
    assert traces(uuid) == 1


def test_case_24_what_another_name_has_just_read_is_left_to_it(stream: Stream, consume: Callable[..., Process]) -> None:
    mine, other = uuid4(), uuid4()
    published(other)
    stream.redis.xgroup_create(STREAM, ACCESS, id="0")
    stream.redis.xreadgroup(ACCESS, "one", {STREAM: ">"})
    consumer = consume("two")
    published(mine)
    wait_until(lambda: is_done(mine), "the new entry is handled", process=consumer)
    assert (traces(other), stream.pending("one")) == (0, 1)


def test_case_24_a_consumer_takes_over_while_it_runs(stream: Stream, consume: Callable[..., Process]) -> None:
    consumer = consume("two", "--claim-idle-ms", "1000")
    first, second = uuid4(), uuid4()
    published(first)
    wait_until(lambda: is_done(first), "it runs", process=consumer)
    # Somebody else is quicker, reads the next entry and dies.
    published_raw(stream, second)
    wait_until(lambda: is_done(second), "the entry is taken over", process=consumer)
    assert traces(second) == 1


def published_raw(stream: Stream, uuid: UUID) -> None:
    """Append an entry that another name has read already."""
    raw = stream.entries()[0][1] | {b"id": str(uuid4()).encode()}
    data = {"assignment": assignment(subsidy_request_uuid=uuid)}
    raw[envelope.DATA_FIELD] = envelope.serialised(LICENSE_ASSIGNED, data)
    pipeline = stream.redis.pipeline()
    pipeline.xadd(STREAM, raw)
    pipeline.xreadgroup(ACCESS, "dead", {STREAM: ">"})
    pipeline.execute()


def test_case_04_the_same_event_three_times_is_one_row(stream: Stream, consume: Callable[..., Process]) -> None:
    uuid = uuid4()
    published(uuid)
    ((_, fields),) = stream.entries()
    for _ in range(2):
        stream.redis.xadd(STREAM, fields)
    consumer = consume()
    wait_until(stream.is_through, "all three are acknowledged", process=consumer)
    wait_until(lambda: is_done(uuid), "it is handled", process=consumer)
    assert (traces(uuid), EventInbox.objects.count()) == (1, 1)


def test_case_21_false_arrives_as_false(stream: Stream) -> None:
    emit_request(attempt_auto_enrollment=False, learner_requests_in_action=0)
    ((_, fields),) = stream.entries()
    headers = envelope.headers_of_entry(fields)
    data = envelope.data_of(headers, fields[envelope.DATA_FIELD])["request"]
    assert data.attempt_auto_enrollment is False
    assert data.learner_requests_in_action == 0


def test_case_25_one_that_always_fails_holds_up_no_other(stream: Stream, consume: Callable[..., Process]) -> None:
    bad, good = uuid4(), uuid4()
    published(bad, course_id="fail")
    published(good)
    consumer = consume()
    wait_until(lambda: is_done(good), "the good one is handled", process=consumer)
    row = EventInbox.objects.get(state=EventInbox.RECEIVED)
    assert (row.attempts, row.reason, traces(bad)) == (1, "RuntimeError", 0)
    assert stream.pending() == 0


def test_case_26_what_nobody_can_read_is_dead_with_its_raw_data(
    stream: Stream, consume: Callable[..., Process]
) -> None:
    good = uuid4()
    published(uuid4())
    fields = stream.entries()[0][1]
    stream.redis.xtrim(STREAM, maxlen=0, approximate=False)
    stream.redis.xadd(STREAM, {b"garbage": b"\xff\x00\xfe"})
    stream.redis.xadd(STREAM, fields | {b"type": b"org.openedx.nothing.known.v1", b"id": str(uuid4()).encode()})
    without = fields | {b"id": str(uuid4()).encode()}
    del without[b"source"]
    stream.redis.xadd(STREAM, without)
    stream.redis.xadd(STREAM, fields | {b"id": str(uuid4()).encode(), envelope.DATA_FIELD: b"\xff\xfe garbage"})
    published(good)
    consumer = consume()
    wait_until(lambda: is_done(good), "the good one is handled", process=consumer)
    wait_until(stream.is_through, "all are acknowledged", process=consumer)
    dead = {row.reason: row for row in EventInbox.objects.filter(state=EventInbox.DEAD)}
    missing = "missing header: type, id, source, time, minorversion, sourcehost, sourcelib"
    assert {reason.partition(": ")[0] for reason in dead} == {"missing header", "unknown type", "unreadable data"}
    assert len(dead) == 4
    assert {row.consumer for row in dead.values()} == {ACCESS}
    assert dead[missing].headers == {"garbage": "base64:/wD+"}
    assert dead[missing].event_id.startswith("stream:")
    assert bytes(dead["missing header: source"].payload) == fields[envelope.DATA_FIELD]
    assert dead["unknown type"].headers["type"] == "org.openedx.nothing.known.v1"


def test_types_of_other_parts_are_acknowledged_and_not_stored(stream: Stream, consume: Callable[..., Process]) -> None:
    emit_request()
    good = uuid4()
    published(good)
    consumer = consume()
    wait_until(lambda: is_done(good), "the good one is handled", process=consumer)
    wait_until(stream.is_through, "all are acknowledged", process=consumer)
    assert not EventInbox.objects.filter(event_type=LICENSE_REQUEST_APPROVED.event_type).exists()


def test_a_pending_id_whose_entry_is_gone_is_told_of_once(stream: Stream, consume: Callable[..., Process]) -> None:
    published(uuid4())
    ((entry_id, _),) = stream.entries()
    stream.redis.xgroup_create(STREAM, ACCESS, id="0")
    stream.redis.xreadgroup(ACCESS, "one", {STREAM: ">"})
    stream.redis.xtrim(STREAM, maxlen=0, approximate=False)
    good = uuid4()
    published(good)
    consumer = consume()
    wait_until(lambda: is_done(good), "the good one is handled", process=consumer)
    assert stream.pending() == 0
    assert consumer.text.count(f"entry {entry_id.decode()} was pending and is gone") == 1


def test_an_event_of_a_newer_producer_is_read(stream: Stream, consume: Callable[..., Process]) -> None:
    uuid = uuid4()
    published(uuid4())
    fields = stream.entries()[0][1]
    data = envelope.serialised(LICENSE_ASSIGNED, {"assignment": assignment(subsidy_request_uuid=uuid)})
    stream.redis.xadd(STREAM, fields | {b"id": str(uuid4()).encode(), envelope.DATA_FIELD: data + b"\x02\x0aextra"})
    consumer = consume()
    wait_until(lambda: is_done(uuid), "it is handled", process=consumer)


def test_case_27_an_idle_consumer_logs_no_error_and_ends_with_0_when_asked(
    stream: Stream, consume: Callable[..., Process]
) -> None:
    consumer = consume()
    wait_until(lambda: "taking in" in consumer.text, "it has begun", process=consumer)
    # Two polls of three seconds come back empty meanwhile.
    time.sleep(6.5)
    assert "ERROR" not in consumer.text
    assert "Traceback" not in consumer.text
    consumer.popen.send_signal(signal.SIGTERM)
    assert consumer.end(seconds=10) == 0


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--group", ACCESS], "--consumer-name is missing"),
        (["--group", ACCESS, "--consumer-name", " "], "--consumer-name is missing"),
        (["--consumer-name", "one"], "--group: '' is not allowed"),
        (["--group", "nobody", "--consumer-name", "one"], "--group: 'nobody' is not allowed"),
        (["--group", ACCESS, "--consumer-name", "one", "--claim-idle-ms", "soon"], "--claim-idle-ms: 'soon'"),
    ],
)
def test_case_27_a_consumer_without_proper_names_ends_with_1(arguments: list[str], problem: str) -> None:
    from django.core.management.base import CommandError

    with pytest.raises(CommandError) as ended:
        call_command("consume_subsidy_events", *arguments)
    assert ended.value.returncode == 1
    assert problem in str(ended.value)


def test_a_consumer_that_would_leave_everything_to_others_ends_with_1(monkeypatch: pytest.MonkeyPatch) -> None:
    from django.core.management.base import CommandError

    from courses.eventbus import handlers

    monkeypatch.setattr(handlers, "_handlers", {})
    with pytest.raises(CommandError, match="nothing here handles events for enterprise-access") as ended:
        call_command("consume_subsidy_events", "--group", ACCESS, "--consumer-name", "one")
    assert ended.value.returncode == 1


def test_case_27_a_consumer_that_redis_refuses_ends_with_1_within_5_seconds() -> None:
    with project(EVENT_TRANSPORT="redis", EVENT_BUS_REDIS_CONNECTION_URL="redis://127.0.0.1:9/0") as cadence:

        def ended(group: str) -> tuple[Process, float]:
            started = time.monotonic()
            consumer = cadence.command("consume_subsidy_events", "--group", group, "--consumer-name", "one")
            assert consumer.end(seconds=60) == 1
            return consumer, time.monotonic() - started

        # How long a process takes to start on this machine is not the consumer's.
        _, start = ended("nobody")
        consumer, seconds = ended(ACCESS)
        assert seconds - start < 5
        assert "Connection refused" in consumer.text
        assert "Traceback" not in consumer.text


@pytest.fixture
def between(stream: Stream, cadence: Project, redis_url: str) -> Iterator[Proxy]:
    """A proxy between the consumers and Redis."""
    where = urlsplit(redis_url)
    with proxy(where.hostname or "", where.port or 6379) as made:
        cadence.environment["EVENT_BUS_REDIS_CONNECTION_URL"] = f"redis://127.0.0.1:{made.port}{where.path}"
        yield made


@pytest.mark.parametrize("silent", [False, True])
def test_case_27_a_consumer_that_loses_redis_ends_with_1_within_5_seconds(
    between: Proxy, consume: Callable[..., Process], silent: bool
) -> None:
    consumer = consume()
    uuid = uuid4()
    published(uuid)
    wait_until(lambda: is_done(uuid), "it runs", process=consumer)
    started = time.monotonic()
    if silent:
        between.silent = True
    else:
        between.close()
    assert consumer.end(seconds=20) == 1
    assert time.monotonic() - started < 5.5


def test_a_lone_relay_and_a_lone_processor_end_with_0_when_asked(stream: Stream, cadence: Project) -> None:
    uuid = uuid4()
    cadence.environment["CELERY_BROKER_URL"] = "redis://127.0.0.1:9/0"
    consumer = cadence.command("consume_subsidy_events", "--group", ACCESS, "--consumer-name", "one")
    loops = [cadence.command("relay_events"), cadence.command("process_events")]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(pokes, "run_here", lambda: None)
        published(uuid)
    wait_until(lambda: is_done(uuid), "relay, consumer and processor have done their part", process=consumer)
    for process in loops:
        process.popen.send_signal(signal.SIGTERM)
        assert process.end(seconds=10) == 0


def test_old_entries_are_stored_again_from_an_id_or_a_time_on(stream: Stream, capsys: Any) -> None:
    from tests.courses.eventbus.helpers import handled

    start = timezone.now()
    with handled(lambda data, metadata: None):
        published(uuid4(), uuid4())
        emit_request()
        entries = stream.entries()
        call_command("replay_subsidy_events", "--group", ACCESS, "--from", entries[1][0].decode())
        assert "looked_at=2 stored=1" in capsys.readouterr().out
        call_command("replay_subsidy_events", "--group", ACCESS, "--from", start.isoformat())
        assert "looked_at=3 stored=1" in capsys.readouterr().out
        call_command("replay_subsidy_events", "--group", ACCESS, "--from", "0")
        assert "looked_at=3 stored=0" in capsys.readouterr().out
