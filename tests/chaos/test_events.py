"""Consumers of the event stream that are killed, and a database that goes away under them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit
from uuid import uuid4

import pytest
import redis
from django.db import connection, transaction

from courses.models import EventInbox
from tests.courses.eventbus.apps import traces
from tests.courses.eventbus.helpers import ACCESS, assignment, emit_all
from tests.courses.eventbus.proxy import proxy
from tests.processes import Process, Project, database_url, project, wait_until

pytestmark = [pytest.mark.chaos, pytest.mark.redis, pytest.mark.django_db(transaction=True)]

PREFIX = "campus"
STREAM = f"{PREFIX}-enterprise-subsidy-requests"


@pytest.fixture
def client(redis_url: str, settings: Any) -> Iterator[redis.Redis]:
    """Redis, with this process publishing on it."""
    settings.EVENT_TRANSPORT = "redis"
    settings.EVENT_BUS_REDIS_CONNECTION_URL = redis_url
    settings.EVENT_BUS_TOPIC_PREFIX = PREFIX
    with redis.Redis.from_url(redis_url) as made:
        yield made


@pytest.fixture
def cadence(redis_url: str) -> Iterator[Project]:
    """The project as processes that know the stream and a part that handles assigned licences."""
    with project(
        EVENT_TRANSPORT="redis", EVENT_BUS_REDIS_CONNECTION_URL=redis_url, EVENT_BUS_TOPIC_PREFIX=PREFIX
    ) as made:
        made.settings = "tests.courses.eventbus.part"
        yield made


def consumer_of(cadence: Project, name: str = "one") -> Process:
    return cadence.command(
        "consume_subsidy_events", "--group", ACCESS, "--consumer-name", name, "--claim-idle-ms", "1000"
    )


def has_read(client: redis.Redis) -> bool:
    """Whether an entry was handed out and not acknowledged."""
    groups = client.xinfo_groups(STREAM)
    return bool(groups) and groups[0]["pending"] == 1


@pytest.mark.parametrize("name", ["one", "two"])
def test_case_24_killed_between_reading_and_acknowledging(client: redis.Redis, cadence: Project, name: str) -> None:
    uuid = uuid4()
    emit_all(assignment(subsidy_request_uuid=uuid))
    with transaction.atomic():
        # As long as this transaction is open nobody stores anything.
        if connection.vendor == "postgresql":
            connection.cursor().execute(f"LOCK TABLE {EventInbox._meta.db_table}")
        consumer = consumer_of(cadence)
        wait_until(lambda: has_read(client), "the consumer has read the entry", process=consumer)
        consumer.kill()
    assert (EventInbox.objects.count(), has_read(client)) == (0, True)
    again = consumer_of(cadence, name)
    wait_until(lambda: traces(uuid), "the entry is handled", process=again)
    wait_until(lambda: not has_read(client), "it is acknowledged", process=again)
    assert (traces(uuid), EventInbox.objects.count()) == (1, 1)


def test_waits_for_a_database_that_is_away_and_skips_nothing(
    client: redis.Redis, cadence: Project, tmp_path: Path
) -> None:
    if connection.vendor != "sqlite":
        pytest.skip("a file can be taken away on SQLite only")
    away = tmp_path / "database.sqlite3"
    cadence.environment["DATABASE_URL"] = f"sqlite:///{quote(str(tmp_path / 'missing' / away.name))}"
    uuids = [uuid4(), uuid4()]
    emit_all(*(assignment(subsidy_request_uuid=uuid) for uuid in uuids))
    consumer = consumer_of(cadence)
    wait_until(lambda: consumer.text.count("waits for the database") >= 2, "it has tried twice", process=consumer)
    assert (has_read(client), EventInbox.objects.count()) == (True, 0)
    (tmp_path / "missing").mkdir()
    os.symlink(str(connection.settings_dict["NAME"]), tmp_path / "missing" / away.name)
    wait_until(lambda: all(traces(uuid) for uuid in uuids), "both are handled", process=consumer)
    assert [traces(uuid) for uuid in uuids] == [1, 1]
    assert consumer.popen.poll() is None


def test_a_connection_to_the_database_that_is_cut_costs_no_event(client: redis.Redis, cadence: Project) -> None:
    if connection.vendor != "postgresql":
        pytest.skip("there is no connection to cut")
    where = urlsplit(database_url())
    with proxy(where.hostname or "127.0.0.1", where.port or 5432) as between:
        cadence.environment["DATABASE_URL"] = where._replace(
            netloc=f"{where.username}@127.0.0.1:{between.port}"
        ).geturl()
        first, second, third = uuid4(), uuid4(), uuid4()
        emit_all(assignment(subsidy_request_uuid=first))
        consumer = consumer_of(cadence)
        wait_until(lambda: traces(first), "it runs", process=consumer)
        between.close()
        emit_all(assignment(subsidy_request_uuid=second), assignment(subsidy_request_uuid=third))
        wait_until(lambda: consumer.text.count("waits for the database") >= 2, "it has tried twice", process=consumer)
        assert has_read(client)
        between.open()
        wait_until(lambda: traces(second) and traces(third), "both are handled", process=consumer)
    assert [traces(uuid) for uuid in (first, second, third)] == [1, 1, 1]


def test_killed_while_handling_leaves_no_half_effect(client: redis.Redis, cadence: Project) -> None:
    uuids = [uuid4() for _ in range(30)]
    emit_all(*(assignment(subsidy_request_uuid=uuid) for uuid in uuids))
    for number in range(3):
        consumer = consumer_of(cadence)
        wait_until(lambda least=number * 5 + 1: EventInbox.objects.count() >= least, "some came in", process=consumer)
        consumer.kill()
    consumer = consumer_of(cadence)
    wait_until(lambda: EventInbox.objects.count() == 30, "all came in", process=consumer)
    cadence.run("process_events", "--once")
    wait_until(lambda: all(traces(uuid) for uuid in uuids), "all are handled", process=consumer)
    assert {traces(uuid) for uuid in uuids} == {1}
    assert set(EventInbox.objects.values_list("state", flat=True)) == {EventInbox.DONE}
