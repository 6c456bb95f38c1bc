"""The outbox: what events and calls write down in their own transaction, and how it becomes mail.

An entry is claimed into the log when it is due, and from then on it is the ledger's. One with a recipient becomes one
row; one without becomes a row for everybody the message's resolver finds for its target.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.contrib.auth import get_user_model
from django.db import connection, transaction
from django.utils import timezone

from courses.bulk import locked, retry_on_deadlock, slices

from .. import alerts, words
from ..conf import setting
from ..models import EmailLog, EmailQueue
from . import calls, ledger, wake
from . import entries as stored
from . import message as messages
from .delivery import deliver
from .message import MessageType
from .outcome import OURS, Outcome, Tally, trace
from .planning import Summary, planned
from .run import Run

log = logging.getLogger(__name__)

BATCH = 500
#: What somebody asks for a minute before the message's day or week is over must not be given up a minute later.
SHORTEST = timedelta(days=1)


class Fact(NamedTuple):
    """Something that has happened and is mailed about once: the target, whom it goes to, the key, and whose mail it is.

    Without a `user_id` it goes to everybody the message's resolver finds for the target at `due`.
    """

    target_id: int
    user_id: int | None
    occasion: str
    site_id: int
    due: datetime | None = None
    context: dict[str, Any] | None = None


def trigger(message: type[MessageType], facts: Iterable[Fact], *, again: bool = False) -> list[EmailQueue]:
    """Write down that facts are to be mailed, in the caller's transaction, and have it done once that has committed.

    A fact that was triggered before is left out; with `again` it is looked at once more, and the log's key decides
    whether a mail may still go out. Nothing is written while the message's gate is closed for planning.
    """
    now = timezone.now()
    open_sites: dict[int, bool] = {}
    entries = []
    for fact in facts:
        if fact.site_id not in open_sites:
            run = Run.triggered_now(message.label(), fact.site_id, now=now)
            open_sites[fact.site_id] = message.gate(run, "enqueue")
        if open_sites[fact.site_id]:
            entries.append(
                EmailQueue(
                    recipient_id=fact.user_id,
                    email_type=message.NAME,
                    target_id=fact.target_id,
                    site_id=fact.site_id,
                    priority=message.priority,
                    context_data=fact.context or {},
                    scheduled_at=fact.due or now,
                    dedupe_key=fact.occasion,
                    created_at=now,
                )
            )
    return add(entries, again=again)


def add(entries: Sequence[EmailQueue], *, again: bool = False) -> list[EmailQueue]:
    """Write entries down, each key once, and have what is due done after the commit; returns what that is about.

    With `again` an entry also takes the place of one with the same key of which no mail has come; for one that still
    waits somebody is woken up once more.
    """
    found = stored.written(entries, again=again)
    if again and len(found) < len(entries):
        rest = {entry.dedupe_key for entry in entries} - {entry.dedupe_key for entry in found}
        found += stored.due().filter(dedupe_key__in=rest)
    now = timezone.now()
    _wake_for([entry for entry in found if entry.scheduled_at <= now])
    return found


def _wake_for(entries: Iterable[EmailQueue]) -> None:
    by_queue: dict[str, list[int]] = {}
    for entry in entries:
        by_queue.setdefault(messages.get(entry.email_type).queue(), []).append(entry.pk)
    for queue, ids in by_queue.items():
        for batch in slices(ids, BATCH):
            wake.after_commit(_waking(batch, queue))


def _waking(ids: list[int], queue: str) -> Callable[[], object]:
    def work() -> None:
        if setting("CELERY_BROKER_URL"):
            wake.send(wake.OUTBOX_TASK, ids, queue=queue)
        else:
            process(ids)

    return work


def hasten(ids: Sequence[int]) -> int:
    """Make waiting entries due at once and have them sent; returns how many there were."""
    found = stored.hasten(ids)
    _wake_for(found)
    return len(found)


def process(ids: Sequence[int]) -> Tally:
    """Claim the entries among `ids` that are due and send what came of them; returns the counts of that."""
    tally = Tally()
    for batch in slices(ids, BATCH):
        claimed = claim_due(len(batch), only=batch)
        if claimed.late:
            tally.note(Outcome.skipped(words.EXPIRED), ledger.expire())
        tally[OURS] += len(claimed.faulty)
        for queue, log_ids in claimed.log_ids.items():
            if setting("CELERY_BROKER_URL"):
                # One entry may have become a mail for each learner of a course: that is work for all workers.
                size = setting("EMAIL_BATCH_SIZE")
                wake.Calls(queue).call(log_ids[size:])
                log_ids = log_ids[:size]
            tally.update(wake.deliver_in_turn(log_ids))
    if tally[OURS]:
        alerts.announce(wake.OUTBOX_TASK, tally)
    return tally


def send_now(entries: Sequence[EmailQueue]) -> list[str]:
    """Write down entries that are due and send them, and return the status that each one's row has afterwards.

    An entry whose key is used up is not written, and counts as skipped.
    """
    written, claimed = _claimed_at_once(entries)
    tally = Tally()
    for batch in slices(claimed, setting("EMAIL_BATCH_SIZE")):
        tally.update(deliver([row.pk for row in batch], held={row.claim_token for row in batch}))
    if tally[OURS]:
        alerts.announce(wake.OUTBOX_TASK, tally)
    rows = EmailLog.objects.filter(queued__in=[entry.pk for entry in written])
    statuses = dict(rows.values_list("queued__pk", "status"))
    return [statuses.get(entry.pk, words.SKIPPED) for entry in entries]


@retry_on_deadlock
def _claimed_at_once(entries: Sequence[EmailQueue]) -> tuple[list[EmailQueue], list[EmailLog]]:
    """Write entries down, claim them and hold their rows, so that no sweep sends them while the caller waits for it."""
    for entry in entries:
        # As it was before a try that was rolled back.
        entry.pk, entry._state.adding = None, True
    with transaction.atomic():
        written = stored.written(entries, again=True)
        rows, _ = _claim_single([entry.pk for entry in written], hold=True)
    return written, rows


class _Wanted(NamedTuple):
    target_id: int | None
    user_id: int
    occasion: str
    address: str = ""


class Claimed(NamedTuple):
    """What became of some entries: how many were looked at, our rows by Celery queue, and the entries that failed.

    `late` says that the time of some had passed, so that `ledger.expire` has to skip their rows.
    """

    entries: int
    log_ids: dict[str, list[int]]
    faulty: list[int]
    late: bool


def claim_due(limit: int, *, only: Sequence[int] | None = None, but: Iterable[int] = ()) -> Claimed:
    """Turn at most `limit` due entries into rows of the log, urgent ones first, then oldest.

    Any number of processes may do so at once; an entry goes to one of them. Entries that cannot be planned stay where
    they are, are logged and counted as faults; one message's mistake holds up nobody else's mail.
    """
    due = stored.due(only).exclude(pk__in=list(but))
    found = list(due.order_by("priority", "scheduled_at", "id").values_list("pk", "email_type", "recipient_id")[:limit])
    # Those of one message that have a recipient together, each of the others by itself.
    together: dict[tuple[str, int | None], list[int]] = {}
    for pk, name, recipient in found:
        together.setdefault((name, pk if recipient is None else None), []).append(pk)
    rows: list[tuple[int, str]] = []
    late, faulty = False, list[int]()
    for (_, alone), pks in together.items():
        try:
            if alone is not None:
                rows += _spread(alone)
                continue
            claimed, some_late = _claim_single(pks)
            rows += [(row.pk, row.email_type) for row in claimed]
            late = late or some_late
        except Exception as error:
            log.error("email_queue=%s could not be planned: %s", ",".join(map(str, pks)), trace(error))
            if not connection.in_atomic_block:
                connection.close_if_unusable_or_obsolete()
            faulty += pks
    by_queue: dict[str, list[int]] = {}
    for log_id, name in rows:
        by_queue.setdefault(messages.get(name).queue(), []).append(log_id)
    return Claimed(len(found), by_queue, faulty, late)


@retry_on_deadlock
def _claim_single(ids: Sequence[int], *, hold: bool = False) -> tuple[list[EmailLog], bool]:
    """Claim entries with a recipient, and mark them processed, in one transaction; says also whether some are late."""
    if not ids:
        return [], False
    with transaction.atomic():
        now = timezone.now()
        entries = list(stored.held(stored.due(ids).filter(recipient__isnull=False)))
        addresses = _addresses({entry.recipient_id for entry in entries if entry.recipient_id is not None})
        groups: dict[tuple[str, int, str, int, datetime | None], list[EmailQueue]] = {}
        for entry in entries:
            override = addresses.get(entry.recipient_id or 0, "") if calls.TEMPLATE in entry.context_data else ""
            key = (entry.email_type, entry.site_id, override, entry.priority, entry.expires_at)
            groups.setdefault(key, []).append(entry)
        rows: dict[int, EmailLog] = {}
        for (name, site_id, override, priority, expires_at), group in groups.items():
            message = messages.get(name)
            run = replace(Run.triggered_now(message.label(), site_id), override=override)
            rows |= _rows_of(
                group, message, run, addresses=addresses, priority=priority, expires_at=expires_at, hold=hold
            )
        stored.mark_processed(entries, rows, now)
        late = any(expires_at is not None and expires_at <= now for *_, expires_at in groups)
        return list(rows.values()), late


def _rows_of(
    entries: Sequence[EmailQueue],
    message: type[MessageType],
    run: Run,
    *,
    addresses: dict[int, str],
    priority: int,
    expires_at: datetime | None,
    hold: bool,
) -> dict[int, EmailLog]:
    """Return {entry id: row} of the rows that are ours; a key that is used up has been mailed, or is being."""
    by_occasion = {stored.occasion_of(entry): entry for entry in entries}
    wanted = [_Wanted(entry.target_id, entry.recipient_id or 0, occasion) for occasion, entry in by_occasion.items()]
    rows = ledger.claim(
        message,
        run,
        wanted,
        addresses=addresses,
        record=None,
        due={occasion: entry.scheduled_at for occasion, entry in by_occasion.items()},
        priority=priority,
        expires_at=expires_at or max(message.expiry(run), run.now + SHORTEST),
        hold=hold,
    )
    return {by_occasion[row.occasion].pk: row for row in rows}


def _addresses(user_ids: Collection[int]) -> dict[int, str]:
    # Policy looks at them again at hand-off; an account that is gone takes its entries with it.
    users = get_user_model()._default_manager.filter(pk__in=user_ids)
    return {user.pk: (user.email or "").strip() for user in users}


def _spread(pk: int) -> list[tuple[int, str]]:
    """Claim a row for everybody an entry without recipient is for, page by page, and mark it processed at the end.

    A process that dies half-way leaves the entry due; the next one finds the keys of the first part used up.
    """
    with transaction.atomic():
        # Waits for whoever is adding to it; who comes later finds it due, and leaves it alone.
        entry = locked(stored.due([pk])).first()
    if entry is None:
        return []
    message = messages.get(entry.email_type)
    run = Run.triggered_now(message.label(), entry.site_id, now=entry.scheduled_at)
    rows: list[tuple[int, str]] = []
    for page in planned(message, run, Summary(), None):
        rows += [(log_id, message.NAME) for log_id in page]
    stored.mark_processed([entry], {}, timezone.now())
    return rows
