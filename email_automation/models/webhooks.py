"""What providers report, counted."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class ProviderEventCount(models.Model):
    """How many events of one kind a provider has reported on one day (UTC), of mails that are known here or not."""

    day = models.DateField()
    provider = models.CharField(max_length=50)
    event = models.CharField(max_length=30)
    known = models.BooleanField(help_text=_("The event belongs to a mail in the log."))
    number = models.PositiveBigIntegerField(default=0)

    class Meta:
        verbose_name = _("provider event count")
        constraints = [
            models.UniqueConstraint(fields=["day", "provider", "event", "known"], name="email_provider_event_once"),
        ]

    def __str__(self) -> str:
        return f"{self.day} {self.provider} {self.event}"
