"""`explain_message <app.message> <user>`: every condition with yes or no, then policy, then the ledger."""

from __future__ import annotations

import argparse
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.sites.models import Site
from django.core.management.base import CommandParser

from email_automation.explanation import explain
from email_automation.management.base import Command as BaseCommand
from email_automation.management.base import calendar_date, existing_site

from .send_message import registered_message


class Command(BaseCommand):
    """Answers "why did I get this?" and "why did I not?"."""

    help = "Say of one message and one person which conditions hold, what policy says, and what the log holds."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare message, person, day and site."""
        parser.add_argument("message", type=registered_message, metavar="app.message")
        parser.add_argument("user", type=existing_user, help="User name, id, or address.")
        parser.add_argument("--date", type=calendar_date, metavar="YYYY-MM-DD", help="As of a run of this day.")
        parser.add_argument("--site", type=existing_site, default=None, metavar="site_domain")

    def handle(self, *args: Any, **options: Any) -> None:
        """Print the explanation; ids and words only, no address."""
        site = options["site"] or Site.objects.get(pk=settings.SITE_ID)
        found = explain(options["message"], options["user"].pk, site.pk, day=options["date"])
        write = self.stdout.write
        write(
            f"{found.message.label()} for user {options['user'].pk}, site {site.domain}, "
            f"{found.run.now:%Y-%m-%d %H:%M}Z"
        )
        for finding in found.findings:
            write(f"\n{finding.subject}")
            for condition, holds in finding.answers:
                write(f"  {'yes' if holds else 'NO ':3} {condition.name}: {condition.sentence}")
        if not found.findings:
            write("\nNothing this message is about exists for this person.")
        write("\nPolicy")
        write(f"  {'NO ' if found.refusal else 'yes'} {found.refusal or 'may be mailed'}")
        write(f"  courses opted out of: {found.course_opt_outs}")
        write("\nSwitches")
        write(f"  {'yes' if found.planning_open else 'NO '} planning is on")
        write(f"  {'yes' if found.hand_off_open else 'NO '} hand-off is on")
        write("\nLog")
        for entry in found.entries:
            reason = f" ({entry.reason})" if entry.reason else ""
            write(f"  #{entry.pk} {entry.created_at:%Y-%m-%d %H:%M}Z {entry.status}{reason} {entry.occasion}")
        if not found.entries:
            write("  no row for this occasion")
        write(f"\n{found.verdict}")


def existing_user(value: str) -> Any:
    """Return the person with this user name, id or address."""
    users = get_user_model()._default_manager
    name_field = get_user_model().USERNAME_FIELD
    found = users.filter(**{name_field: value}).first()
    if found is None and value.isascii() and value.isdigit():
        found = users.filter(pk=int(value)).first()
    if found is None and "@" in value:
        found = users.filter(email__iexact=value).order_by("pk").first()
    if found is None:
        raise argparse.ArgumentTypeError("user: nobody has this user name, id or address")
    return found
