"""Waking somebody up: by a task where there is a broker, else by doing the work here, and never before the commit."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from celery import current_app
from django.db import connection, transaction

from .outcome import trace

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


def in_transaction() -> bool:
    """Return whether somebody's transaction is open, whose rollback would undo what is written now.

    The transaction that a test case wraps around a test does not count, as it does not for Django's own `durable`.
    """
    return any(not getattr(block, "_from_testcase", False) for block in connection.atomic_blocks)


def after_commit(work: Callable[[], object]) -> None:
    """Do some work once the transaction that is open has committed, at once when none is.

    What the work raises is logged: by then the caller's own is done, and a mail's failure is no reason to undo it.
    """

    def guarded() -> None:
        try:
            work()
        except Exception as error:
            log.error("work after a commit broke off: %s", trace(error))
            if not connection.in_atomic_block:
                connection.close_if_unusable_or_obsolete()

    if in_transaction():
        transaction.on_commit(guarded)
    else:
        guarded()
