"""The outbox: the only writer of EmailQueue. What events and calls write down in their own transaction waits here.

An entry is claimed into the log when it is due, and from then on it is the ledger's. One with a recipient becomes one
row; one without becomes a row for everybody the message's resolver finds for its target.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, NamedTuple

from django.contrib.auth import get_user_model
from django.db import connection, transaction
from django.db.models import QuerySet
from django.utils import timezone

from courses.bulk import insert_if_absent, locked, retry_on_deadlock, slices

from .. import alerts, words
from ..conf import setting
from ..models import EmailLog, EmailQueue
from . import calls, ledger, wake
from . import message as messages
from .delivery import SLICE, deliver
from .message import MessageType
from .outcome import OURS, Outcome, Tally, trace
from .planning import Summary, planned
from .run import Run

log = logging.getLogger(__name__)

BATCH = 500


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
    """Write entries down, each key once, and have what is due done after the commit; returns what was written.

    With `again` an entry also takes the place of one with the same key of which no mail has come.
    """
    written = _written(entries, again=again)
    now = timezone.now()
    _wake_for([entry for entry in written if entry.scheduled_at <= now])
    return written


def _wake_for(entries: Iterable[EmailQueue]) -> None:
    by_queue: dict[str, list[int]] = {}
    for entry in entries:
        by_queue.setdefault(messages.get(entry.email_type).queue(), []).append(entry.pk)
    for queue, ids in by_queue.items():
        for batch in slices(ids, BATCH):
            wake.after_commit(_waking(batch, queue))


def _written(entries: Sequence[EmailQueue], *, again: bool) -> list[EmailQueue]:
    with transaction.atomic():
        written = insert_if_absent(EmailQueue, entries, unique_field="dedupe_key")
        if again and len(written) < len(entries):
            written += _in_place([entry for entry in entries if entry not in written])
        return written


def _in_place(entries: Sequence[EmailQueue]) -> list[EmailQueue]:
    """Write entries over those with the same keys, and return the ones that were.

    What has become a mail that is out, or that waits for another attempt, stays: its mail is drafted from it.
    """
    by_key = {entry.dedupe_key: entry for entry in entries}
    found = list(locked(EmailQueue.objects.filter(dedupe_key__in=by_key).order_by("pk")))
    # Asked behind the lock: somebody may just have used the key.
    mails = EmailLog.objects.filter(pk__in=[stored.log_id for stored in found if stored.log_id is not None])
    mailed = set(mails.exclude(status=words.SKIPPED).values_list("pk", flat=True))
    renewed = []
    for stored in found:
        if stored.log_id in mailed:
            continue
        entry = by_key[stored.dedupe_key]
        entry.pk, entry.created_at = stored.pk, stored.created_at
        entry._state.adding, entry._state.db = False, stored._state.db
        renewed.append(entry)
    if renewed:
        names = [field.attname for field in EmailQueue._meta.concrete_fields if not field.primary_key]
        EmailQueue.objects.bulk_update(renewed, names, batch_size=BATCH)
    return renewed


def extended(entry: EmailQueue | None, name: str, more: Sequence[Any]) -> bool:
    """Add to a list in the context of an entry that is not due yet; False when there is none any more.

    The lock makes whoever claims the entry wait for the caller's commit, and the clock is read behind it.
    """
    if entry is None:
        return False
    with transaction.atomic():
        held = locked(EmailQueue.objects.filter(pk=entry.pk, is_processed=False)).first()
        if held is None or held.scheduled_at <= timezone.now():
            return False
        held.context_data[name] = [*held.context_data.get(name, []), *more]
        held.save(update_fields=["context_data"])
    return True


def hastened(entry: EmailQueue) -> bool:
    """Make an entry that waits due at once; False when somebody has claimed it meanwhile."""
    return hasten([entry.pk]) > 0


def _waking(ids: list[int], queue: str) -> Callable[[], object]:
    def work() -> None:
        if setting("CELERY_BROKER_URL"):
            wake.send(wake.OUTBOX_TASK, ids, queue=queue)
        else:
            process(ids)

    return work


def process(ids: Sequence[int]) -> Tally:
    """Claim the entries among `ids` that are due and send what came of them; returns the counts of that."""
    tally = Tally()
    for batch in slices(ids, BATCH):
        claimed = claim_due(len(batch), only=batch)
        if claimed.late:
            tally.note(Outcome.skipped(words.EXPIRED), ledger.expire())
        tally[OURS] += len(claimed.faulty)
        for queue, log_ids in claimed.log_ids.items():
            here, others = log_ids[:SLICE], log_ids[SLICE:]
            if setting("CELERY_BROKER_URL"):
                # One entry may have become a mail for each learner of a course: that is work for all workers.
                for more in slices(others, SLICE):
                    wake.send(wake.DELIVER_TASK, more, queue=queue)
                others = []
            for more in (here, *slices(others, SLICE)):
                tally.update(deliver(more))
    if tally[OURS]:
        alerts.announce(wake.OUTBOX_TASK, tally)
    return tally


def send_now(entries: Sequence[EmailQueue]) -> list[str]:
    """Write down entries that are due and send them, and return the status that each one's row has afterwards.

    An entry whose key is used up is not written, and counts as skipped.
    """
    written, claimed = _claimed_at_once(entries)
    tally = Tally()
    for batch in slices(claimed, SLICE):
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
        written = _written(entries, again=True)
        rows, _ = _claim_single([entry.pk for entry in written], hold=True)
    return written, rows


class _Wanted(NamedTuple):
    target_id: int | None
    user_id: int
    occasion: str


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
    due = _due(only).exclude(pk__in=list(but))
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


def _due(only: Sequence[int] | None = None) -> QuerySet[EmailQueue]:
    known = [kind.NAME for kind in messages.all_messages()]
    due = EmailQueue.objects.filter(is_processed=False, scheduled_at__lte=timezone.now(), email_type__in=known)
    return due if only is None else due.filter(pk__in=only)


@retry_on_deadlock
def _claim_single(ids: Sequence[int], *, hold: bool = False) -> tuple[list[EmailLog], bool]:
    """Claim entries with a recipient, and mark them processed, in one transaction; says also whether some are late."""
    if not ids:
        return [], False
    with transaction.atomic():
        now = timezone.now()
        entries = list(_held(_due(ids).filter(recipient__isnull=False)))
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
        for entry in entries:
            entry.is_processed, entry.processed_at, entry.log = True, now, rows.get(entry.pk)
        EmailQueue.objects.bulk_update(entries, ["is_processed", "processed_at", "log"], batch_size=BATCH)
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
    by_occasion = {occasion_of(entry): entry for entry in entries}
    wanted = [_Wanted(entry.target_id, entry.recipient_id or 0, occasion) for occasion, entry in by_occasion.items()]
    rows = ledger.claim(
        message,
        run,
        wanted,
        addresses=addresses,
        record=None,
        due={occasion: entry.scheduled_at for occasion, entry in by_occasion.items()},
        priority=priority,
        expires_at=expires_at,
        hold=hold,
    )
    return {by_occasion[row.occasion].pk: row for row in rows}


def _addresses(user_ids: Collection[int]) -> dict[int, str]:
    # Policy looks at them again at hand-off; an account that is gone takes its entries with it.
    users = get_user_model()._default_manager.filter(pk__in=user_ids)
    return {user.pk: (user.email or "").strip() for user in users}


def occasion_of(entry: EmailQueue) -> str:
    """Return what an entry is once-only about: its own key, or itself."""
    return entry.dedupe_key or f"queued:{entry.pk}"


def _spread(pk: int) -> list[tuple[int, str]]:
    """Claim a row for everybody an entry without recipient is for, page by page, and mark it processed at the end.

    A process that dies half-way leaves the entry due; the next one finds the keys of the first part used up.
    """
    with transaction.atomic():
        # Waits for whoever is adding to it; who comes later finds it due, and leaves it alone.
        entry = locked(_due([pk])).first()
    if entry is None:
        return []
    message = messages.get(entry.email_type)
    run = Run.triggered_now(message.label(), entry.site_id, now=entry.scheduled_at)
    rows: list[tuple[int, str]] = []
    for page in planned(message, run, Summary(), None):
        rows += [(log_id, message.NAME) for log_id in page]
    EmailQueue.objects.filter(pk=pk, is_processed=False).update(is_processed=True, processed_at=timezone.now())
    return rows


def _held(entries: QuerySet[EmailQueue]) -> QuerySet[EmailQueue]:
    # Where the database can, what another process holds is left to it instead of waited for.
    skip = connection.features.has_select_for_update_skip_locked
    return entries.order_by("priority", "scheduled_at", "id").select_for_update(skip_locked=skip)


def forget(user_id: int) -> int:
    """Delete every entry of a person, and return how many there were."""
    return EmailQueue.objects.filter(recipient_id=user_id).delete()[0]


def prune(before: datetime) -> int:
    """Delete entries that were processed before an instant, in small batches, and return how many."""
    old = EmailQueue.objects.filter(is_processed=True, processed_at__lt=before).order_by("processed_at")
    deleted = 0
    while batch := list(old.values_list("pk", flat=True)[:BATCH]):
        deleted += EmailQueue.objects.filter(pk__in=batch).delete()[0]
    return deleted


def hasten(ids: Sequence[int]) -> int:
    """Make waiting entries due at once and have them sent; returns how many there were.

    One that is due already keeps its instant: mails that were claimed of it carry that in their keys.
    """
    now = timezone.now()
    waiting = EmailQueue.objects.filter(pk__in=ids, is_processed=False)
    waiting.filter(scheduled_at__gt=now).update(scheduled_at=now)
    entries = list(_due(ids))
    _wake_for(entries)
    return len(entries)


def withdraw(ids: Sequence[int]) -> list[int]:
    """Delete entries that nobody has claimed, and return their ids; what is being claimed right now stays."""
    with transaction.atomic():
        held = list(_held(EmailQueue.objects.filter(pk__in=ids, is_processed=False)).values_list("pk", flat=True))
        EmailQueue.objects.filter(pk__in=held).delete()
    return held


def copy_for(row: EmailLog, entry: EmailQueue) -> None:
    """Write down a call once more, for another row of the log; both in the caller's transaction."""
    now = timezone.now()
    EmailQueue.objects.create(
        recipient_id=entry.recipient_id,
        email_type=entry.email_type,
        site_id=entry.site_id,
        context_data=entry.context_data,
        priority=entry.priority,
        scheduled_at=now,
        is_processed=True,
        processed_at=now,
        log=row,
    )
