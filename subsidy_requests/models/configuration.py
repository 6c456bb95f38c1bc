"""What an enterprise has chosen: whether its learners may ask, and for which kind of subsidy."""

from __future__ import annotations

from typing import Final

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _
from simple_history.models import HistoricalRecords

LICENSE: Final = "license"
COUPON: Final = "coupon"
SUBSIDY_TYPES: Final = (LICENSE, COUPON)


class SubsidyRequestCustomerConfiguration(models.Model):
    """An enterprise as far as requests go. Written by `services.configurations`; who changed what is kept."""

    enterprise_customer_uuid = models.UUIDField(_("enterprise"), primary_key=True)
    name = models.CharField(_("name"), max_length=255)
    slug = models.SlugField(
        _("slug"),
        max_length=128,
        blank=True,
        help_text=_("Its place in the learner portal. Mails to its learners wait until there is one."),
    )
    subsidy_requests_enabled = models.BooleanField(
        _("requests on"),
        default=False,
        help_text=_("Learners may ask. Switched off, what was asked before can still be approved or declined."),
    )
    subsidy_type = models.CharField(  # noqa: DJ001  (not chosen yet is null, as in the API)
        _("subsidy type"),
        max_length=7,
        null=True,
        blank=True,
        choices=[(LICENSE, _("licence")), (COUPON, _("coupon code"))],
        help_text=_("A change declines what is requested and not approved yet, and tells the learners."),
    )
    attempt_auto_enrollment = models.BooleanField(
        _("enrol automatically"),
        default=False,
        help_text=_(
            "Off, because the proposal to enrol learners upon approval was rejected: whoever gets several approvals at "
            "once is swamped with enrolments, nobody knows which run of a course is meant, and customers gain little. "
            "Switched on, one learner is enrolled at most once a day, for one approval at a time, and only where "
            "exactly one run is open; otherwise nothing happens, and a reason is kept."
        ),
    )
    contact_email = models.EmailField(
        _("contact"), blank=True, help_text=_("Whom learners may write to; named in their mails. Blank names nobody.")
    )
    changed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, editable=False, on_delete=models.SET_NULL, related_name="+"
    )

    history = HistoricalRecords(cascade_delete_history=True)

    class Meta:
        verbose_name = _("configuration of a customer")
        verbose_name_plural = _("configurations of customers")
        ordering = ["enterprise_customer_uuid"]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        """Store no type as null."""
        self.subsidy_type = self.subsidy_type or None
