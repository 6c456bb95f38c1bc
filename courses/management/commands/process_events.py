"""`process_events`: has what stands in the inbox of events handled."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from courses.eventbus import loop, processor


class Command(BaseCommand):
    """Any number may run at once; each event goes to one of them."""

    help = "Handle the events that have come in, until told to stop; with --once those that are due now."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Define the arguments."""
        parser.add_argument("--once", action="store_true", help="Do one pass and end.")

    def handle(self, *args: Any, **options: Any) -> None:
        """Handle."""
        if options["once"]:
            counts = processor.run()
            words = ("done", "retry", "deferred", "dead")
            self.stdout.write(f"process_events {' '.join(f'{word}={counts[word]}' for word in words)}")
        else:
            loop.forever(lambda: processor.run(limit=loop.STEP).total())
