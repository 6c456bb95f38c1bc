"""The sweep: `process_email_queue`. It claims what is due in the outbox, finds every mail that is due and that nobody
is sending, and sends it.

What other apps have waiting is done at its end, so that one command, task or beat entry picks everything up.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from datetime import timedelta

from django.utils import timezone

from .. import alerts, words
from ..conf import setting
from . import bodies, chores, entries, ledger, outbox, runs, waiting
from .delivery import deliver
from .outcome import OURS, Outcome, Tally, trace
from .turn import Turn

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
        looked_at, faulty = 0, set[int]()
        fits: int = setting("EMAIL_BATCH_SIZE")
        while limit is None or looked_at < limit:
            room = fits if limit is None else min(fits, limit - looked_at)
            claimed = outbox.claim_due(room, but=faulty)
            faulty.update(claimed.faulty)
            tally[OURS] += len(claimed.faulty)
            if claimed.late:
                tally.note(Outcome.skipped(words.EXPIRED), ledger.expire())
            log_ids = waiting.due_ids(room)
            if not log_ids and not claimed.entries:
                break
            # By turns, so that what is urgent and came meanwhile does not wait for a whole batch. With a limit it is
            # about the mails that were first when it began.
            turn = Turn(None if limit is None else math.inf)
            tally.update(deliver(log_ids, turn=turn))
            fits = turn.fits(len(log_ids) if turn.left else fits)
            number = len(log_ids) - len(turn.left)
            looked_at += number
            if progress is not None:
                progress(number)
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
    """Apply retention: rows and processed entries after EMAIL_LOG_DAYS, contents after EMAIL_LOG_CONTENT_DAYS."""
    now = timezone.now()
    rows_before = now - timedelta(days=setting("EMAIL_LOG_DAYS"))
    counts = ledger.prune(
        rows_before=rows_before, content_before=now - timedelta(days=setting("EMAIL_LOG_CONTENT_DAYS"))
    )
    return counts | {"entries": entries.prune(rows_before), "bodies": bodies.prune()}
