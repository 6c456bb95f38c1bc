"""A nudge to many learners, from the first call to the last mail at an SMTP sink: ours, and peers on the same work."""

from __future__ import annotations

import os
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import fields
from datetime import date
from functools import partial

from django.conf import settings

from email_automation.pipeline import dispatch, message

from . import data, peer, queues
from .places import BROKER, PEER_BROKER, WORKER_SETTINGS, Result, RunningSink, Workers, database_url

DAY = date(2026, 3, 1)


#: Mails of one run, fewer to try it.
NUDGES = int(os.environ.get("CADENCE_BENCH_NUDGES", "20000"))
RUNS = int(os.environ.get("CADENCE_BENCH_RUNS", "3"))
#: Courses, and so cohorts, that the learners of a run are spread over in turn.
COURSES = int(os.environ.get("CADENCE_BENCH_COURSES", "40"))
OURS = "cadence"
NAMES = {
    OURS: "Cadence",
    "full": "Cadence, every mail rendered in full",
    "one": "Cadence, each answer waited for",
    "edx-ace": "edx-ace django_email, one task per message",
    "post_office": "django-post_office, two processes",
    "mailer": "django-mailer, two processes",
    "smtplib": "smtplib, ready-made bytes, one connection",
}
#: Which of them are measured beside ours, with commas between them; all of them unless said.
WANTED = {OURS, *os.environ.get("CADENCE_BENCH_DESIGNS", ",".join(NAMES)).split(",")}


def measure(number: int = NUDGES, *, runs: int = RUNS) -> None:
    """Print the figures of every design, run in turn, and how many times faster ours is."""
    if unknown := WANTED - set(NAMES):
        sys.exit(f"CADENCE_BENCH_DESIGNS: no such design: {', '.join(sorted(unknown))}; allowed: {', '.join(NAMES)}")
    courses = data.make_courses(COURSES)
    sink = RunningSink()
    # Set for this process too: the peers' queues are filled here.
    os.environ["EMAIL_URL"] = f"smtp://127.0.0.1:{sink.port}"
    environment = {
        "DATABASE_URL": database_url(),
        "EMAIL_URL": os.environ["EMAIL_URL"],
        "DJANGO_SETTINGS_MODULE": WORKER_SETTINGS,
        "LOG_LEVEL": "ERROR",
    }
    ours = {**environment, "CELERY_BROKER_URL": BROKER}
    theirs = {**environment, "CELERY_BROKER_URL": PEER_BROKER}
    designs: dict[str, Callable[[], Result]] = {
        OURS: partial(_through, Workers("lms", BROKER, ours), sink, _ours, number),
        "full": partial(_through, Workers("tests.bench.full", BROKER, ours), sink, _ours, number),
        "one": partial(_through, Workers("lms", BROKER, {**ours, "EMAIL_IN_FLIGHT": "1"}), sink, _ours, number),
        "edx-ace": partial(_through, Workers("tests.bench.peer", PEER_BROKER, theirs), sink, peer.send_all, number),
        "post_office": partial(queues.post_office, sink, number),
        "mailer": partial(queues.mailer, sink, number),
        "smtplib": partial(queues.raw, sink, number),
    }
    designs = {name: run for name, run in designs.items() if name in WANTED}
    results: dict[str, list[Result]] = {name: [] for name in designs}
    print(f"\n{number:,} nudges to an SMTP sink, medians of {runs}")
    try:
        for _ in range(runs):
            for name, run in designs.items():
                data.empty()
                data.fill(due=number, others=0, day=DAY, courses=courses)
                results[name].append(run())
    finally:
        sink.stop()
    medians = {name: _median(found) for name, found in results.items()}
    print("| design | msg/s | sending only | CPU s per 1,000 | worker MiB, first → last | Cadence is faster by |")
    print("|---|---|---|---|---|---|")
    for name, result in medians.items():
        memory = f"{result.first_kib / 1024:.0f} → {result.last_kib / 1024:.0f}" if result.last_kib else "–"
        print(
            f"| {NAMES[name]} | {result.rate:,.0f} | {result.sending_rate:,.0f} | {result.cpu_per_thousand:.2f} | "
            f"{memory} | {medians[OURS].rate / result.rate:.1f} |"
        )


def _through(workers: Workers, sink: RunningSink, start: Callable[[], None], number: int) -> Result:
    workers.start()
    try:
        return _run(workers, sink, start, number)
    finally:
        workers.stop()


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
        sending_rate=number / seconds,
        cpu_per_thousand=(workers.cpu_seconds() - cpu) / number * 1000,
        first_kib=max(workers.resident_kib[:quarter], default=0),
        last_kib=max(workers.resident_kib[-quarter:], default=0),
    )


def _ours() -> None:
    summary = dispatch.run_daily(message.get("recurringnudge_day3"), settings.SITE_ID, day=DAY)
    assert not summary.errors, summary


def _median(results: list[Result]) -> Result:
    return Result(*(statistics.median(getattr(result, each.name) for result in results) for each in fields(Result)))
