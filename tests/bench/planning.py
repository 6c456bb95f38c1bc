"""How long planning a day takes, when the same number is due among more and more schedules."""

from __future__ import annotations

import statistics
import time
from datetime import date
from unittest import mock

from django.conf import settings

from email_automation.models import EmailLog, MessageRun
from email_automation.pipeline import dispatch, message, wake

from . import data

DAY = date(2026, 3, 1)
DUE = 1_000


def measure(sizes: tuple[int, ...] = (10_000, 1_000_000), *, runs: int = 5) -> None:
    """Print the seconds of planning (audience, policy, claims; no delivery) for each size, and the ratio."""
    courses = data.make_courses(40)
    medians = []
    print(f"\nPlanning a day, {DUE:,} due, median of {runs}")
    for size in sizes:
        data.empty()
        data.fill(due=DUE, others=size - DUE, day=DAY, courses=courses)
        times = [_plan() for _ in range(runs + 1)][1:]
        medians.append(statistics.median(times))
        print(f"  {size:>10,} schedules  {medians[-1]:.3f} s")
    print(f"  ratio {medians[-1] / medians[0]:.2f}")


def _plan() -> float:
    EmailLog.objects.all().delete()
    MessageRun.objects.all().delete()
    kind = message.get("recurringnudge_day3")
    with mock.patch.object(wake.current_app, "send_task"):
        started = time.perf_counter()
        summary = dispatch.run_daily(kind, settings.SITE_ID, day=DAY)
        seconds = time.perf_counter() - started
    assert summary.audience == summary.retry == DUE, summary
    return seconds
