"""What grows when a site grows: planning among more schedules, delivery of more mails, and a fuller log.

Sizes come from the environment, `CADENCE_BENCH_SCHEDULES`, `CADENCE_BENCH_DUE` and `CADENCE_BENCH_LOG`: numbers with
commas between them; an empty one leaves its part out.
"""

from __future__ import annotations

import os
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple
from unittest import mock

from django.conf import settings
from django.db import connection

from courses.models import Course
from email_automation.models import EmailLog
from email_automation.pipeline import dispatch, message, wake

from . import data, scale_log
from .places import BROKER, WORKER_SETTINGS, RunningSink, Workers, apart, database_url, peak_kib
from .scale_planner import DAY, NUDGE

#: Due on the day among however many schedules.
ALWAYS_DUE = 2_000
LEARNERS = ("accounts_user", "courses_enrollment", "schedules_schedule", "schedules_scheduleexperience")
LOG = "email_automation_emaillog"
#: Seconds without a single mail after which a delivery has come to a halt.
TOO_LONG = 120
VACUUM_EVERY = 30
DELIVERED = (
    "due",
    "planned after s",
    "all delivered after s",
    "msg/s",
    "worker CPU s per 1,000",
    "planner MiB, before → most",
    "worker MiB, before → most",
    "bytes a mail: row + indexes",
    "the same, packed",
)


def sizes(variable: str, default: str) -> list[int]:
    """Return the numbers that the environment asks for."""
    return [int(number) for number in os.environ.get(variable, default).split(",") if number]


def measure() -> None:
    """Print a table for each part."""
    courses = data.make_courses(40)
    if schedules := sizes("CADENCE_BENCH_SCHEDULES", "10000,100000,1000000,10000000"):
        measure_planning(schedules, courses)
    if due := sizes("CADENCE_BENCH_DUE", "1000,10000,100000,1000000"):
        measure_delivery(due, courses)
    if rows := sizes("CADENCE_BENCH_LOG", "100000,10000000"):
        scale_log.measure(rows, courses)


def measure_planning(totals: list[int], courses: list[Course], *, runs: int = 5) -> None:
    """Print the seconds of planning a day on which the same number is due among more and more schedules."""
    data.empty()
    data.fill(due=ALWAYS_DUE, others=0, day=DAY, courses=courses)
    print(f"\nPlanning a day on which {ALWAYS_DUE:,} mails are due, median of {runs}")
    print("| schedules | seconds | ratio |")
    print("|---|---|---|")
    first, filled = 0.0, ALWAYS_DUE
    for total in totals:
        with data.built_afterwards(*LEARNERS):
            data.fill(due=0, others=total - filled, day=DAY, courses=courses)
        filled = total
        # The first time reads into memory what the others find there.
        seconds = statistics.median([planning_seconds(ALWAYS_DUE) for _ in range(runs + 1)][1:])
        first = first or seconds
        print(f"| {total:,} | {seconds:.2f} | {seconds / first:.2f} |", flush=True)


def planning_seconds(due: int) -> float:
    """Return how long planning takes (audience, policy, claims; no delivery), nobody being claimed yet."""
    with connection.cursor() as cursor:
        cursor.execute(f"TRUNCATE {LOG}, email_automation_messagerun CASCADE")
    with mock.patch.object(wake.current_app, "send_task"):
        started = time.perf_counter()
        summary = dispatch.run_daily(message.get(NUDGE), settings.SITE_ID, day=DAY)
        seconds = time.perf_counter() - started
    assert summary.audience == summary.retry == due, summary
    return seconds


class Delivered(NamedTuple):
    """One day's mails through two workers: seconds from the start of planning, the workers' processor seconds, and KiB
    at rest and at most.
    """

    planning: float
    seconds: float
    cpu: float
    planner: tuple[int, int]
    worker: tuple[int, int]


def measure_delivery(dues: list[int], courses: list[Course]) -> None:
    """Print the seconds, the memory and the bytes in the log of days on which more and more mails are due."""
    sink = RunningSink()
    print("\nA day's nudges, planned by one process and delivered by two workers to an SMTP sink")
    print(f"| {' | '.join(DELIVERED)} |")
    print(f"|{'---|' * len(DELIVERED)}")
    try:
        for due in dues:
            data.empty()
            with data.built_afterwards(*LEARNERS):
                data.fill(due=due, others=0, day=DAY, courses=courses)
            found = deliver(due, sink)
            left, packed = data.bytes_of_a_mail(), data.bytes_of_a_mail(packed=True)
            print(
                f"| {due:,} | {found.planning:.1f} | {found.seconds:.1f} | {due / found.seconds:,.0f} "
                f"| {found.cpu / due * 1000:.2f} | {_mib(found.planner)} | {_mib(found.worker)} "
                f"| {left[0]:,} + {left[1]:,} | {packed[0]:,} + {packed[1]:,} |",
                flush=True,
            )
    finally:
        sink.stop()


def deliver(due: int, sink: RunningSink) -> Delivered:
    """Plan in a process of its own, deliver by new workers, and return the figures."""
    environment = {
        "DATABASE_URL": database_url(),
        "CELERY_BROKER_URL": BROKER,
        "EMAIL_URL": f"smtp://127.0.0.1:{sink.port}",
        "DJANGO_SETTINGS_MODULE": WORKER_SETTINGS,
        "LOG_LEVEL": "ERROR",
    }
    workers = Workers("lms", BROKER, environment)
    workers.start()
    sink.report()
    try:
        workers.look()
        cpu = workers.cpu_seconds()
        with vacuumed():
            planned = apart("tests.bench.scale_planner")
            ended = _until_all_are_taken(due, sink)
        cpu = workers.cpu_seconds() - cpu
        most = max(peak_kib(process.pid) for process in workers.processes)
    finally:
        workers.stop()
    assert planned["due"] == due, planned
    assert EmailLog.objects.filter(status="sent").count() == due
    return Delivered(
        planned["seconds"],
        ended - planned["started"],
        cpu,
        (planned["before"], planned["most"]),
        (workers.resident_kib[0], most),
    )


def _until_all_are_taken(due: int, sink: RunningSink) -> float:
    """Return the moment at which the sink has taken the last mail."""
    taken, moved = 0, time.monotonic()
    while (now_taken := sink.taken()) < due:
        if now_taken > taken:
            taken, moved = now_taken, time.monotonic()
        if time.monotonic() - moved > TOO_LONG:
            raise TimeoutError(f"{taken} of {due} mails")
        time.sleep(0.02)
    ended = time.monotonic()
    # The last outcomes are written once they are known; nothing may come after them.
    deadline = ended + TOO_LONG
    while EmailLog.objects.exclude(status="sent").exists() and time.monotonic() < deadline:
        time.sleep(0.2)
    assert sink.report()[0] == due
    return ended


@contextmanager
def vacuumed() -> Iterator[None]:
    """Clean the log up now and then, as PostgreSQL does by itself unless somebody has switched that off."""
    with connection.cursor() as cursor:
        cursor.execute("SHOW autovacuum")
        (by_itself,) = cursor.fetchone()
    ended = threading.Event()

    def clean() -> None:
        while not ended.wait(VACUUM_EVERY):
            with connection.cursor() as cursor:
                cursor.execute(f"VACUUM ANALYZE {LOG}")
        connection.close()

    cleaner = threading.Thread(target=clean)
    if by_itself == "off":
        cleaner.start()
    try:
        yield
    finally:
        ended.set()
        if by_itself == "off":
            cleaner.join()


def _mib(kib: tuple[int, int]) -> str:
    return f"{kib[0] / 1024:.0f} → {kib[1] / 1024:.0f}"
