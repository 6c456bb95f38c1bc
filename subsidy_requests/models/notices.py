"""What learners are told in one mail: the approvals of some minutes, and the refusals of one call."""

from __future__ import annotations

import uuid
from typing import Final

from django.conf import settings
from django.contrib.sites.models import Site
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from .configuration import COUPON, LICENSE

OPEN: Final = "open"
SENT: Final = "sent"
SKIPPED: Final = "skipped"
FAILED: Final = "failed"
STATES: Final = (OPEN, SENT, SKIPPED, FAILED)

_KINDS: Final = [(LICENSE, _("licence")), (COUPON, _("coupon code"))]


class Notice(models.Model):
    """One mail to one learner of one enterprise, before and after it is out. Written by `notices`, never deleted."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="%(class)ss", db_index=False
    )
    enterprise_customer_uuid = models.UUIDField(_("enterprise"))
    site = models.ForeignKey(Site, on_delete=models.PROTECT, related_name="+", db_index=False)
    state = models.CharField(
        _("state"),
        max_length=7,
        default=OPEN,
        choices=[(OPEN, _("open")), (SENT, _("sent")), (SKIPPED, _("skipped")), (FAILED, _("failed"))],
    )
    reason = models.CharField(_("reason"), max_length=100, blank=True)
    #: Whether the mail was due and had to be put off, because the enterprise has no slug to link to.
    waiting = models.BooleanField(_("waits for the slug"), default=False)

    class Meta:
        abstract = True


class ApprovalWindow(Notice):
    """Collects the requests of one learner at one enterprise that are fulfilled before `closes_at`."""

    opened_at = models.DateTimeField(_("opened"), default=timezone.now)
    closes_at = models.DateTimeField(_("closes"))

    class Meta:
        verbose_name = _("approval window")
        constraints = [
            models.CheckConstraint(condition=Q(state__in=STATES), name="approval_window_state"),
        ]
        indexes = [
            models.Index(fields=["user", "enterprise_customer_uuid", "closes_at"], name="approval_window_learner"),
            models.Index(fields=["closes_at"], name="approval_window_closes"),
            models.Index(fields=["state", "id"], name="approval_window_of_state"),
            models.Index(fields=["waiting", "id"], name="approval_window_waiting"),
        ]

    def __str__(self) -> str:
        return f"approval window {self.pk}"


class ApprovalItem(models.Model):
    """One fulfilled request in a window; a request is in one window only."""

    window = models.ForeignKey(ApprovalWindow, on_delete=models.CASCADE, related_name="items", db_index=False)
    kind = models.CharField(_("kind"), max_length=7, choices=_KINDS)
    subsidy_request_uuid = models.UUIDField(_("request"))
    fulfilled_at = models.DateTimeField(_("fulfilled"))

    class Meta:
        verbose_name = _("approval")
        constraints = [
            models.UniqueConstraint(
                fields=["kind", "subsidy_request_uuid"],
                name="approval_item_once",
                violation_error_message=_("subsidy_request_uuid: is in a window already."),
            ),
        ]
        indexes = [models.Index(fields=["window", "fulfilled_at"], name="approval_item_window")]

    def __str__(self) -> str:
        return f"{self.kind} {self.subsidy_request_uuid}"


class DeclineNotice(Notice):
    """The requests of one learner that were declined together, by one call or by a change of the subsidy type."""

    action = models.UUIDField(_("declined in call"), default=uuid.uuid4, editable=False)
    declined_at = models.DateTimeField(_("declined"), default=timezone.now)
    kind = models.CharField(_("kind"), max_length=7, choices=_KINDS)
    subsidy_request_uuids = models.JSONField(_("requests"), default=list)
    decline_reason = models.CharField(_("reason of the refusal"), max_length=500, blank=True)
    auto_declined = models.BooleanField(_("by a change of type"), default=False)

    class Meta:
        verbose_name = _("notice of refusal")
        verbose_name_plural = _("notices of refusal")
        constraints = [
            models.UniqueConstraint(fields=["action", "user"], name="decline_notice_once"),
            models.CheckConstraint(condition=Q(state__in=STATES), name="decline_notice_state"),
        ]
        indexes = [
            models.Index(fields=["user", "declined_at"], name="decline_notice_learner"),
            models.Index(fields=["declined_at"], name="decline_notice_declined"),
            models.Index(fields=["state", "id"], name="decline_notice_of_state"),
            models.Index(fields=["waiting", "id"], name="decline_notice_waiting"),
        ]

    def __str__(self) -> str:
        return f"notice of refusal {self.pk}"
