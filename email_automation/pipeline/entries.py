"""The entries of the outbox: the only writer of EmailQueue. What is to be done with them is in `outbox`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db import connection, transaction
from django.db.models import QuerySet
from django.utils import timezone

from courses.bulk import insert_if_absent, locked

from .. import words
from ..models import EmailLog, EmailQueue
from . import message as messages

BATCH = 500


def occasion_of(entry: EmailQueue) -> str:
    """Return what an entry is once-only about: its own key, or itself."""
    return entry.dedupe_key or f"queued:{entry.pk}"


def written(entries: Sequence[EmailQueue], *, again: bool) -> list[EmailQueue]:
    """Write entries down, each key once, and return those that were written.

    With `again` an entry also takes the place of one with the same key of which no mail has come.
    """
    with transaction.atomic():
        new = insert_if_absent(EmailQueue, entries, unique_field="dedupe_key")
        if again and len(new) < len(entries):
            new += _in_place([entry for entry in entries if entry not in new])
        return new


def _in_place(entries: Sequence[EmailQueue]) -> list[EmailQueue]:
    """Write entries over processed ones with the same keys, and return the ones that were.

    What has become a mail that is out, or that waits for another attempt, stays: its mail is drafted from it.
    """
    by_key = {entry.dedupe_key: entry for entry in entries}
    found = list(locked(EmailQueue.objects.filter(dedupe_key__in=by_key, is_processed=True).order_by("pk")))
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


def due(only: Sequence[int] | None = None) -> QuerySet[EmailQueue]:
    """Return the entries that are due, all of them or those among some ids; of messages that are known here."""
    known = [kind.NAME for kind in messages.all_messages()]
    found = EmailQueue.objects.filter(is_processed=False, scheduled_at__lte=timezone.now(), email_type__in=known)
    return found if only is None else found.filter(pk__in=only)


def held(entries: QuerySet[EmailQueue]) -> QuerySet[EmailQueue]:
    """Lock entries, urgent ones first, then oldest; to be read inside a transaction."""
    # Where the database can, what another process holds is left to it instead of waited for.
    skip = connection.features.has_select_for_update_skip_locked
    return entries.order_by("priority", "scheduled_at", "id").select_for_update(skip_locked=skip)


def mark_processed(entries: Sequence[EmailQueue], rows: Mapping[int, EmailLog], now: datetime) -> None:
    """Say of entries that they are claimed; `rows` are what became of them, by their ids, where the row is ours."""
    for entry in entries:
        entry.is_processed, entry.processed_at, entry.log = True, now, rows.get(entry.pk)
    EmailQueue.objects.bulk_update(entries, ["is_processed", "processed_at", "log"], batch_size=BATCH)


def hasten(ids: Sequence[int]) -> list[EmailQueue]:
    """Make waiting entries due at once, and return those that are.

    One that is due already keeps its instant: its mails are claimed by that. So the clock is read behind the lock,
    or an entry that falls due while the lock is waited for would be moved away from under whoever plans it.
    """
    with transaction.atomic():
        waiting = EmailQueue.objects.filter(pk__in=ids, is_processed=False).order_by("pk")
        held_ids = list(locked(waiting).values_list("pk", flat=True))
        now = timezone.now()
        EmailQueue.objects.filter(pk__in=held_ids, scheduled_at__gt=now).update(scheduled_at=now)
    return list(due(ids))


def withdraw(ids: Sequence[int]) -> list[int]:
    """Delete entries that nobody has claimed, and return their ids; what is being claimed right now stays."""
    with transaction.atomic():
        ids_held = list(held(EmailQueue.objects.filter(pk__in=ids, is_processed=False)).values_list("pk", flat=True))
        EmailQueue.objects.filter(pk__in=ids_held).delete()
    return ids_held


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
