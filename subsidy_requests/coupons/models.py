"""Coupons and their codes. Written by `coupons.services` and the admin."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Final

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from courses.eventbus.envelope import masked

FREE: Final = "free"
ASSIGNED: Final = "assigned"
REDEEMED: Final = "redeemed"
VOID: Final = "void"
STATUSES: Final = (FREE, ASSIGNED, REDEEMED, VOID)
#: What a learner holds; a void code was taken back.
HELD: Final = (ASSIGNED, REDEEMED)
FULL: Final = Decimal(100)


class Coupon(models.Model):
    """A discount that an enterprise has bought, given out as codes."""

    id = models.BigAutoField(primary_key=True)
    enterprise_customer_uuid = models.UUIDField(_("enterprise"), db_index=True)
    title = models.CharField(_("title"), max_length=255)
    discount_percent = models.DecimalField(
        _("discount in per cent"),
        max_digits=5,
        decimal_places=2,
        default=FULL,
        validators=[MinValueValidator(Decimal("0.01")), MaxValueValidator(FULL)],
    )
    starts_at = models.DateTimeField(_("start"), default=timezone.now)
    ends_at = models.DateTimeField(_("end"))
    is_active = models.BooleanField(_("active"), default=True)

    class Meta:
        verbose_name = _("coupon")
        constraints = [
            models.CheckConstraint(
                condition=Q(discount_percent__gt=0) & Q(discount_percent__lte=100),
                name="coupon_discount",
                violation_error_message=_("discount_percent: must be more than 0 and at most 100."),
            ),
            models.CheckConstraint(
                condition=Q(starts_at__lt=F("ends_at")),
                name="coupon_starts_before_it_ends",
                violation_error_message=_("ends_at: must be after starts_at."),
            ),
        ]

    def __str__(self) -> str:
        return self.title

    def is_current(self, now: datetime) -> bool:
        """Return whether codes may be given at an instant: active, started, not ended."""
        return self.is_active and self.starts_at <= now < self.ends_at


class CouponCode(models.Model):
    """One code, which at most one learner holds, for one request.

    `subsidy_request_uuid` is what the code was given for, so that a repeated event gives no second one.
    """

    coupon = models.ForeignKey(Coupon, on_delete=models.CASCADE, related_name="codes", db_index=False)
    code = models.CharField(_("code"), max_length=128)
    status = models.CharField(
        _("status"),
        max_length=8,
        default=FREE,
        choices=[(FREE, _("free")), (ASSIGNED, _("assigned")), (REDEEMED, _("redeemed")), (VOID, _("void"))],
    )
    lms_user_id = models.PositiveBigIntegerField(_("LMS user"), null=True, blank=True, db_index=True)
    subsidy_request_uuid = models.UUIDField(_("request"), null=True, blank=True, unique=True)
    #: The attempt that took it: for a higher one a code that was taken back is replaced.
    attempt = models.PositiveIntegerField(default=0, editable=False)
    redeemed_course_run = models.CharField(_("redeemed for"), max_length=255, blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        verbose_name = _("coupon code")
        constraints = [
            models.UniqueConstraint(
                fields=["coupon", "code"],
                name="coupon_code_once",
                violation_error_message=_("code: the coupon has this code already."),
            ),
            models.CheckConstraint(condition=Q(status__in=STATUSES), name="coupon_code_status"),
        ]
        # The oldest free one of a coupon is the next to be given.
        indexes = [models.Index(fields=["coupon", "status", "id"], name="coupon_code_next")]
        permissions = [("upload_couponcode", "Can upload codes")]

    def __str__(self) -> str:
        return masked(self.code)
