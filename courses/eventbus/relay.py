"""The relay: hands what stands in the outbox to the carrier, in the order of the rows, until the carrier has it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from django.db.models import Q
from django.utils import timezone
from django.utils.module_loading import import_string

from courses import alerts
from courses.alerts import Alert, Entry
from courses.eventbus import lease
from courses.eventbus.conf import EMBEDDED, REDIS, setting
from courses.logs import trace
from courses.models import EventOutbox, EventRelay

logger = logging.getLogger(__name__)

Carry = Callable[[EventOutbox, Callable[[], None]], None]

#: By name, because what Redis needs may not be installed.
CARRIERS: Final = {EMBEDDED: "courses.eventbus.embedded.carry", REDIS: "courses.eventbus.stream.carry"}
PAGE: Final = 100
LATE: Final = timedelta(minutes=10)
AGAIN: Final = timedelta(hours=1)


def run(*, limit: int | None = None) -> int:
    """Publish what waits, at most `limit` events, and return how many were published.

    Only one process does so at a time; another one, or one that comes while a pause has not ended, publishes nothing.
    An error ends the pass, because the order counts, and begins a pause.
    """
    published = 0
    while limit is None or published < limit:
        token = lease.take()
        if not token:
            break
        try:
            for _row in _carried(token, None if limit is None else limit - published):
                published += 1
        except Exception as error:
            logger.error("publishing broke off: %s", trace(error))
            lease.pause(token)
            break
        lease.give_back(token)
        # Whoever committed while we had the lease came to it in vain.
        if not EventOutbox.objects.filter(is_published=False).exists():
            break
    return published


def _carried(token: str, limit: int | None) -> Iterator[EventOutbox]:
    """Carry unpublished rows while the lease is ours, and yield each.

    Every page is asked for anew and never from a remembered id on: a lower id may commit later.
    """
    carry: Carry = import_string(CARRIERS[setting("EVENT_TRANSPORT")])
    until: datetime | None = None
    left = limit
    while page := list(EventOutbox.objects.filter(is_published=False).order_by("pk")[: _room(left)]):
        for row in page:
            until = lease.keep(token, until)
            if until is None:
                return
            carry(row, partial(_mark, row))
            yield row
        if left is not None:
            left -= len(page)


def _room(left: int | None) -> int:
    return PAGE if left is None else min(PAGE, left)


def _mark(row: EventOutbox) -> None:
    EventOutbox.objects.filter(pk=row.pk, published_at__isnull=True).update(published_at=timezone.now())


def watch() -> bool:
    """Tell people when the oldest unpublished event is older than 10 minutes, then hourly; return whether we did."""
    now = timezone.now()
    relay = EventRelay.objects.filter(name=lease.NAME)
    oldest = EventOutbox.objects.filter(is_published=False).order_by("pk").first()
    if oldest is None or now - oldest.created_at <= LATE:
        relay.filter(alerted_at__isnull=False).update(alerted_at=None)
        return False
    if not relay.filter(Q(alerted_at__isnull=True) | Q(alerted_at__lte=now - AGAIN)).update(alerted_at=now):
        return False
    minutes = int((now - oldest.created_at).total_seconds() // 60)
    text = f"the oldest unpublished event has waited for {minutes} minutes"
    entry = Entry(severity="error", step="publish", text=text, ids={"row": oldest.pk, "event": str(oldest.event_id)})
    alerts.tell(Alert(source="courses.eventbus", faults=1, entries=(entry,)))
    return True
