"""`goal_reminder_email`: the reminders of weekly goals, for all learners where it is morning now."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.contrib.sites.models import Site
from django.core.management.base import CommandParser

from course_goals.checks import NO_CHANNEL
from course_goals.conditions import is_of_a_day, slot
from course_goals.messages.goal_reminder import GoalReminder
from course_goals.week import ON_A_GIVEN_DAY
from email_automation import words
from email_automation.channels import takes_mail
from email_automation.management.base import (
    FIRST_YEAR,
    LAST_YEAR,
    OK,
    UNFINISHED,
    Bar,
    calendar_date,
    email_address,
    existing_site,
)
from email_automation.management.base import (
    Command as BaseCommand,
)
from email_automation.pipeline.dispatch import Summary, run_one
from email_automation.pipeline.run import Run

ALREADY_REMINDED = "not_reminded_this_week"


class Command(BaseCommand):
    """Mails the learners to whose weekly goal every remaining day is needed."""

    help = "Send the reminders of weekly goals that are due now. Meant to run at least every third hour."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the clock, the site and the kinds of trial."""
        clock = parser.add_mutually_exclusive_group()
        clock.add_argument("--now", type=instant, metavar="INSTANT", help="Run as at this instant, with its offset.")
        clock.add_argument(
            "--date", type=calendar_date, metavar="YYYY-MM-DD", help="Every learner's clock reads 09:00 on this day."
        )
        parser.add_argument("--site", type=existing_site, default=None, metavar="site_domain", help="Another site.")
        parser.add_argument("--dry-run", action="store_true", help="Say what would be sent, and write nothing.")
        parser.add_argument(
            "--override-recipient-email",
            type=email_address,
            metavar="ADDRESS",
            help="Send every mail to this address instead; a test that uses up nobody's week.",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Run the message, print one summary line, and end with the status that says how it went."""
        if not options["dry_run"] and not takes_mail():
            self.stderr.write(NO_CHANNEL)
            self.end(UNFINISHED)
            return
        site = options["site"] or Site.objects.get(pk=settings.SITE_ID)
        run = _run(site, options)
        bar = Bar(GoalReminder.NAME)
        summary = run_one(GoalReminder, run, progress=bar.reach)
        bar.close()
        if options["verbosity"] > 1:
            for goal_id in summary.targets:
                self.stdout.write(f"goal {goal_id}")
        line = " ".join(f"{name}={value}" for name, value in figures(run, summary).items())
        self.stdout.write(f"{'DRY RUN ' if run.dry_run else ''}goal_reminder_email {line}")
        for error in summary.errors:
            self.stderr.write(error)
        self.end(OK if summary.ok else UNFINISHED)


def _run(site: Site, options: Mapping[str, Any]) -> Run:
    run = GoalReminder.starting(site.pk, day=options["date"])
    if options["now"] is not None:
        run = Run.starting(GoalReminder.label(), site.pk, now=options["now"])
    return replace(run, override=options["override_recipient_email"] or "", dry_run=options["dry_run"])


def figures(run: Run, summary: Summary) -> dict[str, Any]:
    """Return what the summary line says, by name.

    `due` is `planned` and everything skipped, `planned` is what follows it up to `stopped`: the mails that conditions,
    policy or a switch stopped at hand-off.
    """
    stopped = sum(summary.tally.reasons.values())
    sent = 0 if run.dry_run else summary.sent
    pending = summary.sent if run.dry_run else summary.retry
    ended = {"failed": summary.tally[words.FAILED], "unknown": summary.tally[words.UNKNOWN]}
    skipped = dict(summary.left_out.reasons)
    if summary.already_sent:
        # Claimed by somebody else between the count and the claim.
        skipped[ALREADY_REMINDED] = skipped.get(ALREADY_REMINDED, 0) + summary.already_sent
    return {
        "due": summary.audience,
        "planned": sent + pending + stopped + sum(ended.values()),
        **{f"skipped.{reason}": number for reason, number in sorted(skipped.items())},
        "sent": sent,
        "failed": ended["failed"],
        "pending": pending,
        "unknown": ended["unknown"],
        "stopped": stopped,
        "run": run.id.hex,
        "instant": f"{run.day}T{ON_A_GIVEN_DAY:%H:%M}" if is_of_a_day(run) else slot(run.now),
    }


def instant(value: str) -> datetime:
    """Return an instant written in ISO 8601 with its offset, or Z."""
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        moment = None
    # Weeks reach to either side, and the calendar has an end.
    if moment is None or moment.tzinfo is None or not FIRST_YEAR <= moment.year <= LAST_YEAR:
        raise argparse.ArgumentTypeError(f"{value!r} is not an instant with its offset, such as 2021-03-02T08:00Z")
    return moment.astimezone(UTC)
