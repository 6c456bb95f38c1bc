"""How long a payment's confirmation takes from its commit to the SMTP server while a day's nudges drain slowly."""

from __future__ import annotations

import os
import statistics
import threading
import time
from datetime import date
from decimal import Decimal

from celery import current_app
from django.conf import settings
from django.contrib.auth import get_user_model

from courses.services import record_payment
from email_automation.pipeline import dispatch, message
from tests.relay import Relay

from . import data
from .places import BROKER, Workers, database_url

NUDGES = int(os.environ.get("CADENCE_BENCH_NUDGES", "20000")) * 5
PAYMENTS = 200
RATE = 50
DAY = date(2026, 3, 1)
SWEEP_EVERY = 1.0


def measure(*, payments: int = PAYMENTS) -> None:
    """Print the middle, the 99th of a hundred and the longest time, and how many nudges went out meanwhile."""
    courses = data.make_courses(40)
    data.empty()
    data.fill(due=NUDGES, others=0, day=DAY, courses=courses)
    people = list(get_user_model().objects.order_by("pk")[:payments])
    settings.EMAIL_RATE_PER_SECOND = RATE
    with Relay.running() as relay:
        workers = Workers(
            "lms",
            BROKER,
            {
                "DATABASE_URL": database_url(),
                "CELERY_BROKER_URL": BROKER,
                "EMAIL_URL": f"smtp://127.0.0.1:{relay.port}",
                "DJANGO_SETTINGS_MODULE": settings.SETTINGS_MODULE,
                "LOG_LEVEL": "ERROR",
            },
        )
        workers.start()
        ended = threading.Event()
        clock = threading.Thread(target=_sweep_now_and_then, args=[ended])
        try:
            dispatch.run_daily(message.get("recurringnudge_day3"), settings.SITE_ID, day=DAY)
            clock.start()
            started, waits = time.perf_counter(), []
            for number, person in enumerate(people):
                record_payment(
                    person,
                    amount=Decimal(49),
                    currency="EUR",
                    txn_ref=f"bench-{number}",
                    course=courses[number % 40],
                    is_successful=True,
                )
                waits.append(_until_taken(relay, person.email))
                time.sleep(0.05)
            seconds = time.perf_counter() - started
        finally:
            ended.set()
            workers.stop()
        nudges = len(relay.taken) - payments
    print(f"\n{payments} payments while {NUDGES:,} nudges drain at {RATE} a second; from commit to the SMTP server")
    print("| median | p99 | longest | nudges a second meanwhile |")
    print("|---|---|---|---|")
    last = statistics.quantiles(waits, n=100)[98]
    print(
        f"| {statistics.median(waits) * 1000:.0f} ms | {last * 1000:.0f} ms | {max(waits) * 1000:.0f} ms | "
        f"{nudges / seconds:.0f} |"
    )


def _until_taken(relay: Relay, address: str) -> float:
    """Return after how many seconds the server has taken a payment's confirmation to an address."""
    committed = time.perf_counter()
    while (waited := time.perf_counter() - committed) < 60:
        # The newest: nudges go to the same people.
        if any(to == address and b"payment_confirmation" in mail for to, mail in relay.taken[-RATE * 4 :]):
            return waited
        time.sleep(0.002)
    raise TimeoutError("a minute without the mail")


def _sweep_now_and_then(ended: threading.Event) -> None:
    """Do what beat does."""
    while not ended.wait(SWEEP_EVERY):
        current_app.send_task("email_automation.tasks.process_email_queue", queue="lifecycle")
