"""Statements that are asked again and again about other rows, put together once."""

from __future__ import annotations

from collections.abc import Collection
from functools import lru_cache
from typing import Any

from django.core.exceptions import EmptyResultSet
from django.db import connections
from django.db.models import QuerySet
from django.db.models.sql.compiler import SQLCompiler

from .among import among
from .bulk import array_literal

#: Numbers of ids for which a statement is kept; most batches are full ones.
_LENGTHS = 16


class Kept:
    """The rows of a `values_list`, in the same statement each time."""

    def __init__(self, found: QuerySet[Any]) -> None:
        self._found = found
        self._put_together = lru_cache(maxsize=None)(self._compiled)

    def rows(self) -> list[tuple[Any, ...]]:
        """Return what is stored now, in one statement."""
        using = self._found.db
        return _read(self._found, using, *self._put_together(using))

    def _compiled(self, using: str) -> tuple[str, tuple[Any, ...], Any]:
        compiler = self._found.query.get_compiler(using)
        sql, parameters = compiler.as_sql()
        return sql, parameters, _converters(compiler)


class ByIds:
    """The rows of a `values_list` that some ids name. What the ids are of, `path` says; they are whole numbers above 0.

    For a batch of 50, Django takes longer to put a statement together than to run it and read its rows (measured: 0.8
    of 1.2 ms for one with five joins). Here that is done once for each number of ids.
    """

    def __init__(self, found: QuerySet[Any], path: str) -> None:
        self._found = found
        self._path = path
        self._put_together = lru_cache(maxsize=_LENGTHS)(self._compiled)

    def rows(self, ids: Collection[int]) -> list[tuple[Any, ...]]:
        """Return what is stored now of the rows that these ids name, in one statement; in none if there are no ids."""
        if not ids:
            return []
        using = self._found.db
        # PostgreSQL is given them as one parameter, so that its statement is the same for any number.
        given = [array_literal(ids)] if connections[using].vendor == "postgresql" else list(ids)
        try:
            sql, before, after, converters = self._put_together(using, len(given))
        except EmptyResultSet:  # no row can ever be found, as with `none()`
            return []
        return _read(self._found, using, sql, (*before, *given, *after), converters)

    def _compiled(self, using: str, number: int) -> tuple[str, tuple[Any, ...], tuple[Any, ...], Any]:
        """Return the statement for so many ids, its parameters before and after them, and what its columns go through.

        Raises EmptyResultSet.
        """
        # Ids that nothing has, so that their place among the parameters is known.
        nobody = list(range(-number, 0))
        compiler = self._found.filter(among(self._path, nobody)).query.get_compiler(using)
        sql, parameters = compiler.as_sql()
        as_array = array_literal(nobody)
        place = parameters.index(as_array if as_array in parameters else nobody[0])
        return sql, tuple(parameters[:place]), tuple(parameters[place + number :]), _converters(compiler)


def _converters(compiler: SQLCompiler) -> Any:
    """Return what the columns of a statement go through."""
    return compiler.get_converters([column for column, *_ in compiler.select])


def _read(
    found: QuerySet[Any], using: str, sql: str, parameters: tuple[Any, ...], converters: Any
) -> list[tuple[Any, ...]]:
    with connections[using].cursor() as cursor:
        cursor.execute(sql, parameters)
        rows = list(cursor.fetchall())
    if not converters:
        return rows
    # A compiler of this thread's connection.
    return list(map(tuple, found.query.get_compiler(using).apply_converters(rows, converters)))
