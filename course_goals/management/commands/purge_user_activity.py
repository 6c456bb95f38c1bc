"""`purge_user_activity`: retention of the days on which learners studied."""

from __future__ import annotations

import argparse
from datetime import UTC
from typing import Any

from django.core.management.base import CommandParser
from django.utils import timezone

from course_goals import activity
from course_goals.week import kept_since
from email_automation.management.base import Command as BaseCommand

FEWEST_WEEKS, MOST_WEEKS = 2, 5000


class Command(BaseCommand):
    """Deletes days of study that no goal asks for any more."""

    help = "Delete the days of study before the Monday so many weeks ago (UTC)."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare how much is kept."""
        parser.add_argument("--keep-weeks", type=weeks, default=8, metavar="N", help="At least 2; the default is 8.")
        parser.add_argument("--dry-run", action="store_true", help="Say how many rows there are, and delete none.")

    def handle(self, *args: Any, **options: Any) -> None:
        """Delete, and print how many rows went."""
        before = kept_since(timezone.now().astimezone(UTC).date(), options["keep_weeks"])
        number = activity.purge(before, dry_run=options["dry_run"])
        prefix = "DRY RUN " if options["dry_run"] else ""
        self.stdout.write(f"{prefix}purge_user_activity before={before} rows={number}")


def weeks(value: str) -> int:
    """Return a number of weeks that leaves every learner's current week alone."""
    if value.isascii() and value.isdigit() and FEWEST_WEEKS <= int(value) <= MOST_WEEKS:
        return int(value)
    raise argparse.ArgumentTypeError(f"{value!r} is not a number of weeks from {FEWEST_WEEKS} to {MOST_WEEKS}")
