"""`requeue_events`: has dead events handled again."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from courses.eventbus import inbox
from courses.events import TYPES
from courses.models import EventInbox


class Command(BaseCommand):
    """Exit status 2: an argument that cannot be used; nothing was done."""

    help = "Make dead events due again, with no attempts counted. For use after the cause is mended."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Define the arguments."""
        which = parser.add_mutually_exclusive_group(required=True)
        which.add_argument("--id", type=int, metavar="N", help="The dead event in this row of the inbox.")
        which.add_argument("--dead", action="store_true", help="All dead events.")
        parser.add_argument("--type", default="", metavar="T", help="With --dead: those of this event type only.")

    def handle(self, *args: Any, **options: Any) -> None:
        """Make them due, and print how many that were."""
        number, event_type = options["id"], options["type"]
        if event_type and number is not None:
            raise CommandError("--type: goes with --dead only", returncode=2)
        if event_type and event_type not in TYPES:
            raise CommandError(
                f"--type: {event_type!r} is unknown; allowed is {', '.join(sorted(TYPES))}", returncode=2
            )
        if number is not None and not EventInbox.objects.filter(pk=number, state=EventInbox.DEAD).exists():
            raise CommandError(f"--id: {number} is not the row of a dead event", returncode=2)
        ids = inbox.requeue(None if number is None else [number], event_type=event_type)
        self.stdout.write(f"requeue_events requeued={len(ids)}")
