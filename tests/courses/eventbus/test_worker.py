"""With a broker, a worker publishes and handles what somebody else has emitted."""

from __future__ import annotations

from uuid import uuid4

import pytest

from courses.models import EventInbox, EventOutbox
from tests.courses.eventbus.apps import traces
from tests.processes import project, wait_until

pytestmark = [pytest.mark.redis, pytest.mark.slow, pytest.mark.django_db(transaction=True)]

EMIT = """
from uuid import UUID
from tests.courses.eventbus.helpers import assignment, emit_all
emit_all(*(assignment(subsidy_request_uuid=UUID(text)) for text in {uuids!r}))
"""


@pytest.mark.parametrize("transport", ["embedded", "redis"])
def test_an_event_is_carried_and_handled_by_workers(redis_url: str, transport: str) -> None:
    uuids = [str(uuid4()) for _ in range(3)]
    with project(
        CELERY_BROKER_URL=redis_url,
        EVENT_TRANSPORT=transport,
        EVENT_BUS_REDIS_CONNECTION_URL=redis_url,
    ) as cadence:
        cadence.settings = "tests.courses.eventbus.part"
        worker = cadence.worker(concurrency=2)
        if transport == "redis":
            cadence.command("consume_subsidy_events", "--group", "enterprise-access", "--consumer-name", "one")
        cadence.run("shell", "-c", EMIT.format(uuids=uuids))
        wait_until(lambda: all(traces(uuid) for uuid in uuids), "all are handled", process=worker)
    assert [traces(uuid) for uuid in uuids] == [1, 1, 1]
    assert set(EventInbox.objects.values_list("state", flat=True)) == {EventInbox.DONE}
    assert not EventOutbox.objects.filter(is_published=False).exists()
