"""Waking somebody up: by a task where there is a broker, else by doing the work here, and never before the commit."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from celery import current_app

from courses.commits import after_commit as after_commit
from courses.commits import in_transaction as in_transaction

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
