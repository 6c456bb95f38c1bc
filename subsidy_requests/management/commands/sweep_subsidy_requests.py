"""`sweep_subsidy_requests`: looking after approvals of which nothing is heard, and after mails that wait."""

from __future__ import annotations

from typing import Any

from email_automation.management.base import Command as BaseCommand
from subsidy_requests import services


class Command(BaseCommand):
    """Publishes again what has had no outcome, tells of what is stuck, and releases mails that waited for a slug."""

    help = "Publish approvals without an outcome again, tell of those that are stuck, and release mails that waited."

    def handle(self, *args: Any, **options: Any) -> None:
        """Sweep, and print the counts."""
        counts = services.sweep()
        self.stdout.write(" ".join(["sweep_subsidy_requests", *(f"{name}={n}" for name, n in counts.items())]))
