"""`create_missing_schedules`: tries once more to make the schedules that could not be made."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

from django.core.management.base import CommandParser

from email_automation.management.base import OK, UNFINISHED, calendar_date
from email_automation.management.base import Command as BaseCommand
from schedules import services
from schedules.dates import day_start
from schedules.management.base import ScheduleBar, existing_course

OUTCOMES = (services.CREATED, services.REFUSED, services.HELD_BACK, services.FAILED)


class Command(BaseCommand):
    """Does for enrolments left without a schedule what was to be done when they were new."""

    help = "Make the schedules that failed, and with --since those that nobody decided about."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare which enrolments."""
        parser.add_argument("--course", type=existing_course, metavar="KEY", help="Only this course.")
        parser.add_argument(
            "--since",
            type=calendar_date,
            metavar="YYYY-MM-DD",
            help="Also active enrolments of this day or later that have neither a schedule nor a record.",
        )
        parser.add_argument("--dry-run", action="store_true", help="Say what would be made, and write nothing.")

    def handle(self, *args: Any, **options: Any) -> None:
        """Go through the enrolments and print one summary line."""
        started = time.monotonic()
        dry_run, since = options["dry_run"], options["since"]
        outcomes: Counter[str] = Counter()
        bar = ScheduleBar("create_missing_schedules")
        pages = services.without_schedule(course=options["course"], since=day_start(since) if since else None)
        for page in pages:
            for enrollment in page:
                outcomes[services.create_missing(enrollment, dry_run=dry_run)] += 1
                bar.advance(1)
        bar.close()
        figures = " ".join(f"{outcome}={outcomes[outcome]}" for outcome in OUTCOMES)
        self.stdout.write(
            f"{'DRY RUN ' if dry_run else ''}create_missing_schedules {figures} "
            f"seconds={time.monotonic() - started:.1f}"
        )
        self.end(UNFINISHED if outcomes[services.FAILED] else OK)
