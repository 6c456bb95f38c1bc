"""`cleanup_old_email_logs`: retention of the log."""

from __future__ import annotations

from typing import Any

from email_automation.management.base import Command as BaseCommand
from email_automation.pipeline.sweep import clean_up


class Command(BaseCommand):
    """Deletes old rows of the log, and forgets the contents of younger ones."""

    help = "Delete log rows older than EMAIL_LOG_DAYS and contents older than EMAIL_LOG_CONTENT_DAYS."

    def handle(self, *args: Any, **options: Any) -> None:
        """Apply retention and print what went."""
        counts = clean_up()
        self.stdout.write(f"cleanup_old_email_logs rows={counts['rows']} contents={counts['contents']}")
