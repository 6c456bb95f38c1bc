"""The part of every message's contract that takes several processes: two schedulers at once, and a killed worker."""

from __future__ import annotations

import pytest
import redis
from django.conf import settings
from django.contrib.sites.models import Site

from email_automation import words
from email_automation.models import EmailLog, MessageRun
from email_automation.pipeline import message
from tests.message_factories import FACTORIES
from tests.processes import Project, wait_until
from tests.smtp import Server, stalls

from .conftest import DAY, age_leases

pytestmark = [pytest.mark.chaos, pytest.mark.every_message, pytest.mark.django_db(transaction=True)]

LABELS = sorted(kind.label() for kind in message.all_messages())
PEOPLE = 60
PROCESSES = 2


@pytest.fixture(params=LABELS)
def label(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def addresses(cadence: Project, label: str) -> list[str]:
    """The addresses of the people to whom the message is due on DAY."""
    factory, site = FACTORIES[label](), Site.objects.get(pk=settings.SITE_ID)
    factory.switch(site, enqueue=True, deliver=True)
    return sorted(person.email for person in factory.due(PEOPLE, day=DAY, site=site))


def send(label: str) -> tuple[str, ...]:
    return ("send_message", label, "example.com", "--date", str(DAY))


def test_two_processes_at_once_send_each_mail_once(
    cadence: Project, server: Server, label: str, addresses: list[str]
) -> None:
    server.otherwise = stalls("END", 0.005)
    both = [cadence.command(*send(label)) for _ in range(2)]
    assert [process.end() for process in both] == [0, 0]
    assert server.addresses == addresses
    kind = message.get(label)
    leaves_record = bool(kind.slot(kind.starting(settings.SITE_ID, day=DAY)))
    assert list(MessageRun.objects.values_list("sent", flat=True)) == ([PEOPLE] if leaves_record else [])


@pytest.mark.redis
def test_a_killed_worker_costs_nobody_a_second_mail_and_at_most_one_is_in_doubt(
    redis_url: str, cadence: Project, server: Server, label: str, addresses: list[str]
) -> None:
    cadence.environment["CELERY_BROKER_URL"] = redis_url
    server.otherwise = stalls("END", 0.02)
    worker = cadence.worker(concurrency=PROCESSES)
    cadence.run(*send(label))
    wait_until(lambda: len(server.received) >= PEOPLE // 4, "a quarter is out", process=worker)
    worker.kill()
    redis.Redis.from_url(redis_url).flushdb()
    assert len(server.received) < PEOPLE
    age_leases()
    cadence.run("process_email_queue")
    resends = message.get(label).resend_unknown
    in_doubt = EmailLog.objects.filter(status=words.UNKNOWN).count()
    assert in_doubt <= (0 if resends else PROCESSES)
    assert EmailLog.objects.filter(status=words.SENT).count() == PEOPLE - in_doubt
    doubled = len(server.addresses) - len(set(server.addresses))
    assert doubled <= resends * PROCESSES
    assert len(set(server.addresses)) >= PEOPLE - in_doubt
