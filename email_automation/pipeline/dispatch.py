"""Dispatch: what the clock starts. Planning claims rows; the rows are the queue; the broker only says "wake up"."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta

from celery import current_app
from django.db import connection

from courses.bulk import slices

from .. import alerts, words
from ..conf import setting
from ..models import MessageRun
from . import ledger, policy, runs
from .delivery import SLICE, check, deliver
from .message import MessageType
from .outcome import OURS, Outcome, Tally, trace
from .resolver import AudienceRow
from .run import Run

log = logging.getLogger(__name__)

#: Called with (mails done, mails in all) while a command sends by itself.
Progress = Callable[[int, int], None]
DELIVER_TASK = "email_automation.tasks.deliver_mails"


@dataclass
class Summary:
    """What one or several runs came to.

    `left_out` counts the people who were skipped while planning, `tally` what became of the mails this process
    handed off, `retry` the claimed mails that have not ended. Everybody else of the audience was somebody else's, or
    an earlier run's: `already_sent`.
    """

    days: list[date] = field(default_factory=list)
    audience: int = 0
    left_out: Tally = field(default_factory=Tally)
    tally: Tally = field(default_factory=Tally)
    retry: int = 0
    already_sent: int = 0
    errors: list[str] = field(default_factory=list)

    @property
    def sent(self) -> int:
        """Mails accepted by the provider; in a dry run, mails that would be handed to it."""
        return self.tally[words.SENT]

    @property
    def failed(self) -> int:
        """Mails given up, or whose outcome nobody knows."""
        return self.tally[words.FAILED] + self.tally[words.UNKNOWN]

    @property
    def skipped(self) -> dict[str, int]:
        """People and mails left out, by reason."""
        reasons = Tally(self.left_out)
        reasons.update(self.tally)
        if self.already_sent:
            reasons[f"{words.SKIPPED}:{words.ALREADY_SENT}"] += self.already_sent
        return reasons.reasons

    @property
    def ok(self) -> bool:
        """Whether nothing went wrong for a reason of ours."""
        return not self.errors and not self.tally[OURS]

    def add(self, other: Summary) -> None:
        """Add another run's figures."""
        self.days = sorted({*self.days, *other.days})
        self.audience += other.audience
        self.left_out.update(other.left_out)
        self.tally.update(other.tally)
        self.retry += other.retry
        self.already_sent += other.already_sent
        self.errors += other.errors


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
    today = replace(Run.starting(message.label(), site_id, day=day), override=override, dry_run=dry_run)
    days = days_to_run(message, today) if catch_up and day is None and not today.is_test else [today.day]
    total = Summary()
    for each in days:
        total.add(run_one(message, today if each == today.day else today.on(each), progress=progress))
    return total


def run_one(message: type[MessageType], run: Run, *, progress: Progress | None = None) -> Summary:
    """Plan one run and have its mails delivered: by workers where there is a broker, else here.

    Raises nothing for a single mail's sake. An error that ends planning is logged, noted in the summary, and leaves
    the day open, so that the next run takes up what is left.
    """
    summary = Summary(days=[run.day])
    record: MessageRun | None = None
    claimed: list[int] = []
    try:
        if run.leaves_record:
            record = runs.open_run(message, run)
        for log_ids in _planned(message, run, summary, record):
            claimed += log_ids
        if record is not None:
            runs.end_planning(record, audience=summary.audience, skipped=summary.left_out)
        waiting = claimed if record is None else ledger.waiting_ids(record)
        if setting("CELERY_BROKER_URL"):
            _enqueue(message, waiting, summary)
        else:
            _deliver_here(waiting, summary, progress)
    except Exception as error:
        _break_off(run, record, error, summary)
    try:
        _add_up(summary, record, claimed)
        if record is not None:
            runs.close_finished(record)
    except Exception as error:
        _break_off(run, record, error, summary)
    if not summary.ok:
        alerts.announce(run.message, summary.tally, errors=summary.errors, record=record)
    return summary


def _planned(message: type[MessageType], run: Run, summary: Summary, record: MessageRun | None) -> Iterator[list[int]]:
    """Go through the audience and claim a row for everybody who may be mailed; yields the claimed ids by pages."""
    if not message.gate(run, "enqueue"):
        log.info("message=%s site=%s day=%s is switched off: nothing planned", run.message, run.site_id, run.day)
        return
    rate = None if message.transactional or run.is_test else setting("EMAIL_RATE_PER_SECOND")
    gap = timedelta(seconds=1 / rate) if rate else timedelta(0)
    for page in message.resolver().audience(run):
        summary.audience += len(page)
        people = policy.verdicts(message, {row.user_id for row in page})
        willing = []
        for row in page:
            if refusal := people[row.user_id].refusal:
                summary.left_out.note(Outcome.skipped(refusal))
            else:
                willing.append(row)
        if run.dry_run:
            _rehearse(message, run, willing, summary)
        elif willing:
            addresses = {row.user_id: people[row.user_id].address for row in willing}
            rows = ledger.claim(message, run, willing, addresses=addresses, record=record, gap=gap)
            yield [row.pk for row in rows]


def _rehearse(message: type[MessageType], run: Run, page: Sequence[AudienceRow], summary: Summary) -> None:
    taken = ledger.claimed_already(run, [row.occasion for row in page])
    free = [row.target_id for row in page if row.occasion not in taken]
    for target_ids in slices(free, SLICE):
        checked = check(message, run, target_ids)
        summary.tally[words.SENT] += len(checked.drafts)
        for reason in checked.refused.values():
            summary.tally.note(Outcome.skipped(reason))


def _enqueue(message: type[MessageType], log_ids: Sequence[int], summary: Summary) -> None:
    """Wake workers up. The rows are there already, so a broker that is away only costs time: the sweep finds them."""
    for batch in slices(log_ids, SLICE):
        try:
            current_app.send_task(DELIVER_TASK, args=[batch], queue=message.queue(), retry=False)
        except Exception as error:  # each broker's client has its own
            log.error("the broker is away (%s): the mails wait for process_email_queue", type(error).__name__)
            summary.errors.append(f"broker: {type(error).__name__}")
            return


def _deliver_here(log_ids: Sequence[int], summary: Summary, progress: Progress | None) -> None:
    done = 0
    for batch in slices(log_ids, SLICE):
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
    if setting("CELERY_BROKER_URL"):
        # Workers may have been quick. What ends from here on until the next line was not this command's doing either.
        summary.tally.update(ledger.standing(claimed))
    summary.retry = ledger.unfinished(record=record, log_ids=claimed)
    accounted = summary.sent + summary.failed + sum(summary.skipped.values()) + summary.retry
    # Rows that an earlier try of the run left behind may be of people who are not due any more.
    summary.audience = max(summary.audience, accounted)
    summary.already_sent = summary.audience - accounted
