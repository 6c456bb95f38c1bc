"""How fast one connection is when the SMTP server is far away: our channel and smtplib, without a database."""

from __future__ import annotations

import os
import smtplib
import statistics
import time
from collections.abc import Callable, Sequence
from datetime import date
from itertools import islice
from typing import Any

from django.conf import settings
from edx_ace import presentation

from email_automation.channels import mime
from email_automation.channels.kept import DJANGO_SMTP
from email_automation.channels.mail import DjangoMailChannel

from . import data, peer
from .places import RunningSink

DISTANCES = (0.0, 0.001, 0.005)
MAILS = int(os.environ.get("CADENCE_BENCH_NUDGES", "20000")) // 4
#: Enough to see that waiting is all it does.
WAITING = 500
IN_FLIGHT = 100


def measure(*, runs: int = 3) -> None:
    """Print mails per second for each way and distance, medians of the runs."""
    courses = data.make_courses(40)
    data.empty()
    data.fill(due=MAILS, others=0, day=date(2026, 3, 1), courses=courses)
    channel = DjangoMailChannel()
    letters = [(letter, presentation.render(channel, letter)) for letter in peer.messages()]
    settings.EMAIL_BACKEND, settings.EMAIL_HOST = DJANGO_SMTP, "127.0.0.1"
    ways: dict[str, Callable[[Sequence[Any], int], None]] = {
        "smtplib": _smtplib,
        "Cadence, each answer waited for": _alone,
        f"Cadence, {IN_FLIGHT} in flight": _in_flight,
    }
    print(f"\nOne connection to a server so many milliseconds away, msg/s, medians of {runs}")
    print(f"| way | {' | '.join(f'{distance * 1000:g} ms' for distance in DISTANCES)} |")
    print(f"|---|{'---|' * len(DISTANCES)}")
    for name, send in ways.items():
        rates = []
        for distance in DISTANCES:
            some = letters if send is _in_flight or not distance else letters[:WAITING]
            rates.append(statistics.median(_rate(send, some, distance) for _ in range(runs)))
        print(f"| {name} | {' | '.join(f'{rate:,.0f}' for rate in rates)} |")


def _rate(send: Callable[[Sequence[Any], int], None], letters: Sequence[Any], distance: float) -> float:
    sink = RunningSink(distance)
    settings.EMAIL_PORT = sink.port
    try:
        started = time.perf_counter()
        send(letters, sink.port)
        seconds = time.perf_counter() - started
        assert sink.report()[0] == len(letters)
        return len(letters) / seconds
    finally:
        sink.stop()


def _smtplib(letters: Sequence[Any], port: int) -> None:
    channel = DjangoMailChannel()
    with smtplib.SMTP("127.0.0.1", port) as connection:
        for letter, rendered in letters:
            raw = mime.wire(channel.build(letter, rendered))
            connection.sendmail("noreply@example.com", [letter.recipient.email_address], raw)


def _alone(letters: Sequence[Any], port: int) -> None:
    channel = DjangoMailChannel()
    for letter, rendered in letters:
        channel.deliver(letter, rendered)


def _in_flight(letters: Sequence[Any], port: int) -> None:
    channel = DjangoMailChannel()
    left = iter(letters)
    for answers in channel.deliver_in_flight(lambda number: list(islice(left, number)), most=IN_FLIGHT):
        assert all(error is None for _, error in answers), answers
