"""What became of an approval, as the granting parts tell it."""

from __future__ import annotations

import logging
from typing import Any, Final
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from courses.bulk import locked

from .. import notices, states
from ..models import SubsidyRequest
from ..models.requests import MODELS
from ..states import Trigger

log = logging.getLogger(__name__)

ORPHANED: Final = "orphaned subsidy"
OTHER_SUBSIDY: Final = "fulfilled with another subsidy"
OTHER_LEARNER: Final = "assigned to another learner or enterprise than the request's"


class NotYet(Exception):
    """It cannot be true yet: to be heard again later."""


class Contradiction(Exception):
    """It contradicts what is stored and always will: somebody has to look. The text is the reason."""


def fulfil(
    kind: str,
    request_uuid: UUID,
    *,
    subsidy: tuple[Any, Any],
    lms_user_id: int,
    enterprise_customer_uuid: UUID,
) -> bool:
    """Take in that a subsidy was granted, for whatever attempt; return whether that was news.

    The learner's mail is written down in the same transaction. Raises NotYet or Contradiction.
    """
    with transaction.atomic():
        request = _held(kind, request_uuid)
        if request is None or request.state == states.DECLINED:
            raise Contradiction(ORPHANED)
        if (request.lms_user_id, request.enterprise_customer_uuid) != (lms_user_id, enterprise_customer_uuid):
            raise Contradiction(OTHER_LEARNER)
        if request.state == states.FULFILLED:
            if request.subsidy != subsidy:
                raise Contradiction(OTHER_SUBSIDY)
            return False
        if not states.allows(request.state, Trigger.ASSIGNED):
            raise NotYet(f"the request is {request.state}")
        request.state = states.after(request.state, Trigger.ASSIGNED)
        for name, value in zip(request.SUBSIDY_FIELDS, subsidy, strict=True):
            setattr(request, name, value)
        request.fulfilled_at, request.error_reason, request.stuck_since = timezone.now(), "", None
        request.check_state(reviewer=False)
        if request.send_notification:
            # Asked for first: it waits for other approvals of the learner, and the clock is read behind the lock.
            request.fulfilled_at = notices.approved(request)
        request.save(update_fields=["state", *request.SUBSIDY_FIELDS, "fulfilled_at", "error_reason", "stuck_since"])
    log.info("%s=%s fulfilled attempt=%s", kind, request_uuid, request.attempt)
    return True


def fail(kind: str, request_uuid: UUID, *, attempt: int, reason: str) -> bool:
    """Take in that nothing could be granted; return whether that was news. One of another attempt is none."""
    with transaction.atomic():
        request = _held(kind, request_uuid)
        if request is None or request.attempt != attempt or not states.allows(request.state, Trigger.FAILED):
            return False
        request.state = states.after(request.state, Trigger.FAILED)
        request.error_reason, request.stuck_since = reason[:100], None
        request.check_state(reviewer=False)
        request.save(update_fields=["state", "error_reason", "stuck_since"])
    log.info("%s=%s could not be granted attempt=%s reason=%s", kind, request_uuid, attempt, reason)
    return True


def _held(kind: str, request_uuid: UUID) -> SubsidyRequest | None:
    rows: Any = MODELS[kind]._default_manager.filter(uuid=request_uuid)
    found: SubsidyRequest | None = locked(rows).first()
    return found
