"""`erase_learner <user>`: what the engine holds of one person goes; the account stays, and gets no mail."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from email_automation.erasure import erase
from email_automation.management.base import UNFINISHED, BadArgument
from email_automation.management.base import Command as BaseCommand

from .explain_message import existing_user


class Command(BaseCommand):
    """Erases one person's log, outbox, preferences and weekly figures."""

    help = "Delete everything that is kept of one person's mail, and suppress their address. The account stays."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the person, and that no question is to be asked."""
        parser.add_argument("user", type=existing_user, help="User name, id, or address.")
        parser.add_argument("--yes", action="store_true", help="Do not ask.")

    def handle(self, *args: Any, **options: Any) -> None:
        """Erase, and print the numbers of rows."""
        user_id = options["user"].pk
        if not options["yes"] and not self._confirmed(user_id):
            self.stdout.write(f"erase_learner user={user_id} nothing was erased")
            self.end(UNFINISHED)
        counts = " ".join(f"{name}={number}" for name, number in sorted(erase(user_id).items()))
        self.stdout.write(f"erase_learner user={user_id} {counts}")

    @staticmethod
    def _confirmed(user_id: int) -> bool:
        try:
            answer = input(
                f"Erase everything that is kept of the mail of user {user_id}? It does not come back. [yes/no] "
            )
        except EOFError as error:
            raise BadArgument("erase_learner: nobody is there to be asked; give --yes") from error
        return answer.strip().lower() == "yes"
