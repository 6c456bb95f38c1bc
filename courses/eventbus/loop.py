"""Processes that do a little work again and again until they are told to stop."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable
from typing import Final

from django.db import InterfaceError, OperationalError, close_old_connections, connection

from courses.logs import trace

logger = logging.getLogger(__name__)

IDLE_SECONDS: Final = 1.0
#: So many events at a time, so that a process that shall end is not held up by a long backlog.
STEP: Final = 100
LONGEST_PAUSE: Final = 30.0


def forever(work: Callable[[], int]) -> None:
    """Do the work until SIGTERM or SIGINT, at once again while it finds something to do; what is begun is finished.

    While the database cannot be reached it waits 1, 2, 4 … 30 seconds.
    """
    stopping = on_signals(threading.Event())
    pause = IDLE_SECONDS
    while not stopping.is_set():
        try:
            close_old_connections()
            done = work()
        except (InterfaceError, OperationalError) as error:
            logger.warning("waiting %.0f s for the database: %s", pause, trace(error))
            connection.close()
            stopping.wait(pause)
            pause = min(pause * 2, LONGEST_PAUSE)
        else:
            pause = IDLE_SECONDS
            if not done:
                stopping.wait(IDLE_SECONDS)


def on_signals(stopping: threading.Event) -> threading.Event:
    """Set an event when the process is asked to end; return it."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    return stopping
