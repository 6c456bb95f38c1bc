"""The sweep: `process_email_queue`. It finds every mail that is due and that nobody is sending, and sends it.

What other apps have waiting is done at its end, so that one command, task or beat entry picks everything up.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import timedelta

from django.utils import timezone

from .. import alerts, words
from ..conf import setting
from . import chores, ledger, runs
from .delivery import SLICE, deliver
from .outcome import OURS, Outcome, Tally, trace

log = logging.getLogger(__name__)


def sweep(*, limit: int | None = None, progress: Callable[[int], None] | None = None) -> Tally:
    """Send what is due, urgent first, then oldest, until nothing is left or `limit` mails were looked at.

    Decides about mails in doubt first, and skips what has expired. Any number of processes may sweep at once; each
    row goes to one of them. Returns the counts of what became of the rows this process took; an error that ends the
    sweep is logged and counted as a fault of ours, and the rest is for the next one. The chores of other apps
    (`chores.also`) follow in any case, whatever the limit.
    """
    tally = Tally()
    errors: list[str] = []
    try:
        tally[words.UNKNOWN] += ledger.resolve_doubts()["unknown"]
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
        runs.recount()
    except Exception as error:
        log.error("the sweep broke off: %s", trace(error))
        tally[OURS] += 1
        errors.append(type(error).__name__)
    _do_chores(tally, errors)
    if tally[OURS]:
        alerts.announce("process_email_queue", tally, errors=errors)
    return tally


def _do_chores(tally: Tally, errors: list[str]) -> None:
    """Do what other apps have waiting, each app's for itself."""
    for chore in chores.chores():
        try:
            chore()
        except Exception as error:
            log.error("the sweep's chore %s.%s broke off: %s", chore.__module__, chore.__qualname__, trace(error))
            tally[OURS] += 1
            errors.append(type(error).__name__)


def clean_up() -> dict[str, int]:
    """Apply retention: rows after EMAIL_LOG_DAYS, their contents after EMAIL_LOG_CONTENT_DAYS."""
    now = timezone.now()
    return ledger.prune(
        rows_before=now - timedelta(days=setting("EMAIL_LOG_DAYS")),
        content_before=now - timedelta(days=setting("EMAIL_LOG_CONTENT_DAYS")),
    )
