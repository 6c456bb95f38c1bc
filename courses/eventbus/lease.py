"""The relay's lease: one process publishes at a time, and after a failure nobody does for a while."""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta
from typing import Final

from django.db.models import F, Q
from django.utils import timezone

from courses.bulk import insert_if_absent
from courses.models import EventRelay

NAME: Final = "outbox"
#: A process that dies leaves the lease behind for so long. Publishing one event takes far less.
DURATION: Final = timedelta(seconds=60)
LONGEST_PAUSE: Final = 60


def take() -> str:
    """Return a token when the lease is ours now, '' when somebody else has it or a pause has not ended."""
    token, now = secrets.token_hex(8), timezone.now()
    free = EventRelay.objects.filter(
        Q(owner="") | Q(leased_until__lt=now), Q(not_before__isnull=True) | Q(not_before__lte=now), name=NAME
    )
    if free.update(owner=token, leased_until=now + DURATION):
        return token
    if not insert_if_absent(EventRelay, [EventRelay(name=NAME)], unique_field="name"):
        return ""
    return token if free.update(owner=token, leased_until=now + DURATION) else ""


def keep(token: str, until: datetime | None) -> datetime | None:
    """Return until when the lease is ours, renewed where half of it has passed; None when somebody has taken it."""
    now = timezone.now()
    if until is not None and until - now > DURATION / 2:
        return until
    until = now + DURATION
    return until if _ours(token, leased_until=until) else None


def give_back(token: str) -> None:
    """End a pass that went well."""
    _ours(token, owner="", leased_until=None, failures=0, not_before=None)


def pause(token: str) -> None:
    """End a pass that broke off: the next one begins after 1 s, then 2, 4 and so on up to 60."""
    failures = EventRelay.objects.filter(name=NAME).values_list("failures", flat=True).first() or 0
    seconds = min(2 ** min(failures, 6), LONGEST_PAUSE)
    not_before = timezone.now() + timedelta(seconds=seconds)
    _ours(token, owner="", leased_until=None, failures=F("failures") + 1, not_before=not_before)


def _ours(token: str, **fields: object) -> bool:
    return bool(EventRelay.objects.filter(name=NAME, owner=token).update(**fields))
