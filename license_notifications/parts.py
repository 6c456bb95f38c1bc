"""A run done by workers: one task for each enterprise, and the last one to finish closes it."""

from __future__ import annotations

import logging
from collections import Counter
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from django.utils import timezone

from courses.alerts import Entry
from courses.bulk import insert_if_absent
from email_automation import words
from email_automation.conf import setting
from email_automation.models import EmailLog, MessageRun
from email_automation.pipeline import wake

from . import findings, job, plans
from .models import NotificationPart, NotificationRun
from .plans import Choice

log = logging.getLogger(__name__)

TASK: Final = "license_notifications.tasks.notify_enterprises"
#: A run that is still open after so long is closed, whatever is missing.
LONGEST: Final = timedelta(hours=2)


def start(instant: datetime) -> MessageRun:
    """Open a run, and wake a worker for each enterprise there is something to tell of."""
    record, choices = job.begin(instant)
    told = job.with_something_to_tell(choices, instant)
    parts = [NotificationPart(run=record, enterprise_customer_uuid=enterprise) for enterprise in told]
    for part in insert_if_absent(NotificationPart, parts, unique_field=["run", "enterprise_customer_uuid"]):
        if not setting("CELERY_BROKER_URL") or wake.send(TASK, [part.pk], queue=words.LIFECYCLE_QUEUE):
            # Without a broker nobody would come for it.
            work_on(part.pk)
    if not parts:
        # Nobody would close it: a run without parts looks like a command's.
        job.close(record, job.everything(record, []), skipped={}, requests=0)
    return record


def work_on(part_id: int) -> bool:
    """Tell the administrators of a part's enterprise, and close the run if it was the last part.

    Nothing waits here: what wants another attempt is left to the sweep. Returns whether there was anything to do.
    """
    part = NotificationPart.objects.filter(pk=part_id, finished_at=None).first()
    if part is None:
        return False
    record = NotificationRun.objects.filter(pk=part.run_id, status=MessageRun.RUNNING).first()
    if record is None or record.as_of is None:
        return False
    enterprise = part.enterprise_customer_uuid
    choice = _frozen(record, enterprise)
    outcome = job.Told()
    if choice is not None:
        outcome = job.tell_here({enterprise: choice}, record, record.as_of, say=lambda call: None, sleep=None)
    NotificationPart.objects.filter(pk=part.pk, finished_at=None).update(
        finished_at=timezone.now(),
        requests=outcome.calls.total(),
        skipped=dict(outcome.skipped),
        failures=[findings.as_json(entry) for entry in outcome.entries],
    )
    close_finished(record)
    return True


def _frozen(record: NotificationRun, enterprise: UUID) -> Choice | None:
    """Return the enterprise's plan with the numbers that the run has read."""
    kept = record.enterprises.get(str(enterprise), {})
    plan_uuid = UUID(kept["plan"]) if kept else None
    plan = plans.described({plan_uuid}).get(plan_uuid) if plan_uuid else None
    return plan.counting(kept["total"], kept["allocated"]) if plan else None


def close_finished(*records: MessageRun) -> int:
    """Close those of the open runs (all, if none is named) whose parts are done and whose mails have ended.

    One that has been open for two hours is closed as it is, and tells which enterprises are missing. Returns how many
    were closed. Every sweep asks.
    """
    now = timezone.now()
    # Asked after each part, and the details of a run name every enterprise.
    found = NotificationRun.objects.filter(status=MessageRun.RUNNING).defer("details")
    if records:
        found = found.filter(pk__in=[record.pk for record in records])
    return sum(_close(record) for record in found if _is_done(record) or record.started_at < now - LONGEST)


def _is_done(record: MessageRun) -> bool:
    parts = NotificationPart.objects.filter(run=record)
    # A run without parts is a command's, which closes it itself.
    if not parts.exists() or parts.filter(finished_at=None).exists():
        return False
    return not EmailLog.objects.filter(run=record, open_priority__isnull=False).exists()


def _close(record: NotificationRun) -> bool:
    parts = list(NotificationPart.objects.filter(run=record).order_by("enterprise_customer_uuid"))
    missing = [part.enterprise_customer_uuid for part in parts if part.finished_at is None]
    entries = [findings.from_json(kept) for part in parts for kept in part.failures]
    if missing or not parts:
        text = "not finished after two hours" if parts else "the run was left unfinished"
        entries.append(Entry(severity="error", step="finish", text=text, ids={"enterprise": missing}))
    skipped: Counter[str] = Counter()
    for part in parts:
        skipped.update(part.skipped)
    requests = sum(part.requests for part in parts)
    if not job.close(record, job.everything(record, entries), skipped=skipped, requests=requests):
        return False
    NotificationPart.objects.filter(run=record).delete()
    return True
