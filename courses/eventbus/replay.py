"""Storing old events again for one consumer, from wherever the transport still has them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Final

from django.utils.dateparse import parse_datetime

from courses.eventbus import inbox
from courses.eventbus.conf import EMBEDDED, setting, stream_of
from courses.eventbus.inbox import Arrival
from courses.events import TOPIC
from courses.models import EventOutbox

PAGE: Final = 500
STREAM_ID: Final = re.compile(r"\d{1,18}(-\d{1,18})?\Z", re.ASCII)


def replay(consumer: str, since: str) -> tuple[int, int]:
    """Store again what a consumer handles from `since` on; return how many events were looked at and stored.

    `since` is the id of an entry of the stream, or a time with its zone. What the inbox has already is left alone.
    Raises ValueError for anything else.
    """
    looked_at = stored = 0
    for arrival in _arrivals(since):
        looked_at += 1
        if not inbox.is_foreign(arrival, consumer):
            stored += len(inbox.store(arrival, [consumer]))
    return looked_at, stored


def _arrivals(since: str) -> Iterator[Arrival]:
    instant = None if STREAM_ID.match(since) else _instant(since)
    if setting("EVENT_TRANSPORT") == EMBEDDED:
        if instant is None:
            raise ValueError("without a stream only a time is allowed, for example 2026-03-01T00:00:00Z")
        return _from_outbox(instant)
    return _from_stream(since if instant is None else f"{int(instant.timestamp() * 1000)}-0")


def _instant(text: str) -> datetime:
    try:
        instant = parse_datetime(text)
    except ValueError:
        instant = None
    if instant is None or instant.tzinfo is None:
        raise ValueError(f"{text!r} is not allowed; allowed is 1795248533541-0 or 2026-03-01T00:00:00Z")
    return instant


def _from_outbox(since: datetime) -> Iterator[Arrival]:
    published = EventOutbox.objects.filter(published_at__gte=since).order_by("pk")
    for row in published.iterator(chunk_size=PAGE):
        yield Arrival(headers=row.headers, payload=bytes(row.payload))


def _from_stream(first: str) -> Iterator[Arrival]:
    from courses.eventbus import stream
    from courses.eventbus.consumer import arrival_of

    with stream.connect() as client:
        while page := client.xrange(stream_of(TOPIC), min=first, count=PAGE):
            for entry_id, fields in page:
                yield arrival_of(entry_id, fields)
            # An opening bracket excludes the id itself.
            first = f"({page[-1][0].decode()}"
