"""Executions of the daily job."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar, Final

from django.db import models
from django.utils.translation import gettext_lazy as _

from email_automation.models import MessageRun

#: The name under which executions of the daily job are remembered.
RUN_NAME: Final = "license_notifications.send_license_consumption_notifications"


class NotificationRunManager(models.Manager["NotificationRun"]):
    """Of all the engine's runs those of the daily job."""

    def get_queryset(self) -> models.QuerySet[NotificationRun]:
        """Return the runs of the daily job."""
        return super().get_queryset().filter(message=RUN_NAME)


class NotificationRun(MessageRun):
    """One execution of the daily job: the engine's record of it, read by the names of this app."""

    objects: ClassVar[NotificationRunManager] = NotificationRunManager()

    class Meta:
        proxy = True
        verbose_name = _("notification run")

    @property
    def as_of(self) -> datetime | None:
        """The instant by which plans and weeks were judged."""
        text = self.details.get("as_of")
        return datetime.fromisoformat(text) if text else None

    @property
    def counters(self) -> dict[str, Any]:
        """How many requests, mails and skips there were, once it is finished."""
        return dict(self.details.get("counters") or {})

    @property
    def enterprises(self) -> dict[str, Any]:
        """By enterprise: the plan, its total and allocated licences, and the number of administrators."""
        return dict(self.details.get("enterprises") or {})

    @property
    def failures(self) -> list[dict[str, Any]]:
        """The entries of its alert: ids and texts without address."""
        return list(self.details.get("failures") or [])

    @property
    def exit_code(self) -> int | None:
        """0, or 1 when at least one entry is an error; None while it runs."""
        return self.details.get("exit_code")


class NotificationPart(models.Model):
    """One enterprise of a run whose parts are done by workers; gone when the run is closed."""

    run = models.ForeignKey(MessageRun, on_delete=models.CASCADE, related_name="+")
    enterprise_customer_uuid = models.UUIDField()
    finished_at = models.DateTimeField(null=True)
    requests = models.PositiveIntegerField(default=0)
    skipped = models.JSONField(default=dict)
    failures = models.JSONField(default=list)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["run", "enterprise_customer_uuid"], name="license_part_once"),
        ]

    def __str__(self) -> str:
        return f"enterprise {self.enterprise_customer_uuid} of run {self.run_id}"
