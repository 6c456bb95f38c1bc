"""`process_email_queue`: the sweep. Sends every mail that is due and that nobody is sending."""

from __future__ import annotations

import argparse
import time
from typing import Any

from django.core.management.base import CommandParser

from email_automation import words
from email_automation.management.base import OK, UNFINISHED, Bar
from email_automation.management.base import Command as BaseCommand
from email_automation.pipeline.sweep import sweep


class Command(BaseCommand):
    """Sends what is due: retries, mails of dead workers, and whatever a broker lost. Any number may run at once."""

    help = "Send every mail that is due and that nobody is sending, urgent ones first."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the limit."""
        parser.add_argument("--limit", type=positive, default=None, metavar="N", help="Look at no more than N mails.")

    def handle(self, *args: Any, **options: Any) -> None:
        """Sweep once and print one summary line."""
        started = time.monotonic()
        bar = Bar("queue")
        tally = sweep(limit=options["limit"], progress=bar.advance)
        bar.close()
        reasons = " ".join(f"{reason}={number}" for reason, number in tally.reasons.items() if number)
        self.stdout.write(
            f"process_email_queue sent={tally[words.SENT]} skipped={tally[words.SKIPPED]}"
            f"{f' ({reasons})' if reasons else ''} failed={tally[words.FAILED]} unknown={tally[words.UNKNOWN]} "
            f"retry={tally[words.PENDING]} seconds={time.monotonic() - started:.1f}"
        )
        self.end(UNFINISHED if tally["ours"] else OK)


def positive(value: str) -> int:
    """Return a whole number of at least 1."""
    if value.isascii() and value.isdigit() and int(value) >= 1:
        return int(value)
    raise argparse.ArgumentTypeError(f"{value!r} is not allowed; allowed is a whole number of at least 1")
