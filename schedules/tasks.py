"""The Celery task of schedules."""

from __future__ import annotations

from celery import shared_task

from . import recompute


@shared_task(name=recompute.WAKE_UP_TASK, acks_late=True, reject_on_worker_lost=True)
def recompute_schedules() -> dict[str, int]:
    """Do the waiting batch jobs."""
    return recompute.run_waiting()
