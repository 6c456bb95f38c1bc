"""The Celery tasks of the event transport: call one function, return counts. Nothing crosses the broker."""

from __future__ import annotations

from celery import shared_task

from courses.eventbus import pokes, processor, relay
from courses.eventbus.conf import EMBEDDED, setting


@shared_task(name=pokes.RELAY_TASK)
def relay_events() -> dict[str, int]:
    """Publish what waits in the outbox, and have handled what has come in by that."""
    published = relay.run()
    relay.watch()
    if published and setting("EVENT_TRANSPORT") == EMBEDDED:
        pokes.poke_processor()
    return {"published": published}


@shared_task(name=pokes.PROCESS_TASK)
def process_events() -> dict[str, int]:
    """Have handled what is due in the inbox."""
    return dict(processor.run())
