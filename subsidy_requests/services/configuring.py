"""What an enterprise has chosen is changed, by a person, with what follows from it."""

from __future__ import annotations

import logging
from typing import Any, Final
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db import transaction

from courses.bulk import locked, retry_on_deadlock

from .. import notices, states
from ..models import SubsidyRequestCustomerConfiguration
from ..models.requests import MODELS
from ..states import Trigger
from .deciding import decline_held

log = logging.getLogger(__name__)

FIELDS: Final = (
    "name", "slug", "subsidy_requests_enabled", "subsidy_type", "attempt_auto_enrollment", "contact_email",
)  # fmt: skip
BATCH: Final = 200


@retry_on_deadlock
def configure(enterprise_customer_uuid: UUID, *, changed_by: Any, **fields: Any) -> SubsidyRequestCustomerConfiguration:
    """Create or change the configuration of an enterprise, and return it. Raises ValidationError that names the field.

    Where the subsidy type changes, what is requested for another type, or could not be granted, is declined in the
    same transaction and the learners are told; what is approved runs on to its end.
    """
    if unknown := set(fields) - set(FIELDS):
        raise ValidationError(f"{', '.join(sorted(unknown))}: not a field; allowed are {', '.join(FIELDS)}.")
    with transaction.atomic():
        rows = SubsidyRequestCustomerConfiguration.objects.filter(enterprise_customer_uuid=enterprise_customer_uuid)
        row = locked(rows).first()
        before = row.subsidy_type if row is not None else None
        created = row is None
        if row is None:
            row = SubsidyRequestCustomerConfiguration(enterprise_customer_uuid=enterprise_customer_uuid)
        changed = [name for name, value in fields.items() if getattr(row, name) != value]
        if not changed and not created:
            return row
        for name in changed:
            setattr(row, name, fields[name])
        row.changed_by = changed_by
        row.full_clean()
        row._history_user = changed_by  # type: ignore[attr-defined]  # read by simple_history
        row.save(force_insert=created)
        if not created and row.subsidy_type != before:
            _decline_other_types(row, reviewer=changed_by)
    log.info("configuration of enterprise=%s: %s", enterprise_customer_uuid, ",".join(changed) or "created")
    return row


def _decline_other_types(chosen: SubsidyRequestCustomerConfiguration, *, reviewer: Any) -> None:
    """Decline what can be declined of every other type, some hundred rows at a time, and tell each learner once."""
    for kind, model in MODELS.items():
        if kind == chosen.subsidy_type:
            continue
        pending = model._default_manager.filter(
            enterprise_customer_uuid=chosen.enterprise_customer_uuid,
            state__in=states.TRANSITIONS[Trigger.TYPE_CHANGED][0],
        )
        # By learner first, so that one learner's requests end in one mail.
        learners = sorted(set(pending.order_by().values_list("user_id", flat=True)))
        for start in range(0, len(learners), BATCH):
            of_these: Any = pending.filter(user_id__in=learners[start : start + BATCH])
            requests = list(locked(of_these.order_by("uuid")))
            decline_held(requests, trigger=Trigger.TYPE_CHANGED, reviewer=reviewer, decline_reason="")
            notices.declined(requests, decline_reason="", auto=True)
