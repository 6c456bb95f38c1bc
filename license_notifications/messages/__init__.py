"""The mails to administrators, and what they share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from django.utils.functional import classproperty

from courses.switches import switch_is_active
from email_automation.models import EmailLog
from email_automation.pipeline.message import MessageType, Stage
from email_automation.pipeline.outcome import spread
from email_automation.pipeline.resolver import Draft
from email_automation.pipeline.run import Run

from .. import directory, figures, memory
from ..conf import CAMPAIGN, setting

PAUSE: Final = "license_notifications.pause_{}"

VARIABLES: Final[Mapping[str, Any]] = {
    "enterprise_customer_id": "6f1c5c3e-5d0a-4c52-9d5a-0e2f6a6a2b11",
    "enterprise_customer_name": "Northwind Learning",
    "subscription_plan_uuid": "b0a3a0de-6c2b-4b3a-8f0e-7f4d1c1f2c22",
    "subscription_plan_title": "Annual plan",
    "subscription_plan_expiration_date": "2027-06-30",
    "allocated_license_count": 75,
    "total_license_count": 100,
    "utilization_percentage": 75,
    "admin_portal_url": "https://portal.example.com/northwind",
    "notification_kind": "threshold_75",
    "user_name": "grace",
}


class Notice(MessageType):
    """A notice to administrators: remembered for ever, retried by the next run with that day's numbers."""

    category = "admin"
    # What is in doubt is sent again by the next run, which asks the conditions again; the log's row stays as it is.
    resend_unknown = 0
    max_attempts = 3
    patient = False
    goes_together = True
    variables = VARIABLES

    @classproperty
    def lease(cls) -> timedelta:
        """How long a claim holds, by the real clock."""
        return timedelta(seconds=setting("LICENSE_NOTIFICATION_STALE_CLAIM_SECONDS"))

    @classmethod
    def channel(cls) -> str:
        """Return the channel of campaigns, or '' where notices go out as ordinary mail."""
        return CAMPAIGN if setting("LICENSE_NOTIFICATION_CHANNEL") == CAMPAIGN else ""

    @classmethod
    def gate(cls, run: Run, stage: Stage) -> bool:
        """Return whether the message is not paused."""
        return not switch_is_active(PAUSE.format(cls.NAME))

    @classmethod
    def prepare(cls, run: Run) -> None:
        """Ask the directories of the enterprises there is something to tell of; the daily job has done so before."""
        told = figures.where(run, lambda choice: figures.is_told(choice, run.now))
        refreshed = directory.refresh(told, now=run.now)
        run.memory[figures.UNREACHED] = frozenset(failure.enterprise_uuid for failure in refreshed.failures)

    @classmethod
    def slot(cls, run: Run) -> str:
        """Return the run's instant: several runs of a day are remembered apart."""
        return moment(run.now)

    @classmethod
    def expiry(cls, run: Run) -> datetime:
        """Return when a mail that is still waiting is given up; the next run tells the same with fresh numbers."""
        return run.now + cls.lease

    @classmethod
    def retry_delay(cls, attempts: int) -> timedelta:
        """Return one second after the first try and two after the second, a fifth more or less."""
        return spread(timedelta(seconds=attempts))

    @classmethod
    def on_claim(cls, run: Run, rows: Sequence[EmailLog]) -> Iterable[EmailLog]:
        """Return the mails whose thing could be claimed."""
        return memory.claim(run, rows)

    @classmethod
    def on_finish(cls, rows: Sequence[EmailLog]) -> None:
        """Write down what became of the things that were to be told."""
        memory.finish(rows)

    @classmethod
    def campaign(cls, draft: Draft) -> str:
        """Return the key of the campaign that tells this kind of notice."""
        return cls.NAME


def moment(instant: datetime) -> str:
    """Return an instant as text by which runs are remembered."""
    return f"{instant:%Y-%m-%dT%H:%M:%S.%fZ}"
