"""`relay_events`: publishes what stands in the outbox of events."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from courses.eventbus import loop, relay


class Command(BaseCommand):
    """Any number may run; one of them publishes at a time."""

    help = "Publish the events that wait, until told to stop; with --once those that wait now."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Define the arguments."""
        parser.add_argument("--once", action="store_true", help="Do one pass and end.")

    def handle(self, *args: Any, **options: Any) -> None:
        """Publish."""
        if options["once"]:
            self.stdout.write(f"relay_events published={self._pass()}")
        else:
            loop.forever(lambda: self._pass(limit=loop.STEP))

    def _pass(self, *, limit: int | None = None) -> int:
        published = relay.run(limit=limit)
        relay.watch()
        return published
