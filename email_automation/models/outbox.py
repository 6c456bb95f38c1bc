"""The outbox: what is to be mailed and not claimed yet."""

from __future__ import annotations

from django.conf import settings
from django.contrib.sites.models import Site
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from .. import words
from .log import EmailLog


class EmailQueue(models.Model):
    """One thing to mail: written in the transaction of the fact or call it belongs to, claimed when it is due.

    With a `target_id` the message's own resolver says what is in the mail; without one, `context_data` does (ids and
    plain values, made by `values.packed`). Without a `recipient` it goes to everybody whom the resolver finds for the
    target. `log` is the row it became; retries are that row's.
    """

    recipient = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.CASCADE, related_name="queued_emails"
    )
    email_type = models.CharField(max_length=100, help_text=_("The name of a registered message."))
    target_id = models.BigIntegerField(
        null=True, blank=True, help_text=_("What the message's resolver is asked about.")
    )
    site = models.ForeignKey(Site, on_delete=models.CASCADE, related_name="+", db_index=False)
    context_data = models.JSONField(default=dict, blank=True)
    priority = models.PositiveSmallIntegerField(
        default=words.NORMAL, choices=[(number, word) for word, number in words.PRIORITIES.items()]
    )
    scheduled_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField(null=True, blank=True)
    dedupe_key = models.CharField(max_length=191, null=True, unique=True, editable=False)  # noqa: DJ001
    is_processed = models.BooleanField(default=False)
    processed_at = models.DateTimeField(null=True, blank=True)
    log = models.OneToOneField(
        EmailLog, null=True, blank=True, editable=False, on_delete=models.SET_NULL, related_name="queued"
    )
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        verbose_name = _("queued e-mail")
        indexes = [
            # What is due, in the order in which it goes.
            models.Index(fields=["is_processed", "priority", "scheduled_at", "id"], name="email_queue_due"),
            models.Index(fields=["email_type", "target_id", "scheduled_at"], name="email_queue_target"),
            models.Index(fields=["is_processed", "processed_at"], name="email_queue_processed"),
        ]

    def __str__(self) -> str:
        return f"{self.email_type} #{self.pk}"
