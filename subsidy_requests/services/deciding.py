"""An administrator decides: approve and decline, a whole batch or nothing of it."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

from django.db import transaction
from django.utils import timezone

from courses.bulk import locked, retry_on_deadlock

from .. import events, notices, states
from ..models import SubsidyRequest, SubsidyRequestCustomerConfiguration
from ..models.requests import LONGEST_REASON, MODELS
from ..states import Trigger
from .rules import Broken

log = logging.getLogger(__name__)

Linked = Callable[[Collection[int], UUID], set[int]]

APPROVED_FIELDS = (
    "state", "reviewer", "reviewed_at", "attempt", "error_reason", "decline_reason", "republish_count",
    "republished_at", "stuck_since", "last_event_id", "send_notification", "attempt_auto_enrollment",
    "approval_action", "learner_requests_in_action",
)  # fmt: skip
DECLINED_FIELDS = ("state", "reviewer", "reviewed_at", "decline_reason", "error_reason")


@dataclass(frozen=True)
class Decision:
    """What a call has decided, and what it has left as it was."""

    decided: list[UUID] = field(default_factory=list)
    skipped: list[UUID] = field(default_factory=list)


@retry_on_deadlock
def approve(
    kind: str,
    uuids: Collection[UUID],
    *,
    enterprise_customer_uuid: UUID,
    subsidy_id: UUID | int,
    reviewer: Any,
    send_notification: bool = True,
    linked: Linked | None = None,
) -> Decision:
    """Approve requests of one enterprise and publish that, in one transaction. Raises Broken.

    `subsidy_id` is the plan or the coupon to grant from; whether it has anything left is not asked. What is approved
    or fulfilled already is skipped. `linked` says which accounts are still learners of the enterprise.
    """
    with transaction.atomic():
        requests = _held(kind, uuids, enterprise_customer_uuid)
        _refuse("already_declined", [row for row in requests if row.state == states.DECLINED])
        wanted = [row for row in requests if states.allows(row.state, Trigger.APPROVE)]
        if linked is not None and wanted:
            learners = linked({row.user_id for row in wanted}, enterprise_customer_uuid)
            _refuse("learner_not_linked", [row for row in wanted if row.user_id not in learners])
        _approve_held(wanted, subsidy_id=subsidy_id, reviewer=reviewer, send_notification=send_notification)
    approved = [row.uuid for row in wanted]
    log.info("%s approved by user=%s: %s", kind, reviewer.pk, ",".join(map(str, approved)) or "none")
    return Decision(approved, [row.uuid for row in requests if row not in wanted])


def _approve_held(
    requests: Sequence[SubsidyRequest], *, subsidy_id: UUID | int, reviewer: Any, send_notification: bool
) -> None:
    """Approve locked rows with the toggle as it is now, and write one event down for each."""
    if not requests:
        return
    toggles = SubsidyRequestCustomerConfiguration.objects.filter(
        enterprise_customer_uuid=requests[0].enterprise_customer_uuid
    )
    enrol = bool(toggles.values_list("attempt_auto_enrollment", flat=True).first())
    action, now = uuid4(), timezone.now()
    of_learner = Counter(row.user_id for row in requests)
    for row in requests:
        row.state = states.after(row.state, Trigger.APPROVE)
        row.reviewer, row.reviewed_at = reviewer, now
        row.attempt += 1
        row.error_reason = row.decline_reason = ""
        row.republish_count, row.republished_at, row.stuck_since = 0, None, None
        row.send_notification, row.attempt_auto_enrollment = send_notification, enrol
        row.approval_action, row.learner_requests_in_action = action, of_learner[row.user_id]
        setattr(row, row.SUBSIDY_FIELDS[0], subsidy_id)
        row.check_state()
    for row, event_id in zip(requests, events.approved(requests), strict=True):
        row.last_event_id = event_id
    type(requests[0])._default_manager.bulk_update(requests, [*APPROVED_FIELDS, requests[0].SUBSIDY_FIELDS[0]])


@retry_on_deadlock
def decline(
    kind: str,
    uuids: Collection[UUID],
    *,
    enterprise_customer_uuid: UUID,
    reviewer: Any,
    decline_reason: str = "",
    send_notification: bool = True,
) -> Decision:
    """Decline requests of one enterprise, and have each learner told in one mail if that is wanted. Raises Broken."""
    if len(decline_reason) > LONGEST_REASON:
        raise ValueError(f"decline_reason: at most {LONGEST_REASON} characters.")
    with transaction.atomic():
        requests = _held(kind, uuids, enterprise_customer_uuid)
        _refuse("already_decided", [row for row in requests if not states.allows(row.state, Trigger.DECLINE)])
        decline_held(requests, trigger=Trigger.DECLINE, reviewer=reviewer, decline_reason=decline_reason)
        if send_notification:
            notices.declined(requests, decline_reason=decline_reason)
    declined = [row.uuid for row in requests]
    log.info("%s declined by user=%s: %s", kind, reviewer.pk, ",".join(map(str, declined)))
    return Decision(declined)


def decline_held(requests: Sequence[SubsidyRequest], *, trigger: Trigger, reviewer: Any, decline_reason: str) -> None:
    """Decline locked rows; no event tells of it."""
    if not requests:
        return
    now = timezone.now()
    for row in requests:
        row.state = states.after(row.state, trigger)
        row.reviewer, row.reviewed_at = reviewer, now
        row.decline_reason, row.error_reason = decline_reason, ""
        row.check_state()
    type(requests[0])._default_manager.bulk_update(requests, DECLINED_FIELDS)


def _held(kind: str, uuids: Collection[UUID], enterprise_customer_uuid: UUID) -> list[Any]:
    """Lock the requests with these uuids, in the order of the uuids. Raises Broken when one is not there."""
    wanted = set(uuids)
    rows: Any = MODELS[kind]._default_manager.filter(uuid__in=wanted, enterprise_customer_uuid=enterprise_customer_uuid)
    found = list(locked(rows.order_by("uuid")))
    if missing := wanted - {row.uuid for row in found}:
        raise Broken("unknown_requests", missing)
    return found


def _refuse(code: str, requests: Sequence[SubsidyRequest]) -> None:
    if requests:
        raise Broken(code, [row.uuid for row in requests])
