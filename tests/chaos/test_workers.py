"""Celery workers on a real Redis that are killed, and a broker that forgets or is away."""

from __future__ import annotations

import base64
import json
import time
from collections import Counter

import pytest
import redis
from django.db import connection

from email_automation import words
from email_automation.models import EmailLog, MessageRun
from tests.crowd import learners_due
from tests.factories import UserFactory
from tests.processes import Project, wait_until
from tests.relay import Relay
from tests.smtp import Server, stalls

from .conftest import DAY, NUDGE, age_leases, figures, make_due

pytestmark = [pytest.mark.chaos, pytest.mark.django_db(transaction=True)]
with_redis = pytest.mark.redis

PROCESSES = 2
ENROL_LAST = """
from django.contrib.auth import get_user_model
from courses.models import Course
from courses.services import record_enrollment
record_enrollment(get_user_model().objects.latest("pk"), Course.objects.get())
"""


@pytest.fixture
def broker(redis_url: str, cadence: Project) -> redis.Redis:
    """Redis as the project's broker, to look into."""
    cadence.environment["CELERY_BROKER_URL"] = redis_url
    return redis.Redis.from_url(redis_url)


def statuses() -> Counter[str]:
    return Counter(EmailLog.objects.values_list("status", flat=True))


def ended() -> int:
    return EmailLog.objects.exclude(status__in=(words.PENDING, words.SENDING)).count()


def killed_in_the_middle_of(number: int, cadence: Project, server: Server) -> None:
    """Plan a run for workers, kill them all when a third is out, let time pass, and sweep."""
    if connection.vendor == "sqlite":
        pytest.skip("workers in numbers are for a database server")
    learners_due(number, day=DAY)
    server.otherwise = stalls("END", 0.01)
    worker = cadence.worker(concurrency=PROCESSES)
    planned = figures(cadence.run(*NUDGE))
    assert planned["audience"] == number
    wait_until(lambda: len(server.received) >= number // 3, "a third is out", process=worker)
    worker.kill()
    assert len(server.received) < number
    age_leases()
    assert "unknown=" in cadence.run("process_email_queue")


@with_redis
def test_case_013_killed_workers_cost_no_lifecycle_mail_and_nobody_gets_two(
    broker: redis.Redis, cadence: Project, server: Server
) -> None:
    killed_in_the_middle_of(500, cadence, server)
    found = statuses()
    assert found[words.UNKNOWN] <= PROCESSES
    assert found == Counter({words.SENT: 500 - found[words.UNKNOWN], words.UNKNOWN: found[words.UNKNOWN]})
    assert len(server.addresses) == len(set(server.addresses)) >= 500 - found[words.UNKNOWN]
    assert MessageRun.objects.get(message__endswith="day3").status == MessageRun.DONE


@with_redis
def test_case_013_killed_workers_cost_no_transactional_mail_and_at_most_one_is_doubled_each(
    broker: redis.Redis, cadence: Project, server: Server
) -> None:
    cadence.settings = "tests.chaos.rather_twice"
    killed_in_the_middle_of(500, cadence, server)
    assert statuses() == Counter({words.SENT: 500})
    copies = Counter(server.addresses)
    assert len(copies) == 500
    assert max(copies.values()) <= 2
    assert sum(copies.values()) - 500 <= PROCESSES


@with_redis
def test_a_worker_keeps_its_connection_and_survives_its_end(
    broker: redis.Redis, cadence: Project, server: Server
) -> None:
    if connection.vendor != "postgresql":
        pytest.skip("asks PostgreSQL for its connections")
    worker = cadence.worker(concurrency=1)

    def mailed(number: int) -> set[int]:
        learners_due(1, day=DAY, prefix=f"crowd{number}-")
        cadence.run(*NUDGE)
        wait_until(lambda: statuses()[words.SENT] == number, f"mail {number} is out", process=worker)
        return connections()

    first = mailed(1)
    assert first
    assert mailed(2) == first
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(pid) FROM unnest(%s::int[]) AS pid", [list(first)])
    assert mailed(3) - first
    assert len(server.addresses) == 3


def connections() -> set[int]:
    """Return the processes of PostgreSQL's that serve somebody else on this database."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() "
            "AND backend_type = 'client backend'"
        )
        return {pid for (pid,) in cursor.fetchall()}


@pytest.mark.parametrize("window", [1, 8])
def test_a_kill_leaves_at_most_the_window_in_doubt(cadence: Project, window: int) -> None:
    learners_due(60, day=DAY)
    with Relay.running(distance=0.2) as relay:
        cadence.environment |= {"EMAIL_URL": f"smtp://127.0.0.1:{relay.port}", "EMAIL_IN_FLIGHT": str(window)}
        command = cadence.command(*NUDGE)
        wait_until(lambda: len(relay.taken) >= 3 * window, "some mails are out", process=command)
        command.kill()
    assert EmailLog.objects.filter(status=words.SENDING).count() <= window
    with Relay.running() as relay:
        cadence.environment["EMAIL_URL"] = f"smtp://127.0.0.1:{relay.port}"
        age_leases()
        cadence.run("process_email_queue")
    found = statuses()
    assert found[words.UNKNOWN] <= window
    assert found[words.UNKNOWN] + found[words.SENT] == 60


@with_redis
def test_workers_send_everything_and_the_run_is_closed(broker: redis.Redis, cadence: Project, server: Server) -> None:
    people = learners_due(120, day=DAY)
    worker = cadence.worker(concurrency=1)
    started = time.monotonic()
    cadence.run(*NUDGE)
    wait_until(lambda: ended() == 120, "everything has ended", process=worker)
    assert time.monotonic() - started < 60
    assert server.addresses == sorted(person.email for person in people)
    cadence.run("process_email_queue")
    record = MessageRun.objects.get(message__endswith="day3")
    assert (record.status, record.sent, record.retry) == (MessageRun.DONE, 120, 0)


@with_redis
def test_workers_send_while_planning_goes_on_and_a_killed_planner_is_made_up_for(
    broker: redis.Redis, cadence: Project, server: Server
) -> None:
    people = learners_due(200, day=DAY)
    worker = cadence.worker(concurrency=1)
    usual, cadence.settings = cadence.settings, "tests.chaos.slow_planning"
    planner = cadence.command(*NUDGE)
    wait_until(lambda: len(server.received) >= 20, "mails are out while others are planned", process=planner)
    planner.kill()
    assert 20 <= EmailLog.objects.count() < 200
    cadence.settings = usual
    assert figures(cadence.run(*NUDGE))["audience"] == 200
    wait_until(lambda: ended() == 200, "everything has ended", process=worker)
    assert server.addresses == sorted(person.email for person in people)
    cadence.run("process_email_queue")
    record = MessageRun.objects.get(message__endswith="day3")
    assert (record.status, record.audience, record.sent) == (MessageRun.DONE, 200, 200)


@with_redis
def test_a_slow_provider_holds_no_worker_for_a_whole_task(
    broker: redis.Redis, cadence: Project, server: Server
) -> None:
    addresses = [person.email for person in learners_due(60, day=DAY)]
    server.otherwise = stalls("END", 0.3)
    cadence.worker(concurrency=1)
    cadence.run(*NUDGE)
    wait_until(lambda: len(server.received) >= 3, "nudges are going out")
    addresses.append(UserFactory().email)
    cadence.run("shell", "-c", ENROL_LAST)
    wait_until(lambda: addresses[-1] in server.addresses, "the mail about the enrolment is out")
    assert len(server.received) < 61
    wait_until(lambda: ended() == 61, "everything has ended")
    assert server.addresses == sorted(addresses)


@with_redis
def test_a_broker_that_forgets_everything_costs_time_only(
    broker: redis.Redis, cadence: Project, server: Server
) -> None:
    people = learners_due(120, day=DAY)
    cadence.environment["EMAIL_BATCH_SIZE"] = "50"
    planned = figures(cadence.run(*NUDGE))
    assert (planned["sent"], planned["retry"]) == (0, 120)
    assert broker.llen("lifecycle") == 3
    broker.flushdb()
    assert "sent=120" in cadence.run("process_email_queue")
    assert server.addresses == sorted(person.email for person in people)


@with_redis
def test_wake_ups_that_arrive_twice_or_too_late_send_nothing_twice(
    broker: redis.Redis, cadence: Project, server: Server
) -> None:
    people = learners_due(120, day=DAY)
    cadence.environment["EMAIL_BATCH_SIZE"] = "50"
    cadence.run(*NUDGE)
    for task in broker.lrange("lifecycle", 0, -1):
        broker.lpush("lifecycle", task, task)
    cadence.worker(concurrency=PROCESSES)
    wait_until(lambda: ended() == 120 and not broker.llen("lifecycle"), "everything has ended")
    assert server.addresses == sorted(person.email for person in people)


@with_redis
def test_the_broker_carries_ids_and_nothing_personal(broker: redis.Redis, cadence: Project, server: Server) -> None:
    people = learners_due(60, day=DAY)
    cadence.run(*NUDGE)
    carried, log_ids = "", []
    for raw in broker.lrange("lifecycle", 0, -1):
        task = json.loads(raw)
        body = base64.b64decode(task.pop("body")).decode()
        # Celery's own: number@host of the process that sent the task.
        assert "@" in task["headers"].pop("origin")
        log_ids += json.loads(body)[0][0]
        carried += body + json.dumps(task)
    assert sorted(log_ids) == sorted(EmailLog.objects.values_list("pk", flat=True))
    assert "@" not in carried
    assert not any(name in carried for person in people[:5] for name in (person.username, "Ada"))
    keys = [key.decode() for key in broker.scan_iter()]
    assert not any("@" in key for key in keys)


def test_a_broker_that_is_away_ends_the_command_quickly_and_the_sweep_sends(cadence: Project, server: Server) -> None:
    people = learners_due(120, day=DAY)
    cadence.environment["CELERY_BROKER_URL"] = "redis://127.0.0.1:1/0"
    started = time.monotonic()
    output = cadence.run(*NUDGE, status=1)
    assert time.monotonic() - started < 20
    assert figures(output)["retry"] == 120
    assert "broker" in output
    assert statuses() == Counter({words.PENDING: 120})
    make_due()
    cadence.run("process_email_queue")
    assert server.addresses == sorted(person.email for person in people)
