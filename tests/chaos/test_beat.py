"""Beat and worker as separate processes on a real Redis, with entries that live in the database."""

from __future__ import annotations

import json

import pytest
from django_celery_beat.models import IntervalSchedule, PeriodicTask

from email_automation import setup, words
from email_automation.models import EmailLog
from tests.crowd import learners_due
from tests.processes import Project, wait_until
from tests.smtp import Server

from .conftest import DAY

pytestmark = [pytest.mark.chaos, pytest.mark.redis, pytest.mark.django_db(transaction=True)]


def test_entries_in_the_database_run_messages_and_two_beats_send_no_mail_twice(
    redis_url: str, cadence: Project, server: Server
) -> None:
    people = learners_due(20, day=DAY)
    assert setup.create_beat_entries() > 0
    entry = PeriodicTask.objects.get(name="schedules.recurringnudge_day3 for example.com")
    # Every second instead of every morning, and for the day the learners are due.
    every_second = IntervalSchedule.objects.create(every=1, period=IntervalSchedule.SECONDS)
    PeriodicTask.objects.exclude(pk=entry.pk).delete()
    PeriodicTask.objects.filter(pk=entry.pk).update(
        crontab=None, interval=every_second, args=json.dumps([*json.loads(entry.args), str(DAY)])
    )
    cadence.environment["CELERY_BROKER_URL"] = redis_url
    worker = cadence.worker(concurrency=2)
    for _ in range(2):
        cadence.start("-m", "celery", "-A", "lms", "beat", "-l", "info", "--max-interval", "1", "--pidfile=")
    wait_until(
        lambda: EmailLog.objects.filter(status=words.SENT).count() == 20,
        "every mail is out",
        process=worker,
        seconds=90,
    )
    # Some more rounds of both beats, which find nothing to do.
    rounds = worker.text.count("run_message")
    wait_until(lambda: worker.text.count("run_message") >= rounds + 4, "the entry has run again", process=worker)
    assert server.addresses == sorted(person.email for person in people)
    assert EmailLog.objects.count() == 20
