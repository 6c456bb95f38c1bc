"""The inbox: events as they came, once for each consumer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from courses import alerts
from courses.alerts import Entry
from courses.bulk import insert_if_absent, locked, retry_on_deadlock
from courses.eventbus import envelope, handlers
from courses.models import EventInbox

TYPE_LENGTH = 255
PAGE = 500
KEY = ["consumer", "event_id"]


@dataclass(frozen=True, kw_only=True)
class Arrival:
    """What came: headers and data, and the id of its entry where it came by a stream."""

    headers: Mapping[str, str]
    payload: bytes
    entry: str = ""

    @property
    def event_type(self) -> str:
        """What the headers call its type, '' where they do not say."""
        return self.headers.get(envelope.TYPE, "")

    @property
    def event_id(self) -> str:
        """The event's own id; one without any is told apart by its entry."""
        try:
            return str(UUID(self.headers.get(envelope.ID, "")))
        except ValueError:
            return id_of_entry(self.entry)


def id_of_entry(entry: str | int) -> str:
    """Return the id of what has none of its own."""
    return f"stream:{entry}"


@retry_on_deadlock
def store(arrival: Arrival, consumers: Iterable[str]) -> list[EventInbox]:
    """Store what came for these consumers, as it came, and return the rows that are new.

    What its headers show to be unreadable is dead from the start; the data is looked into when it is handled.
    """
    now = timezone.now()
    problem = envelope.problem_of(arrival.headers)
    rows = [
        EventInbox(
            consumer=consumer,
            event_id=arrival.event_id,
            event_type=arrival.event_type[:TYPE_LENGTH],
            payload=arrival.payload,
            headers=dict(arrival.headers),
            entry=arrival.entry,
            state=EventInbox.DEAD if problem else EventInbox.RECEIVED,
            reason=problem,
            created_at=now,
            received_at=now,
            due_at=None if problem else now,
        )
        for consumer in consumers
    ]
    with transaction.atomic(savepoint=False):
        new = insert_if_absent(EventInbox, rows, unique_field=KEY)
        if arrival.entry and len(new) < len(rows):
            new += _stored_beside([row for row in rows if row not in new], is_readable=not problem)
    if problem:
        tell([row.pk for row in new])
    return new


def _stored_beside(rows: list[EventInbox], *, is_readable: bool) -> list[EventInbox]:
    """Store what came under the id of something else; return what is stored now.

    Of two entries with one id at most one can be read, as when somebody writes a spoilt copy on the stream. That one
    has the id, and the other one is known by its entry.
    """
    beside = []
    for row in rows:
        known = EventInbox.objects.filter(consumer=row.consumer, event_id=row.event_id).first()
        if known is None or known.entry == row.entry:
            continue
        if not is_readable:
            row.event_id = id_of_entry(row.entry)
        elif known.state == EventInbox.DEAD and not _can_be_read(known):
            EventInbox.objects.filter(pk=known.pk).update(event_id=id_of_entry(known.entry or known.pk))
        else:
            continue
        beside.append(row)
    return insert_if_absent(EventInbox, beside, unique_field=KEY)


def _can_be_read(row: EventInbox) -> bool:
    try:
        envelope.data_of(row.headers, bytes(row.payload))
    except envelope.Unreadable:
        return False
    return not envelope.problem_of(row.headers)


def is_foreign(arrival: Arrival, consumer: str) -> bool:
    """Return whether what came is of a type that is known and that this consumer leaves to others."""
    known = envelope.signal_of(arrival.headers) is not None
    return known and handlers.handler_of(consumer, arrival.event_type) is None


def tell(ids: Iterable[int]) -> None:
    """Tell people once, by ids, of events that are dead."""
    pks = list(ids)
    rows = EventInbox.objects.filter(pk__in=pks).order_by("pk") if pks else ()
    alert = alerts.of_entries(
        "courses.eventbus",
        [
            Entry(
                severity="error",
                step="handle",
                text=f"{row.event_type or 'event'}: {row.reason}",
                ids={"consumer": row.consumer, "event": row.event_id, "row": row.pk},
            )
            for row in rows
        ],
    )
    if alert is not None:
        alerts.tell(alert)


def requeue(ids: Iterable[int] | None = None, *, event_type: str = "") -> list[int]:
    """Make dead events due again with no attempts counted; return the ids of the rows.

    `ids` None means all dead ones, of one type where `event_type` is given. Others than dead ones stay as they are.
    """
    dead = EventInbox.objects.filter(state=EventInbox.DEAD)
    if event_type:
        dead = dead.filter(event_type=event_type)
    if ids is not None:
        return _requeue(dead.filter(pk__in=list(ids)).values_list("pk", flat=True))
    done: list[int] = []
    last = 0
    while page := list(dead.filter(pk__gt=last).order_by("pk").values_list("pk", flat=True)[:PAGE]):
        done += _requeue(page)
        last = page[-1]
    return done


@retry_on_deadlock
def _requeue(ids: Iterable[int]) -> list[int]:
    now = timezone.now()
    with transaction.atomic():
        dead = EventInbox.objects.filter(pk__in=list(ids), state=EventInbox.DEAD).order_by("pk")
        rows = list(locked(dead).values_list("pk", flat=True))
        EventInbox.objects.filter(pk__in=rows).update(
            state=EventInbox.RECEIVED, reason="", attempts=0, deferrals=0, received_at=now, due_at=now
        )
    return rows
