"""A nudge to many learners through two workers to an SMTP sink: ours, and plain edx-ace on the same work."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date

from django.conf import settings

from email_automation.pipeline import dispatch, message

from . import data, peer
from .places import BROKER, PEER_BROKER, RunningSink, Workers, database_url

DAY = date(2026, 3, 1)


@dataclass
class Result:
    """One run: mails per second from the first call to the last mail, processor seconds, memory."""

    rate: float
    cpu_per_thousand: float
    first_kib: int
    last_kib: int


def measure(number: int = 20_000, *, runs: int = 3) -> None:
    """Print both designs' figures, run in turn, and their ratios."""
    courses = data.make_courses(40)
    sink = RunningSink()
    environment = {
        "DATABASE_URL": database_url(),
        "EMAIL_URL": f"smtp://127.0.0.1:{sink.port}",
        "DJANGO_SETTINGS_MODULE": settings.SETTINGS_MODULE,
        "LOG_LEVEL": "ERROR",
    }
    designs = {
        "cadence": (Workers("lms", BROKER, {**environment, "CELERY_BROKER_URL": BROKER}), _ours),
        "edx-ace, one task per message": (
            Workers("tests.bench.peer", PEER_BROKER, {**environment, "CELERY_BROKER_URL": PEER_BROKER}),
            peer.send_all,
        ),
    }
    results: dict[str, list[Result]] = {name: [] for name in designs}
    print(f"\n{number:,} nudges through two workers to an SMTP sink, median of {runs}")
    try:
        for _ in range(runs):
            for name, (workers, start) in designs.items():
                data.empty()
                data.fill(due=number, others=0, day=DAY, courses=courses)
                workers.start()
                try:
                    results[name].append(_run(workers, sink, start, number))
                finally:
                    workers.stop()
    finally:
        sink.stop()
    medians = {name: _median(found) for name, found in results.items()}
    for name, result in medians.items():
        print(
            f"  {name:<30} {result.rate:8.0f} msg/s  {result.cpu_per_thousand:6.2f} CPU s per 1,000  "
            f"worker memory {result.first_kib / 1024:.0f} -> {result.last_kib / 1024:.0f} MiB"
        )
    ours, theirs = medians.values()
    print(
        f"  ratio {ours.rate / theirs.rate:.1f} in msg/s, {theirs.cpu_per_thousand / ours.cpu_per_thousand:.1f} in CPU"
    )


def _run(workers: Workers, sink: RunningSink, start: Callable[[], None], number: int) -> Result:
    sink.report()
    cpu, started = workers.cpu_seconds(), time.perf_counter()
    start()
    while (taken := sink.taken()) < number:
        if taken > number // 10:
            workers.look()
        if time.perf_counter() - started > 600:
            raise TimeoutError(f"{taken} of {number} mails after ten minutes")
        time.sleep(0.1)
    seconds = time.perf_counter() - started
    assert sink.report()[0] == number
    quarter = max(len(workers.resident_kib) // 4, 1)
    return Result(
        rate=number / seconds,
        cpu_per_thousand=(workers.cpu_seconds() - cpu) / number * 1000,
        first_kib=max(workers.resident_kib[:quarter], default=0),
        last_kib=max(workers.resident_kib[-quarter:], default=0),
    )


def _ours() -> None:
    summary = dispatch.run_daily(message.get("recurringnudge_day3"), settings.SITE_ID, day=DAY)
    assert not summary.errors, summary


def _median(results: list[Result]) -> Result:
    return Result(
        *(
            statistics.median(getattr(result, name) for result in results)
            for name in ("rate", "cpu_per_thousand", "first_kib", "last_kib")
        )
    )
