"""Enterprises whose administrators are to be told, a clock, and the job as its command does it."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Self
from unittest import mock
from uuid import UUID

import time_machine
from django.core.management import call_command
from django.utils import timezone

from courses import alerts
from email_automation.braze_standin.memory import Message
from email_automation.braze_standin.server import BrazeStandIn
from license_notifications.management.commands.send_license_consumption_notifications import Command
from license_notifications.models import (
    CustomerAgreement,
    EnterpriseAdmin,
    License,
    NotificationTimestamp,
    SubscriptionPlan,
)
from tests.factories import CustomerAgreementFactory, EnterpriseAdminFactory, SubscriptionPlanFactory, add_licenses

NOW = datetime(2026, 3, 2, 6, tzinfo=UTC)


@dataclass
class Ran:
    """What one run of the command said, and what its alert was."""

    status: int
    out: list[str]
    errors: str
    alert: alerts.Alert | None
    waited: float = 0.0

    @property
    def summary(self) -> str:
        """The last line."""
        return self.out[-1]

    @property
    def lines(self) -> list[str]:
        """A line for each call."""
        return self.out[:-1]


@dataclass
class Scene:
    """A world with a stand-in for Braze; `now` is the instant of the next run."""

    braze: BrazeStandIn
    now: datetime = NOW
    ran: list[Ran] = field(default_factory=list)

    def enterprise(
        self, total: int = 100, allocated: int = 75, *, admins: int = 1, days: float = 1, **plan: Any
    ) -> Enterprise:
        """Make an enterprise with one plan and administrators who became active so many days ago."""
        made = Enterprise(self, CustomerAgreementFactory().enterprise_customer_uuid)
        made.plan(total, allocated, **plan)
        made.admins(admins, days=days)
        return made

    def run(self, *arguments: str, days: float = 0, seconds: float = 0, tell: Any = None) -> Ran:
        """Let time pass, then run the command; what it waits passes on the clock and not in the test.

        Its alert is kept, and given to `tell` too.
        """
        self.now += timedelta(days=days, seconds=seconds)
        out, errors, told, waited = io.StringIO(), io.StringIO(), [], []
        with time_machine.travel(self.now, tick=False) as clock:

            def sleep(duration: float) -> None:
                waited.append(duration)
                clock.shift(timedelta(seconds=duration))

            def hear(alert: alerts.Alert) -> None:
                told.append(alert)
                if tell is not None:
                    tell(alert)

            with mock.patch.object(Command, "sleep", staticmethod(sleep)), mock.patch.object(alerts, "tell", hear):
                try:
                    call_command("send_license_consumption_notifications", *arguments, stdout=out, stderr=errors)
                    status = 0
                except SystemExit as end:
                    status = int(end.code or 0)
            self.now = timezone.now()
        assert len(told) <= 1
        lines = out.getvalue().splitlines()
        self.ran.append(Ran(status, lines, errors.getvalue(), told[0] if told else None, sum(waited)))
        return self.ran[-1]

    @property
    def delivered(self) -> list[Message]:
        """What the stand-in has delivered."""
        return self.braze.delivered

    @property
    def kinds(self) -> list[str]:
        """The kinds of what was delivered, in order: M75, M100, W."""
        short = {"threshold_75": "M75", "threshold_100": "M100", "weekly": "W"}
        return [short[message.properties["notification_kind"]] for message in self.delivered]

    @contextmanager
    def nothing_more(self) -> Iterator[None]:
        """Assert that nothing is sent inside the block."""
        before = len(self.braze.requests)
        yield
        assert len(self.braze.requests) == before

    def row(self, kind: str, **lookup: Any) -> NotificationTimestamp:
        """Return the one row of a kind."""
        return NotificationTimestamp.objects.get(kind=kind, **lookup)


@dataclass
class Enterprise:
    """One enterprise of a scene."""

    scene: Scene
    uuid: UUID
    plans: list[SubscriptionPlan] = field(default_factory=list)

    def plan(self, total: int, allocated: int, **values: Any) -> SubscriptionPlan:
        """Add a plan with so many licences, so many of them activated."""
        agreement = self.agreement
        plan = SubscriptionPlanFactory(
            customer_agreement=agreement, licenses={"activated": allocated, "unassigned": total - allocated}, **values
        )
        self.plans.append(plan)
        return plan

    @property
    def agreement(self) -> Any:
        """The enterprise's agreement."""
        return CustomerAgreement.objects.get(enterprise_customer_uuid=self.uuid)

    def admins(self, number: int, *, days: float = 1, **values: Any) -> list[EnterpriseAdmin]:
        """Add administrators who became active so many days before the next run."""
        return [
            EnterpriseAdminFactory(
                enterprise_customer_uuid=self.uuid,
                **{"joined_date": self.scene.now - timedelta(days=days), "ecu_created": None, **values},
            )
            for _ in range(number)
        ]

    def allocate(self, allocated: int, *, of: int | None = None) -> Self:
        """Have so many licences of the first plan activated, and others unassigned."""
        plan = self.plans[0]
        total = plan.licenses.exclude(status=License.REVOKED).count() if of is None else of
        plan.licenses.exclude(status=License.REVOKED).delete()
        add_licenses(plan, activated=allocated, unassigned=total - allocated)
        return self
