"""Which rows of the log wait to be sent, and how others have ended. Only reads."""

from __future__ import annotations

from array import array
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import Count, Min, Q, QuerySet, Value, prefetch_related_objects
from django.db.models.base import ModelState
from django.utils import timezone

from courses import sites
from courses.bulk import slices

from .. import words
from ..models import EmailLog, MessageRun
from . import message as messages
from . import reading
from .outcome import Outcome, Tally
from .run import Run

BATCH = 1000
#: Of the rows that have not ended. Nothing but ids and this leads to the rows of a status without reading all others.
OPEN = Q(open_priority__isnull=False)
ORDER = ("open_priority", "next_attempt_at", "id")
#: The fields that delivery needs. The others are what a hand-off writes or has no use for.
READ = (
    *("id", "recipient", "email_type", "to_address", "target_id", "priority", "status", "occasion", "claim_token"),
    *("run", "site", "day", "instant", "is_test", "attempts", "doubts", "next_attempt_at", "expires_at", "created_at"),
)
_TYPE = READ.index("email_type")
_READ_INTO = [{field.name: field.attname for field in EmailLog._meta.concrete_fields}[name] for name in READ]


def claimed_already(run: Run, occasions: Iterable[str]) -> set[str]:
    """Return which occasions somebody has claimed, without claiming anything; for dry runs."""
    keys = {run.key(occasion): occasion for occasion in occasions}
    taken = EmailLog.objects.filter(dedupe_key__in=keys).values_list("dedupe_key", flat=True)
    return {keys[key] for key in taken if key is not None}


def waiting_ids(record: MessageRun) -> array[int]:
    """Return the rows of a run that could be sent now: what was just claimed, and what an earlier try left behind."""
    rows = free().filter(run=record).order_by(*ORDER)
    # A million ids as a list are four times as large.
    return array("q", rows.values_list("id", flat=True).iterator(BATCH))


def due_ids(limit: int) -> list[int]:
    """Return the ids of the rows that could be sent now and nobody holds, urgent ones first, then oldest."""
    return list(free().order_by(*ORDER).values_list("id", flat=True)[:limit])


def free() -> QuerySet[EmailLog]:
    """Return the rows that are due and that no worker holds."""
    return takeable().filter(OPEN)


def takeable(held: Collection[UUID | None] = ()) -> QuerySet[EmailLog]:
    """Return the same, also what carries one of the tokens `held`, to be narrowed down to some ids.

    Rows of a message that is not known here are left alone: their app may be newer than this process.
    """
    now = timezone.now()
    return EmailLog.objects.filter(
        Q(lease_expires_at=None) | Q(lease_expires_at__lt=now) | Q(claim_token__in=held),
        status=words.PENDING,
        next_attempt_at__lte=now,
        expires_at__gt=now,
        email_type__in=[kind.NAME for kind in messages.all_messages()],
    )


def untouched(log_ids: Sequence[int]) -> list[reading.Values]:
    """Return the `READ` fields of the due rows among some ids that nobody has held since they were claimed."""
    now, known = timezone.now(), {kind.NAME for kind in messages.all_messages()}
    new = EmailLog.objects.filter(
        lease_expires_at=None,
        claim_token__isnull=False,
        status=words.PENDING,
        next_attempt_at__lte=now,
        expires_at__gt=now,
    )
    return [row for row in reading.of(new, log_ids, READ) if row[_TYPE] in known]


def held_by(token: UUID, log_ids: Sequence[int]) -> list[reading.Values]:
    """Return the `READ` fields of those of some rows that wait in one worker's hands."""
    return reading.of(EmailLog.objects.filter(claim_token=token, status=words.PENDING), log_ids, READ)


def in_order(found: Iterable[tuple[Any, ...]], log_ids: Sequence[int]) -> list[EmailLog]:
    """Return rows in the order of sending, with their site and entry, from the values of their `READ` fields.

    What is equally urgent and old comes as in `log_ids`, where planning has put together what says the same.
    """
    alias, place = connection.alias, {pk: number for number, pk in enumerate(log_ids)}
    rows = [_row(values, alias) for values in found]
    rows.sort(key=lambda row: (row.priority, row.next_attempt_at, place[row.id]))
    # Apart from the rows: mails of one slice are of few sites, and only a call has an entry.
    looks = sites.with_looks({row.site_id for row in rows})
    for row in rows:
        row._state.fields_cache["site"] = looks[row.site_id]
    prefetch_related_objects([row for row in rows if row.target_id is None], "queued")
    return rows


def _row(values: tuple[Any, ...], alias: str) -> EmailLog:
    # As Model.from_db makes one with deferred fields. That asks for every field and takes ten times as long, which was
    # a hundredth of all that is done for a mail.
    row = EmailLog.__new__(EmailLog)
    row.__dict__.update(zip(_READ_INTO, values, strict=True))
    row._state = ModelState()
    row._state.adding, row._state.db = False, alias
    return row


def next_attempt(log_ids: Sequence[int]) -> datetime | None:
    """Return when the first of some rows may be tried again, or None when none of them waits."""
    rows = EmailLog.objects.filter(pk__in=log_ids, status=words.PENDING)
    found: datetime | None = rows.aggregate(first=Min("next_attempt_at"))["first"]
    return found


def standing(log_ids: Sequence[int]) -> Tally:
    """Return the counts of how rows have ended; those that have not are left out."""
    tally = Tally()
    for batch in slices(log_ids, BATCH):
        found = EmailLog.objects.filter(pk__in=batch).exclude(status__in=(words.PENDING, words.SENDING))
        for status, reason, number in found.order_by().values_list("status", "reason").annotate(number=Count("pk")):
            tally.note(Outcome(status=words.SENT if status in words.HANDED_OFF else status, reason=reason), number)
    return tally


def standing_of(record: MessageRun, *, since: int | None) -> tuple[Tally, int]:
    """Return the counts of how a run's rows have ended, and how many of them have not, in one statement.

    Of rows that an earlier try has claimed, those below the id `since`, only the second.
    """
    tally, unfinished = Tally(), 0
    new = Count("pk", filter=Q(pk__gte=since)) if since is not None else Value(0)
    rows = EmailLog.objects.filter(run=record).order_by().values_list("status", "reason")
    for status, reason, number, claimed in rows.annotate(number=Count("pk"), claimed=new):
        if status in (words.PENDING, words.SENDING):
            unfinished += number
        elif claimed:
            tally.note(Outcome(status=words.SENT if status in words.HANDED_OFF else status, reason=reason), claimed)
    return tally, unfinished


def by_queue(log_ids: Iterable[int]) -> dict[str, list[int]]:
    """Return some rows by the Celery queue that delivers them, in their order; without those of unknown messages."""
    found: dict[str, list[int]] = {}
    for batch in slices(log_ids, BATCH):
        names = dict(EmailLog.objects.filter(pk__in=batch).values_list("pk", "email_type"))
        queues = {kind.NAME: kind.queue() for kind in messages.all_messages()}
        for log_id in batch:
            if queue := queues.get(names.get(log_id, "")):
                found.setdefault(queue, []).append(log_id)
    return found


def unfinished(*, record: MessageRun | None, log_ids: Sequence[int]) -> int:
    """Count the rows that have not ended: those of a run, or of a test run, which has no record, by their ids."""
    if record is not None:
        return EmailLog.objects.filter(OPEN, run=record).count()
    return sum(
        EmailLog.objects.filter(pk__in=batch, status__in=(words.PENDING, words.SENDING)).count()
        for batch in slices(log_ids, BATCH)
    )
