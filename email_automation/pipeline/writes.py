"""What the ledger writes into its rows: the columns of a beginning, of an outcome and of a withdrawal.

Only the ledger uses it. The functions that return columns change nothing, so that a write may be tried again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import cache
from typing import Any, NamedTuple

from django.db import connection, transaction
from django.db.models import Case, DateTimeField, F, QuerySet, Value, When
from django.db.models.sql import UpdateQuery
from django.utils import timezone

from courses.bulk import array_literal, locked, retry_on_deadlock

from .. import words
from ..models import EmailLog
from . import message as messages
from . import reading
from .message import MessageType
from .outcome import Outcome

Columns = dict[str, Any]

MAX_DETAIL = 2000
#: Faults of ours that are met before anything is handed off; somebody mends them while the mail still makes sense.
MENDABLE = ("no_channel", "render_error", "broke_off")


class Prepared(NamedTuple):
    """A rendered mail, as it is written down when its hand-off begins."""

    to_address: str
    channel: str
    subject: str
    message_id: str
    content: bytes | None
    course_id: int | None = None
    enrollment_id: int | None = None
    payment_id: int | None = None


def beginning(row: EmailLog, prepared: Prepared, lease: timedelta, *, now: datetime) -> Columns:
    """Return the columns of a row whose hand-off begins."""
    return {
        "to_address": prepared.to_address,
        "course": prepared.course_id,
        "enrollment": prepared.enrollment_id,
        "payment": prepared.payment_id,
        "channel": prepared.channel,
        "subject": prepared.subject[:255],
        "message_id": prepared.message_id,
        "content": prepared.content,
        "attempts": row.attempts + 1,
        "claim_token": row.worker_token or row.claim_token,
        "lease_expires_at": now + lease,
        "status": words.SENDING,
    }


def ending(
    row: EmailLog, outcome: Outcome, now: datetime, *, delay: Callable[[int], timedelta] | None = None
) -> Columns:
    """Return the columns an outcome sets on a row, which decides here whether there is another attempt.

    `delay` gives how long to wait after so many attempts, where that is not the message's own for each row.
    """
    kind, attempts = messages.get(row.email_type), _attempts_used(row, outcome)
    status, reason = outcome.status, outcome.reason
    columns: Columns = {"error_message": storable(outcome.detail), "lease_expires_at": None}
    if status == words.UNKNOWN:
        columns["doubts"] = row.doubts + 1
        if row.doubts < kind.resend_unknown and attempts < kind.max_attempts:
            status = words.PENDING
    elif status == words.PENDING and attempts >= kind.max_attempts:
        status, reason = words.FAILED, f"{words.GAVE_UP}:{reason}" if reason else words.GAVE_UP
    if status in (words.PENDING, words.FAILED):
        columns["attempts"] = attempts
    if status == words.PENDING:
        columns["next_attempt_at"] = max(outcome.retry_at or now, now + (delay or kind.retry_delay)(attempts))
        columns["claim_token"] = None
    elif status == words.SENT:
        columns["sent_at"] = now
        columns["provider_message_id"] = storable(outcome.provider_message_id)[:255]
    elif status == words.SKIPPED and not row.doubts:
        columns["dedupe_key"] = None
    return columns | {"reason": reason[:100], "status": status}


def _attempts_used(row: EmailLog, outcome: Outcome) -> int:
    kind = messages.get(row.email_type)
    if not kind.patient or not (outcome.unreachable or outcome.reason in MENDABLE):
        return row.attempts + 1
    # An outage is no judgement on a mail: it uses up half of its attempts and no more, and `expires_at` ends it.
    half = max(kind.max_attempts // 2, 1)
    return max(row.attempts, min(row.attempts + 1, half))


def storable(text: str) -> str:
    """Return a provider's words as the database takes them."""
    # PostgreSQL takes neither NUL nor half a character, and a provider's answer may hold both.
    return text.encode("utf-8", "replace").decode().replace("\0", "")[:MAX_DETAIL]


def giving_back(reason: str) -> Columns:
    """Return the columns of waiting rows that are withdrawn.

    The key becomes free again, except where an earlier attempt may have reached its recipient.
    """
    key = EmailLog._meta.get_field("dedupe_key")
    return {
        "dedupe_key": Case(When(doubts=0, then=Value(None, output_field=key)), default=F("dedupe_key")),
        "lease_expires_at": None,
        "reason": reason,
        "status": words.SKIPPED,
    }


def lease_end(now: datetime) -> Case:
    """Return when a lease that begins now runs out: each message has its own length."""
    own = [
        When(email_type=kind.NAME, then=Value(now + kind.lease))
        for kind in messages.all_messages()
        if kind.lease != MessageType.lease
    ]
    return Case(*own, default=Value(now + MessageType.lease), output_field=DateTimeField())


def as_written(outcome: Outcome, columns: Columns) -> Outcome:
    """Return an outcome with the status and reason a row got from it."""
    if (outcome.status, outcome.reason) == (columns["status"], columns["reason"]):
        return outcome
    return replace(outcome, status=columns["status"], reason=columns["reason"])


class Change(NamedTuple):
    """Columns for one row, to be set only while the row is ours and in one of some statuses."""

    row: EmailLog
    statuses: tuple[str, ...]
    columns: Columns


def change_each(changes: Sequence[Change], now: datetime) -> set[int]:
    """Set other columns on each of some rows in one statement, and return the ids of the rows that matched.

    Written as SQL: these are the statements of every mail, and putting them together as expressions takes the ORM
    longer than everything else that is done for a mail but rendering it.
    """
    if not changes:
        return set()
    if connection.vendor == "postgresql":
        return _change_by_arrays(changes, now)
    if _change_by_cases(changes, now) == len(changes):
        return {change.row.pk for change in changes}
    # The statement's own time of change says which rows were still ours.
    ids = [change.row.pk for change in changes]
    return set(EmailLog.objects.filter(pk__in=ids, updated_at=now).values_list("pk", flat=True))


def _change_by_arrays(changes: Sequence[Change], now: datetime) -> set[int]:
    """Make one UPDATE for those changes that set the same columns under the same condition, all in one statement.

    A column that is equal for all of them is a parameter, any other an array. So the text does not depend on the
    number of rows, the driver takes it apart once, and a row costs it no parameters.
    """
    groups: dict[tuple[tuple[str, ...], Any, tuple[str, ...]], list[Change]] = {}
    for change in changes:
        groups.setdefault((change.statuses, change.row.claim_token, tuple(change.columns)), []).append(change)
    updates: list[str] = []
    values: list[Any] = []
    for (statuses, token, names), group in groups.items():
        # In the order of ids, so that two writers of the same rows rarely lock each other out.
        group.sort(key=lambda change: change.row.id)
        columns = dict(zip(names, zip(*(change.columns.values() for change in group), strict=True), strict=True))
        apart = tuple(name for name, column in columns.items() if column.count(column[0]) < len(column))
        shared = tuple(name for name in names if name not in apart)
        updates.append(_update(shared, apart, len(statuses)))
        values += [now, *(columns[name][0] for name in shared), array_literal([change.row.id for change in group])]
        values += [array_literal(columns[name]) for name in apart]
        values += [token, *statuses]
    statement = updates[0] if len(updates) == 1 else _together(len(updates)).format(*updates)
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        return {pk for (pk,) in cursor.fetchall()}


@cache
def _update(shared: tuple[str, ...], apart: tuple[str, ...], statuses: int) -> str:
    """Return an UPDATE of PostgreSQL's that gives the ids of its rows. Parameters: the time of change, the value of
    each shared column, the ids, an array for each other column, the token and the statuses.
    """
    table = connection.ops.quote_name(EmailLog._meta.db_table)
    settings = [f"{reading.quoted(name)} = %s" for name in ("updated_at", *shared)]
    settings += [f"{reading.quoted(name)} = v.{reading.quoted(name)}" for name in apart]
    arrays = ", ".join(f"%s::{_kind(name)}[]" for name in ("id", *apart))
    columns = ", ".join(reading.quoted(name) for name in ("id", *apart))
    # Every name in it is a column's, every value a parameter.
    return (
        f"UPDATE {table} AS t SET {', '.join(settings)} FROM unnest({arrays}) AS v({columns}) "  # noqa: S608  (see above)
        f"WHERE t.id = v.id AND t.claim_token = %s AND t.status IN ({', '.join(['%s'] * statuses)}) RETURNING t.id"
    )


@cache
def _together(number: int) -> str:
    """Return one statement, to be filled in, that makes so many UPDATEs and gives all their ids."""
    parts = ", ".join(f"u{index} AS ({{}})" for index in range(number))
    ids = " UNION ALL ".join(f"SELECT id FROM u{index}" for index in range(number))  # noqa: S608  (numbers)
    return f"WITH {parts} {ids}"


def _change_by_cases(changes: Sequence[Change], now: datetime) -> int:
    """Make one UPDATE that chooses each value by the row's id, and return how many rows matched."""
    names = {name for change in changes for name in change.columns}
    # MariaDB evaluates SET from left to right, so what the others depend on comes last.
    ordered = [
        *sorted(names - {"claim_token", "status"}),
        *(name for name in ("claim_token", "status") if name in names),
    ]
    assignments, values = [f"{reading.quoted('updated_at')} = %s"], [_stored("updated_at", now)]
    for name in ordered:
        column, cases = reading.quoted(name), [change for change in changes if name in change.columns]
        first = cases[0].columns[name]
        if len(cases) == len(changes) and all(change.columns[name] == first for change in cases):
            # Most columns of mails that go out together; asking for each row by name costs the database more.
            assignments.append(f"{column} = %s")
            values.append(_stored(name, first))
            continue
        # Ids stand for themselves: the driver takes its time over each parameter.
        whens = " ".join(f"WHEN {change.row.pk:d} THEN %s" for change in cases)
        assignments.append(f"{column} = CASE {reading.quoted('id')} {whens} ELSE {column} END")
        values += [_stored(name, change.columns[name]) for change in cases]
    conditions = []
    held: dict[tuple[Any, tuple[str, ...]], list[int]] = {}
    for row, statuses, _ in changes:
        held.setdefault((row.claim_token, statuses), []).append(row.pk)
    for (token, statuses), ids in held.items():
        among, allowed = ", ".join(map(str, ids)), ", ".join(["%s"] * len(statuses))
        conditions.append(
            f"({reading.quoted('id')} IN ({among}) AND {reading.quoted('claim_token')} = %s "
            f"AND {reading.quoted('status')} IN ({allowed}))"
        )
        values += [_stored("claim_token", token), *statuses]
    table = connection.ops.quote_name(EmailLog._meta.db_table)
    # Every name in it is a column's, every number a row's id, every other value a parameter.
    statement = f"UPDATE {table} SET {', '.join(assignments)} WHERE {' OR '.join(conditions)}"  # noqa: S608  (see above)
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        return int(cursor.rowcount)


def change_and_read(
    rows: QuerySet[EmailLog], ids: Sequence[int], columns: Columns, names: Sequence[str]
) -> list[reading.Values]:
    """Set the same columns on those of `rows` that are among `ids`, and return some fields of each, in one
    statement of PostgreSQL's.
    """
    update: Any = EmailLog._base_manager.all().query.chain(UpdateQuery)
    update.add_update_values(columns)
    statement, given = update.get_compiler(rows.db).as_sql()
    condition, tested = reading.narrowed(rows)
    with connection.cursor() as cursor:
        cursor.execute(
            f"{statement} WHERE {condition} RETURNING {reading.columns(names)}", [*given, array_literal(ids), *tested]
        )
        return reading.values(cursor.fetchall(), names)


def _kind(name: str) -> str:
    """Return a column's type without its length, so that what is too long is refused and not cut off by a cast."""
    return str(reading.field(name).db_type(connection)).partition("(")[0]


def _stored(name: str, value: Any) -> Any:
    return reading.field(name).get_db_prep_save(value, connection=connection)


@retry_on_deadlock
def change_all(rows: QuerySet[EmailLog], columns: Columns, *, kinds: Iterable[type[MessageType]] | None = None) -> int:
    """Set the same columns on rows that are not being handed off, and return how many there were.

    One statement, except for messages that follow outcomes: theirs are told, in the same transaction. `kinds` are
    the messages that `rows` can be of, all of them unless said.
    """
    columns = {"updated_at": timezone.now()} | columns
    followers = [kind for kind in (messages.all_messages() if kinds is None else kinds) if kind.wants_on_finish()]
    if not followers:
        return rows.update(**columns)
    with transaction.atomic():
        changed = rows.exclude(email_type__in=[kind.NAME for kind in followers]).update(**columns)
        for kind in followers:
            found = list(locked(rows.filter(email_type=kind.NAME).order_by("pk")).values_list("pk", flat=True))
            if found:
                told = EmailLog.objects.filter(pk__in=found)
                changed += told.update(**columns)
                kind.on_finish(list(told.defer("content").order_by("pk")))
    return changed
