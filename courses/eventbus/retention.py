"""How long events are kept once they are out of the way."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from django.db.models import QuerySet
from django.utils import timezone

from courses.models import EventInbox, EventOutbox

KEPT: Final = timedelta(days=30)
PAGE: Final = 500


def prune() -> dict[str, int]:
    """Delete published events and handled ones after 30 days, dead ones never; return how many of each.

    That a fact counts once does not rest on them.
    """
    before = timezone.now() - KEPT
    return {
        "published": _delete(EventOutbox.objects.filter(published_at__lt=before)),
        "done": _delete(EventInbox.objects.filter(done_at__lt=before, state=EventInbox.DONE)),
    }


def _delete(rows: QuerySet[EventOutbox] | QuerySet[EventInbox]) -> int:
    deleted = 0
    while page := list(rows.values_list("pk", flat=True)[:PAGE]):
        deleted += rows.filter(pk__in=page).delete()[0]
    return deleted
