"""The sweep: `process_email_queue`. It finds every mail that is due and that nobody is sending, and sends it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import timedelta

from django.utils import timezone

from .. import words
from ..conf import setting
from . import ledger, runs
from .delivery import SLICE, deliver
from .outcome import Outcome, Tally

log = logging.getLogger(__name__)


def sweep(*, limit: int | None = None, progress: Callable[[int], None] | None = None) -> Tally:
    """Send what is due, urgent first, then oldest, until nothing is left or `limit` mails were looked at.

    Decides about mails in doubt first, and skips what has expired. Any number of processes may sweep at once; each
    row goes to one of them. Returns the counts of what became of the rows this process took.
    """
    tally = Tally()
    doubts = ledger.resolve_doubts()
    tally[words.UNKNOWN] += doubts["unknown"]
    tally.note(Outcome.skipped(words.EXPIRED), ledger.expire())
    looked_at = 0
    while limit is None or looked_at < limit:
        log_ids = ledger.due_ids(SLICE if limit is None else min(SLICE, limit - looked_at))
        if not log_ids:
            break
        tally.update(deliver(log_ids))
        looked_at += len(log_ids)
        if progress is not None:
            progress(len(log_ids))
    runs.close_finished()
    return tally


def clean_up() -> dict[str, int]:
    """Apply retention: rows after EMAIL_LOG_DAYS, their contents after EMAIL_LOG_CONTENT_DAYS."""
    now = timezone.now()
    return ledger.prune(
        rows_before=now - timedelta(days=setting("EMAIL_LOG_DAYS")),
        content_before=now - timedelta(days=setting("EMAIL_LOG_CONTENT_DAYS")),
    )
