"""`replay_subsidy_events`: stores events again that a consumer has lost."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from courses.eventbus.replay import replay
from courses.events import CONSUMERS


class Command(BaseCommand):
    """Exit status 2: an argument that cannot be used; nothing was done."""

    help = (
        "Store again, for one consumer, the events from an entry of the stream or a time on. Known ones are left out."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Define the arguments."""
        parser.add_argument("--group", required=True, metavar="G", help=f"One of {', '.join(CONSUMERS)}.")
        parser.add_argument("--from", required=True, metavar="ID", help="Id of an entry, or a time with its zone.")

    def handle(self, *args: Any, **options: Any) -> None:
        """Store them, and print how many were looked at and how many were new."""
        group = options["group"]
        if group not in CONSUMERS:
            raise CommandError(f"--group: {group!r} is not allowed; allowed is {', '.join(CONSUMERS)}", returncode=2)
        try:
            looked_at, stored = replay(group, options["from"])
        except ValueError as error:
            raise CommandError(f"--from: {error}", returncode=2) from None
        except ImportError as error:
            raise CommandError(f"the extra redis-bus is not installed: {error}") from None
        self.stdout.write(f"replay_subsidy_events looked_at={looked_at} stored={stored}")
