"""The carrier that needs a database only: from the outbox into the inbox, without a broker."""

from __future__ import annotations

from collections.abc import Callable

from django.db import transaction

from courses.eventbus import foreign, handlers, inbox
from courses.eventbus.inbox import Arrival
from courses.models import EventOutbox


def carry(row: EventOutbox, mark: Callable[[], None]) -> None:
    """Store an event for everybody who handles its type, in one transaction with the mark that it is published."""
    arrival = Arrival(headers=row.headers, payload=bytes(row.payload))
    with transaction.atomic():
        inbox.store(arrival, handlers.consumers_of(row.event_type))
        mark()
    foreign.send(arrival.headers, arrival.payload)
