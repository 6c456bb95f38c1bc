"""What the mailing commands share: parsing, the summary line, and the exit status."""

from __future__ import annotations

import argparse
import re
import sys
import time
from collections.abc import Iterable
from datetime import date
from typing import Any, NoReturn

from django.contrib.sites.models import Site
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.core.validators import validate_email
from tqdm import tqdm

from courses import sites

from ..pipeline import dispatch
from ..pipeline.dispatch import Summary
from ..pipeline.message import MessageType

OK, UNFINISHED, BAD_ARGUMENT = 0, 1, 2
FIRST_YEAR, LAST_YEAR = 1970, 9000


class BadArgument(CommandError):
    """An argument that cannot be used: one line, exit status 2, nothing done."""

    def __init__(self, message: str) -> None:
        super().__init__(message, returncode=BAD_ARGUMENT)


class Bar:
    """A progress bar on standard error, where that is a terminal; silent anywhere else."""

    def __init__(self, label: str) -> None:
        self._bar = tqdm(desc=label, unit="mail", file=sys.stderr, disable=not sys.stderr.isatty(), leave=False)

    def reach(self, done: int, total: int) -> None:
        """Show that `done` of `total` are done."""
        self._bar.total = total
        self._bar.update(done - self._bar.n)

    def advance(self, number: int) -> None:
        """Show that so many more are done."""
        self._bar.update(number)

    def close(self) -> None:
        """Take the bar away."""
        self._bar.close()


class Command(BaseCommand):
    """Base of all our commands: bad arguments end in one line and status 2."""

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        """Return a parser that reports a bad argument without the usage text."""
        parser = super().create_parser(prog_name, subcommand, **kwargs)

        from_command_line = bool(getattr(self, "_called_from_command_line", False))

        def error(message: str) -> NoReturn:
            if from_command_line:
                self.stderr.write(f"{subcommand}: {message}")
                sys.exit(BAD_ARGUMENT)
            raise BadArgument(f"{subcommand}: {message}")

        parser.error = error  # type: ignore[method-assign]
        return parser

    def end(self, status: int) -> None:
        """End the command with an exit status other than 0; nothing else is printed."""
        if status != OK:
            # Not CommandError: it would print a line of its own beside the summary.
            sys.exit(status)


class MessageCommand(Command):
    """A command that runs one or several messages for a site, daily."""

    #: The messages, by name, in the order in which they are run.
    messages: tuple[str, ...] = ()

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the arguments all daily commands share."""
        parser.add_argument("site", type=existing_site, metavar="site_domain", help="Domain of the site.")
        parser.add_argument("--date", type=calendar_date, metavar="YYYY-MM-DD", help="Run exactly this day.")
        parser.add_argument(
            "--override-recipient-email",
            type=email_address,
            metavar="ADDRESS",
            help="Send every mail to this address instead; a test that uses up nobody's mail.",
        )
        parser.add_argument("--dry-run", action="store_true", help="Say what would be sent, and write nothing.")
        parser.add_argument("--no-catch-up", action="store_true", help="Leave out the days that were missed.")

    def message_types(self, options: dict[str, Any]) -> Iterable[type[MessageType]]:
        """Return the messages to run."""
        from ..pipeline import message

        return [message.get(name) for name in self.messages]

    def handle(self, *args: Any, **options: Any) -> None:
        """Run the messages, print one summary line, and end with the status that says how it went."""
        started = time.monotonic()
        site, total = options["site"], Summary()
        # stdout carries the one summary line and nothing else.
        for message in self.message_types(options):
            bar = Bar(message.NAME)
            total.add(
                dispatch.run_daily(
                    message,
                    site.pk,
                    day=options["date"],
                    override=options["override_recipient_email"] or "",
                    dry_run=options["dry_run"],
                    catch_up=not options["no_catch_up"],
                    progress=bar.reach,
                )
            )
            bar.close()
        self.stdout.write(
            summary_line(
                self.subcommand(options), site, total, seconds=time.monotonic() - started, dry_run=options["dry_run"]
            )
        )
        for error in total.errors:
            self.stderr.write(error)
        self.end(OK if total.ok else UNFINISHED)

    def subcommand(self, options: dict[str, Any]) -> str:
        """Return the words the summary line starts with."""
        return type(self).__module__.rpartition(".")[2]


def summary_line(name: str, site: Site, total: Summary, *, seconds: float, dry_run: bool) -> str:
    """Return the one line a command prints, for people and for log readers."""
    skipped = total.skipped
    reasons = " ".join(f"{reason}={number}" for reason, number in skipped.items() if number)
    brackets = f" ({reasons})" if reasons else ""
    return (
        f"{'DRY RUN ' if dry_run else ''}{name} {site.domain} days={','.join(map(str, total.days))} "
        f"audience={total.audience} sent={total.sent} skipped={sum(skipped.values())}{brackets} "
        f"failed={total.failed} retry={total.retry} seconds={seconds:.1f}"
    )


def existing_site(value: str) -> Site:
    """Return the site with this domain, in any letter case."""
    try:
        return sites.site_by_domain(value)
    except sites.UnknownSite as error:
        known = ", ".join(Site.objects.order_by("domain").values_list("domain", flat=True)[:10])
        raise argparse.ArgumentTypeError(f"unknown site {value!r}; known: {known or 'none'}") from error


def calendar_date(value: str) -> date:
    """Return a real day written YYYY-MM-DD."""
    if re.fullmatch(r"\d{4}-\d{2}-\d{2}", value, re.ASCII):
        try:
            day = date.fromisoformat(value)
        except ValueError:
            day = None
        # Windows reach some weeks to either side, and the calendar has an end.
        if day is not None and FIRST_YEAR <= day.year <= LAST_YEAR:
            return day
    raise argparse.ArgumentTypeError(f"{value!r} is not a day; allowed is a real date written YYYY-MM-DD")


def email_address(value: str) -> str:
    """Return a well-formed address."""
    try:
        validate_email(value)
    except ValidationError as error:
        raise argparse.ArgumentTypeError(f"{value!r} is not an e-mail address") from error
    return value
