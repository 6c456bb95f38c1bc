"""Planning: from everybody who is due to claimed rows, page by page."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from itertools import groupby

from courses.bulk import slices

from .. import words
from ..conf import setting
from ..models import MessageRun
from . import ledger, policy, waiting
from .delivery import check
from .message import MessageType
from .outcome import OURS, Outcome, Tally
from .resolver import AudienceRow
from .run import Run

log = logging.getLogger(__name__)


@dataclass
class Summary:
    """What one or several runs came to.

    `left_out` counts the people who were skipped while planning, `tally` what became of the mails this process
    handed off, `retry` the claimed mails that have not ended. Everybody else of the audience was somebody else's, or
    an earlier run's: `already_sent`. A dry run names in `targets` what it would claim mails about.
    """

    days: list[date] = field(default_factory=list)
    audience: int = 0
    left_out: Tally = field(default_factory=Tally)
    tally: Tally = field(default_factory=Tally)
    retry: int = 0
    already_sent: int = 0
    errors: list[str] = field(default_factory=list)
    targets: list[int] = field(default_factory=list)

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
        self.targets += other.targets


def planned(message: type[MessageType], run: Run, summary: Summary, record: MessageRun | None) -> Iterator[list[int]]:
    """Go through the audience and claim a row for everybody who may be mailed; yields the claimed ids by batches."""
    if not message.gate(run, "enqueue"):
        log.info("message=%s site=%s day=%s is switched off: nothing planned", run.message, run.site_id, run.day)
        return
    gap = pace(message, run)
    resolver = message.resolver()
    for reason, number in resolver.left_out(run).items():
        summary.audience += number
        summary.left_out.note(Outcome.skipped(reason), number)
    for page in resolver.audience(run):
        summary.audience += len(page)
        addressees = [policy.addressee(row) for row in page]
        people = policy.verdicts(message, set(addressees))
        opted_out = _course_opt_outs(message, page)
        willing, addresses = [], {}
        for row, addressee in zip(page, addressees, strict=True):
            verdict = people[addressee]
            if verdict.refusal:
                summary.left_out.note(Outcome.skipped(verdict.refusal))
            elif opted_out and (row.user_id, row.course_id) in opted_out:
                summary.left_out.note(Outcome.skipped(words.OPTED_OUT_COURSE))
            else:
                willing.append(row)
                addresses[row.user_id] = verdict.address
        if run.dry_run:
            _rehearse(message, run, willing, summary)
        elif willing:
            expiring = {row.occasion: row.expires_at for row in willing if row.expires_at is not None}
            rows = ledger.claim(message, run, willing, addresses=addresses, record=record, gap=gap, expiring=expiring)
            yield from _batches(willing, {row.occasion: row.pk for row in rows})


def pace(message: type[MessageType], run: Run) -> timedelta:
    """Return how far apart a run's mails become due; nothing where all are due at once."""
    rate = None if message.transactional or run.is_test else setting("EMAIL_RATE_PER_SECOND")
    return timedelta(seconds=1 / rate) if rate else timedelta(0)


def _batches(page: Sequence[AudienceRow], claimed: Mapping[str, int]) -> Iterator[list[int]]:
    """Yield the ids that were claimed for a page, in its order, those of another batch apart."""
    for _, rows in groupby(page, key=lambda row: row.batch):
        if log_ids := [claimed[row.occasion] for row in rows if row.occasion in claimed]:
            yield log_ids


def _course_opt_outs(message: type[MessageType], page: Sequence[AudienceRow]) -> set[tuple[int, int | None]]:
    """Return who of a page wants no mail about the course theirs is about, as (user id, course id)."""
    course_ids = {row.course_id for row in page if row.course_id is not None}
    if message.transactional or not course_ids:
        return set()
    return {*policy.course_opt_outs([row.user_id for row in page], course_ids)}


def _rehearse(message: type[MessageType], run: Run, page: Sequence[AudienceRow], summary: Summary) -> None:
    taken = waiting.claimed_already(run, [row.occasion for row in page])
    free = [row.target_id for row in page if row.occasion not in taken]
    summary.targets += free
    for target_ids in slices(free, setting("EMAIL_BATCH_SIZE")):
        checked = check(message, run, target_ids)
        summary.tally[words.SENT] += len(checked.drafts)
        for reason in checked.refused.values():
            summary.tally.note(Outcome.skipped(reason))
