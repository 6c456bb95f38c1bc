"""Pokes: whoever writes an event has it published and handled right after the commit, not with the next beat."""

from __future__ import annotations

import logging
import threading
from typing import Final

from celery import current_app

from courses import commits
from courses.eventbus import processor, relay
from courses.eventbus.conf import setting

logger = logging.getLogger(__name__)

RELAY_TASK: Final = "courses.tasks.relay_events"
PROCESS_TASK: Final = "courses.tasks.process_events"
QUEUE: Final = "transactional"
#: So many events are published, and as many handled, in the process that poked; the others wait for the beat.
LIMIT: Final = 100

_here = threading.local()


def after_commit() -> None:
    """Poke once what is being written has committed, however many events that are."""
    commits.after_commit(poke, once=True)


def poke() -> None:
    """Have events published and handled: by a worker where there is a broker, else here."""
    if setting("CELERY_BROKER_URL"):
        send(RELAY_TASK)
    else:
        run_here()


def poke_processor() -> None:
    """Have events handled that have just come in."""
    if setting("CELERY_BROKER_URL"):
        send(PROCESS_TASK)
    else:
        run_here()


def send(task: str) -> None:
    """Have a worker look. A hint that gets lost costs time: the beat looks every 10 seconds."""
    try:
        current_app.send_task(task, queue=QUEUE, retry=False)
    except Exception as error:  # each broker's client has its own
        logger.error("the broker is away (%s): events wait for the beat", type(error).__name__)


def run_here() -> None:
    """Publish and handle in this process until nothing is left or the limit is reached.

    A handler emits events, too, and whoever pokes while we are at it only has us look once more.
    """
    _here.again = True
    if getattr(_here, "active", False):
        return
    _here.active = True
    to_publish = to_handle = LIMIT
    try:
        while _here.again and to_publish > 0 and to_handle > 0:
            _here.again = False
            to_publish -= relay.run(limit=to_publish)
            to_handle -= processor.run(limit=to_handle).total()
    finally:
        _here.active = False
