"""Tell the administrators of enterprises how far their licences are used up."""

from __future__ import annotations

import argparse
import time
from datetime import UTC, datetime, timedelta
from typing import Any

from django.core.management.base import CommandParser
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from email_automation.management.base import OK, UNFINISHED, BadArgument, Command, calendar_date

from ... import job
from ...conf import setting

FARTHEST_AHEAD = timedelta(hours=24)


class Command(Command):  # type: ignore[no-redef]
    """Daily: three quarters and all of the licences once each, and the week's figures."""

    help = "Tell the administrators of enterprises how far their licences are used up."
    #: What waits between two attempts; tests put another clock in its place.
    sleep = staticmethod(time.sleep)

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the arguments."""
        parser.add_argument(
            "--date",
            type=instant,
            metavar="D",
            help="YYYY-MM-DD (its first moment, UTC) or an ISO instant with offset.",
        )
        parser.add_argument("--dry-run", action="store_true", help="Say what would be sent, and keep nothing.")

    def handle(self, *args: Any, **options: Any) -> None:
        """Work through everything here, print a line for each call and a summary, end with the status that says how."""
        started, as_of, dry_run = time.monotonic(), options["date"] or timezone.now(), options["dry_run"]
        ahead = as_of - timezone.now() > FARTHEST_AHEAD
        if ahead and not dry_run and not setting("LICENSE_NOTIFICATION_ALLOW_TIME_TRAVEL"):
            raise BadArgument(
                f"--date: {options['date'].isoformat()} is more than 24 hours ahead and would use up future weeks; "
                "allowed with --dry-run only."
            )
        say = lambda call: self.stdout.write(str(call))  # noqa: E731
        if dry_run:
            result = job.rehearse(as_of, say=say)
        else:
            result = job.work_through(as_of, say=say, sleep=self.sleep)
        self.stdout.write(summary(as_of, result, seconds=time.monotonic() - started, dry_run=dry_run))
        for entry in result.entries:
            self.stderr.write(str(entry))
        self.end(UNFINISHED if result.exit_code else OK)


def summary(as_of: datetime, result: job.Result, *, seconds: float, dry_run: bool) -> str:
    """Return the last line: everything in one."""
    told = result.told
    reasons = " ".join(f"{reason}={number}" for reason, number in sorted(told.skipped.items()) if number)
    return (
        f"{'DRY RUN ' if dry_run else ''}send_license_consumption_notifications as_of={as_of.isoformat()} "
        f"enterprises={result.enterprises} requests={told.calls.total()} "
        f"sent={told.recipients['sent'] + told.recipients['would send']} "
        f"skipped={told.skipped.total()}{f' ({reasons})' if reasons else ''} failed={told.recipients['failed']} "
        f"unknown={told.recipients['unknown']} seconds={seconds:.1f}"
    )


def instant(value: str) -> datetime:
    """Return the moment that is meant by a day or by a full instant."""
    try:
        moment = parse_datetime(value)
    except ValueError:
        moment = None
    if moment is not None and "T" in value.upper().replace(" ", "T") and moment.tzinfo is not None:
        return moment.astimezone(UTC)
    try:
        day = calendar_date(value)
    except argparse.ArgumentTypeError as error:
        raise argparse.ArgumentTypeError(
            f"{value!r} is not a date; allowed are YYYY-MM-DD and an ISO instant with offset, such as 2026-03-01T06:00Z"
        ) from error
    return datetime.combine(day, datetime.min.time(), tzinfo=UTC)
