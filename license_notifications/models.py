"""Licences and who has to hear of them. `services` writes it all but NotificationTimestamp, which is `memory`'s."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any, ClassVar, Final, NamedTuple

from django.conf import settings
from django.db import models
from django.db.models import Case, F, Max, Q, When
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from email_automation.models import MessageRun

from .fields import LowerCaseEmailField

THRESHOLD_75: Final = "threshold_75"
THRESHOLD_100: Final = "threshold_100"
WEEKLY: Final = "weekly"
#: What a weekly row has in place of a plan, so that its key is unique on every database.
NO_PLAN: Final = uuid.UUID(int=0)
LONGEST_ERROR: Final = 500

#: The name under which executions of the daily job are remembered.
RUN_NAME: Final = "license_notifications.send_license_consumption_notifications"


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
        from .directory import save

        save(self, super().save, *args, **kwargs)

    def fix_anchor(self) -> None:
        """Take the moment weeks count from, unless it has been taken before."""
        if self.anchor_at is not None:
            return
        if self.joined_date is not None:
            self.anchor_at, self.anchor_source = self.joined_date, self.JOINED
        elif self.ecu_created is not None:
            self.anchor_at, self.anchor_source = self.ecu_created, self.CREATED


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
