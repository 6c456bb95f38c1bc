"""`braze_standin`: a server that plays Braze on this machine, until it is interrupted."""

from __future__ import annotations

import argparse
import contextlib
from typing import Any

from django.core.management.base import CommandParser

from email_automation.braze_standin import defaults
from email_automation.braze_standin.handler import PERMISSION
from email_automation.braze_standin.server import BrazeStandIn
from email_automation.conf import setting
from email_automation.management.base import BadArgument
from email_automation.management.base import Command as BaseCommand

LAST_PORT = 65535


class Command(BaseCommand):
    """Serves the stand-in with the key and the campaigns of the settings."""

    help = "Play Braze's endpoint for campaigns: strict, forgetful, and with a page that shows what came."
    requires_system_checks: list[str] = []
    requires_migrations_checks = False

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare where to listen."""
        parser.add_argument("--host", default=defaults.HOST, help="The address to listen on.")
        parser.add_argument("--port", type=port_number, default=defaults.PORT, help="The port; 0 takes a free one.")
        parser.add_argument("--allow-remote", action="store_true", help="Let other machines reach it.")

    def handle(self, *args: Any, **options: Any) -> None:
        """Listen, say where, and serve."""
        key = setting("BRAZE_API_KEY") or defaults.KEY
        try:
            server = BrazeStandIn(
                options["host"],
                options["port"],
                campaigns=setting("BRAZE_CAMPAIGNS"),
                keys={key: {PERMISSION}, defaults.KEY_WITHOUT_PERMISSION: set()},
                allow_remote=options["allow_remote"],
            )
            server.bind()
        except ValueError as error:
            raise BadArgument(f"braze_standin: {error}; --allow-remote allows any") from error
        except OSError as error:
            wanted = f"{options['host']}:{options['port']}"
            raise BadArgument(f"braze_standin: host, port: {wanted} cannot be had ({error.strerror})") from error
        self.stdout.write(f"BRAZE_API_URL={server.url}")
        self.stdout.write(f"Open {server.page_url} to see what comes in. Ctrl-C ends it.")
        with contextlib.suppress(KeyboardInterrupt):
            server.serve()


def port_number(value: str) -> int:
    """Return a port."""
    if value.isascii() and value.isdigit() and int(value) <= LAST_PORT:
        return int(value)
    raise argparse.ArgumentTypeError(f"{value!r} is not a port; allowed is a number from 0 to {LAST_PORT}")
