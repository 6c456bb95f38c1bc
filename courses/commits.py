"""What follows a commit, and whether one is still to come."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from django.db import connection, transaction

from courses.logs import trace

logger = logging.getLogger(__name__)


def in_transaction() -> bool:
    """Return whether somebody's transaction is open, whose rollback would undo what is written now.

    The transaction that a test case wraps around a test does not count, as it does not for Django's own `durable`.
    """
    return any(not getattr(block, "_from_testcase", False) for block in connection.atomic_blocks)


def after_commit(work: Callable[[], object], *, once: bool = False) -> None:
    """Do some work once the transaction that is open has committed, at once when none is.

    What the work raises is logged: by then the caller's own is done, and what follows is no reason to undo it.
    `once`: not again where the same function is waiting already for what this one would wait for.
    """

    guarded = _Guarded(work)
    if not in_transaction():
        guarded()
    elif not (once and _is_waiting(work)):
        transaction.on_commit(guarded)


@dataclass(frozen=True)
class _Guarded:
    """Work whose error is nobody's any more; by what it does it is known while it waits."""

    work: Callable[[], object]

    def __call__(self) -> None:
        try:
            self.work()
        except Exception as error:
            logger.error("work after a commit broke off: %s", trace(error))
            if not connection.in_atomic_block:
                connection.close_if_unusable_or_obsolete()


def _is_waiting(work: Callable[[], object]) -> bool:
    """Return whether a function waits for this commit and no savepoint's rollback takes it away before our own."""
    savepoints = set(connection.savepoint_ids)
    return any(
        isinstance(waiting[1], _Guarded) and waiting[1].work is work and waiting[0] <= savepoints
        for waiting in connection.run_on_commit
    )
