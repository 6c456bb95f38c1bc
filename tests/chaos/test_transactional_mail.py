"""Mail about events and calls, through real workers, a real beat and a real Redis that are killed and emptied."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
import redis
from django.db import connection
from django.utils import timezone
from django_celery_beat.models import IntervalSchedule, PeriodicTask

from email_automation import setup, words
from email_automation.models import EmailLog, EmailQueue
from email_automation.pipeline import message
from tests import factories
from tests.processes import Process, Project, wait_until
from tests.smtp import Server, stalls

from .conftest import age_leases

pytestmark = [pytest.mark.chaos, pytest.mark.django_db(transaction=True)]
with_redis = pytest.mark.redis

PROCESSES = 2
ENROL_EVERYBODY = """
from django.contrib.auth import get_user_model
from courses.models import Course
from courses.services import record_enrollment
for user in get_user_model().objects.order_by("pk"):
    record_enrollment(user, Course.objects.get())
"""
MAIL_EVERYBODY = """
from django.contrib.auth import get_user_model
from django.db import transaction
from email_automation.services import EmailService
with transaction.atomic():
    print(EmailService().send_bulk_email(get_user_model().objects.all(), "enrollment"))
"""
MAIL_LATER = """
from datetime import timedelta
from django.contrib.auth import get_user_model
from django.utils import timezone
from email_automation.services import EmailService
EmailService().queue_email(get_user_model().objects.get(), "enrollment", timezone.now() + timedelta(hours=2))
"""


@pytest.fixture
def broker(redis_url: str, cadence: Project) -> redis.Redis:
    """Redis as the project's broker, to look into."""
    cadence.environment["CELERY_BROKER_URL"] = redis_url
    return redis.Redis.from_url(redis_url)


def learners(number: int) -> list[str]:
    """Make learners, and return their addresses."""
    factories.CourseFactory()
    model: Any = factories.UserFactory._meta.model
    names = [f"learner{index:04}" for index in range(number)]
    people = model.objects.bulk_create(
        [model(username=name, email=f"{name}@example.com", first_name="Ada") for name in names]
    )
    return sorted(person.email for person in people)


def statuses() -> Counter[str]:
    return Counter(EmailLog.objects.values_list("status", flat=True))


def ended() -> int:
    return EmailLog.objects.exclude(status__in=(words.PENDING, words.SENDING)).count()


def queue_every_second() -> None:
    """Have beat start `process_email_queue` every second instead of every five minutes, and nothing else."""
    setup.create_beat_entries()
    entry = PeriodicTask.objects.get(name=setup.QUEUE_ENTRY)
    assert entry.task == "email_automation.tasks.process_email_queue"
    every_second = IntervalSchedule.objects.create(every=1, period=IntervalSchedule.SECONDS)
    PeriodicTask.objects.exclude(pk=entry.pk).delete()
    PeriodicTask.objects.filter(pk=entry.pk).update(crontab=None, interval=every_second)


def beat(cadence: Project) -> Process:
    return cadence.start("-m", "celery", "-A", "lms", "beat", "-l", "info", "--max-interval", "1", "--pidfile=")


@with_redis
def test_learners_enrolled_while_no_worker_runs_are_mailed_once_when_one_does(
    broker: redis.Redis, cadence: Project, server: Server
) -> None:
    addresses = learners(30)
    cadence.run("shell", "-c", ENROL_EVERYBODY)
    assert (EmailQueue.objects.count(), EmailLog.objects.count(), server.received) == (30, 0, [])
    assert broker.llen("transactional") == 30
    # A broker may also deliver a task twice.
    for task in broker.lrange("transactional", 0, 9):
        broker.lpush("transactional", task)
    worker = cadence.worker(concurrency=PROCESSES)
    wait_until(lambda: ended() == 30 and not broker.llen("transactional"), "everything has ended", process=worker)
    assert server.addresses == addresses
    cadence.run("shell", "-c", ENROL_EVERYBODY)
    assert "sent=0" in cadence.run("process_email_queue")
    assert server.addresses == addresses


@with_redis
def test_case_013_killed_workers_cost_no_transactional_mail_and_at_most_one_is_doubled_each(
    broker: redis.Redis, cadence: Project, server: Server
) -> None:
    if connection.vendor == "sqlite":
        pytest.skip("workers in numbers are for a database server")
    addresses = learners(500)
    assert message.get("enrollment").resend_unknown == 1
    server.otherwise = stalls("END", 0.002)
    worker = cadence.worker(concurrency=PROCESSES)
    cadence.run("shell", "-c", MAIL_EVERYBODY)
    wait_until(lambda: len(server.received) >= 170, "a third is out", process=worker)
    worker.kill()
    assert len(server.received) < 500
    broker.flushdb()
    age_leases()
    cadence.run("process_email_queue")
    assert statuses() == Counter({words.SENT: 500})
    copies = Counter(server.addresses)
    assert sorted(copies) == addresses
    assert max(copies.values()) <= 2
    assert sum(copies.values()) - 500 <= PROCESSES
    assert not EmailQueue.objects.filter(is_processed=False).exists()


@with_redis
def test_a_broker_that_forgets_everything_costs_time_only(
    broker: redis.Redis, cadence: Project, server: Server
) -> None:
    addresses = learners(60)
    cadence.run("shell", "-c", MAIL_EVERYBODY)
    assert EmailQueue.objects.filter(is_processed=False).count() == 60
    assert broker.llen("transactional") > 0
    broker.flushdb()
    assert server.received == []
    assert "sent=60" in cadence.run("process_email_queue")
    assert server.addresses == addresses


def test_case_014_two_who_process_the_queue_at_once_send_each_mail_once(cadence: Project, server: Server) -> None:
    addresses = learners(1000)
    EmailQueue.objects.bulk_create(
        EmailQueue(recipient_id=pk, email_type="enrollment", site_id=1, priority=10 + pk % 4 * 10)
        for pk in factories.UserFactory._meta.model._default_manager.values_list("pk", flat=True)
    )
    both = [cadence.command("process_email_queue") for _ in range(2)]
    assert [process.end() for process in both] == [0, 0], both[0].text + both[1].text
    assert server.addresses == addresses
    assert statuses() == Counter({words.SENT: 1000})


@with_redis
def test_what_is_scheduled_survives_a_restart_of_everything_and_beat_sends_it_when_it_is_due(
    broker: redis.Redis, cadence: Project, server: Server
) -> None:
    (address,) = learners(1)
    queue_every_second()
    cadence.run("shell", "-c", MAIL_LATER)
    worker, clock = cadence.worker(concurrency=1), beat(cadence)
    wait_until(lambda: worker.text.count("process_email_queue") >= 2, "beat has fired", process=clock)
    assert server.received == []
    for process in (worker, clock):
        process.kill()
    broker.flushdb()
    # Two hours pass while nothing runs.
    assert EmailQueue.objects.get().scheduled_at > timezone.now() + timedelta(hours=1)
    EmailQueue.objects.update(scheduled_at=timezone.now())
    worker, clock = cadence.worker(concurrency=1), beat(cadence)
    wait_until(lambda: statuses()[words.SENT] == 1, "the mail is out", process=worker)
    rounds = worker.text.count("process_email_queue")
    wait_until(lambda: worker.text.count("process_email_queue") >= rounds + 2, "beat has fired again", process=clock)
    assert server.addresses == [address]
