"""`send_message <app.message> <site>`: run any registered message."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from typing import Any

from django.core.management.base import CommandParser

from email_automation.management.base import MessageCommand
from email_automation.pipeline import message
from email_automation.pipeline.message import MessageType


class Command(MessageCommand):
    """Runs one message for one site, as the message's own command does."""

    help = "Run any registered message for one site."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the message before the arguments all daily commands share."""
        parser.add_argument("message", type=registered_message, metavar="app.message")
        super().add_arguments(parser)

    def message_types(self, options: dict[str, Any]) -> Iterable[type[MessageType]]:
        """Return the message that was named."""
        return [options["message"]]

    def subcommand(self, options: dict[str, Any]) -> str:
        """Return the command and its message."""
        return f"send_message {options['message'].label()}"


def registered_message(value: str) -> type[MessageType]:
    """Return the message with this name."""
    try:
        return message.get(value)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
