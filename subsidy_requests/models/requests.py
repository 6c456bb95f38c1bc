"""Requests for a licence and for a coupon code: what both have in common, and what each has of its own."""

from __future__ import annotations

import uuid
from typing import Any, ClassVar, Final

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Case, Q, Value, When
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from .. import states
from .configuration import COUPON, LICENSE

LONGEST_REASON: Final = 500
LONGEST_COURSE: Final = 255


def _outstanding() -> models.GeneratedField:
    """Return a column that is 1 while a request is outstanding, else null: with it a plain constraint is enough."""
    return models.GeneratedField(
        expression=Case(
            When(state__in=(states.REQUESTED, states.APPROVED, states.ERROR), then=Value(1)),
            output_field=models.SmallIntegerField(),
        ),
        output_field=models.SmallIntegerField(null=True),
        db_persist=True,
    )


class SubsidyRequest(models.Model):
    """What a learner asks an enterprise for. Its state changes only in `services`, by the table in `states`.

    `send_notification` to `learner_requests_in_action` are as they were at the last approval: the toggle of the
    customer may change meanwhile, and one learner may have had several requests approved in the same call.
    """

    kind: ClassVar[str]
    #: The fields that name the subsidy; both are set when it is granted.
    SUBSIDY_FIELDS: ClassVar[tuple[str, str]]
    #: A text, or None where a licence is asked for without a course in mind.
    course_id: Any

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="%(class)ss", db_index=False
    )
    lms_user_id = models.PositiveBigIntegerField(_("LMS user"), db_index=True)
    enterprise_customer_uuid = models.UUIDField(_("enterprise"))
    course_title = models.CharField(_("course title"), max_length=255, blank=True)
    state = models.CharField(
        _("state"),
        max_length=25,
        default=states.REQUESTED,
        choices=[
            (states.REQUESTED, _("requested")),
            (states.APPROVED, _("approved")),
            (states.FULFILLED, _("fulfilled")),
            (states.DECLINED, _("declined")),
            (states.ERROR, _("error")),
        ],
    )
    attempt = models.PositiveIntegerField(_("attempt"), default=0)
    reviewer = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    reviewed_at = models.DateTimeField(_("reviewed"), null=True, blank=True)
    decline_reason = models.CharField(_("reason of the refusal"), max_length=LONGEST_REASON, blank=True)
    error_reason = models.CharField(_("why it could not be granted"), max_length=100, blank=True)
    fulfilled_at = models.DateTimeField(_("fulfilled"), null=True, blank=True)
    created_at = models.DateTimeField(_("requested at"), default=timezone.now, editable=False)

    republish_count = models.PositiveSmallIntegerField(_("published again"), default=0)
    republished_at = models.DateTimeField(_("last published again"), null=True, blank=True)
    #: Set when publishing again has not helped either, and somebody was told.
    stuck_since = models.DateTimeField(_("stuck since"), null=True, blank=True)
    last_event_id = models.UUIDField(_("last event"), null=True, blank=True, editable=False)

    send_notification = models.BooleanField(_("tell the learner"), default=True)
    attempt_auto_enrollment = models.BooleanField(_("enrol automatically"), default=False)
    approval_action = models.UUIDField(_("approved in call"), null=True, blank=True)
    learner_requests_in_action = models.PositiveIntegerField(_("requests of the learner in that call"), default=0)

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return str(self.uuid)

    def clean(self) -> None:
        """Say what the state needs. Raises ValidationError."""
        super().clean()
        self.check_state()

    def check_state(self, *, reviewer: bool = True) -> None:
        """Raise ValidationError for a field that the state needs and that is not set.

        An outcome does not ask for the `reviewer`: by then the account may be gone.
        """
        if self.state not in states.STATES:
            raise ValidationError({"state": _("state: must be one of %s.") % ", ".join(states.STATES)})
        needed: list[str] = []
        if self.state != states.REQUESTED:
            needed += ["reviewed_at", *(["reviewer"] if reviewer else [])]
        if self.state == states.FULFILLED:
            needed += [*self.SUBSIDY_FIELDS, "fulfilled_at"]
        values = {name: self.reviewer_id if name == "reviewer" else getattr(self, name) for name in needed}
        text = _("%(name)s: needed in the state %(state)s.")
        missing = {
            name: text % {"name": name, "state": self.state} for name, value in values.items() if value in (None, "")
        }
        if missing:
            raise ValidationError(missing)

    @property
    def subsidy(self) -> tuple[Any, Any]:
        """What was granted: plan and licence, or coupon and code."""
        first, second = self.SUBSIDY_FIELDS
        return getattr(self, first), getattr(self, second)


def _indexes(prefix: str) -> list[models.Index]:
    return [
        # The lists of the API, of an enterprise and of one learner, newest first or by state.
        models.Index(fields=["enterprise_customer_uuid", "created_at", "id"], name=f"{prefix}_enterprise"),
        models.Index(fields=["enterprise_customer_uuid", "reviewed_at", "id"], name=f"{prefix}_reviewed"),
        models.Index(fields=["enterprise_customer_uuid", "state", "id"], name=f"{prefix}_of_state"),
        models.Index(fields=["enterprise_customer_uuid", "id"], name=f"{prefix}_newest"),
        models.Index(fields=["user", "created_at", "id"], name=f"{prefix}_learner"),
        models.Index(fields=["state", "id"], name=f"{prefix}_state"),
        models.Index(fields=["stuck_since", "id"], name=f"{prefix}_stuck"),
        models.Index(fields=["created_at", "id"], name=f"{prefix}_created"),
        models.Index(fields=["reviewed_at", "id"], name=f"{prefix}_by_review"),
    ]


def _permissions(what: str) -> list[tuple[str, Any]]:
    return [
        (f"approve_{what}", "Can approve requests"),
        (f"decline_{what}", "Can decline requests"),
        (f"republish_{what}", "Can publish the approval of requests again"),
        (f"give_up_{what}", "Can give up requests that are stuck"),
    ]


class LicenseRequest(SubsidyRequest):
    """Asks for a licence, with or without a course in mind."""

    kind = LICENSE
    SUBSIDY_FIELDS = ("subscription_plan_uuid", "license_uuid")

    course_id = models.CharField(  # noqa: DJ001  (none is null, as in the event)
        _("course"), max_length=LONGEST_COURSE, null=True, blank=True, help_text=_("Such as edX+DemoX, not a run.")
    )
    subscription_plan_uuid = models.UUIDField(_("subscription plan"), null=True, blank=True)
    license_uuid = models.UUIDField(_("licence"), null=True, blank=True)
    outstanding = _outstanding()

    class Meta:
        verbose_name = _("licence request")
        constraints = [
            models.UniqueConstraint(
                fields=["user", "enterprise_customer_uuid", "outstanding"],
                name="license_request_outstanding",
                violation_error_message=_("This learner already has an outstanding request at this enterprise."),
            ),
            models.CheckConstraint(condition=Q(state__in=states.STATES), name="license_request_state"),
        ]
        indexes = _indexes("license_request")
        permissions = _permissions("licenserequest")


class CouponCodeRequest(SubsidyRequest):
    """Asks for a coupon code for one course."""

    kind = COUPON
    SUBSIDY_FIELDS = ("coupon_id", "coupon_code")

    course_id = models.CharField(_("course"), max_length=LONGEST_COURSE, help_text=_("Such as edX+DemoX, not a run."))
    coupon_id = models.BigIntegerField(_("coupon"), null=True, blank=True)
    coupon_code = models.CharField(_("code"), max_length=128, blank=True)
    outstanding = _outstanding()

    class Meta:
        verbose_name = _("coupon code request")
        constraints = [
            models.UniqueConstraint(
                fields=["user", "enterprise_customer_uuid", "course_id", "outstanding"],
                name="coupon_request_outstanding",
                violation_error_message=_("This learner already has an outstanding request for this course."),
            ),
            models.CheckConstraint(condition=Q(state__in=states.STATES), name="coupon_request_state"),
        ]
        indexes = _indexes("coupon_request")
        permissions = _permissions("couponcoderequest")


MODELS: Final[dict[str, type[LicenseRequest] | type[CouponCodeRequest]]] = {
    LICENSE: LicenseRequest,
    COUPON: CouponCodeRequest,
}
