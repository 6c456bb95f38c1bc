"""The memory of runs: which days are closed, which were missed. The only writer of MessageRun."""

from __future__ import annotations

from collections import Counter
from datetime import date, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Count, Q
from django.utils import timezone

from courses.bulk import locked

from .. import words
from ..models import EmailLog, MessageRun
from . import waiting
from .message import MessageType
from .outcome import Tally
from .run import Run

# The engine's keys in MessageRun.details: when somebody was told of a fault, and who was left out while planning.
ALERTED_AT = "alerted_at"
LEFT_OUT = "left_out"
#: Whose alert the engine leaves to the app that keeps the run.
OWN_ALERT = "own_alert"


def open_run(message: type[MessageType], run: Run) -> MessageRun:
    """Return the record of this run's slot, making it if it is the first; two schedulers get the same one."""
    slot = message.slot(run)
    record, _ = MessageRun.objects.get_or_create(
        message=message.label(), site_id=run.site_id, slot=slot, defaults={"started_at": timezone.now()}
    )
    MessageRun.objects.filter(pk=record.pk, status=MessageRun.PARTIAL).update(status=MessageRun.RUNNING)
    return record


def open_job(name: str, site_id: int, slot: str, **details: Any) -> MessageRun:
    """Return a new record of a job that an app does by runs of its own; the app closes it, and tells of its faults."""
    return MessageRun.objects.create(
        message=name, site_id=site_id, slot=slot, started_at=timezone.now(), details={**details, OWN_ALERT: True}
    )


def close_job(record: MessageRun, *, skipped: dict[str, int], **details: Any) -> bool:
    """Close a job with the counts of its rows; False when another process has closed it."""
    with transaction.atomic():
        stored = locked(MessageRun.objects.filter(pk=record.pk, status=MessageRun.RUNNING)).first()
        if stored is None:
            return False
        stored.details |= {**details, LEFT_OUT: skipped}
        stored.audience = 0
        for name, value in _counted(stored).items():
            setattr(stored, name, value)
        stored.status, stored.finished_at = MessageRun.DONE, timezone.now()
        stored.save()
    return True


def break_off(record: MessageRun) -> None:
    """Say that planning did not reach its end; the day stays open for catch-up."""
    MessageRun.objects.filter(pk=record.pk, status=MessageRun.RUNNING).update(status=MessageRun.PARTIAL)


def end_planning(record: MessageRun, *, audience: int, skipped: Tally) -> None:
    """Say that everybody due has a row, how many people that were, and who was left out and why."""
    with transaction.atomic():
        stored = locked(MessageRun.objects.filter(pk=record.pk)).get()
        stored.audience, stored.skipped, stored.status = audience, skipped.reasons, MessageRun.PLANNED
        stored.details[LEFT_OUT] = skipped.reasons
        stored.save(update_fields=["audience", "skipped", "status", "details"])


def close_finished(*records: MessageRun) -> int:
    """Close those of the planned runs (all, if none is named) that are finished; returns how many.

    A run is finished when none of its rows is `sending`, or `pending` without an attempt.
    """
    found = MessageRun.objects.filter(status=MessageRun.PLANNED)
    if records:
        found = found.filter(pk__in=[record.pk for record in records])
    closed = 0
    for record in found:
        unfinished = Q(status=words.SENDING) | Q(status=words.PENDING, attempts=0)
        if EmailLog.objects.filter(waiting.OPEN, unfinished, run=record).exists():
            continue
        closed += MessageRun.objects.filter(pk=record.pk, status=MessageRun.PLANNED).update(
            status=MessageRun.DONE, finished_at=timezone.now(), **_counted(record)
        )
    return closed


def recount() -> int:
    """Bring the figures of closed runs up to date whose retries have ended meanwhile; returns how many changed."""
    changed = 0
    for record in MessageRun.objects.filter(status=MessageRun.DONE, retry__gt=0):
        # Asked first, because it is cheap: counting reads every row of the run.
        open_rows = EmailLog.objects.filter(waiting.OPEN, run=record).count()
        if open_rows != record.retry:
            changed += MessageRun.objects.filter(pk=record.pk, status=MessageRun.DONE).update(**_counted(record))
    return changed


def _counted(record: MessageRun) -> dict[str, Any]:
    """Return the figures of a run; its audience is the sum of the others."""
    counts = {"sent": 0, "stopped": 0, "failed": 0, "retry": 0}
    skipped = Counter[str](record.details.get(LEFT_OUT, {}))
    rows = EmailLog.objects.filter(run=record).order_by().values_list("status", "reason").annotate(number=Count("pk"))
    found = Counter({(status, reason): number for status, reason, number in rows})
    for (status, reason), number in (found - _claimed_again(record)).items():
        if status in words.HANDED_OFF:
            counts["sent"] += number
        elif status == words.SKIPPED and reason == words.STOPPED:
            counts["stopped"] += number
        elif status == words.SKIPPED:
            skipped[words.group(reason)] += number
        elif status in (words.FAILED, words.UNKNOWN):
            counts["failed"] += number
        else:
            counts["retry"] += number
    accounted = sum(counts.values()) + skipped.total()
    if record.audience > accounted:
        # Their keys were used up elsewhere: by another site's run, or an earlier one of another day.
        skipped[words.ALREADY_SENT] += record.audience - accounted
    return {**counts, "skipped": dict(skipped), "audience": max(record.audience, accounted)}


def _claimed_again(record: MessageRun) -> Counter[tuple[str, str]]:
    """Count the skipped rows in whose place the run has claimed another: it was run again, and they were due again."""
    rows = EmailLog.objects.filter(run=record).order_by("pk")
    again: Counter[tuple[str, str]] = Counter()
    reasons: dict[str, str] = {}
    for occasion, reason in rows.filter(status=words.SKIPPED).values_list("occasion", "reason"):
        if occasion in reasons:
            again[words.SKIPPED, reasons[occasion]] += 1
        reasons[occasion] = reason
    if reasons:
        for occasion in rows.exclude(status=words.SKIPPED).values_list("occasion", flat=True):
            if occasion in reasons:
                again[words.SKIPPED, reasons.pop(occasion)] += 1
    return again


def first_fault(run_id: int) -> MessageRun | None:
    """Return the record of a run when this is its first fault that anybody is told of, else None."""
    with transaction.atomic():
        record = locked(MessageRun.objects.filter(pk=run_id)).first()
        if record is None or ALERTED_AT in record.details or OWN_ALERT in record.details:
            return None
        record.details[ALERTED_AT] = timezone.now().isoformat(timespec="seconds")
        record.save(update_fields=["details"])
    return record


def missed_days(message: type[MessageType], run: Run) -> list[date]:
    """Return the days before the run's that no finished run has closed and that are not too late, oldest first."""
    days = [run.day - timedelta(days=back) for back in range(message.max_lateness, 0, -1)]
    if not days:
        return []
    slots = {message.slot(run.on(day)): day for day in days}
    found = MessageRun.objects.filter(message=message.label(), site_id=run.site_id, slot__in=slots)
    records = list(found)
    if records:
        close_finished(*records)
    done = set(found.filter(status=MessageRun.DONE).values_list("slot", flat=True))
    return [day for slot, day in slots.items() if slot not in done]
