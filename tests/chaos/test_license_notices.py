"""Notices to administrators by real processes: commands at once, workers and beats on a real Redis, and killed ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import redis
from django.db import connection
from django.db.models import F
from django.utils import timezone
from django_celery_beat.models import IntervalSchedule, PeriodicTask

from email_automation import setup
from email_automation.braze_standin.server import BrazeStandIn
from email_automation.models import EmailLog, MessageRun
from license_notifications import tasks
from license_notifications.models import EnterpriseAdmin, NotificationPart, NotificationRun, NotificationTimestamp
from tests.license_notifications.scene import Enterprise, Scene
from tests.processes import Process, Project, project, wait_until

from .conftest import age_leases

pytestmark = [pytest.mark.chaos, pytest.mark.django_db(transaction=True)]
with_redis = pytest.mark.redis

COMMAND = "send_license_consumption_notifications"
ALERT = f"faults: license_notifications.{COMMAND} run="
START = "from license_notifications.tasks import *; send_license_consumption_notifications.delay()"
#: Of each enterprise below, whose administrators are due both.
KINDS = ("threshold_75", "weekly")


@pytest.fixture
def scene(transactional_db: None, braze: BrazeStandIn) -> Scene:
    """A world on today's clock, as processes have no other."""
    return Scene(braze, now=timezone.now())


@pytest.fixture
def cadence(scene: Scene) -> Iterator[Project]:
    """The project as processes that tell the stand-in."""
    with project(
        LICENSE_NOTIFICATION_CHANNEL="braze_campaign",
        BRAZE_API_URL=scene.braze.url,
        ENTERPRISE_ADMIN_PORTAL_BASE_URL="https://portal.example.com",
    ) as made:
        yield made


@pytest.fixture
def broker(redis_url: str, cadence: Project) -> redis.Redis:
    """Redis as the project's broker, to look into."""
    if connection.vendor == "sqlite":
        pytest.skip("workers in numbers are for a database server")
    cadence.environment["CELERY_BROKER_URL"] = redis_url
    return redis.Redis.from_url(redis_url)


def enterprises(scene: Scene, *admins: int) -> list[Enterprise]:
    """Make enterprises with so many administrators each, to whom both notices are due."""
    return [scene.enterprise(10, 8, admins=number, days=8) for number in admins]


def heard(scene: Scene) -> Counter[tuple[str, str, str]]:
    """How often each person was told what, and of which enterprise."""
    return Counter(
        (message.user, message.properties["notification_kind"], message.properties["enterprise_customer_id"])
        for message in scene.delivered
    )


def once_each(scene: Scene) -> Counter[tuple[str, str, str]]:
    """What everybody is to hear in all."""
    people = EnterpriseAdmin.objects.values_list("lms_user_id", "enterprise_customer_uuid")
    return Counter((str(user), kind, str(enterprise)) for user, enterprise in people for kind in KINDS)


def memory() -> list[tuple[Any, ...]]:
    """The rows of the memory, as far as they do not say when."""
    fields = ("ecu_id", "kind", "plan_uuid", "slot", "state", "attempts", "resends", "allocated", "total", "channel")
    return sorted(NotificationTimestamp.objects.values_list(*fields))


def states() -> Counter[str]:
    return Counter(NotificationTimestamp.objects.values_list("state", flat=True))


def pass_hours(hours: float = 2.5) -> None:
    """Let so much time pass for everything that was claimed or begun."""
    ago = timedelta(hours=hours)
    age_leases()
    EmailLog.objects.update(expires_at=F("expires_at") - ago)
    NotificationTimestamp.objects.update(claimed_at=F("claimed_at") - ago)
    MessageRun.objects.update(started_at=F("started_at") - ago)


def test_case_29_two_commands_at_the_same_moment_tell_once(scene: Scene, cadence: Project) -> None:
    enterprises(scene, 1)
    scene.braze.fail_next(None, delay=0.2)
    both = [cadence.command(COMMAND) for _ in range(2)]
    assert [process.end() for process in both] == [0, 0], both[0].text + both[1].text
    assert Counter(scene.kinds) == {"M75": 1, "W": 1}
    assert heard(scene) == once_each(scene)
    assert states() == {"sent": 2}
    assert NotificationRun.objects.filter(status=MessageRun.DONE).count() == 2


def test_case_29_however_many_there_are_to_tell(scene: Scene, cadence: Project) -> None:
    enterprises(scene, *[3] * 8, 51)
    scene.braze.fail_next(None, delay=0.02)
    several = [cadence.command(COMMAND) for _ in range(3)]
    assert [process.end() for process in several] == [0, 0, 0], "".join(process.text for process in several)
    assert heard(scene) == once_each(scene)
    lines = [line for process in several for line in process.text.splitlines() if line.startswith("sent ")]
    assert len(lines) == len(scene.braze.requests) == 8 * 2 + 2 * 2


def test_sweeps_beside_the_command_tell_nobody_twice_and_leave_nobody_out(scene: Scene, cadence: Project) -> None:
    enterprises(scene, *[2] * 12)
    scene.braze.fail_next(None, delay=0.2)
    telling = cadence.command(COMMAND)
    wait_until(lambda: len(scene.braze.requests) > 2, "the command makes calls", process=telling)
    sweeps = [cadence.command("process_email_queue") for _ in range(2)]
    assert [process.end() for process in (telling, *sweeps)] == [0, 0, 0], telling.text
    assert heard(scene) == once_each(scene)
    assert states() == {"sent": sum(once_each(scene).values())}
    # Two enterprises never share a call, whoever makes it.
    assert all(len(call.json["recipients"]) <= 2 for call in scene.braze.requests)


@with_redis
def test_case_49_two_workers_do_what_the_command_does(scene: Scene, cadence: Project, broker: redis.Redis) -> None:
    *_, failing = enterprises(scene, 1, 51, 2, 2)
    fault = {"status": 400, "properties": {"enterprise_customer_id": str(failing.uuid)}}
    scene.braze.fail_next(2, **fault)
    workers = [cadence.worker(concurrency=1) for _ in range(2)]
    cadence.run("shell", "-c", START)
    wait_until(lambda: NotificationRun.objects.filter(status=MessageRun.DONE).exists(), "the run is closed")
    record = NotificationRun.objects.get()
    assert record.exit_code == 1
    assert not NotificationPart.objects.exists()
    wait_until(lambda: sum(worker.text.count(ALERT) for worker in workers) == 1, "the alert is told")
    by_workers = (memory(), heard(scene), record.counters, without_ids(record.failures))
    for worker in workers:
        worker.kill()
    NotificationTimestamp.objects.all().delete()
    EmailLog.objects.all().delete()
    MessageRun.objects.all().delete()
    scene.braze.clear()
    scene.braze.fail_next(2, **fault)
    cadence.environment["CELERY_BROKER_URL"] = ""
    output = cadence.run(COMMAND, status=1)
    record = NotificationRun.objects.get()
    assert (memory(), heard(scene), record.counters, without_ids(record.failures)) == by_workers
    assert output.count(ALERT) == 1
    assert sum(by_workers[1].values()) == 54 * 2


def without_ids(failures: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    """What was told, apart from the ids that Braze gives and the order in which it was found."""
    return sorted(
        (entry["severity"], entry["step"], entry["ids"]["enterprise"], entry["ids"]["ecu"]) for entry in failures
    )


@with_redis
def test_two_beats_tell_nobody_twice(scene: Scene, cadence: Project, broker: redis.Redis) -> None:
    enterprises(scene, 2, 1, 3)
    setup.create_beat_entries()
    entry = PeriodicTask.objects.get(task=tasks.DAILY)
    PeriodicTask.objects.exclude(pk=entry.pk).delete()
    every_second = IntervalSchedule.objects.create(every=1, period=IntervalSchedule.SECONDS)
    PeriodicTask.objects.filter(pk=entry.pk).update(crontab=None, interval=every_second)
    worker = cadence.worker(concurrency=2)
    for _ in range(2):
        cadence.start("-m", "celery", "-A", "lms", "beat", "-l", "info", "--max-interval", "1", "--pidfile=")
    wait_until(
        lambda: NotificationRun.objects.filter(status=MessageRun.DONE).count() >= 6, "six runs are done", process=worker
    )
    assert heard(scene) == once_each(scene)
    assert states() == {"sent": 12}
    assert ALERT not in worker.text


def killed_in_a_call(scene: Scene, process: Process, *, after: int) -> Counter[tuple[str, str, str]]:
    """Kill a process while calls are under way, and return what had been heard by then."""
    wait_until(lambda: len(scene.braze.requests) > after, "some calls were made", process=process)
    process.kill()
    with scene.braze.memory.lock:
        scene.braze.memory.faults.clear()
    return heard(scene)


def everybody_hears_in_the_end(
    scene: Scene, cadence: Project, at_the_kill: Counter[tuple[str, str, str]], *, at_once: int
) -> None:
    """After hours the sweep tells of the doubt; the next run tells who was left out, and who may have been."""
    assert at_the_kill < once_each(scene)
    assert "claimed" in states()
    cadence.run(COMMAND)
    assert heard(scene) <= once_each(scene), "a fresh claim is left alone"
    pass_hours()
    swept = cadence.run("process_email_queue", status=None)
    assert swept.count(ALERT) == 1, swept
    assert "unknown: in_doubt" in swept
    in_doubt = states()["unknown"]
    assert 0 < in_doubt <= at_once
    output = cadence.run(COMMAND)
    assert "sent again: the mail before was in doubt" in output
    assert states() == {"sent": sum(once_each(scene).values())}
    copies = heard(scene)
    assert set(copies) == set(once_each(scene))
    assert max(copies.values()) == 2
    assert sum(copies.values()) - len(copies) == in_doubt
    assert NotificationTimestamp.objects.filter(resends=1).count() == in_doubt
    assert not NotificationRun.objects.exclude(status=MessageRun.DONE).exists()
    before = len(scene.braze.requests)
    cadence.run(COMMAND)
    assert len(scene.braze.requests) == before


def test_a_killed_command_costs_nobody_a_notice_and_doubles_one_call_at_most(scene: Scene, cadence: Project) -> None:
    enterprises(scene, *[3] * 6)
    scene.braze.fail_next(None, delay=0.5)
    killed = killed_in_a_call(scene, cadence.command(COMMAND), after=2)
    everybody_hears_in_the_end(scene, cadence, killed, at_once=3)


@with_redis
def test_a_killed_worker_costs_nobody_a_notice_and_doubles_one_call_each(
    scene: Scene, cadence: Project, broker: redis.Redis
) -> None:
    enterprises(scene, *[3] * 6)
    scene.braze.fail_next(None, delay=0.5)
    worker = cadence.worker(concurrency=2)
    cadence.run("shell", "-c", START)
    killed = killed_in_a_call(scene, worker, after=3)
    broker.flushdb()
    cadence.environment["CELERY_BROKER_URL"] = ""
    everybody_hears_in_the_end(scene, cadence, killed, at_once=6)
