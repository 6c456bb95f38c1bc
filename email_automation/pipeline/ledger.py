"""The ledger: the only writer of EmailLog. Its rows are the memory of what was sent and the queue of what will be.

A row goes `pending -> sending -> sent`, and every step is a conditional write, so that any number of processes may
try the same step and one of them makes it. Functions stand in the order in which a row meets them; what they write
is in `writes`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import nullcontext
from datetime import datetime, timedelta
from functools import cache
from typing import NamedTuple, Protocol
from uuid import UUID, uuid4

from django.contrib.sites.models import Site
from django.db import InterfaceError, OperationalError, connection, transaction
from django.db.models import F, Max, Q, QuerySet
from django.utils import timezone

from courses.bulk import copy_of, insert_if_absent, locked, retry_on_deadlock

from .. import words
from ..models import EmailLog, EmailPreference, MessageRun
from . import message as messages
from . import receipts, waiting, writes
from .message import MessageType
from .outcome import Outcome, Tally
from .reading import Values
from .run import Run
from .writes import Prepared as Prepared

Beginning = tuple[EmailLog, Prepared, timedelta]
Done = tuple[EmailLog, Outcome]

BATCH = 1000
# `unknown`: the lease ran out while the provider took its time; the truth is welcome even then.
BEING_SENT = (words.SENDING, words.UNKNOWN)


class Wanted(Protocol):
    """A mail to claim a row for: what it is about (nothing, for a call), to whom, the text of its key, and where it
    goes if not to the account's address.
    """

    @property
    def target_id(self) -> int | None: ...
    @property
    def user_id(self) -> int: ...
    @property
    def occasion(self) -> str: ...
    @property
    def address(self) -> str: ...


class Turn(NamedTuple):
    """What came of one write of the hand-off.

    `recorded` are the outcomes as the rows have them, None where a row is not ours any more; `begun` are the ids of the
    mails that may be handed off.
    """

    recorded: list[Outcome | None]
    begun: set[int]


@retry_on_deadlock
def claim(
    message: type[MessageType],
    run: Run,
    rows: Sequence[Wanted],
    *,
    addresses: dict[int, str],
    record: MessageRun | None,
    gap: timedelta = timedelta(0),
    due: Mapping[str, datetime] | None = None,
    priority: int | None = None,
    expires_at: datetime | None = None,
    expiring: Mapping[str, datetime] | None = None,
    hold: bool = False,
) -> list[EmailLog]:
    """Insert a pending row for each occasion that has none yet, and return those that are ours.

    `addresses` maps user ids to where the mail goes; with a `gap` the mails become due so far apart, behind all that
    wait already. `due` says by occasion since when a mail waits, which is the order of sending. `priority` and
    `expires_at` are the message's own unless given; `expiring` says by occasion, on the run's clock, which mails have
    an expiry of their own. With `hold` the rows are leased to whoever claims them, see `lease`. Whoever lost the race
    for a key, in this process or another, finds its row missing from the answer.
    """
    token = uuid4()
    with transaction.atomic():
        first = _next_paced_start(gap) if gap else None
        now = timezone.now()
        expires_at = expires_at or now + (message.expiry(run) - run.now)
        own_expiry = {occasion: now + (moment - run.now) for occasion, moment in (expiring or {}).items()}
        # Most columns of a page are alike.
        pattern = EmailLog(
            email_type=message.NAME,
            category=message.category,
            priority=message.priority if priority is None else priority,
            claim_token=token,
            lease_expires_at=now + message.lease if hold else None,
            run=record,
            site_id=run.site_id,
            day=None if run.triggered else run.day,
            instant=run.now,
            is_test=run.is_test,
            next_attempt_at=first or now,
            expires_at=expires_at,
            created_at=now,
        )
        entries = [
            copy_of(
                pattern,
                recipient_id=row.user_id,
                to_address=run.override or row.address or addresses[row.user_id],
                target_id=row.target_id,
                dedupe_key=run.key(row.occasion),
                occasion=row.occasion,
            )
            for row in rows
        ]
        for index, entry in enumerate(entries):
            if gap:
                entry.next_attempt_at += gap * index
            if due:
                entry.next_attempt_at = due.get(entry.occasion, entry.next_attempt_at)
            if own_expiry:
                entry.expires_at = own_expiry.get(entry.occasion, expires_at)
        ours = insert_if_absent(EmailLog, entries, unique_field="dedupe_key", token_field="claim_token")
        accepted = list(message.on_claim(run, ours))
        refused = {row.pk for row in ours} - {row.pk for row in accepted}
        if refused:
            EmailLog.objects.filter(pk__in=refused).delete()
        return accepted


def _next_paced_start(gap: timedelta) -> datetime:
    """Return when the first of some paced mails may start; others who plan wait until these are written."""
    # Any row that everybody finds would do for a lock.
    locked(Site.objects.order_by("pk")).values_list("pk").first()
    now = timezone.now()
    # What waits for another attempt has had its turn, and may be due in an hour.
    planned = EmailLog.objects.filter(status=words.PENDING, open_priority__gte=words.NORMAL, attempts=0, is_test=False)
    last = planned.order_by().aggregate(last=Max("next_attempt_at"))["last"]
    return max(now, last + gap) if last else now


@retry_on_deadlock
def lease(log_ids: Sequence[int], *, held: Collection[UUID | None] = (), briefly: bool = False) -> list[EmailLog]:
    """Take the due rows among `log_ids` for this worker, and return them in the order of sending.

    A row that another worker holds, that is not due yet, or that is not pending any more is left out; `held` are the
    tokens of the rows that this worker has held since it claimed them. Who works on them `briefly`, for a turn, does
    not write down that it holds rows that nobody has held yet: another may take them too, and each is begun by one of
    both, under a token of its own. Raises RuntimeError inside somebody's transaction, whose rollback would undo the
    records of mails that are out.
    """
    now, token = timezone.now(), uuid4()
    with transaction.atomic(durable=True):
        found = waiting.untouched(log_ids) if briefly else []
        if len(found) < len(log_ids):
            known = {pk for pk, *_ in found}
            found += _leased([pk for pk in log_ids if pk not in known], token, now=now, held=held)
        taken = waiting.in_order(found, log_ids)
    for row in taken:
        row.worker_token = token
    return taken


def _leased(log_ids: Sequence[int], token: UUID, *, now: datetime, held: Collection[UUID | None]) -> list[Values]:
    mine = waiting.takeable(held)
    columns = {"claim_token": token, "lease_expires_at": writes.lease_end(now), "updated_at": now}
    if connection.vendor == "postgresql":
        return writes.change_and_read(mine, log_ids, columns, waiting.READ)
    mine.filter(pk__in=log_ids).update(**columns)
    return waiting.held_by(token, log_ids)


def turn(done: Sequence[Done], beginnings: Sequence[Beginning]) -> Turn:
    """Write the outcomes of some mails and begin the hand-off of others, in one transaction.

    `done` are mails of one message. Its app is told of them in the same transaction if it follows outcomes. Outside a
    transaction a broken connection is opened again, and whatever arrived before it broke is found written.
    """
    try:
        return _turn(done, beginnings)
    except (OperationalError, InterfaceError):
        if connection.in_atomic_block:
            raise
        # The connection broke between a hand-off and its record: on a new one the same conditional write says again
        # what happened, and finds it said already if the first one did arrive.
        connection.close()
        return _turn(done, beginnings)


@retry_on_deadlock
def _turn(done: Sequence[Done], beginnings: Sequence[Beginning]) -> Turn:
    now = timezone.now()
    endings = _endings(done, now)
    begun = [
        writes.Change(row, (words.PENDING,), writes.beginning(row, prepared, lease, now=now))
        for row, prepared, lease in beginnings
    ]
    kind = messages.get(done[0][0].email_type) if done else None
    follows = kind is not None and kind.wants_on_finish()
    # Without an app to tell it is one statement, which needs no transaction around it.
    with transaction.atomic() if follows else nullcontext():
        changed = writes.change_each([*endings, *begun], now)
        if kind is not None and follows:
            _tell(kind, [change.row.pk for change in endings if change.row.pk in changed])
    others = [change.row.id for change in (*endings, *begun) if change.row.id not in changed]
    stored = EmailLog.objects.only("status", "claim_token").in_bulk(others) if others else {}
    for change in begun:
        row = stored.get(change.row.id)
        if row is not None and (row.status, row.claim_token) == (words.SENDING, change.columns["claim_token"]):
            changed.add(row.id)
        if change.row.id in changed:
            change.row.claim_token = change.columns["claim_token"]
    recorded: list[Outcome | None] = []
    for (row, outcome), change in zip(done, endings, strict=True):
        ours = row.id in changed or (row.id in stored and stored[row.id].status == change.columns["status"])
        recorded.append(writes.as_written(outcome, change.columns) if ours else None)
    return Turn(recorded, {change.row.id for change in begun if change.row.id in changed})


def _endings(done: Sequence[Done], now: datetime) -> list[writes.Change]:
    if not done:
        return []
    # What went out together is tried again together, although each delay is drawn by lot.
    delay = cache(messages.get(done[0][0].email_type).retry_delay)
    return [writes.Change(row, BEING_SENT, writes.ending(row, outcome, now, delay=delay)) for row, outcome in done]


def _tell(kind: type[MessageType], ids: Sequence[int]) -> None:
    ended = list(EmailLog.objects.defer("content").filter(pk__in=ids).order_by("pk")) if ids else []
    if ended:
        kind.on_finish(ended)


def begin_all(beginnings: Sequence[Beginning]) -> set[int]:
    """Turn leased rows to `sending`, in one statement, and return the ids of those that may be handed off."""
    return turn([], beginnings).begun


def finish_all(done: Sequence[Done]) -> list[Outcome | None]:
    """Write the outcomes of some mails of one message and tell its app of them, in one transaction.

    Returns each outcome as the row has it, None where the row is not ours any more.
    """
    return turn(done, []).recorded


def settle(rows: Sequence[EmailLog], outcome: Outcome) -> Tally:
    """Give leased rows an outcome without a hand-off: skipped, failed, or another attempt later.

    Returns the counts of what was written; rows that are not ours any more are left alone and not counted.
    """
    tally = Tally()
    groups: dict[tuple[str, int | None, UUID | None, int, int], list[EmailLog]] = {}
    for row in rows:
        groups.setdefault((row.email_type, row.run_id, row.claim_token, row.attempts, row.doubts), []).append(row)
    for (name, run_id, token, _, _), group in groups.items():
        columns = writes.ending(group[0], outcome, timezone.now())
        held = EmailLog.objects.filter(pk__in=[row.pk for row in group], status=words.PENDING, claim_token=token)
        changed = writes.change_all(held, columns, kinds=[messages.get(name)])
        tally.note(writes.as_written(outcome, columns), changed, run_id=run_id)
    return tally


def give_up(log_ids: Sequence[int]) -> Tally:
    """Fail what still waits for another attempt, and return the counts; for runs that leave nothing behind."""
    tally = Tally()
    rows = EmailLog.objects.filter(pk__in=log_ids, status=words.PENDING)
    for reason in sorted(set(rows.values_list("reason", flat=True))):
        columns = {"lease_expires_at": None, "reason": f"{words.GAVE_UP}:{reason}"[:100], "status": words.FAILED}
        changed = writes.change_all(rows.filter(reason=reason), columns)
        tally.note(Outcome(status=words.FAILED, reason=words.GAVE_UP), changed)
    return tally


@retry_on_deadlock
def release(rows: Sequence[EmailLog]) -> None:
    """Give leased rows back untouched, so that anybody may take them at once."""
    for token in {row.worker_token for row in rows}:
        # What is held under another token was never leased.
        ids = [row.pk for row in rows if row.claim_token == token]
        held = EmailLog.objects.filter(pk__in=ids, status=words.PENDING, claim_token=token)
        held.update(lease_expires_at=None, updated_at=timezone.now())


def withdraw(preference: EmailPreference) -> int:
    """Take back what is planned for a person and no longer wanted; called in the opt-out's own transaction."""
    waiting = EmailLog.objects.filter(recipient_id=preference.user_id, status=words.PENDING)
    if preference.suppressed_at is not None:
        return _skip(waiting, words.SUPPRESSED)
    if not preference.is_subscribed:
        return _skip(waiting, words.UNSUBSCRIBED)
    off = [category for category in words.CATEGORIES if not preference.accepts(category)]
    return sum(_skip(waiting.filter(category=category), f"{words.OPTED_OUT}:{category}") for category in off)


def reconsider(user_id: int) -> int:
    """Take a person's waiting mails out of their workers' hands, so that they are drafted anew before they go.

    A mail about several courses is not withdrawn when one of them is opted out of: it leaves that course out.
    """
    return EmailLog.objects.filter(recipient_id=user_id, status=words.PENDING).update(
        claim_token=uuid4(), lease_expires_at=None, updated_at=timezone.now()
    )


def expire() -> int:
    """Skip waiting rows whose time has passed, and return how many."""
    return _skip(
        EmailLog.objects.filter(waiting.OPEN, status=words.PENDING, expires_at__lte=timezone.now()), words.EXPIRED
    )


def _skip(rows: QuerySet[EmailLog], reason: str) -> int:
    return writes.change_all(rows, writes.giving_back(reason))


def resolve_doubts() -> dict[str, int]:
    """Decide about rows whose worker fell silent in mid-hand-off, and return {"unknown": n, "resent": n}.

    Such a row is `unknown`. A message with `resend_unknown` 1 sends it again, once, while there is time.
    """
    now = timezone.now()
    counts = {"unknown": 0, "resent": 0}
    silent = EmailLog.objects.filter(waiting.OPEN, status=words.SENDING, lease_expires_at__lt=now)
    known = {kind.NAME: kind for kind in messages.all_messages()}
    for name in list(silent.order_by().values_list("email_type", flat=True).distinct()):
        kinds = [known[name]] if name in known else []
        rows = silent.filter(email_type=name)
        doubtful = {"doubts": F("doubts") + 1, "lease_expires_at": None, "reason": words.IN_DOUBT}
        for kind in kinds:
            again = doubtful | {"next_attempt_at": now, "claim_token": None, "status": words.PENDING}
            allowed = rows.filter(doubts__lt=kind.resend_unknown, expires_at__gt=now)
            counts["resent"] += writes.change_all(allowed, again, kinds=kinds)
        # The token stays: should the silent worker still speak, its outcome replaces `unknown`.
        counts["unknown"] += writes.change_all(rows, doubtful | {"status": words.UNKNOWN}, kinds=kinds)
    return counts


@retry_on_deadlock
def report(receipt: receipts.Receipt) -> tuple[EmailLog, bool] | None:
    """Write down what a provider says of a mail, and return its row and whether its status changed; None: not ours.

    Where that settles a doubt, the mail's app is told in the same transaction. Raises receipts.TooEarly while the mail
    is being handed off.
    """
    found = receipts.row_of(receipt.provider_message_id, receipt.reference)
    if found is None:
        return None
    with transaction.atomic():
        row = locked(EmailLog.objects.defer("content").filter(pk=found.pk)).first()
        if row is None:
            return None
        now = timezone.now()
        columns = receipts.columns(row, receipt, now=now)
        if columns:
            EmailLog.objects.filter(pk=row.pk).update(updated_at=now, **columns)
        if "status" in columns and row.status not in words.HANDED_OFF:
            for kind in messages.all_messages():
                if row.email_type == kind.NAME and kind.wants_on_finish():
                    _tell(kind, [row.pk])
    return row, "status" in columns


@retry_on_deadlock
def forget(user_id: int) -> int:
    """Delete every row of a person, whatever becomes of it, and return how many there were."""
    return EmailLog.objects.filter(recipient_id=user_id).defer("content").delete()[0]


def prune(*, rows_before: datetime, content_before: datetime) -> dict[str, int]:
    """Delete ended rows and forget contents that are older, in small batches; returns {"rows": n, "contents": n}.

    Rows that are still to be sent stay, whatever their age.
    """
    ended = EmailLog.objects.exclude(status__in=(words.PENDING, words.SENDING)).order_by("created_at", "pk")
    counts = {"rows": 0, "contents": 0}
    old = ended.filter(created_at__lt=rows_before).values_list("pk", flat=True)
    while batch := list(old[:BATCH]):
        counts["rows"] += EmailLog.objects.filter(pk__in=batch).delete()[0]
    kept = ended.filter(created_at__lt=content_before, content__isnull=False).values_list("created_at", "pk")
    page = list(kept[:BATCH])
    while page:
        counts["contents"] += EmailLog.objects.filter(pk__in=[pk for _, pk in page]).update(content=None)
        # From where the last page ended: what lies before has no content any more, and need not be read again.
        last, pk = page[-1]
        page = list(kept.filter(Q(created_at__gt=last) | Q(created_at=last, pk__gt=pk))[:BATCH])
    return counts
