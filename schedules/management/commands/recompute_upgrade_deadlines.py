"""`recompute_upgrade_deadlines`: puts start dates and upgrade deadlines right, here and now."""

from __future__ import annotations

import time
from typing import Any

from django.core.management.base import CommandParser

from email_automation.management.base import Command as BaseCommand
from schedules import recompute
from schedules.management.base import ScheduleBar, existing_course, existing_org


class Command(BaseCommand):
    """Does in the foreground what a change of a deadline setting has done in the background."""

    help = "Recompute start dates and upgrade deadlines of all schedules, or of a course's or an organisation's."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the scope."""
        scope = parser.add_mutually_exclusive_group()
        scope.add_argument("--course", type=existing_course, metavar="KEY", help="Only this course.")
        scope.add_argument("--org", type=existing_org, metavar="ORG", help="Only the courses of this organisation.")
        parser.add_argument("--dry-run", action="store_true", help="Say how many would change, and write nothing.")

    def handle(self, *args: Any, **options: Any) -> None:
        """Recompute and print one summary line."""
        started = time.monotonic()
        scope = recompute.EVERYTHING
        if options["course"] is not None:
            scope = recompute.scope_of_course(options["course"].key)
        elif options["org"] is not None:
            scope = recompute.scope_of_org(options["org"])
        bar = ScheduleBar("recompute_upgrade_deadlines")
        total, changed = recompute.run_here(scope, dry_run=options["dry_run"], progress=bar.reach)
        bar.close()
        self.stdout.write(
            f"{'DRY RUN ' if options['dry_run'] else ''}recompute_upgrade_deadlines {scope} total={total} "
            f"changed={changed} seconds={time.monotonic() - started:.1f}"
        )
