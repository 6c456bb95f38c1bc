"""`setup_email_automation`: everything the engine keeps in the database before it can run by itself."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from email_automation import setup
from email_automation.management.base import Command as BaseCommand
from email_automation.services import EmailTemplateService


class Command(BaseCommand):
    """Makes stock templates and beat entries; may be run again at any time and leaves people's edits alone."""

    help = "Create the stock templates and beat entries, and with --create-preferences the missing preference rows."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the option for preferences."""
        parser.add_argument(
            "--create-preferences", action="store_true", help="Also create a preference row for everybody without one."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Create what is missing and print how much that was."""
        templates = EmailTemplateService.create_default_templates()
        entries = setup.create_beat_entries()
        preferences = setup.create_preferences() if options["create_preferences"] else 0
        self.stdout.write(
            f"setup_email_automation templates={templates} beat_entries={entries} preferences={preferences}"
        )
