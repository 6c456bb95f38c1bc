"""The ledger: the only writer of EmailLog. Its rows are the memory of what was sent and the queue of what will be.

A row goes `pending -> sending -> sent`, and every step is a conditional write, so that any number of processes may
try the same step and one of them makes it. Functions stand in the order in which a row meets them.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

from django.db import InterfaceError, OperationalError, connection, transaction
from django.db.models import Case, F, Field, Max, Q, QuerySet, Value, When
from django.utils import timezone

from courses.bulk import insert_if_absent, retry_on_deadlock

from .. import words
from ..models import EmailLog, EmailPreference, MessageRun
from . import message as messages
from .message import MessageType
from .outcome import Outcome, retry_delay
from .run import Run
from .slicing import slices

if TYPE_CHECKING:
    from .resolver import AudienceRow

log = logging.getLogger(__name__)

PRUNE_BATCH = 1000


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A rendered mail, as it is written down when its hand-off begins."""

    channel: str
    subject: str
    message_id: str
    content: bytes | None


@retry_on_deadlock
def claim(
    message: type[MessageType],
    run: Run,
    rows: Sequence[AudienceRow],
    *,
    addresses: dict[int, str],
    record: MessageRun | None,
    starts: Sequence[datetime],
) -> list[EmailLog]:
    """Insert a pending row for each occasion that has none yet, and return those that are ours.

    `addresses` maps user ids to where the mail goes; `starts` gives each row the time before which it must not go.
    Whoever lost the race for a key, in this process or another, finds its row missing from the answer.
    """
    now = timezone.now()
    token = uuid4()
    expires_at = now + (message.expiry(run) - run.now)
    entries = [
        EmailLog(
            recipient_id=row.user_id,
            email_type=message.NAME,
            to_address=run.override or addresses[row.user_id],
            target_id=row.target_id,
            category=message.category,
            priority=message.priority,
            dedupe_key=run.key(row.occasion),
            occasion=row.occasion,
            claim_token=token,
            run=record,
            site_id=run.site_id,
            day=run.day,
            instant=run.now,
            is_test=run.is_test,
            next_attempt_at=start,
            expires_at=expires_at,
            created_at=now,
        )
        for row, start in zip(rows, starts, strict=True)
    ]
    with transaction.atomic():
        ours = insert_if_absent(EmailLog, entries, unique_field="dedupe_key", token_field="claim_token")  # noqa: S106
        accepted = list(message.on_claim(run, ours))
        refused = {row.pk for row in ours} - {row.pk for row in accepted}
        if refused:
            EmailLog.objects.filter(pk__in=refused).delete()
        return accepted


def claimed_already(run: Run, occasions: Iterable[str]) -> set[str]:
    """Return which occasions somebody has claimed, without claiming anything; for dry runs."""
    keys = {run.key(occasion): occasion for occasion in occasions}
    taken = EmailLog.objects.filter(dedupe_key__in=keys).values_list("dedupe_key", flat=True)
    return {keys[key] for key in taken if key is not None}


def last_paced_start(now: datetime) -> datetime:
    """Return the latest start already given to a waiting lifecycle mail, or `now`: paced runs queue up behind it."""
    found = (
        EmailLog.objects.filter(status=words.PENDING, priority__gte=words.NORMAL)
        .order_by()
        .aggregate(last=Max("next_attempt_at"))["last"]
    )
    return max(now, found) if found else now


def waiting_ids(record: MessageRun) -> list[int]:
    """Return the rows of a run that could be sent now: what was just claimed, and what an earlier try left behind."""
    return list(_free().filter(run=record).order_by("priority", "next_attempt_at", "id").values_list("id", flat=True))


def unfinished(*, record: MessageRun | None, log_ids: Sequence[int]) -> int:
    """Count the rows that have not ended: those of a run, or of a test run, which has no record, by their ids."""
    if record is not None:
        return EmailLog.objects.filter(run=record, status__in=(words.PENDING, words.SENDING)).count()
    return sum(
        EmailLog.objects.filter(pk__in=batch, status__in=(words.PENDING, words.SENDING)).count()
        for batch in slices(log_ids, PRUNE_BATCH)
    )


def _free() -> QuerySet[EmailLog]:
    """Return the rows that are due and that no worker holds."""
    now = timezone.now()
    return EmailLog.objects.filter(
        Q(lease_expires_at=None) | Q(lease_expires_at__lt=now),
        status=words.PENDING,
        next_attempt_at__lte=now,
        expires_at__gt=now,
    )


@retry_on_deadlock
def lease(log_ids: Sequence[int]) -> list[EmailLog]:
    """Take the due rows among `log_ids` for this worker, and return them in the order of sending.

    A row that another worker holds, that is not due yet, or that is not pending any more is left out.
    """
    now = timezone.now()
    token = uuid4()
    # The longest lease of any message: it is cut to the message's own when a hand-off begins.
    until = now + max((kind.lease for kind in messages.all_messages()), default=MessageType.lease)
    _free().filter(pk__in=log_ids).update(claim_token=token, lease_expires_at=until, updated_at=now)
    return list(
        EmailLog.objects.filter(pk__in=log_ids, claim_token=token, status=words.PENDING)
        .select_related("recipient", "site")
        .defer("content")
        .order_by("priority", "next_attempt_at", "id")
    )


def begin(row: EmailLog, prepared: Prepared, *, lease: timedelta) -> bool:
    """Turn a leased row to `sending`. False: it was withdrawn or taken over, and must not be handed off."""
    return _step(None, (row, prepared, lease))


def finish_and_begin(done: tuple[EmailLog, Outcome], following: tuple[EmailLog, Prepared, timedelta]) -> bool:
    """Write one mail's outcome and begin the next, in one statement. Returns what `begin` would."""
    return _step(done, following)


def finish(row: EmailLog, outcome: Outcome) -> None:
    """Write one mail's outcome."""
    _step((row, outcome), None)


def _step(done: tuple[EmailLog, Outcome] | None, following: tuple[EmailLog, Prepared, timedelta] | None) -> bool:
    try:
        return _try_step(done, following)
    except (OperationalError, InterfaceError):
        if connection.in_atomic_block:
            raise
        # The connection broke between a hand-off and its record: on a new one the same conditional write says again
        # what happened, and finds it said already if the first one did arrive.
        connection.close()
        return _try_step(done, following)


def _try_step(done: tuple[EmailLog, Outcome] | None, following: tuple[EmailLog, Prepared, timedelta] | None) -> bool:
    if done and messages.get(done[0].email_type).wants_on_finish():
        _finish_with_follower(*done)
        done = None
    now = timezone.now()
    changes: dict[int, dict[str, Any]] = {}
    which = Q()
    if done:
        row, outcome = done
        changes[row.pk] = _finished(row, outcome, now)
        which |= _being_sent(row)
    if following:
        row, prepared, lease_time = following
        changes[row.pk] = {
            "channel": prepared.channel,
            "subject": prepared.subject[:255],
            "message_id": prepared.message_id,
            "content": prepared.content,
            "attempts": row.attempts + 1,
            "lease_expires_at": now + lease_time,
            "status": words.SENDING,
        }
        which |= Q(pk=row.pk, status=words.PENDING, claim_token=row.claim_token)
    if not changes or _write(which, changes, now) == len(changes):
        return True
    return following is not None and _began(following[0])


def _finish_with_follower(row: EmailLog, outcome: Outcome) -> None:
    now = timezone.now()
    with transaction.atomic():
        if EmailLog.objects.filter(_being_sent(row)).update(updated_at=now, **_finished(row, outcome, now)):
            messages.get(row.email_type).on_finish([row])


def _being_sent(row: EmailLog) -> Q:
    # `unknown`: the lease ran out while the provider took its time; the truth is welcome even then.
    return Q(pk=row.pk, status__in=(words.SENDING, words.UNKNOWN), claim_token=row.claim_token)


def _began(row: EmailLog) -> bool:
    return EmailLog.objects.filter(pk=row.pk, status=words.SENDING, claim_token=row.claim_token).exists()


def _finished(row: EmailLog, outcome: Outcome, now: datetime) -> dict[str, Any]:
    """Return the columns an outcome sets, and put them on the row too, for `on_finish`."""
    kind, attempts = messages.get(row.email_type), row.attempts + 1
    status, reason = outcome.status, outcome.reason
    values: dict[str, Any] = {"error_message": outcome.detail, "lease_expires_at": None}
    if status == words.UNKNOWN:
        values["doubts"] = row.doubts + 1
        if row.doubts < kind.resend_unknown:
            status = words.PENDING
    if status == words.PENDING:
        if attempts >= kind.max_attempts:
            status, reason = words.FAILED, f"{words.GAVE_UP}:{reason}" if reason else words.GAVE_UP
        else:
            values["next_attempt_at"] = max(outcome.retry_at or now, now + retry_delay(attempts))
            values["claim_token"] = None
    elif status == words.SENT:
        values["sent_at"] = now
        values["provider_message_id"] = outcome.provider_message_id
    elif status == words.SKIPPED:
        values["dedupe_key"] = None
    values |= {"reason": reason[:100], "status": status}
    for name, value in values.items():
        setattr(row, name, value)
    return values


def _write(which: Q, changes: dict[int, dict[str, Any]], now: datetime) -> int:
    """Set other columns on each of one or two rows in one UPDATE, and return how many rows matched."""
    if len(changes) == 1:
        (values,) = changes.values()
        return EmailLog.objects.filter(which).update(updated_at=now, **values)
    names = {name for values in changes.values() for name in values}
    # MariaDB evaluates SET from left to right, so what the others depend on comes last.
    ordered = sorted(names - {"claim_token", "status"}) + [name for name in ("claim_token", "status") if name in names]
    expressions = {}
    for name in ordered:
        field: Field[Any, Any] = EmailLog._meta.get_field(name)  # type: ignore[assignment]
        cases = [
            When(pk=pk, then=Value(values[name], output_field=field))
            for pk, values in changes.items()
            if name in values
        ]
        expressions[name] = Case(*cases, default=F(name), output_field=field)
    return EmailLog.objects.filter(which).update(updated_at=now, **expressions)


@retry_on_deadlock
def settle(rows: Sequence[EmailLog], outcome: Outcome) -> int:
    """Give leased rows an outcome without a hand-off: skipped, failed, or another attempt later."""
    now = timezone.now()
    settled = 0
    # Rows of one slice differ at most in their number of attempts and token; each such group is one statement.
    groups: dict[tuple[int, UUID | None, str], list[EmailLog]] = {}
    for row in rows:
        groups.setdefault((row.attempts, row.claim_token, row.email_type), []).append(row)
    for (attempts, token, _), group in groups.items():
        values = _finished(group[0], outcome, now)
        for row in group[1:]:
            for name, value in values.items():
                setattr(row, name, value)
        if outcome.status != words.SKIPPED:
            values["attempts"] = attempts + 1
        found = EmailLog.objects.filter(pk__in=[row.pk for row in group], status=words.PENDING, claim_token=token)
        kind = messages.get(group[0].email_type)
        if kind.wants_on_finish():
            with transaction.atomic():
                settled += found.update(updated_at=now, **values)
                kind.on_finish(group)
        else:
            settled += found.update(updated_at=now, **values)
    return settled


@retry_on_deadlock
def release(rows: Sequence[EmailLog]) -> None:
    """Give leased rows back untouched, so that anybody may take them at once."""
    for token in {row.claim_token for row in rows}:
        EmailLog.objects.filter(pk__in=[row.pk for row in rows], status=words.PENDING, claim_token=token).update(
            lease_expires_at=None, updated_at=timezone.now()
        )


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


def _skip(rows: QuerySet[EmailLog], reason: str) -> int:
    return rows.update(
        dedupe_key=None, lease_expires_at=None, updated_at=timezone.now(), reason=reason, status=words.SKIPPED
    )


@retry_on_deadlock
def resolve_doubts() -> dict[str, int]:
    """Decide about rows whose worker fell silent in mid-hand-off, and return {"unknown": n, "resent": n}.

    Such a row is `unknown`. A message with `resend_unknown` 1 sends it again, once.
    """
    now = timezone.now()
    counts = {"unknown": 0, "resent": 0}
    silent = EmailLog.objects.filter(status=words.SENDING, lease_expires_at__lt=now)
    for name in silent.order_by().values_list("email_type", flat=True).distinct():
        rows = silent.filter(email_type=name)
        allowed = messages.get(name).resend_unknown
        counts["resent"] += rows.filter(doubts__lt=allowed).update(
            doubts=F("doubts") + 1,
            next_attempt_at=now,
            lease_expires_at=None,
            claim_token=None,
            updated_at=now,
            reason=words.IN_DOUBT,
            status=words.PENDING,
        )
        # The token stays: should the silent worker still speak, its outcome replaces `unknown`.
        counts["unknown"] += rows.update(
            doubts=F("doubts") + 1, lease_expires_at=None, updated_at=now, reason=words.IN_DOUBT, status=words.UNKNOWN
        )
    return counts


@retry_on_deadlock
def expire() -> int:
    """Skip waiting rows whose time has passed, and return how many."""
    return _skip(EmailLog.objects.filter(status=words.PENDING, expires_at__lte=timezone.now()), words.EXPIRED)


def due_ids(limit: int) -> list[int]:
    """Return the ids of the rows that could be sent now and nobody holds, urgent ones first, then oldest."""
    return list(_free().order_by("priority", "next_attempt_at", "id").values_list("id", flat=True)[:limit])


def prune(*, rows_before: datetime, content_before: datetime) -> dict[str, int]:
    """Delete ended rows and forget contents that are older, in small batches; returns {"rows": n, "contents": n}.

    Rows that are still to be sent stay, whatever their age.
    """
    ended = Q(status__in=[word for word in words.STATUSES if word not in (words.PENDING, words.SENDING)])
    counts = {"rows": 0, "contents": 0}
    old = EmailLog.objects.filter(ended, created_at__lt=rows_before).order_by("created_at").values_list("pk", flat=True)
    while batch := list(old[:PRUNE_BATCH]):
        counts["rows"] += EmailLog.objects.filter(pk__in=batch).delete()[0]
    kept = EmailLog.objects.filter(ended, created_at__lt=content_before).order_by("created_at", "pk")
    after: tuple[datetime, int] | None = None
    while True:
        page = (
            kept if after is None else kept.filter(Q(created_at__gt=after[0]) | Q(created_at=after[0], pk__gt=after[1]))
        )
        found = list(page.values_list("created_at", "pk")[:PRUNE_BATCH])
        if not found:
            return counts
        counts["contents"] += EmailLog.objects.filter(pk__in=[pk for _, pk in found], content__isnull=False).update(
            content=None
        )
        after = found[-1]
