"""Indexes of large tables."""

from __future__ import annotations

from typing import Any

from django.db import models


class SparseIndex(models.Index):
    """An index of those rows only that meet its condition; of all rows where the database cannot do that (MariaDB).

    Django leaves a conditional index out there, and the queries that need it would read the whole table.
    """

    def create_sql(self, model: type[models.Model], schema_editor: Any, using: str = "", **kwargs: Any) -> Any:
        """Return the statement that makes the index."""
        if schema_editor.connection.features.supports_partial_indexes:
            return super().create_sql(model, schema_editor, using, **kwargs)
        whole = models.Index(fields=self.fields, name=self.name)
        return whole.create_sql(model, schema_editor, using, **kwargs)
