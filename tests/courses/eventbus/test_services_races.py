"""Processes that carry and handle events at the same time …"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Event
from uuid import uuid4

import pytest
from django.db import connection, transaction

from courses.bulk import locked
from courses.eventbus import processor, relay
from courses.models import EventInbox, EventOutbox
from tests.courses.eventbus.apps import leave_trace, traces
from tests.courses.eventbus.helpers import assignment, emit_all, handled
from tests.courses.helpers import at_once

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("no_pokes")]


def test_publish_each_event_once() -> None:
    with handled(lambda data, metadata: None):
        emit_all(*(assignment() for _ in range(30)))
        assert sum(at_once(lambda number: relay.run())) == 30
        assert EventInbox.objects.count() == 30
        assert not EventOutbox.objects.filter(is_published=False).exists()


def test_handle_each_event_once() -> None:
    uuids = [uuid4() for _ in range(30)]
    with handled(leave_trace):
        emit_all(*(assignment(subsidy_request_uuid=uuid) for uuid in uuids))
        relay.run()
        at_once(lambda number: processor.run())
    assert {traces(uuid) for uuid in uuids} == {1}
    assert EventInbox.objects.filter(state=EventInbox.DONE, attempts=0).count() == 30


def test_pass_over_what_another_one_holds() -> None:
    if not connection.features.has_select_for_update_skip_locked:
        pytest.skip("this database locks all or nothing")
    with handled(leave_trace):
        emit_all(assignment(), assignment())
        relay.run()
        first = EventInbox.objects.earliest("pk")
        is_held, may_end = Event(), Event()

        def hold() -> None:
            with transaction.atomic():
                list(locked(EventInbox.objects.filter(pk=first.pk)))
                is_held.set()
                may_end.wait(20)
            connection.close()

        with ThreadPoolExecutor(1) as pool:
            holding = pool.submit(hold)
            assert is_held.wait(20)
            assert processor.run() == {"done": 1}
            may_end.set()
            holding.result()
        assert processor.run() == {"done": 1}
