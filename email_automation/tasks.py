"""The engine's Celery tasks: parse, call one function, return counts. Only ids, dates and names cross the broker."""

from __future__ import annotations

import logging
from datetime import date

from celery import shared_task
from django.contrib.sites.models import Site

from courses.models import Course, Enrollment, Participant, Payment

from . import alerts, announcements, progress, triggers
from .models import WeeklyProgressReport
from .pipeline import dispatch, message, outbox, sweep, wake
from .pipeline.outcome import OURS

log = logging.getLogger(__name__)


@shared_task(name=wake.DELIVER_TASK, acks_late=True, reject_on_worker_lost=True)
def deliver_mails(log_ids: list[int]) -> dict[str, int]:
    """Send what of these rows is due and nobody else is sending, for a turn."""
    tally = wake.deliver_in_turn(log_ids)
    if tally[OURS]:
        alerts.announce(wake.DELIVER_TASK, tally)
    return dict(tally)


@shared_task(name=wake.OUTBOX_TASK, acks_late=True, reject_on_worker_lost=True)
def process_queued(entry_ids: list[int]) -> dict[str, int]:
    """Claim what of these outbox entries is due, and send it."""
    return dict(outbox.process(entry_ids))


@shared_task(name="email_automation.tasks.run_message", acks_late=True, reject_on_worker_lost=True)
def run_message(label: str, domain: str, day: str | None = None) -> dict[str, int]:
    """Run a message for a site, as its command does: today and missed days, or exactly `day` (YYYY-MM-DD)."""
    site = Site.objects.get(domain=domain)
    return _counts(dispatch.run_daily(message.get(label), site.pk, day=date.fromisoformat(day) if day else None))


@shared_task(name="email_automation.tasks.process_email_queue", acks_late=True, reject_on_worker_lost=True)
def process_email_queue() -> dict[str, int]:
    """Send whatever is due."""
    return dict(sweep.sweep())


@shared_task(name="email_automation.tasks.cleanup_old_email_logs", acks_late=True, reject_on_worker_lost=True)
def cleanup_old_email_logs() -> dict[str, int]:
    """Apply retention."""
    return sweep.clean_up()


@shared_task(name="email_automation.tasks.send_enrollment_email", acks_late=True, reject_on_worker_lost=True)
def send_enrollment_email(user_id: int, course_id: int, enrollment_id: int) -> dict[str, int]:
    """Send the mail of an enrolment, unless it has been sent."""
    row = Enrollment.objects.filter(pk=enrollment_id, user_id=user_id, course_id=course_id).first()
    if row is None:
        return _nothing("send_enrollment_email", user_id=user_id, course_id=course_id, enrollment_id=enrollment_id)
    return {"queued": len(triggers.enrollments([row], again=True))}


@shared_task(name="email_automation.tasks.send_payment_confirmation_email", acks_late=True, reject_on_worker_lost=True)
def send_payment_confirmation_email(user_id: int, payment_id: int) -> dict[str, int]:
    """Send the mail of a successful payment, unless it has been sent."""
    row = Payment.objects.filter(pk=payment_id, user_id=user_id, is_successful=True).first()
    if row is None:
        return _nothing("send_payment_confirmation_email", user_id=user_id, payment_id=payment_id)
    return {"queued": len(triggers.payments([row], again=True))}


@shared_task(name="email_automation.tasks.send_demo_completed_email", acks_late=True, reject_on_worker_lost=True)
def send_demo_completed_email(user_id: int, course_id: int, meeting_id: int) -> dict[str, int]:
    """Send the mail that follows a demo class somebody has left, unless it has been sent."""
    row = (
        Participant.objects.select_related("meeting")
        .filter(user_id=user_id, meeting_id=meeting_id, meeting__course_id=course_id, left_at__isnull=False)
        .first()
    )
    if row is None:
        return _nothing("send_demo_completed_email", user_id=user_id, course_id=course_id, meeting_id=meeting_id)
    return {"queued": len(triggers.participations([row], {row.meeting_id: row.meeting}, again=True))}


@shared_task(name="email_automation.tasks.send_new_content_notification", acks_late=True, reject_on_worker_lost=True)
def send_new_content_notification(course_id: int, content_description: str | None = None) -> dict[str, int]:
    """Tell the learners of a course at once what is new in it."""
    course = Course.objects.filter(pk=course_id).first()
    if course is None:
        return _nothing("send_new_content_notification", course_id=course_id)
    announcements.announce_now(course, content_description or "")
    return {"queued": 1}


@shared_task(name="email_automation.tasks.generate_weekly_progress_reports", acks_late=True, reject_on_worker_lost=True)
def generate_weekly_progress_reports() -> dict[str, int]:
    """Count the week before this one for every site, keep the figures, and send the mails."""
    total = dispatch.Summary()
    for site_id in Site.objects.order_by("pk").values_list("pk", flat=True):
        total.add(dispatch.run_daily(message.get(progress.NAME), site_id))
    return _counts(total)


@shared_task(name="email_automation.tasks.send_weekly_progress_email", acks_late=True, reject_on_worker_lost=True)
def send_weekly_progress_email(report_id: int) -> dict[str, int]:
    """Send the mail of one report, unless it has been sent."""
    report = WeeklyProgressReport.objects.select_related("user", "course").filter(pk=report_id).first()
    if report is None:
        return _nothing("send_weekly_progress_email", report_id=report_id)
    return {"queued": len(triggers.report(report))}


def _counts(summary: dispatch.Summary) -> dict[str, int]:
    return {"audience": summary.audience, "sent": summary.sent, "failed": summary.failed, "retry": summary.retry}


def _nothing(task: str, **ids: int) -> dict[str, int]:
    log.warning("%s: there is no such row (%s), nothing to send", task, " ".join(f"{k}={v}" for k, v in ids.items()))
    return {"queued": 0}
