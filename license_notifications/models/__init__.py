"""Licences, who has to hear of them, and what they were told."""

from .administrators import EnterpriseAdmin
from .licenses import CustomerAgreement, License, LicenseGrant, SubscriptionPlan
from .runs import RUN_NAME, NotificationPart, NotificationRun
from .timestamps import (
    LONGEST_ERROR,
    NO_PLAN,
    THRESHOLD_75,
    THRESHOLD_100,
    WEEKLY,
    LastMails,
    NotificationTimestamp,
)

__all__ = [
    "LONGEST_ERROR",
    "NO_PLAN",
    "RUN_NAME",
    "THRESHOLD_75",
    "THRESHOLD_100",
    "WEEKLY",
    "CustomerAgreement",
    "EnterpriseAdmin",
    "LastMails",
    "License",
    "LicenseGrant",
    "NotificationPart",
    "NotificationRun",
    "NotificationTimestamp",
    "SubscriptionPlan",
]
