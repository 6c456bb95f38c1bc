"""`demo`: a small site with mail to look at. It fills a database of its own, runs a day, and serves what came of it."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterable, Sequence
from datetime import UTC, date
from io import StringIO
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.sites.models import Site
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import connection
from django.test.utils import override_settings
from django.urls import reverse
from django.utils import timezone

from courses.models import Course, Enrollment
from email_automation.braze_standin.server import BrazeStandIn
from email_automation.weeks import Week
from lms.demo import fence, goals, ground, licences, report, requests, server, stage, weekly

STAFF, PASSWORD = "demo", "demo"
COMMANDS = ("send_recurring_nudge", "send_upgrade_reminder", "send_course_update")


class Command(BaseCommand):
    """Exit status 0: everything came out as it should. 1: it did not. 2: this database or setting is no demo's."""

    help = "Fill a SQLite database of the demo's own, send a day's mails, say who got what and why, and serve it."
    # A demo that has not made its database yet cannot be checked; the server's pages are checked by being served.
    requires_system_checks: list[str] = []

    def handle(self, *args: Any, **options: Any) -> None:
        """Run the demo. DEMO_SERVE=0 ends it after the report; DEMO_PORT (8000) is the first port to try."""
        if not settings.DEBUG:
            raise CommandError("demo: only with DEBUG on, as settings devstack has it", returncode=2)
        port = _port(os.environ.get("DEMO_PORT", "8000"))
        _be_quiet()
        with (
            BrazeStandIn().running() as braze,
            override_settings(**fence.STAY_HERE, BRAZE_API_URL=braze.url),
        ):
            self._play(braze)
            if os.environ.get("DEMO_SERVE", "1") != "0":
                self._serve(port, braze)

    def _play(self, braze: BrazeStandIn) -> None:
        """Fill the database, run the day's commands for each site twice, and tell what came of it."""
        started = time.monotonic()
        try:
            again = ground.take()
        except ground.NotOurs as error:
            raise CommandError(
                f"demo: {error}; nothing was touched. DATABASE_URL=sqlite:///demo.sqlite3 gives it a file of its own.",
                returncode=2,
            ) from error
        today = timezone.now().astimezone(UTC).date()
        sites = stage.set_up(today)
        self._title(f"Cadence, {today:%A} {today.day} {today:%B %Y} (UTC)")
        learners = Enrollment.objects.order_by().values("user").distinct().count()
        self._line(
            f"{Path(connection.settings_dict['NAME']).name}: {'emptied and ' if again else ''}filled with {learners} "
            f"learners, {Course.objects.count()} courses and {len(sites)} sites."
        )
        for site in sites:
            self._run_site(site, today)
        self._title("Weekly goals, in the morning")
        self._goals(today)
        self._line()
        self._line(self.style.SUCCESS("Was reminded"))
        self._table(goals.reminded(), "learner", "goal", "subject")
        self._title("Three learners ask for a licence, and one is approved")
        requests.approve_first()
        self._table(requests.told(), "learner", "asked for", "state", "mail")
        self._title("Licences of three enterprises, at 70, 75 and 100 %")
        self._run(licences.COMMAND)
        self._line()
        self._line(self.style.SUCCESS("Was told, by way of a stand-in for Braze"))
        self._table(licences.told(braze), "administrator", "enterprise", "campaign", "allocated")
        self._title("Run again: nobody gets a mail twice")
        for site in sites:
            if any("sent=0 " not in line for line in [*self._day(site), self._week(site, today)]):
                raise CommandError("demo: a second run sent something", returncode=1)
        if " sent=0 " not in self._goals(today):
            raise CommandError("demo: a second run of the reminders sent something", returncode=1)
        if " sent=0 " not in self._run(licences.COMMAND):
            raise CommandError("demo: a second run of the notices sent something", returncode=1)
        self._line()
        self._line(f"All of this took {time.monotonic() - started:.0f} s.")

    def _run_site(self, site: Site, today: date) -> None:
        self._title(f"{site.name} ({site.domain})")
        self._day(site)
        self._line()
        self._line(self.style.SUCCESS("Got a mail"))
        self._table(report.sent(site, today), "learner", "message", "language", "remark", "about")
        self._line()
        self._line(self.style.WARNING("Got none, and why"))
        self._table(report.unsent(site, today), "learner", "reason", "in words", "enrolled in")
        monday = Week.of(today).start
        self._title(f"{site.name}: the week before {monday:%A} {monday.day} {monday:%B}")
        self._week(site, today)
        self._line()
        self._line(self.style.SUCCESS("Got a weekly report"))
        self._table(weekly.reported(site, monday), "learner", "language", "completed", "that week", "about")
        self._line()
        self._line(self.style.WARNING("Got none, and why"))
        self._table(weekly.unreported(site, monday), "learner", "reason", "in words", "about")

    def _day(self, site: Site) -> list[str]:
        """Run the day's commands as cron would, and return the summary lines they printed."""
        return [self._run(name, site.domain) for name in COMMANDS]

    def _week(self, site: Site, today: date) -> str:
        """Run what cron starts on Mondays, for this week's, and return the summary line it printed."""
        return self._run("send_message", weekly.LABEL, site.domain, "--date", Week.of(today).start.isoformat())

    def _goals(self, today: date) -> str:
        """Run what cron starts every third hour, with every learner's clock at nine, and return its summary line."""
        return self._run(goals.COMMAND, "--date", today.isoformat())

    def _run(self, *line: str) -> str:
        self._line(self.style.HTTP_INFO(f"$ manage.py {' '.join(line)}"))
        out = StringIO()
        try:
            call_command(*line, stdout=out, stderr=self.stderr)
        finally:
            # A run that went wrong ends the process, and its summary says what went wrong.
            self._line(out.getvalue().rstrip())
        return out.getvalue()

    def _serve(self, port: int, braze: BrazeStandIn) -> None:
        """Serve the outbox and the admin until somebody presses Ctrl-C."""
        goals.welcome(stage.create_staff(STAFF, PASSWORD))
        try:
            listening = server.bound(port)
        except server.NoFreePort as error:
            raise CommandError(f"demo: {error}", returncode=1) from error
        # Loading the application has configured the log anew.
        _be_quiet()
        address = f"http://{server.HOST}:{listening.server_port}"
        self._title("Now look at it")
        if listening.server_port != port:
            self._line(f"Port {port} is taken, so it is {listening.server_port} this time.")
        self._table(
            [
                ("Try it", f"{address}{reverse('demo:page')}"),
                ("Decide about requests", f"{address}{reverse('demo:requests')}"),
                ("The mails", f"{address}/"),
                ("What Braze was told", braze.page_url),
                ("The admin", f"{address}/admin/"),
                ("Choose a weekly goal", f"{address}{goals.home_address()}"),
                ("Write highlights", f"{address}{stage.outline_address()}"),
                ("Log in as", f"{STAFF}, password {PASSWORD}"),
                ("Stop", "Ctrl-C"),
            ]
        )
        self.stdout.flush()
        try:
            listening.serve_forever()
        except KeyboardInterrupt:
            self._line("\nStopped.")
        finally:
            listening.server_close()

    def _title(self, text: str) -> None:
        self._line()
        self._line(self.style.MIGRATE_HEADING(text))

    def _table(self, rows: Iterable[Sequence[str]], *heads: str) -> None:
        """Print rows of texts in columns, below their heads if there are any."""
        found = [*([heads] if heads else []), *rows]
        widths = [max(map(len, column)) for column in zip(*found, strict=True)]
        for number, row in enumerate(found):
            line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            self._line("  " + (self.style.HTTP_NOT_MODIFIED(line) if heads and number == 0 else line))

    def _line(self, text: str = "") -> None:
        self.stdout.write(text)


def _be_quiet() -> None:
    """Keep the log off the report, unless somebody has asked for a level."""
    if "LOG_LEVEL" not in os.environ:
        for name in ("", "django", "django.server"):
            logging.getLogger(name).setLevel(logging.ERROR)


def _port(text: str) -> int:
    if text.isascii() and text.isdigit() and 0 < int(text) <= server.LAST_PORT:
        return int(text)
    raise CommandError(f"demo: DEMO_PORT {text!r} is not a port; allowed is 1 to {server.LAST_PORT}", returncode=2)
