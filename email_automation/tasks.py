"""The engine's Celery tasks: parse, call one function, return counts. Only ids, dates and names cross the broker."""

from __future__ import annotations

from datetime import date

from celery import shared_task
from django.contrib.sites.models import Site

from . import alerts
from .pipeline import dispatch, message, sweep
from .pipeline.delivery import deliver
from .pipeline.outcome import OURS


@shared_task(name=dispatch.DELIVER_TASK, acks_late=True, reject_on_worker_lost=True)
def deliver_mails(log_ids: list[int]) -> dict[str, int]:
    """Send what of these rows is due and nobody else is sending."""
    tally = deliver(log_ids)
    if tally[OURS]:
        alerts.announce(dispatch.DELIVER_TASK, tally)
    return dict(tally)


@shared_task(name="email_automation.tasks.run_message", acks_late=True, reject_on_worker_lost=True)
def run_message(label: str, domain: str, day: str | None = None) -> dict[str, int]:
    """Run a message for a site, as its command does: today and missed days, or exactly `day` (YYYY-MM-DD)."""
    site = Site.objects.get(domain=domain)
    summary = dispatch.run_daily(message.get(label), site.pk, day=date.fromisoformat(day) if day else None)
    return {"audience": summary.audience, "sent": summary.sent, "failed": summary.failed, "retry": summary.retry}


@shared_task(name="email_automation.tasks.process_email_queue", acks_late=True, reject_on_worker_lost=True)
def process_email_queue() -> dict[str, int]:
    """Send whatever is due."""
    return dict(sweep.sweep())


@shared_task(name="email_automation.tasks.cleanup_old_email_logs", acks_late=True, reject_on_worker_lost=True)
def cleanup_old_email_logs() -> dict[str, int]:
    """Apply retention."""
    return sweep.clean_up()
