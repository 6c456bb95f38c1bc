"""Ours, with every mail rendered in full: the Celery application of workers that know no cohorts."""

from __future__ import annotations

from typing import Any

from celery.signals import worker_init
from edx_ace import presentation

from lms.celery import app as app


@worker_init.connect
def render_in_full(**kwargs: Any) -> None:
    """Leave cohorts out; the module can be imported once the worker has set Django up."""
    from email_automation.pipeline import cohort

    cohort.rendered = lambda channel, letter, context: presentation.render(channel, letter)  # type: ignore[assignment]
