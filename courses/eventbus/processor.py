"""The processor: has what stands in the inbox handled. Any number of processes may do so at once."""

from __future__ import annotations

import logging
from collections import Counter
from datetime import timedelta
from typing import Any, Final

from django.db import connections, router, transaction
from django.db.models import QuerySet
from django.utils import timezone

from courses.bulk import locked, retry_on_deadlock
from courses.eventbus import envelope, handlers, inbox
from courses.eventbus.handlers import Deferred, Never
from courses.logs import trace
from courses.models import EventInbox

logger = logging.getLogger(__name__)

PAGE: Final = 100
#: Seconds after the first, second … failure; the one after the last ends the event.
RETRIES: Final = (1, 5, 30, 120)
#: Seconds after the first, second … "not yet"; the last one repeats.
DEFERRALS: Final = (5, 30, 120, 600)
DEFERRED_FOR: Final = timedelta(hours=24)
REASON_LENGTH: Final = 255
RETRY: Final = "retry"


def run(*, limit: int | None = None) -> Counter[str]:
    """Have what is due handled, at most `limit` events, and return how many ended as `done`, `deferred`, `dead` or
    `retry`. What another process is handling is passed over."""
    counts: Counter[str] = Counter()
    passed: set[int] = set()
    while limit is None or counts.total() < limit:
        room = PAGE if limit is None else min(PAGE, limit - counts.total())
        due = _due(EventInbox.objects.all()).exclude(pk__in=passed).order_by("due_at", "pk")
        page = list(due.values_list("pk", flat=True)[:room])
        if not page:
            break
        became = {pk: handle_one(pk) for pk in page}
        counts.update(word for word in became.values() if word)
        passed.update(pk for pk, word in became.items() if not word)
        inbox.tell([pk for pk, word in became.items() if word == EventInbox.DEAD])
    return counts


def handle_one(pk: int) -> str:
    """Have one event handled if it is due and nobody else is at it; return what became of it, '' where neither."""
    try:
        return _attempt(pk)
    except Deferred as deferred:
        return _put_off(pk, str(deferred))
    except Never as never:
        return _end(pk, never.reason)
    except Exception as error:
        return _count_failure(pk, error)


@retry_on_deadlock
def _attempt(pk: int) -> str:
    """Handle an event: its effects, the events it leads to, and that it is done are one transaction."""
    with transaction.atomic():
        row = _taken(pk)
        if row is None:
            return ""
        handler = handlers.handler_of(row.consumer, row.event_type)
        if handler is None:
            raise Never(f"{row.consumer} does not handle this type")
        try:
            metadata = envelope.metadata_of(row.headers)
            (data,) = envelope.data_of(row.headers, bytes(row.payload)).values()
        except envelope.Unreadable as unreadable:
            raise Never(str(unreadable)) from None
        handler(data, metadata)
        return _write(row, state=EventInbox.DONE, reason="", due_at=None, done_at=timezone.now())


@retry_on_deadlock
def _put_off(pk: int, reason: str) -> str:
    """Note that a handler said "not yet": a day after it came, an event that still has to wait is dead."""
    with transaction.atomic():
        row = _taken(pk)
        if row is None:
            return ""
        now, end = timezone.now(), row.received_at + DEFERRED_FOR
        if now >= end:
            return _bury(row, f"put off for a day: {reason}")
        pause = timedelta(seconds=DEFERRALS[min(row.deferrals, len(DEFERRALS) - 1)])
        return _write(
            row,
            state=EventInbox.DEFERRED,
            reason=reason,
            deferrals=row.deferrals + 1,
            # The last try is at the end of the day and not up to ten minutes later.
            due_at=min(now + pause, end),
        )


@retry_on_deadlock
def _end(pk: int, reason: str) -> str:
    """Note that a handler said "never"."""
    with transaction.atomic():
        row = _taken(pk)
        return "" if row is None else _bury(row, reason)


@retry_on_deadlock
def _count_failure(pk: int, error: Exception) -> str:
    """Note that a handler failed: again a few times, then the event is dead. Others go on meanwhile."""
    with transaction.atomic():
        row = _taken(pk)
        if row is None:
            return ""
        attempts = row.attempts + 1
        logger.error(
            "event %s (%s) failed for %s, attempt %d of %d: %s",
            row.event_id, row.event_type, row.consumer, attempts, len(RETRIES) + 1, trace(error),
        )  # fmt: skip
        if attempts > len(RETRIES):
            return _bury(row, f"failed: {type(error).__name__}", attempts=attempts)
        due_at = timezone.now() + timedelta(seconds=RETRIES[attempts - 1])
        fields: dict[str, Any] = {"attempts": attempts, "reason": type(error).__name__, "due_at": due_at}
        _write(row, state=EventInbox.RECEIVED, **fields)
        return RETRY


def _bury(row: EventInbox, reason: str, **fields: Any) -> str:
    return _write(row, state=EventInbox.DEAD, reason=reason, due_at=None, **fields)


def _due(rows: QuerySet[EventInbox]) -> QuerySet[EventInbox]:
    return rows.filter(due_at__lte=timezone.now())


def _taken(pk: int) -> EventInbox | None:
    """Return an event that is due, locked, or None where it is not or somebody else has locked it.

    SQLite locks all of its database instead, when the transaction begins.
    """
    rows = _due(EventInbox.objects.filter(pk=pk))
    features = connections[router.db_for_write(EventInbox)].features
    if features.has_select_for_update_skip_locked:
        return rows.select_for_update(skip_locked=True, no_key=features.has_select_for_no_key_update).first()
    return locked(rows).first()


def _write(row: EventInbox, *, state: str, reason: str, **fields: Any) -> str:
    """Write what became of an event and return the word for it."""
    row.state, row.reason = state, reason[:REASON_LENGTH]
    for name, value in fields.items():
        setattr(row, name, value)
    row.save(update_fields=["state", "reason", *fields])
    return state
