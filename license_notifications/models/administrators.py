"""Who administers which enterprise. `directory` writes it."""

from __future__ import annotations

from typing import Any, Final

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _


class EnterpriseAdmin(models.Model):
    """One person as the administrator of one enterprise: the embedded directory, or our copy of the platform's.

    `anchor_at` is since when they are active; weeks count from it, and once written it stays. `account` is the local
    account whose preferences count; a save finds or makes it, and the next run does so for rows written in bulk.
    """

    JOINED: Final = "joined"
    CREATED: Final = "created"

    ecu_id = models.BigIntegerField(
        _("ECU"), unique=True, blank=True, help_text=_("The number of this link; blank gives the next free one.")
    )
    enterprise_customer_uuid = models.UUIDField(_("enterprise"))
    account = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.CASCADE, related_name="administers", editable=False
    )
    lms_user_id = models.PositiveBigIntegerField(_("LMS user"))
    user_name = models.CharField(_("user name"), max_length=150)
    email = models.EmailField(_("e-mail"), blank=True)
    account_active = models.BooleanField(_("account active"), default=True)
    joined_date = models.DateTimeField(_("joined"), null=True, blank=True)
    ecu_created = models.DateTimeField(_("linked"), null=True, blank=True)
    anchor_at = models.DateTimeField(_("active since"), null=True, blank=True, editable=False)
    anchor_source = models.CharField(max_length=7, blank=True, editable=False)
    listed = models.BooleanField(
        _("listed"), default=True, help_text=_("Named in the last complete answer of the directory.")
    )
    refreshed_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        verbose_name = _("enterprise administrator")
        indexes = [
            models.Index(fields=["enterprise_customer_uuid", "ecu_id"], name="license_admin_enterprise"),
            models.Index(fields=["lms_user_id"], name="license_admin_lms_user"),
            models.Index(fields=["listed", "refreshed_at"], name="license_admin_unlisted"),
        ]

    def __str__(self) -> str:
        return f"ECU {self.ecu_id}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Save, with the account that belongs to the person, the anchor and, where it is missing, a number."""
        from ..directory import save

        save(self, super().save, *args, **kwargs)

    def fix_anchor(self) -> None:
        """Take the moment weeks count from, unless it has been taken before."""
        if self.anchor_at is not None:
            return
        if self.joined_date is not None:
            self.anchor_at, self.anchor_source = self.joined_date, self.JOINED
        elif self.ecu_created is not None:
            self.anchor_at, self.anchor_source = self.ecu_created, self.CREATED
