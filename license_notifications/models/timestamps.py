"""What administrators were told. `memory` writes it."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Final, NamedTuple

from django.db import models
from django.db.models import Max, Q
from django.utils.translation import gettext_lazy as _

from email_automation.models import MessageRun

THRESHOLD_75: Final = "threshold_75"
THRESHOLD_100: Final = "threshold_100"
WEEKLY: Final = "weekly"
#: What a weekly row has in place of a plan, so that its key is unique on every database.
NO_PLAN: Final = uuid.UUID(int=0)
LONGEST_ERROR: Final = 500


class LastMails(NamedTuple):
    """When an administrator was last told: how far the licences are used up, and the weekly figures."""

    utilization: datetime | None
    weekly: datetime | None


class NotificationTimestampQuerySet(models.QuerySet["NotificationTimestamp"]):
    """Rows of the memory."""

    def last_mails(self, enterprise_customer_uuid: uuid.UUID, ecu_id: int) -> LastMails:
        """Return the two moments the decision record asks for."""
        found = self.filter(enterprise_customer_uuid=enterprise_customer_uuid, ecu_id=ecu_id).aggregate(
            utilization=Max("last_sent_at", filter=~Q(kind=WEEKLY)), weekly=Max("last_sent_at", filter=Q(kind=WEEKLY))
        )
        return LastMails(found["utilization"], found["weekly"])


class NotificationTimestamp(models.Model):
    """One thing to be told to one administrator: once per plan and threshold, once per week. Kept for ever.

    `allocated`, `total` and `reported_plan_uuid` are what was told. It holds no address and no name.
    """

    CLAIMED: Final = "claimed"
    SENT: Final = "sent"
    FAILED: Final = "failed"
    UNKNOWN: Final = "unknown"
    SUPERSEDED: Final = "superseded"

    enterprise_customer_uuid = models.UUIDField(_("enterprise"))
    ecu_id = models.BigIntegerField(_("ECU"))
    lms_user_id = models.PositiveBigIntegerField(_("LMS user"))
    kind = models.CharField(max_length=13)
    plan_uuid = models.UUIDField(_("plan"), default=NO_PLAN)
    slot = models.PositiveIntegerField(_("week"), default=0, help_text=_("0 for thresholds."))
    #: When the week of `slot` began: what a week is due by can then be compared in the database.
    slot_start = models.DateTimeField(null=True, blank=True)
    state = models.CharField(max_length=10, default=CLAIMED)
    claimed_from = models.CharField(
        max_length=10, blank=True, help_text=_("The state before the claim; blank for the first.")
    )
    attempts = models.PositiveIntegerField(default=0)
    resends = models.PositiveSmallIntegerField(default=0, help_text=_("How often a mail in doubt was sent again."))
    claimed_at = models.DateTimeField(null=True, blank=True)
    claim_token = models.UUIDField(null=True, editable=False)
    last_sent_at = models.DateTimeField(null=True, blank=True)
    allocated = models.PositiveIntegerField(default=0)
    total = models.PositiveIntegerField(default=0)
    reported_plan_uuid = models.UUIDField(null=True, blank=True)
    channel = models.CharField(max_length=50, blank=True)
    dispatch_id = models.CharField(max_length=255, blank=True)
    last_error = models.CharField(max_length=LONGEST_ERROR, blank=True)
    run = models.ForeignKey(MessageRun, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")

    objects = NotificationTimestampQuerySet.as_manager()

    class Meta:
        verbose_name = _("notification timestamp")
        constraints = [
            models.UniqueConstraint(
                fields=["enterprise_customer_uuid", "ecu_id", "kind", "plan_uuid", "slot"], name="license_notice_once"
            ),
        ]
        indexes = [
            models.Index(fields=["ecu_id", "kind", "slot_start"], name="license_notice_week"),
            models.Index(fields=["state", "claimed_at"], name="license_notice_state"),
        ]
        permissions = [("send_again", "Can have a notice in doubt sent again")]

    def __str__(self) -> str:
        return f"{self.kind} ECU {self.ecu_id} {self.state}"
