"""The Celery task of subsidy requests: it calls one function and returns counts. Nothing crosses the broker."""

from __future__ import annotations

from celery import shared_task

from . import services


@shared_task(name="subsidy_requests.tasks.sweep_subsidy_requests")
def sweep_subsidy_requests() -> dict[str, int]:
    """Look after approvals without an outcome, and mails that wait."""
    return services.sweep()
