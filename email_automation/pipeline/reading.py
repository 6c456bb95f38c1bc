"""Rows of the log by their ids, read as plain values: the ORM and the driver take their time over each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import cache
from typing import Any

from django.db import connection
from django.db.models import DateTimeField, Field, QuerySet

from courses.bulk import array_literal

from ..models import EmailLog

Values = tuple[Any, ...]


def field(name: str) -> Field[Any, Any]:
    """Return a field of the log."""
    found: Any = EmailLog._meta.get_field(name)
    stored: Field[Any, Any] = found
    return stored


@cache
def quoted(name: str) -> str:
    """Return the column of a field as SQL names it."""
    return connection.ops.quote_name(str(field(name).column))


def of(rows: QuerySet[EmailLog], ids: Sequence[int], names: Sequence[str]) -> list[Values]:
    """Return some fields of those of `rows` that are among `ids`, in one statement."""
    if connection.vendor != "postgresql":
        return list(rows.filter(pk__in=ids).values_list(*names))
    condition, tested = narrowed(rows)
    table = connection.ops.quote_name(EmailLog._meta.db_table)
    statement = f"SELECT {columns(names)} FROM {table} WHERE {condition}"  # noqa: S608  (columns; values are parameters)
    with connection.cursor() as cursor:
        cursor.execute(statement, [array_literal(ids), *tested])
        return values(cursor.fetchall(), names)


def narrowed(rows: QuerySet[EmailLog]) -> tuple[str, Sequence[Any]]:
    """Return a condition of PostgreSQL's for those of `rows` that are among some ids, and its parameters after the
    first, which is an array of ids.

    Nothing but the ids is looked up in an index: while PostgreSQL takes the table for smaller than it is, it would read
    all rows of some messages instead.
    """
    condition, tested = rows.query.get_compiler(rows.db).compile(rows.query.where)
    return f"{quoted('id')} = ANY(%s::bigint[]) AND ({condition}) IS TRUE", tested


def columns(names: Sequence[str]) -> str:
    """Return the columns of some fields, to be selected and read by `values`."""
    # The driver's own way of reading a moment, in a zone of Django's, takes ten times as long.
    return ", ".join(f"{quoted(name)}::text" if _is_moment(name) else quoted(name) for name in names)


def values(found: Iterable[Values], names: Sequence[str]) -> list[Values]:
    """Return rows that were selected by `columns`, with their moments as such."""
    moments = [position for position, name in enumerate(names) if _is_moment(name)]
    return [_with_moments(row, moments) for row in found]


def _with_moments(row: Values, positions: Sequence[int]) -> Values:
    read = list(row)
    for position in positions:
        if read[position] is not None:
            read[position] = datetime.fromisoformat(read[position])
    return tuple(read)


def _is_moment(name: str) -> bool:
    return isinstance(field(name), DateTimeField)
