"""How long a payment's confirmation takes from its commit to the SMTP server while a day's nudges drain slowly."""

from __future__ import annotations

import os
import statistics
import threading
import time
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from functools import partial
from typing import Any

from celery import current_app
from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import transaction

from courses.models import Course
from courses.services import record_payment
from email_automation.pipeline import dispatch, message
from tests.relay import Relay

from . import data
from .places import BROKER, WORKER_SETTINGS, Workers, database_url

#: Mails that drain meanwhile, and payments; fewer to try it.
NUDGES = int(os.environ.get("CADENCE_BENCH_WAITING", "100000"))
PAYMENTS = int(os.environ.get("CADENCE_BENCH_PAYMENTS", "200"))
RATE = 50
#: Seconds from one payment to the next, whatever became of its mail.
PAYMENT_EVERY = 0.3
DAY = date(2026, 3, 1)
SWEEP_EVERY = 1.0
#: Seconds for the last confirmations.
PATIENCE = 60


class Arrivals(list[tuple[str, bytes]]):
    """The mails a server has taken; of payments' confirmations it notes the moment, by address."""

    def __init__(self) -> None:
        super().__init__()
        self.confirmed: dict[str, float] = {}

    def append(self, mail: tuple[str, bytes]) -> None:
        """Take a mail."""
        address, raw = mail
        if b"payment_confirmation" in raw:
            self.confirmed[address] = time.perf_counter()
        super().append(mail)


def measure(*, nudges: int = NUDGES, payments: int = PAYMENTS) -> None:
    """Print the middle, the 99th of a hundred and the longest time, and how many nudges went out meanwhile."""
    courses = data.make_courses(40)
    data.empty()
    data.fill(due=nudges, others=0, day=DAY, courses=courses)
    # Their own nudges are the last ones.
    people = list(get_user_model()._default_manager.order_by("-pk")[:payments])
    settings.EMAIL_RATE_PER_SECOND = RATE
    arrivals = Arrivals()
    with Relay.running(taken=arrivals) as relay:
        workers = Workers(
            "lms",
            BROKER,
            {
                "DATABASE_URL": database_url(),
                "CELERY_BROKER_URL": BROKER,
                "EMAIL_URL": f"smtp://127.0.0.1:{relay.port}",
                "DJANGO_SETTINGS_MODULE": WORKER_SETTINGS,
                "LOG_LEVEL": "ERROR",
            },
        )
        workers.start()
        ended = threading.Event()
        clock = threading.Thread(target=_sweep_now_and_then, args=[ended])
        try:
            dispatch.run_daily(message.get("recurringnudge_day3"), settings.SITE_ID, day=DAY)
            clock.start()
            started, before = time.perf_counter(), len(arrivals)
            committed = _pay(people, courses)
            _until(lambda: len(arrivals.confirmed) == payments)
            seconds, taken = time.perf_counter() - started, len(arrivals) - before - payments
        finally:
            ended.set()
            workers.stop()
            settings.EMAIL_RATE_PER_SECOND = None
    waits = sorted(arrivals.confirmed[address] - moment for address, moment in committed.items())
    late = sum(wait > 1 for wait in waits)
    print(f"\n{payments} payments while {nudges:,} nudges drain at {RATE} a second; from commit to the SMTP server")
    print("| median | p99 | longest | later than a second | nudges a second meanwhile |")
    print("|---|---|---|---|---|")
    last = statistics.quantiles(waits, n=100, method="inclusive")[98]
    print(
        f"| {statistics.median(waits) * 1000:.0f} ms | {last * 1000:.0f} ms | {waits[-1] * 1000:.0f} ms | {late} | "
        f"{taken / seconds:.0f} |",
        flush=True,
    )


def _pay(people: list[Any], courses: list[Course]) -> dict[str, float]:
    """Record a payment of each person at a steady pace, and return the moments of their commits by address."""
    committed: dict[str, float] = {}
    started = time.perf_counter()
    for number, person in enumerate(people):
        time.sleep(max(started + number * PAYMENT_EVERY - time.perf_counter(), 0))
        with transaction.atomic():
            # The first that is done once the transaction has committed.
            transaction.on_commit(partial(_note_moment, committed, person.email))
            record_payment(
                person,
                amount=Decimal(49),
                currency="EUR",
                txn_ref=f"bench-{number}",
                course=courses[number % 40],
                is_successful=True,
            )
    return committed


def _note_moment(moments: dict[str, float], address: str) -> None:
    moments[address] = time.perf_counter()


def _until(comes_true: Callable[[], bool]) -> None:
    deadline = time.perf_counter() + PATIENCE
    while not comes_true():
        if time.perf_counter() > deadline:
            raise TimeoutError("a minute without the mail")
        time.sleep(0.01)


def _sweep_now_and_then(ended: threading.Event) -> None:
    """Do what beat does."""
    while not ended.wait(SWEEP_EVERY):
        current_app.send_task("email_automation.tasks.process_email_queue", queue="lifecycle")
