"""`consume_subsidy_events`: takes the events of the Redis stream into the inbox."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError

from courses.eventbus import handlers, loop
from courses.events import CONSUMERS

CLAIM_IDLE_MS = 60_000


class Command(BaseCommand):
    """Exit status 0: told to stop. 1: it could not begin, or Redis was lost; a supervisor starts it again."""

    help = "Store the events of the Redis stream for one consumer. One process for each group; it runs until stopped."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Define the arguments; what is missing is told by `handle`, so that its exit status is 1 as well."""
        parser.add_argument("--group", default="", metavar="G", help=f"One of {', '.join(CONSUMERS)}.")
        parser.add_argument("--consumer-name", default="", metavar="N", help="Names this process; keep it.")
        parser.add_argument(
            "--claim-idle-ms",
            default=str(CLAIM_IDLE_MS),
            metavar="MS",
            help="Take over what another name has let lie for so long.",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Consume until told to stop."""
        claim_idle_ms = options["claim_idle_ms"]
        if options["group"] not in CONSUMERS:
            raise CommandError(f"--group: {options['group']!r} is not allowed; allowed is {', '.join(CONSUMERS)}")
        if not handlers.is_consumer(options["group"]):
            # It would acknowledge every entry as somebody else's.
            raise CommandError(f"--group: nothing here handles events for {options['group']}; install its app")
        if not options["consumer_name"].strip():
            raise CommandError("--consumer-name is missing; allowed is any name that no other process has")
        if not (str(claim_idle_ms).isascii() and str(claim_idle_ms).isdigit()):
            raise CommandError(f"--claim-idle-ms: {claim_idle_ms!r} is not allowed; allowed is a whole number")
        self._consume(options["group"], options["consumer_name"].strip(), int(claim_idle_ms))

    def _consume(self, group: str, name: str, claim_idle_ms: int) -> None:
        """Run the consumer; every error that ends it is one line and status 1."""
        try:
            from redis import RedisError

            from courses.eventbus.consumer import Consumer
        except ImportError as error:
            raise CommandError(f"the extra redis-bus is not installed: {error}") from None
        try:
            consumer = Consumer(group, name, claim_idle_ms=claim_idle_ms)
            loop.on_signals(consumer.stopping)
            self.stdout.write(f"consume_subsidy_events {group} {name}: taking in {consumer.full_topic}")
            self.stdout.flush()
            consumer.consume_indefinitely()
        except (RedisError, ImproperlyConfigured, OSError, ValueError) as error:
            raise CommandError(f"consume_subsidy_events {group} {name}: {type(error).__name__}: {error}") from None
