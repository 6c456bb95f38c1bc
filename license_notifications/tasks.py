"""Celery tasks of licence notices; only ids cross the broker."""

from __future__ import annotations

from typing import Final

from celery import shared_task
from django.utils import timezone

from courses.beats import Entry

from . import parts

DAILY: Final = "license_notifications.send_license_consumption_notifications"
ENTRY: Final = Entry(name="license_notifications: tell of licences", task=DAILY, crontab="0 6 * * *")


@shared_task(name=DAILY, acks_late=True, reject_on_worker_lost=True)
def send_license_consumption_notifications() -> int:
    """Tell administrators how far their licences are used up; returns the id of the run."""
    return parts.start(timezone.now()).pk


@shared_task(name=parts.TASK, acks_late=True, reject_on_worker_lost=True)
def notify_enterprises(part_ids: list[int]) -> int:
    """Tell the administrators of the enterprises of these parts of a run; returns how many there were to tell."""
    return sum(parts.work_on(part_id) for part_id in part_ids)
