"""Dispatch: what the clock starts. Planning claims rows; the rows are the queue; the broker only says "wake up"."""

from __future__ import annotations

import contextlib
import logging
from array import array
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date

from django.db import connection

from courses.bulk import slices

from .. import alerts
from ..conf import setting
from ..models import MessageRun
from . import ledger, runs, waiting, wake
from .delivery import deliver
from .message import MessageType
from .outcome import trace
from .patience import Patience
from .planning import Summary as Summary
from .planning import pace, planned
from .run import Run

log = logging.getLogger(__name__)

#: Called with (mails done, mails in all) while a command sends by itself.
Progress = Callable[[int, int], None]


def days_to_run(message: type[MessageType], run: Run) -> list[date]:
    """Return the missed days before the run's day, oldest first, and the day itself."""
    return [*runs.missed_days(message, run), run.day]


def run_daily(
    message: type[MessageType],
    site_id: int,
    *,
    day: date | None = None,
    override: str = "",
    dry_run: bool = False,
    catch_up: bool = True,
    progress: Progress | None = None,
) -> Summary:
    """Run a message for a day, and first for the days before it that were missed.

    `day` given means exactly that day, judged at its first instant; otherwise it is today, judged now. Test runs, and
    runs of a given day, never catch up.
    """
    today = replace(message.starting(site_id, day=day), override=override, dry_run=dry_run)
    days = days_to_run(message, today) if catch_up and day is None and not today.is_test else [today.day]
    total = Summary()
    for each in days:
        total.add(run_one(message, today if each == today.day else today.on(each), progress=progress))
    return total


def run_part(
    message: type[MessageType], run: Run, record: MessageRun | None, *, patience: Patience, size: int | None = None
) -> Summary:
    """Plan a run whose record its app keeps, and deliver it here, batch by batch, waiting where `patience` allows.

    Every mail it claims has ended when it returns, unless `patience` leaves what waits to the sweep. An error that ends
    planning is logged and noted in the summary; alerts are the app's.
    """
    summary = Summary(days=[run.day])
    try:
        for planned_together in planned(message, run, summary, record):
            for batch in slices(planned_together, size or setting("EMAIL_BATCH_SIZE")):
                summary.tally.update(patience.deliver(batch))
    except Exception as error:
        _break_off(run, None, error, summary)
    return summary


def run_one(message: type[MessageType], run: Run, *, progress: Progress | None = None) -> Summary:
    """Plan one run and have its mails delivered: by workers where there is a broker, else here.

    Raises nothing for a single mail's sake. An error that ends planning is logged, noted in the summary, and leaves
    the day open, so that the next run takes up what is left.
    """
    summary = Summary(days=[run.day])
    record: MessageRun | None = None
    claimed = array("q")
    workers = wake.Calls(message.queue()) if setting("CELERY_BROKER_URL") else None
    try:
        if run.leaves_record and message.slot(run):
            record = runs.open_run(message, run)
            message.prepare(run)
        _plan(message, run, summary, record, claimed=claimed, workers=workers)
        if workers is None:
            _deliver_here(claimed if record is None else waiting.waiting_ids(record), summary, progress)
    except Exception as error:
        _break_off(run, record, error, summary)
    if workers is not None and workers.problem:
        summary.errors.append(f"broker: {workers.problem}")
    try:
        _add_up(summary, record, claimed)
        if record is not None:
            runs.close_finished(record)
    except Exception as error:
        _break_off(run, record, error, summary)
    if not summary.ok:
        alerts.announce(run.message, summary.tally, errors=summary.errors, record=record)
    return summary


def _plan(
    message: type[MessageType],
    run: Run,
    summary: Summary,
    record: MessageRun | None,
    *,
    claimed: array[int],
    workers: wake.Calls | None,
) -> None:
    """Claim everybody's row, and wake workers up page by page, so that they send while the rest is planned."""
    # Of mails that become due one after the other, those that are due by the end; the sweep takes the others.
    at_the_end = bool(pace(message, run))
    if workers is not None and record is not None and not at_the_end:
        # What an earlier try of the run left behind.
        workers.call(waiting.waiting_ids(record))
    for log_ids in planned(message, run, summary, record):
        claimed.extend(log_ids)
        if workers is not None and not at_the_end:
            workers.call(log_ids)
    if record is not None:
        runs.end_planning(record, audience=summary.audience, skipped=summary.left_out)
    if workers is not None and at_the_end:
        workers.call(claimed if record is None else waiting.waiting_ids(record))


def settle_overdue() -> None:
    """Decide about mails whose worker fell silent and those whose time has passed, as every sweep does first."""
    ledger.resolve_doubts()
    ledger.expire()


def _deliver_here(log_ids: Sequence[int], summary: Summary, progress: Progress | None) -> None:
    done = 0
    for batch in slices(log_ids, setting("EMAIL_BATCH_SIZE")):
        summary.tally.update(deliver(batch))
        done += len(batch)
        if progress is not None:
            progress(done, len(log_ids))


def _break_off(run: Run, record: MessageRun | None, error: Exception, summary: Summary) -> None:
    log.error("message=%s site=%s day=%s broke off: %s", run.message, run.site_id, run.day, trace(error))
    summary.errors.append(f"{run.message} {run.day}: {type(error).__name__}")
    if not connection.in_atomic_block:
        connection.close_if_unusable_or_obsolete()
    if record is not None:
        # The database itself may be what broke; the record then says `running`, which leaves the day open as well.
        with contextlib.suppress(Exception):
            runs.break_off(record)


def _add_up(summary: Summary, record: MessageRun | None, claimed: Sequence[int]) -> None:
    """Complete a summary, so that its audience is the sum of what became of it."""
    if setting("CELERY_BROKER_URL") and record is not None:
        ended, summary.retry = waiting.standing_of(record, since=min(claimed, default=None))
        summary.tally.update(ended)
    else:
        if setting("CELERY_BROKER_URL"):
            # Workers may have been quick. What ends from here until the next line was not this command's doing either.
            summary.tally.update(waiting.standing(claimed))
        summary.retry = waiting.unfinished(record=record, log_ids=claimed)
    accounted = summary.sent + summary.failed + sum(summary.skipped.values()) + summary.retry
    # Rows that an earlier try of the run left behind may be of people who are not due any more.
    summary.audience = max(summary.audience, accounted)
    summary.already_sent = summary.audience - accounted
