"""What nobody was poked for …"""

from __future__ import annotations

from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.utils import timezone
from django_celery_beat.models import PeriodicTask

from courses import tasks
from courses.alerts import Alert
from courses.models import EventInbox, EventOutbox
from tests.courses.eventbus.helpers import assignment, emit_all
from tests.factories import platform_site

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("no_pokes")]


def test_is_done_by_the_sweep(taken: list[Any]) -> None:
    emit_all(assignment(), assignment())
    call_command("process_email_queue", stdout=StringIO())
    assert len(taken) == 2
    long_ago = timezone.now() - timedelta(days=31)
    EventOutbox.objects.update(published_at=long_ago)
    EventInbox.objects.update(done_at=long_ago)
    call_command("process_email_queue", stdout=StringIO())
    assert (EventOutbox.objects.count(), EventInbox.objects.count()) == (0, 0)


def test_is_done_by_the_tasks_of_beat(taken: list[Any], told: list[Alert]) -> None:
    emit_all(assignment(), assignment())
    assert tasks.relay_events() == {"published": 2}
    assert tasks.process_events() == {"done": 2}
    assert tasks.relay_events() == {"published": 0}
    assert (len(taken), told) == (2, [])


def test_has_entries_of_beat_that_do_not_pile_up() -> None:
    platform_site()
    call_command("setup_email_automation", stdout=StringIO())
    for name in ("publish", "handle"):
        entry = PeriodicTask.objects.select_related("interval").get(name=f"courses: {name} events")
        assert (str(entry.interval), entry.queue, entry.expire_seconds) == ("every 10 seconds", "transactional", 10)
