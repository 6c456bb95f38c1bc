"""Licences in the demo: three enterprises at 70, 75 and 100 %, and what their administrators are told."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final, NamedTuple
from uuid import UUID

from email_automation.braze_standin.server import BrazeStandIn
from license_notifications import services
from license_notifications.models import CustomerAgreement, EnterpriseAdmin, SubscriptionPlan
from license_notifications.services import Learner

COMMAND: Final = "send_license_consumption_notifications"
LICENCES: Final = 20


class DemoEnterprise(NamedTuple):
    """An enterprise: how many of its licences are allocated, and its administrators with the days since they are."""

    number: int
    name: str
    slug: str
    allocated: int
    administrators: dict[str, int]

    @property
    def uuid(self) -> UUID:
        """Its number as a uuid."""
        return UUID(int=self.number)


ENTERPRISES: Final = (
    # With the one that a request is granted it has 14.
    DemoEnterprise(1, "Harbour Lines", "harbour-lines", 13, {"greta": 8}),
    DemoEnterprise(2, "Northern Ferries", "northern-ferries", 15, {"henrik": 3, "ines": 21}),
    DemoEnterprise(3, "Polar Freight", "polar-freight", 20, {"jonas": 1}),
)
FIRST_LEARNER, FIRST_ADMINISTRATOR = 7000, 8000


def set_up(now: datetime) -> None:
    """Write agreements, plans with their licences, and administrators."""
    learner, administrator = FIRST_LEARNER, FIRST_ADMINISTRATOR
    for enterprise in ENTERPRISES:
        agreement = CustomerAgreement.objects.create(
            enterprise_customer_uuid=enterprise.uuid,
            enterprise_customer_name=enterprise.name,
            enterprise_customer_slug=enterprise.slug,
        )
        plan = SubscriptionPlan.objects.create(
            customer_agreement=agreement,
            title=f"Crew {now.year}",
            start_date=now - timedelta(days=90),
            expiration_date=now + timedelta(days=275),
            is_active=True,
            should_auto_apply_licenses=True,
        )
        services.provision(plan, LICENCES)
        for _ in range(enterprise.allocated):
            learner += 1
            services.assign(plan, Learner(learner, f"crew{learner}@example.net"), now=now)
        for name, days in enterprise.administrators.items():
            administrator += 1
            EnterpriseAdmin.objects.create(
                enterprise_customer_uuid=enterprise.uuid,
                lms_user_id=administrator,
                user_name=name,
                email=f"{name}@example.net",
                joined_date=now - timedelta(days=days),
            )


def told(braze: BrazeStandIn) -> Iterator[tuple[str, str, str, str]]:
    """Yield what the mail service has delivered: to whom, of which enterprise, which campaign, and the numbers."""
    for message in braze.delivered:
        said = message.properties
        numbers = "{allocated_license_count} of {total_license_count} ({utilization_percentage} %)".format(**said)
        yield str(said["user_name"]), str(said["enterprise_customer_name"]), message.campaign, numbers
