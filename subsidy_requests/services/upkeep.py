"""Looking after approvals of which nothing is heard: publishing them again, telling somebody, giving up."""

from __future__ import annotations

import logging
from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from courses import alerts, autoenrolment
from courses.bulk import locked, retry_on_deadlock
from courses.models import EventOutbox

from .. import events, notices, states
from ..conf import setting
from ..models import SubsidyRequest
from ..models.requests import MODELS
from ..states import Trigger

log = logging.getLogger(__name__)

GIVEN_UP: Final = "given_up"
BATCH: Final = 200


def sweep() -> dict[str, int]:
    """Publish again what has had no outcome for half an hour and tell of what is stuck; go on with what waits.

    That is mails whose enterprise had no slug, and enrolments that are tried again.
    """
    now = timezone.now()
    counts = {"republished": 0, "stuck": 0}
    entries: list[alerts.Entry] = []
    for kind in MODELS:
        last = 0
        while batch := _overdue(kind, now, after=last):
            for pk in batch:
                republished, stuck = _look_after(kind, pk, now)
                counts["republished"] += republished
                if stuck is not None:
                    counts["stuck"] += 1
                    text = "approvals without an outcome, published again in vain: give them up, or mend what grants"
                    entries.append(alerts.Entry(severity="error", step=kind, text=text, ids={"request": str(stuck)}))
            last = batch[-1]
    if alert := alerts.of_entries("subsidy_requests.sweep", entries):
        alerts.tell(alert)
    return counts | {"released": notices.release(now), "enrolments": autoenrolment.retry_due(now).total()}


def _overdue(kind: str, now: datetime, *, after: int) -> list[int]:
    """Return the next ids of approved requests whose approval may be old enough."""
    before = now - timedelta(seconds=setting("SUBSIDY_REPUBLISH_AFTER_SECONDS"))
    rows: Any = MODELS[kind]._default_manager.filter(
        state=states.APPROVED, stuck_since=None, reviewed_at__lte=before, pk__gt=after
    )
    return list(rows.order_by("pk").values_list("pk", flat=True)[:BATCH])


@retry_on_deadlock
def _look_after(kind: str, pk: int, now: datetime) -> tuple[int, UUID | None]:
    """Publish one approval again, or call it stuck; (whether it was published, its uuid if it is newly stuck)."""
    with transaction.atomic():
        rows: Any = MODELS[kind]._default_manager.filter(pk=pk, state=states.APPROVED, stuck_since=None)
        request: SubsidyRequest | None = locked(rows).first()
        if request is None or not _was_published_before(
            request, now - timedelta(seconds=setting("SUBSIDY_REPUBLISH_AFTER_SECONDS"))
        ):
            return 0, None
        if request.republish_count >= setting("SUBSIDY_REPUBLISH_MAX"):
            request.stuck_since = now
            request.save(update_fields=["stuck_since"])
            return 0, request.uuid
        _publish_again(request, now)
    log.info("%s=%s published again number=%s", kind, request.uuid, request.republish_count)
    return 1, None


def _was_published_before(request: SubsidyRequest, moment: datetime) -> bool:
    """Return whether a request's last event is out for long enough; one still in the outbox is not doubled."""
    events_sent = EventOutbox.objects.filter(event_id__in=[request.last_event_id])
    published = list(events_sent.values_list("published_at", flat=True))
    # Gone from the outbox after 30 days, and only what was published goes.
    return not published or (published[0] is not None and published[0] <= moment)


def _publish_again(request: SubsidyRequest, now: datetime) -> None:
    [request.last_event_id] = events.approved([request])
    request.republish_count += 1
    request.republished_at = now
    request.save(update_fields=["last_event_id", "republish_count", "republished_at"])


@retry_on_deadlock
def republish(kind: str, uuids: Collection[UUID], *, by: Any) -> list[UUID]:
    """Publish the approval of requests again on an operator's word; returns those that are approved and published.

    What is still in the outbox is not doubled.
    """
    with transaction.atomic():
        rows: Any = MODELS[kind]._default_manager.filter(uuid__in=uuids, state=states.APPROVED)
        now = timezone.now()
        chosen = [row for row in locked(rows.order_by("uuid")) if _was_published_before(row, now)]
        for row in chosen:
            _publish_again(row, now)
    published = [row.uuid for row in chosen]
    log.info("%s published again by user=%s: %s", kind, by.pk, ",".join(map(str, published)) or "none")
    return published


@retry_on_deadlock
def give_up(kind: str, uuids: Collection[UUID], *, by: Any) -> list[UUID]:
    """End as errors what was published again as often as is done; returns those. A late grant still counts."""
    with transaction.atomic():
        rows: Any = MODELS[kind]._default_manager.filter(
            uuid__in=uuids,
            state__in=states.TRANSITIONS[Trigger.GIVE_UP][0],
            republish_count__gte=setting("SUBSIDY_REPUBLISH_MAX"),
        )
        chosen = list(locked(rows.order_by("uuid")))
        for row in chosen:
            row.state = states.after(row.state, Trigger.GIVE_UP)
            row.error_reason, row.stuck_since = GIVEN_UP, None
            row.check_state(reviewer=False)
        MODELS[kind]._default_manager.bulk_update(chosen, ["state", "error_reason", "stuck_since"])
    ended = [row.uuid for row in chosen]
    log.info("%s given up by user=%s: %s", kind, by.pk, ",".join(map(str, ended)) or "none")
    return ended
