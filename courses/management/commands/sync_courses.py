"""Load and repair courses, learners and enrolments from a host's source."""

import time
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import transaction
from django.utils.module_loading import import_string

from courses.bulk import retry_on_deadlock
from courses.json_source import JsonSource
from courses.olx import OlxSource
from courses.sources import Source, SourceRefused
from courses.sync import Totals, sync


class Command(BaseCommand):
    """Exit status 0: everything loaded. 1: rows were rejected, an export was refused, or it broke off. 2: no source."""

    help = (
        "Load and repair courses, modes, sections, learners, enrolments, certificates, payments, meetings, "
        "content and progress from a source. Running it again changes nothing. A bad row is reported with its place, "
        "field and what is allowed, and left out."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Define the arguments."""
        parser.add_argument(
            "--source",
            required=True,
            nargs="+",
            metavar=("SOURCE", "EXPORT"),
            help="Dotted path of a courses.sources.Source class, or a .json or .jsonl file, or `olx` and a course "
            "export of Open edX (.tar.gz), which is loaded as a whole or not at all.",
        )
        parser.add_argument(
            "--announce",
            action="store_true",
            help="Tell learners of their new enrolments, and of nothing else. Not for a first load.",
        )
        parser.add_argument(
            "--dry-run",
            action="store_true",
            help="Do everything in one transaction and take it back. Other writers may have to wait meanwhile.",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Run the sync and print one summary line."""
        started = time.monotonic()
        source = find_source(options["source"])
        if options["dry_run"] or source.all_or_nothing:
            totals = self._in_one_transaction(source, options)
        else:
            totals = self._sync(source, options)
        rejected = totals.done["rejected"]
        if rejected and source.all_or_nothing:
            raise CommandError(f"refused: {rejected} bad rows, nothing was stored", returncode=1)
        prefix = "DRY RUN " if options["dry_run"] else ""
        name = " ".join(options["source"])
        self.stdout.write(f"{prefix}sync_courses {name} {totals} seconds={time.monotonic() - started:.1f}")
        if rejected:
            raise CommandError(f"{rejected} rows rejected", returncode=1)

    @retry_on_deadlock
    def _in_one_transaction(self, source: Source, options: dict[str, Any]) -> Totals:
        """Load everything together; take it back when dry, or when only all rows together make sense."""
        with transaction.atomic():
            totals = self._sync(source, options)
            if options["dry_run"] or totals.done["rejected"]:
                transaction.set_rollback(True)
        return totals

    def _sync(self, source: Source, options: dict[str, Any]) -> Totals:
        """Load from the source; complaints go to standard error as they come."""
        return sync(source, report=self.stderr.write, announce=options["announce"])


def find_source(names: list[str]) -> Source:
    """Return the source of that name; exit status 2 when there is none, 1 when it is refused."""
    name, *others = names
    expected = 1 if name == "olx" else 0
    if len(others) != expected:
        usage = "--source olx EXPORT" if name == "olx" else "--source SOURCE, or --source olx EXPORT"
        raise CommandError(f"wrong number of arguments: {usage}", returncode=2)
    try:
        if name == "olx":
            return OlxSource(others[0])
        if name.endswith((".json", ".jsonl")):
            return JsonSource(name)
        found = import_string(name)
    except SourceRefused as error:
        raise CommandError(f"refused: {error}", returncode=1) from None
    except (ImportError, ValueError) as error:
        raise CommandError(f"unknown source: {error}", returncode=2) from None
    source = found() if isinstance(found, type) else found
    if not isinstance(source, Source):
        raise CommandError(f"unknown source: {name} is no courses.sources.Source", returncode=2)
    return source
