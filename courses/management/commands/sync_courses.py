"""Load and repair courses, learners and enrolments from a host's source."""

import time
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import transaction
from django.utils.module_loading import import_string

from courses.json_source import JsonSource
from courses.sources import Source
from courses.sync import Totals, sync


class Command(BaseCommand):
    """Exit status 0: everything loaded. 1: rows were rejected, or it broke off. 2: no such source."""

    help = (
        "Load and repair courses, modes, sections, learners, enrolments and certificates from a source. Running it "
        "again changes nothing. A bad row is reported with its place, field and what is allowed, and left out."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Define the arguments."""
        parser.add_argument(
            "--source",
            required=True,
            help="Dotted path of a courses.sources.Source class, or a .json or .jsonl file.",
        )
        parser.add_argument(
            "--announce", action="store_true", help="Tell learners of their new enrolments. Not for a first load."
        )
        parser.add_argument(
            "--dry-run",
            action="store_true",
            help="Do everything in one transaction and take it back. Other writers may have to wait meanwhile.",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Run the sync and print one summary line."""
        started = time.monotonic()
        name = options["source"]
        source = find_source(name)
        if options["dry_run"]:
            with transaction.atomic():
                totals = self._sync(source, options)
                transaction.set_rollback(True)
        else:
            totals = self._sync(source, options)
        prefix = "DRY RUN " if options["dry_run"] else ""
        self.stdout.write(f"{prefix}sync_courses {name} {totals} seconds={time.monotonic() - started:.1f}")
        if totals.done["rejected"]:
            raise CommandError(f"{totals.done['rejected']} rows rejected", returncode=1)

    def _sync(self, source: Source, options: dict[str, Any]) -> Totals:
        """Load from the source; complaints go to standard error as they come."""
        return sync(source, report=self.stderr.write, announce=options["announce"])


def find_source(name: str) -> Source:
    """Return the source of that name; exit status 2 when there is none."""
    try:
        if name.endswith((".json", ".jsonl")):
            return JsonSource(name)
        found = import_string(name)
    except (ImportError, ValueError) as error:
        raise CommandError(f"unknown source: {error}", returncode=2) from None
    source = found() if isinstance(found, type) else found
    if not isinstance(source, Source):
        raise CommandError(f"unknown source: {name} is no courses.sources.Source", returncode=2)
    return source
