"""What the chaos tests share: a mail server, the project as processes, and a site that mails."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta

import pytest
from django.utils import timezone

from email_automation.models import EmailLog
from schedules.models import ScheduleConfig
from tests.factories import platform_site
from tests.processes import Project, project
from tests.smtp import Server

DAY = date(2017, 8, 1)
NUDGE = ("send_recurring_nudge", "example.com", "--date", str(DAY))


@pytest.fixture
def server() -> Iterator[Server]:
    """A mail server that takes everything."""
    with Server.running() as running:
        yield running


@pytest.fixture
def cadence(transactional_db: None, server: Server) -> Iterator[Project]:
    """The project as processes that deliver by themselves and mail to `server`; the nudges are switched on."""
    ScheduleConfig.objects.create(site=platform_site(), enqueue_recurring_nudge=True, deliver_recurring_nudge=True)
    with project(EMAIL_URL=server.url, EMAIL_TIMEOUT="10") as made:
        yield made


def age_leases() -> None:
    """Let the time pass after which silent workers count as dead."""
    held = EmailLog.objects.filter(lease_expires_at__isnull=False)
    held.update(lease_expires_at=timezone.now() - timedelta(seconds=1))


def make_due() -> None:
    """Let the time pass until every waiting mail may be tried again."""
    EmailLog.objects.filter(status="pending").update(next_attempt_at=timezone.now())


def figures(output: str) -> dict[str, int]:
    """Return the numbers of a command's summary line, which must add up."""
    line = next(line for line in output.splitlines() if line.startswith(NUDGE[0]))
    words = [word.strip("()").partition("=") for word in line.split()]
    found = {name: int(value) for name, _, value in words if value.isdigit()}
    assert found["audience"] == found["sent"] + found["skipped"] + found["failed"] + found["retry"], line
    return found
