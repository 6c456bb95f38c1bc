"""Waking somebody up: by a task where there is a broker, else by doing the work here, and never before the commit."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence

from celery import current_app

from courses.bulk import slices
from courses.commits import after_commit as after_commit
from courses.commits import in_transaction as in_transaction

from ..conf import setting
from . import waiting
from .delivery import deliver
from .outcome import Tally
from .turn import Turn

log = logging.getLogger(__name__)

DELIVER_TASK = "email_automation.tasks.deliver_mails"
OUTBOX_TASK = "email_automation.tasks.process_queued"


def send(task: str, ids: Sequence[int], *, queue: str) -> str:
    """Have a worker look at some rows, and return '' or, when the broker is away, the name of its error.

    Only ids cross the broker, and the rows are there already: a hint that gets lost costs time, the sweep finds them.
    """
    try:
        current_app.send_task(task, args=[list(ids)], queue=queue, retry=False)
    except Exception as error:  # each broker's client has its own
        log.error("the broker is away (%s): the mails wait for process_email_queue", type(error).__name__)
        return type(error).__name__
    return ""


class Calls:
    """Wakes workers up for the rows of one queue, a task for each EMAIL_BATCH_SIZE of them.

    `problem` is the name of the broker's error once it was away. From then on nobody is called any more, because each
    call would wait for it: the sweep finds the rows.
    """

    def __init__(self, queue: str) -> None:
        self.problem = ""
        self._queue = queue

    def call(self, log_ids: Iterable[int]) -> None:
        """Have workers deliver some rows."""
        for batch in slices(log_ids, setting("EMAIL_BATCH_SIZE")):
            if self.problem:
                return
            self.problem = send(DELIVER_TASK, batch, queue=self._queue)


def deliver_in_turn(log_ids: Sequence[int]) -> Tally:
    """Send some rows as a worker does: for a turn. What it did not come to stands in line again, at the end.

    Without a broker there is no line, and it sends them all.
    """
    if not setting("CELERY_BROKER_URL"):
        return deliver(log_ids)
    turn = Turn()
    tally = deliver(log_ids, turn=turn, briefly=True)
    for queue, left in waiting.by_queue(turn.left).items():
        for batch in slices(left, turn.fits(len(log_ids))):
            if send(DELIVER_TASK, batch, queue=queue):
                return tally
    return tally
