"""The daily job: two ordinary runs of the engine over one reading of plans and directories.

A command works through everything in its own process. Workers do the same enterprise by enterprise; the last one to
finish closes the run.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from secrets import token_hex
from typing import Any, Final
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import Count
from django.utils import timezone

from courses import alerts
from courses.alerts import Entry
from courses.bulk import slices
from email_automation.conf import setting as engine_setting
from email_automation.models import MessageRun
from email_automation.pipeline import dispatch, runs, waiting
from email_automation.pipeline.patience import Patience, Sleep
from email_automation.pipeline.run import Run

from . import calls, directory, figures, findings, memory, plans
from .calls import Call
from .conf import CAMPAIGN
from .messages import Notice, moment
from .messages.license_utilization import LicenseUtilization
from .messages.license_weekly_digest import LicenseWeeklyDigest
from .models import RUN_NAME, WEEKLY, EnterpriseAdmin
from .plans import Choice

log = logging.getLogger(__name__)

MESSAGES: Final[tuple[type[Notice], ...]] = (LicenseUtilization, LicenseWeeklyDigest)
#: So many mails of one enterprise are delivered at once at most.
MOST_TOGETHER: Final = 50

Choices = Mapping[UUID, Choice]
Say = Callable[[Call], object]


@dataclass
class Told:
    """What telling some enterprises came to."""

    calls: Counter[str] = field(default_factory=Counter)
    recipients: Counter[str] = field(default_factory=Counter)
    skipped: Counter[str] = field(default_factory=Counter)
    entries: list[Entry] = field(default_factory=list)

    def note(self, call: Call) -> None:
        """Count a call."""
        self.calls[call.word] += 1
        self.recipients[call.word] += len(call.ecu_ids)


@dataclass(frozen=True)
class Result:
    """What a run of the job came to: its figures, what is to be told of it, and its exit status."""

    enterprises: int
    told: Told
    entries: list[Entry]
    record: MessageRun | None = None

    @property
    def exit_code(self) -> int:
        """1 when something is wrong, 0 also with warnings."""
        return int(any(entry.severity == "error" for entry in self.entries))


def work_through(instant: datetime, *, say: Say, sleep: Sleep) -> Result:
    """Do everything here, waiting for retries, and close the run."""
    record, choices = begin(instant)
    outcome = tell_here(with_something_to_tell(choices, instant), record, instant, say=say, sleep=sleep)
    entries = everything(record, outcome.entries)
    close(record, entries, skipped=outcome.skipped, requests=outcome.calls.total())
    return Result(len(choices), outcome, entries, record)


def rehearse(instant: datetime, *, say: Say) -> Result:
    """Say what `work_through` would send now. The directories are asked, and nothing of it all is kept."""
    choices = plans.chosen(instant)
    told = with_something_to_tell(choices, instant)
    fetched = directory.fetch_each(list(told))
    outcome = Told()
    with transaction.atomic():
        settle()
        failures = {
            failure.enterprise_uuid: failure.text for failure in directory.store_each(fetched, now=instant).failures
        }
        for message in MESSAGES:
            run = _run(message, told, failures, instant, dry_run=True)
            summary = dispatch.run_part(message, run, None, patience=Patience(sleep=None))
            outcome.skipped.update(summary.skipped)
            outcome.entries += [*findings.of_breaks(summary.errors), *findings.of_people(run, told)]
            kind = WEEKLY if message is LicenseWeeklyDigest else ""
            for call in calls.rehearsed(summary.targets, told, size=together(message), kind_of=kind):
                outcome.note(call)
                say(call)
        entries = [
            *findings.of_plans(choices.values(), instant),
            *findings.of_directory(failures, choices),
            *outcome.entries,
        ]
        transaction.set_rollback(True)
    return Result(len(choices), outcome, entries)


def begin(instant: datetime) -> tuple[MessageRun, Choices]:
    """Open a run: end what earlier ones have left, and read each enterprise's plan and its numbers, once."""
    settle()
    choices = plans.chosen(instant)
    record = runs.open_job(
        RUN_NAME,
        settings.SITE_ID,
        # By the clock, and not by the instant: two runs of a given day are two runs, also if they begin at once.
        f"{moment(timezone.now())}-{token_hex(2)}",
        as_of=instant.isoformat(),
        enterprises={str(enterprise): _frozen(choice) for enterprise, choice in choices.items()},
        failures=[findings.as_json(entry) for entry in findings.of_plans(choices.values(), instant)],
    )
    return record, choices


def settle() -> None:
    """End what earlier runs have claimed and nobody will end any more, so that it can be told again."""
    dispatch.settle_overdue()
    memory.settle_stale()


def _frozen(choice: Choice) -> dict[str, Any]:
    return {"plan": str(choice.plan_uuid), "total": choice.total, "allocated": choice.allocated}


def with_something_to_tell(choices: Choices, instant: datetime) -> dict[UUID, Choice]:
    """Return the enterprises there is something to tell of; the directories of others are not asked."""
    return {enterprise: choice for enterprise, choice in sorted(choices.items()) if figures.is_told(choice, instant)}


def tell_here(told: Choices, record: MessageRun, instant: datetime, *, say: Say, sleep: Sleep | None) -> Told:
    """Ask the directories of some enterprises, then plan and deliver both messages to their administrators.

    With `sleep` None nothing waits for another attempt.
    """
    refreshed = directory.refresh(list(told), now=instant, sleep=sleep or time.sleep)
    failures = {failure.enterprise_uuid: failure.text for failure in refreshed.failures}
    outcome = Told(entries=list(findings.of_directory(failures, told)))

    def heard(log_ids: Sequence[int]) -> None:
        for call in calls.made(log_ids, told):
            outcome.note(call)
            say(call)

    patience = Patience(sleep=sleep, told=heard)
    for message in MESSAGES:
        run = _run(message, told, failures, instant)
        summary = dispatch.run_part(message, run, record, patience=patience, size=together(message))
        if summary.errors:
            apart = [_run(message, {enterprise: choice}, failures, instant) for enterprise, choice in told.items()]
            broken = _again(message, apart, record, patience=patience, outcome=outcome)
            outcome.entries += findings.of_breaks(summary.errors, broken)
            if sleep is not None:
                _hand_off_rest(message, record, patience)
            # Everybody has been looked at again, so the first look counts only what it has handed off.
            summary.left_out.clear()
        outcome.skipped.update(summary.skipped)
        outcome.entries += findings.of_people(run, told)
    return outcome


def _again(
    message: type[Notice], apart: Sequence[Run], record: MessageRun, *, patience: Patience, outcome: Told
) -> list[UUID]:
    """Plan again what broke, each enterprise by itself, and return those for which it breaks.

    What has been claimed is not claimed again.
    """
    broken: list[UUID] = []
    for run in apart:
        summary = dispatch.run_part(message, run, record, patience=patience, size=together(message))
        outcome.skipped.update(summary.skipped)
        if summary.errors:
            broken += figures.choices(run)
    return broken


def _hand_off_rest(message: type[Notice], record: MessageRun, patience: Patience) -> None:
    """Hand off what had been claimed when a run broke."""
    # What breaks again waits for the sweep; that something broke is told in any case.
    with contextlib.suppress(Exception):
        for batch in slices(waiting.waiting_ids(record), together(message)):
            patience.deliver(batch)


def _run(
    message: type[Notice], told: Choices, failures: Mapping[UUID, str], instant: datetime, *, dry_run: bool = False
) -> Run:
    return Run(
        message=message.label(),
        site_id=settings.SITE_ID,
        now=instant,
        day=instant.astimezone(UTC).date(),
        dry_run=dry_run,
        memory={figures.CHOICES: told, figures.UNREACHED: frozenset(failures)},
    )


def together(message: type[Notice]) -> int:
    """Return how many mails go out in one call."""
    return min(MOST_TOGETHER, engine_setting("BRAZE_BATCH_SIZE")) if message.channel() == CAMPAIGN else MOST_TOGETHER


def everything(record: MessageRun, found: Iterable[Entry]) -> list[Entry]:
    """Return all that is to be told of a run: what it began with, what was found on the way, and of its mails."""
    kept = [findings.from_json(entry) for entry in record.details["failures"]]
    return [*kept, *found, *findings.of_mails(record.pk)]


def close(record: MessageRun, entries: Sequence[Entry], *, skipped: Mapping[str, int], requests: int) -> bool:
    """Close a run with everything that is to be told of it, and tell it in one alert.

    Of several processes that close a run one does, and only that one tells; returns whether it was this one.
    """
    enterprises = {UUID(key): value for key, value in record.details["enterprises"].items()}
    numbers = EnterpriseAdmin.objects.filter(enterprise_customer_uuid__in=enterprises, listed=True).order_by()
    for enterprise, number in numbers.values_list("enterprise_customer_uuid").annotate(number=Count("pk")):
        enterprises[enterprise]["administrators"] = number
    closed = runs.close_job(
        record,
        skipped=dict(skipped),
        counters={"requests": requests, "skipped": dict(skipped)},
        enterprises={str(key): value for key, value in enterprises.items()},
        failures=[findings.as_json(entry) for entry in entries],
        exit_code=int(any(entry.severity == "error" for entry in entries)),
    )
    alert = alerts.of_entries(RUN_NAME, entries, run_id=record.pk)
    if closed and alert is not None:
        alerts.tell(alert)
    return closed
