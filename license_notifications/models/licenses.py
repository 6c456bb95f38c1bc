"""Enterprises, their plans and licences. `services` writes them."""

from __future__ import annotations

import uuid
from typing import Any, Final

from django.db import models
from django.db.models import Case, F, Q, When
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from ..fields import LowerCaseEmailField


class CustomerAgreement(models.Model):
    """An enterprise as a customer; it has one agreement."""

    uuid = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    enterprise_customer_uuid = models.UUIDField(_("enterprise"), unique=True)
    # Indexed, because the admin lists agreements by name.
    enterprise_customer_name = models.CharField(_("name"), max_length=255, db_index=True)
    enterprise_customer_slug = models.SlugField(
        _("slug"), max_length=128, unique=True, null=True, blank=True, help_text=_("Its place in the admin portal.")
    )

    class Meta:
        verbose_name = _("customer agreement")

    def __str__(self) -> str:
        return self.enterprise_customer_name

    def clean(self) -> None:
        """Store no slug as null: '' would be taken once."""
        self.enterprise_customer_slug = self.enterprise_customer_slug or None


class SubscriptionPlan(models.Model):
    """A number of licences with a start and an end."""

    uuid = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    customer_agreement = models.ForeignKey(CustomerAgreement, on_delete=models.CASCADE, related_name="plans")
    title = models.CharField(_("title"), max_length=128)
    start_date = models.DateTimeField(_("start"))
    expiration_date = models.DateTimeField(_("end"))
    is_active = models.BooleanField(_("active"), default=False)
    should_auto_apply_licenses = models.BooleanField(
        _("auto-assign"),
        null=True,
        blank=True,
        help_text=_("Administrators are told of plans whose licences are applied by themselves. Unknown counts as no."),
    )
    desired_num_licenses = models.PositiveIntegerField(
        _("licences wanted"), null=True, blank=True, help_text=_("How many licences the plan is to have in the end.")
    )
    provisioning_since = models.DateTimeField(_("being provisioned since"), null=True, blank=True, editable=False)
    created = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        verbose_name = _("subscription plan")
        constraints = [
            models.UniqueConstraint(
                fields=["customer_agreement", "title"],
                name="license_plan_title",
                violation_error_message=_("title: the agreement has a plan of this title already."),
            ),
            models.CheckConstraint(
                condition=Q(start_date__lt=F("expiration_date")),
                name="license_plan_starts_before_it_ends",
                violation_error_message=_("expiration_date: must be after start_date."),
            ),
        ]
        indexes = [
            models.Index(fields=["should_auto_apply_licenses", "expiration_date"], name="license_plan_choice"),
            models.Index(fields=["created", "uuid"], name="license_plan_created"),
        ]

    def __str__(self) -> str:
        return self.title

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Save, and note since when the plan has fewer licences than it wants."""
        self._stamp_provisioning()
        fields = kwargs.get("update_fields")
        if fields is not None:
            kwargs["update_fields"] = {*fields, "provisioning_since"}
        super().save(*args, **kwargs)

    def _stamp_provisioning(self) -> None:
        total = 0 if self._state.adding else self.licenses.exclude(status=License.REVOKED).count()
        if (self.desired_num_licenses or 0) <= total:
            self.provisioning_since = None
        elif self.provisioning_since is None:
            self.provisioning_since = timezone.now()


class License(models.Model):
    """One seat of a plan. A learner holds at most one of a plan that is assigned or activated."""

    UNASSIGNED: Final = "unassigned"
    ASSIGNED: Final = "assigned"
    ACTIVATED: Final = "activated"
    REVOKED: Final = "revoked"
    STATUSES: Final = (UNASSIGNED, ASSIGNED, ACTIVATED, REVOKED)
    ALLOCATED: Final = (ASSIGNED, ACTIVATED)

    uuid = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    subscription_plan = models.ForeignKey(
        SubscriptionPlan, on_delete=models.CASCADE, related_name="licenses", db_index=False
    )
    status = models.CharField(
        max_length=10,
        default=UNASSIGNED,
        choices=[
            (UNASSIGNED, _("unassigned")),
            (ASSIGNED, _("assigned")),
            (ACTIVATED, _("activated")),
            (REVOKED, _("revoked")),
        ],
    )
    lms_user_id = models.PositiveBigIntegerField(null=True, blank=True, db_index=True)
    user_email = LowerCaseEmailField(null=True, blank=True, db_index=True)
    assigned_at = models.DateTimeField(null=True, blank=True)
    activated_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    auto_applied = models.BooleanField(default=False)
    created = models.DateTimeField(default=timezone.now, editable=False)
    #: The holder while the licence is held, else null: unique among the held ones on every database.
    held_by = models.GeneratedField(
        expression=Case(
            When(status__in=("assigned", "activated"), then=F("lms_user_id")), output_field=models.BigIntegerField()
        ),
        output_field=models.BigIntegerField(null=True),
        db_persist=True,
    )

    class Meta:
        verbose_name = _("licence")
        constraints = [
            models.UniqueConstraint(fields=["subscription_plan", "held_by"], name="license_held_once"),
            models.CheckConstraint(
                condition=Q(status__in=("unassigned", "assigned", "activated", "revoked")), name="license_status_known"
            ),
        ]
        indexes = [
            # The oldest unassigned one of a plan is the next to be given, and both counts are read from it.
            models.Index(fields=["subscription_plan", "status", "created"], name="license_of_plan"),
            models.Index(fields=["created", "uuid"], name="license_created"),
        ]

    def __str__(self) -> str:
        return str(self.uuid)


class LicenseGrant(models.Model):
    """Which licence was given for an approved request, so that a repeated event gives no second one."""

    subsidy_request_uuid = models.UUIDField(unique=True)
    license = models.ForeignKey(License, on_delete=models.CASCADE, related_name="grants")
    attempt = models.PositiveIntegerField(default=1)

    class Meta:
        verbose_name = _("licence grant")

    def __str__(self) -> str:
        return str(self.subsidy_request_uuid)
