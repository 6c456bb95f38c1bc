"""What has to be told of a run: what went wrong, and what somebody should look at. Ids only, no address."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from courses.alerts import Entry
from email_automation.pipeline import message as messages
from email_automation.pipeline.run import Run

from .models import NotificationTimestamp
from .plans import Choice
from .resolver import NoticeResolver


def of_plans(choices: Iterable[Choice], now: datetime) -> Iterator[Entry]:
    """Yield the plans that have waited too long for their licences."""
    for choice in choices:
        if choice.is_stuck(now):
            ids = {"enterprise": choice.enterprise_uuid, "plan": choice.plan_uuid}
            yield Entry(severity="warning", step="plan", text="provisioning stuck", ids=ids)


def of_directory(failures: Mapping[UUID, str], choices: Mapping[UUID, Choice]) -> Iterator[Entry]:
    """Yield the enterprises whose directory did not answer."""
    for enterprise, text in failures.items():
        ids = {"enterprise": enterprise, "plan": choices[enterprise].plan_uuid}
        yield Entry(severity="error", step="directory", text=text, ids=ids)


def of_people(run: Run, choices: Mapping[UUID, Choice]) -> Iterator[Entry]:
    """Yield the administrators whom a run would tell if something were known of them; nobody while it is paused."""
    message = messages.get(run.message)
    resolver = message.resolver()
    if not isinstance(resolver, NoticeResolver) or not message.gate(run, "enqueue"):
        return
    for rule, text in resolver.needed.items():
        by_enterprise: dict[UUID, list[int]] = {}
        for enterprise, ecu_id in resolver.lacking(run, rule):
            by_enterprise.setdefault(enterprise, []).append(ecu_id)
        for enterprise, ecu_ids in by_enterprise.items():
            ids = {"enterprise": enterprise, "plan": choices[enterprise].plan_uuid, "ecu": ecu_ids}
            yield Entry(severity="warning", step="directory", text=text, ids=ids)


def of_mails(run_id: int) -> Iterator[Entry]:
    """Yield what became of the things a run has tried to tell, unless all is well."""
    rows = NotificationTimestamp.objects.filter(run_id=run_id)
    failed = (NotificationTimestamp.FAILED, NotificationTimestamp.UNKNOWN)
    for row in rows.filter(state__in=failed).order_by("pk"):
        text = f"{row.kind} {row.state}: {row.last_error}" if row.last_error else f"{row.kind} {row.state}"
        yield Entry(severity="error", step="send", text=text, ids=_ids(row))
    for row in rows.filter(state=NotificationTimestamp.SENT).exclude(last_error="").order_by("pk"):
        yield Entry(severity="warning", step="send", text=f"{row.kind} sent: {row.last_error}", ids=_ids(row))
    again = rows.filter(resends__gte=1, claimed_from=NotificationTimestamp.UNKNOWN)
    for row in again.order_by("pk"):
        text = f"{row.kind} sent again: the mail before was in doubt"
        yield Entry(severity="warning", step="claim", text=text, ids=_ids(row))


def of_breaks(errors: Iterable[str], enterprises: Collection[UUID] = ()) -> Iterator[Entry]:
    """Yield the errors that ended a part of the work."""
    for text in errors:
        yield Entry(severity="error", step="claim", text=text, ids={"enterprise": list(enterprises)})


def _ids(row: NotificationTimestamp) -> dict[str, Any]:
    return {
        "enterprise": row.enterprise_customer_uuid,
        "plan": row.reported_plan_uuid or row.plan_uuid,
        "ecu": row.ecu_id,
    }


def as_json(entry: Entry) -> dict[str, Any]:
    """Return an entry as a run keeps it."""
    ids = {
        name: [str(each) for each in value] if isinstance(value, list | tuple | set) else str(value)
        for name, value in entry.ids.items()
    }
    return {"severity": entry.severity, "step": entry.step, "text": entry.text, "ids": ids}


def from_json(kept: Mapping[str, Any]) -> Entry:
    """Return an entry that a run has kept."""
    return Entry(severity=kept["severity"], step=kept["step"], text=kept["text"], ids=kept["ids"])
