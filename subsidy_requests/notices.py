"""The only writer of notices: from what became of requests to entries of the outbox, in the caller's transaction."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import uuid4

from django.contrib.auth import get_user_model
from django.db.models import Exists, OuterRef
from django.utils import timezone

from courses import alerts, sites
from courses.bulk import insert_if_absent, locked, slices
from email_automation import words
from email_automation.models import EmailLog, EmailQueue
from email_automation.pipeline import entries, outbox
from email_automation.pipeline import message as messages
from email_automation.pipeline.outbox import Fact

from . import course_names
from .conf import setting
from .models import (
    ApprovalItem,
    ApprovalWindow,
    DeclineNotice,
    SubsidyRequest,
    SubsidyRequestCustomerConfiguration,
)
from .models import notices as stored
from .models.notices import Notice
from .resolver import NO_SLUG

log = logging.getLogger(__name__)

APPROVED: Final = "request_approved"
DECLINED: Final = "request_declined"
#: For how long it waits before somebody is told.
PATIENCE: Final = timedelta(hours=1)
BATCH: Final = 200


def approved(request: SubsidyRequest) -> datetime:
    """Put a request that is being fulfilled into its learner's window, and return the moment it counts as fulfilled.

    Two of a learner at the same moment wait for each other at the account's row, so that they end in one window. A
    request is mailed about once, whatever has become of its state since.
    """
    locked(get_user_model()._default_manager.filter(pk=request.user_id)).first()
    now = timezone.now()
    if ApprovalItem.objects.filter(kind=request.kind, subsidy_request_uuid=request.uuid).exists():
        return now
    window = _joined(request, now) or _opened(request, now)
    ApprovalItem.objects.create(window=window, kind=request.kind, subsidy_request_uuid=request.uuid, fulfilled_at=now)
    return now


def _joined(request: SubsidyRequest, now: datetime) -> ApprovalWindow | None:
    """Return the window that is still open, if any; its entry is held, so that nobody is drafting the mail already."""
    window = ApprovalWindow.objects.filter(
        user_id=request.user_id,
        enterprise_customer_uuid=request.enterprise_customer_uuid,
        state=stored.OPEN,
        opened_at__lte=now,
        closes_at__gt=now,
    ).first()
    if window is None:
        return None
    entry = EmailQueue.objects.filter(dedupe_key=f"{APPROVED}:{window.pk}").first()
    return window if entries.extended(entry, "requests", [str(request.uuid)]) else None


def _opened(request: SubsidyRequest, now: datetime) -> ApprovalWindow:
    window = ApprovalWindow.objects.create(
        user_id=request.user_id,
        enterprise_customer_uuid=request.enterprise_customer_uuid,
        site_id=course_names.site_of(request.course_id),
        opened_at=now,
        closes_at=now + timedelta(seconds=setting("SUBSIDY_APPROVAL_WINDOW_SECONDS")),
    )
    context = {"requests": [str(request.uuid)]}
    fact = Fact(window.pk, window.user_id, f"{APPROVED}:{window.pk}", window.site_id, window.closes_at, context)
    if not outbox.trigger(messages.get(APPROVED), [fact]):
        _end(window, stored.SKIPPED, words.STOPPED)
    return window


def declined(requests: Sequence[SubsidyRequest], *, decline_reason: str, auto: bool = False) -> None:
    """Have the learners of requests that were declined together told, each in one mail."""
    by_learner: dict[int, list[SubsidyRequest]] = {}
    for request in requests:
        by_learner.setdefault(request.user_id, []).append(request)
    owners = sites.sites_for_orgs({_org(group[0]) for group in by_learner.values()})
    action, now = uuid4(), timezone.now()
    rows = [
        DeclineNotice(
            action=action,
            user_id=user_id,
            enterprise_customer_uuid=group[0].enterprise_customer_uuid,
            site_id=owners[_org(group[0])].pk,
            declined_at=now,
            kind=group[0].kind,
            subsidy_request_uuids=[str(request.uuid) for request in group],
            decline_reason=decline_reason,
            auto_declined=auto,
        )
        for user_id, group in by_learner.items()
    ]
    written = insert_if_absent(DeclineNotice, rows, unique_field=["action", "user"])
    facts = [Fact(row.pk, row.user_id, f"{DECLINED}:{row.pk}", row.site_id) for row in written]
    told = {entry.target_id for entry in outbox.trigger(messages.get(DECLINED), facts)}
    held = [row.pk for row in written if row.pk not in told]
    DeclineNotice.objects.filter(pk__in=held).update(state=stored.SKIPPED, reason=words.STOPPED)


def _org(request: SubsidyRequest) -> str:
    return (request.course_id or "").partition("+")[0]


def followed(model: type[Notice], rows: Sequence[EmailLog]) -> None:
    """Take over what became of mails, inside the ledger's own transaction; one that has not ended changes nothing."""
    for row in rows:
        if row.is_test or row.target_id is None:
            continue
        found: Any = model._default_manager.filter(pk=row.target_id)
        if row.status in words.HANDED_OFF:
            found.update(state=stored.SENT, reason="", waiting=False)
        elif row.status == words.SKIPPED and row.reason == NO_SLUG:
            found.update(waiting=True, reason=NO_SLUG)
        elif row.status == words.SKIPPED:
            found.update(state=stored.SKIPPED, reason=row.reason[:100], waiting=False)
        elif row.status in (words.FAILED, words.UNKNOWN):
            found.update(state=stored.FAILED, reason=row.reason[:100], waiting=False)


def _end(notice: Notice, state: str, reason: str) -> None:
    notice.state, notice.reason = state, reason
    notice.save(update_fields=["state", "reason"])


def release(now: datetime) -> int:
    """Send what waited for the slug of an enterprise that has one by now, and return how many mails that are.

    Of those that have waited for an hour somebody is told, once an hour.
    """
    released = 0
    for model, name, due in ((ApprovalWindow, APPROVED, "closes_at"), (DeclineNotice, DECLINED, "declined_at")):
        rows: Any = model
        waiting = rows.objects.filter(waiting=True, state=stored.OPEN)
        customers = SubsidyRequestCustomerConfiguration.objects.filter(
            enterprise_customer_uuid=OuterRef("enterprise_customer_uuid")
        )
        ready = waiting.filter(Exists(customers.exclude(slug="")))
        for batch in slices(list(ready.order_by("pk")), BATCH):
            facts = [Fact(row.pk, row.user_id, f"{name}:{row.pk}", row.site_id) for row in batch]
            released += len(outbox.trigger(messages.get(name), facts, again=True))
        late = waiting.exclude(Exists(customers.exclude(slug=""))).filter(**{f"{due}__lte": now - PATIENCE})
        _complain(name, late)
    return released


def _complain(name: str, late: Any) -> None:
    enterprises = sorted(map(str, set(late.order_by().values_list("enterprise_customer_uuid", flat=True)[:BATCH])))
    if not enterprises:
        return
    text = "mails wait for the slug of the enterprise: set it in the configuration of the customer"
    entry = alerts.Entry(severity="error", step=name, text=text, ids={"enterprise": enterprises})
    alert = alerts.of_entries(f"subsidy_requests.{name}", [entry])
    if alert is not None and alerts.is_news(f"subsidy_requests.{NO_SLUG}:{name}"):
        alerts.tell(alert)
