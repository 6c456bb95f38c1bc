"""Erasing one person: what the engine holds of them goes, and a digest keeps mail from their address."""

from __future__ import annotations

from django.db import transaction

from courses.bulk import retry_on_deadlock

from . import consent, progress
from .pipeline import entries, ledger


@retry_on_deadlock
def erase(user_id: int) -> dict[str, int]:
    """Delete log, outbox, preferences and weekly figures of a person, and return how many rows of what.

    All or nothing. The account stays, and its address gets no mail until an administrator releases it. A mail that is
    being handed off right now goes out, and nothing is left of it.
    """
    with transaction.atomic():
        counts = consent.forget(user_id)
        # Before the log, to whose rows it refers.
        counts["queued"] = entries.forget(user_id)
        counts["logs"] = ledger.forget(user_id)
        counts["reports"] = progress.forget(user_id)
    return counts
