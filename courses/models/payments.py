"""What learners have paid."""

from typing import Any, ClassVar

from django.conf import settings
from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import Q
from django.utils import timezone

from courses import signals
from courses.models.catalogue import Course
from courses.models.fields import ReferenceField
from courses.models.learning import Enrollment
from courses.models.observed import ObservedModel


class Payment(ObservedModel):
    """One payment of a learner, from its first attempt; it counts once `is_successful` is on."""

    OBSERVED = ("is_successful", "paid_at")

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="payments")
    course = models.ForeignKey(Course, null=True, blank=True, on_delete=models.SET_NULL, related_name="payments")
    enrollment = models.ForeignKey(
        Enrollment, null=True, blank=True, on_delete=models.SET_NULL, related_name="payments", verbose_name="enrolment"
    )
    amount = models.DecimalField(max_digits=12, decimal_places=2, validators=[MinValueValidator(0)])
    currency = models.CharField(max_length=8, help_text="ISO 4217 code, for example usd.")
    txn_ref = ReferenceField(
        max_length=191,
        null=True,
        blank=True,
        unique=True,
        verbose_name="transaction",
        help_text="Number of the transaction at the payment provider.",
    )
    method = models.CharField(max_length=64, blank=True, help_text="How it was paid, for example card.")
    is_successful = models.BooleanField(default=False, help_text="The money has arrived.")
    paid_at = models.DateTimeField(
        null=True, blank=True, help_text="When the money arrived (UTC). Empty: when it is first known to have."
    )
    created_at = models.DateTimeField(default=timezone.now, help_text="When the payment was begun (UTC).")
    reported_at = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="Time of the newest event about this payment."
    )

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(amount__gte=0),
                name="courses_payment_amount_not_negative",
                violation_error_message="amount: must not be negative.",
            ),
        ]
        indexes: ClassVar = [models.Index(fields=["paid_at"], name="courses_payment_paid")]

    def __str__(self) -> str:
        return f"payment {self.pk}"

    def save(self, *args: Any, announce: bool = True, **kwargs: Any) -> None:
        """Save; success is told to others, with `announce` False as one the learner shall not hear of."""
        self._announce = announce
        super().save(*args, **kwargs)

    def filled(self, before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
        """Give a success its time; a copy that was read before it does not take the time away again."""
        if after.get("is_successful") and after.get("paid_at") is None:
            return {"paid_at": before.get("paid_at") or self.paid_at or timezone.now()}
        return {}

    def inserted(self) -> None:
        """Tell of a payment that is successful at once."""
        if self.is_successful:
            self._tell()

    def changed(self, before: dict[str, Any], changed: frozenset[str]) -> None:
        """Tell that a payment has become successful."""
        if "is_successful" in changed and not before["is_successful"]:
            self._tell()

    def _tell(self) -> None:
        signals.payments_completed.send(sender=Payment, payments=[self], announce=self._announce)
