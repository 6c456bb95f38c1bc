"""Rows by many values of a column, in a statement that is the same for any number of them."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from django.core.exceptions import EmptyResultSet
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import BooleanField, F, Func, Q
from django.db.models.sql.compiler import SQLCompiler

from .bulk import array_of


def among(path: str, values: Collection[Any]) -> Q:
    """Return the condition that a column holds one of some values, like the lookup `in`.

    `path` names the column as `filter` does (`enrollment__user_id`). PostgreSQL gets the values as one array: with one
    parameter for each, reading a statement of 500 takes the driver longer than running it.
    """
    return Q(_Among(F(path), values))


class _Among(Func):
    conditional = True
    output_field = BooleanField()

    def __init__(self, column: F, values: Collection[Any]) -> None:
        super().__init__(column)
        self._values = list(values)

    def as_sql(
        self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, *args: Any, **kwargs: Any
    ) -> tuple[str, tuple[Any, ...]]:
        column, params, values = self._compiled(compiler, connection)
        return f"{column} IN ({', '.join(['%s'] * len(values))})", (*params, *values)

    def as_postgresql(
        self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, *args: Any, **kwargs: Any
    ) -> tuple[str, tuple[Any, ...]]:
        """Return the condition with an array, which PostgreSQL plans as it plans `IN`."""
        column, params, values = self._compiled(compiler, connection)
        kind = self.get_source_expressions()[0].output_field.cast_db_type(connection)
        return f"{column} = ANY(%s::{kind}[])", (*params, array_of(values))

    def _compiled(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper) -> tuple[str, list[Any], list[Any]]:
        if not self._values:
            raise EmptyResultSet
        (column,) = self.get_source_expressions()
        sql, params = compiler.compile(column)
        field = column.output_field
        return sql, list(params), [field.get_db_prep_value(value, connection) for value in self._values]
