"""The outbox: an event is written in the transaction of the fact it tells, and published after its commit."""

from __future__ import annotations

from typing import Any

from django.utils import timezone
from openedx_events.tooling import OpenEdxPublicSignal

from courses.commits import in_transaction
from courses.eventbus import envelope, pokes
from courses.events import TOPIC
from courses.models import EventOutbox


class OutsideTransaction(RuntimeError):
    """An event was to be emitted where nothing commits with it."""


def emit(signal: OpenEdxPublicSignal, **data: Any) -> EventOutbox:
    """Write an event into the outbox, to be published when the caller's transaction has committed; return its row.

    `data` are the contract objects by the signal's own names. Raises TypeError or ValueError for what the contract does
    not allow, and OutsideTransaction where no transaction is open.
    """
    if not in_transaction():
        raise OutsideTransaction(f"{signal.event_type} was emitted outside a transaction; use transaction.atomic()")
    now = timezone.now()
    payload = envelope.serialised(signal, data)
    metadata = signal.generate_signal_metadata(time=now)
    row = EventOutbox(
        event_id=metadata.id,
        event_type=signal.event_type,
        topic=TOPIC,
        payload=payload,
        headers=envelope.headers_of(metadata),
        created_at=now,
    )
    row.save(force_insert=True)
    pokes.after_commit()
    return row
