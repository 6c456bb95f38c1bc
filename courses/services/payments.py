"""Writing payments."""

from datetime import datetime
from decimal import Decimal
from typing import Any

from django.contrib.auth.models import AbstractUser
from django.core.exceptions import ValidationError
from django.db import IntegrityError

from courses.bulk import retry_on_deadlock
from courses.models import Course, Enrollment, Payment
from courses.services.upsert import Word, clean, record


@retry_on_deadlock
def record_payment(
    user: AbstractUser,
    *,
    amount: Decimal,
    currency: str,
    txn_ref: str | None = None,
    course: Course | None = None,
    enrollment: Enrollment | None = None,
    method: str = "",
    is_successful: bool | None = None,
    paid_at: datetime | None = None,
    announce: bool = True,
    reported_at: datetime | None = None,
) -> tuple[Payment, Word]:
    """Record a learner's payment, found by the number of its transaction; without one it is always a new payment.

    None and '' are not told: what is stored stays, and a new payment is not successful yet. `paid_at` of a success that
    is told without: now. `announce` False: the learner is not told of the success. `reported_at`: the time of the event
    that says so; an event older than the newest one known is "stale".
    """
    fields: dict[str, Any] = {"amount": amount, "currency": currency}
    if is_successful is not None:
        fields["is_successful"] = is_successful
    optional = {"course": course, "enrollment": enrollment, "method": method, "paid_at": paid_at}
    fields |= {name: value for name, value in optional.items() if value}
    if not txn_ref:
        payment = Payment(user_id=user.pk, reported_at=reported_at, **fields)
        clean(payment)
        payment.save(force_insert=True, announce=announce)
        return payment, "created"
    lookup = {"txn_ref": txn_ref, "user": user}
    try:
        return record(Payment, lookup, fields, reported_at=reported_at, save={"announce": announce})
    except IntegrityError:
        if Payment.objects.filter(txn_ref=txn_ref).exclude(user_id=user.pk).exists():
            raise ValidationError({"txn_ref": "is the number of another learner's payment."}) from None
        raise
