"""Insert a row or write those of its fields that differ, nothing else."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Literal, TypeVar

from django.core.exceptions import ValidationError
from django.db import IntegrityError, models, transaction

from courses.bulk import locked
from courses.models import Course

Word = Literal["created", "changed", "unchanged", "stale"]
Row = TypeVar("Row", bound=models.Model)


def record(
    model: type[Row],
    lookup: dict[str, Any],
    fields: dict[str, Any],
    *,
    reported_at: datetime | None = None,
    save: dict[str, Any] | None = None,
) -> tuple[Row, Word]:
    """Insert the row of a key, or write the fields that differ.

    `reported_at` is the time of the event that tells the facts: one that is older than the newest known for the row is
    "stale" and writes nothing. `save` are arguments for the row's save.
    """
    with transaction.atomic():
        row = locked(model._base_manager.filter(**lookup)).first()
        if row is None:
            new = model(**lookup, **fields, **({"reported_at": reported_at} if reported_at else {}))
            clean(new)
            try:
                with transaction.atomic():
                    new.save(force_insert=True, **(save or {}))
                return new, "created"
            except IntegrityError:
                row = locked(model._base_manager.filter(**lookup)).first()
                if row is None:
                    raise
        return _write_differences(row, fields, reported_at=reported_at, save=save or {})


def _write_differences(
    row: Row, fields: dict[str, Any], *, reported_at: datetime | None, save: dict[str, Any]
) -> tuple[Row, Word]:
    """Write the fields of a stored, locked row that differ."""
    if is_stale(row, reported_at):
        return row, "stale"
    written = assign(row, fields)
    if written:
        if reported_at is not None:
            row.reported_at = reported_at  # type: ignore[attr-defined]  # a caller's model has it
            written.append("reported_at")
        if any(field.name == "modified" for field in row._meta.concrete_fields):
            written.append("modified")
        row.save(update_fields=written, **save)
        return row, "changed"
    if reported_at is not None and row.reported_at != reported_at:  # type: ignore[attr-defined]  # a caller's model has it
        # Not a change that anybody hears of, but later events are compared with it.
        type(row)._base_manager.filter(pk=row.pk).update(reported_at=reported_at)
        row.reported_at = reported_at  # type: ignore[attr-defined]  # a caller's model has it
    return row, "unchanged"


def check_key(name: str, value: str) -> None:
    """Refuse an empty key, which would find a row that has none."""
    if not value:
        raise ValidationError({name: "must not be empty."})


def is_stale(row: models.Model | None, reported_at: datetime | None) -> bool:
    """Tell whether something newer than a report is already known of a row."""
    newest = getattr(row, "reported_at", None)
    return reported_at is not None and newest is not None and reported_at < newest


def assign(row: models.Model, fields: dict[str, Any]) -> list[str]:
    """Set and check the fields of a row that differ; return their names."""
    before = {name: getattr(row, name) for name in fields}
    for name, value in fields.items():
        setattr(row, name, value)
    clean(row, fields)
    return [name for name in fields if getattr(row, name) != before[name]]


def clean(row: models.Model, only: Iterable[str] | None = None) -> None:
    """Check and normalise a row's values; what needs a query (uniqueness, relations) is left to the database."""
    if isinstance(row, Course):
        row.fill_from_key()
    checked = [
        field
        for field in row._meta.concrete_fields
        if not field.is_relation and not field.primary_key and (only is None or field.name in only)
    ]
    for field in checked:
        _check_told(field, getattr(row, field.attname))
    row.clean_fields(exclude={field.name for field in row._meta.concrete_fields if field not in checked})


def _check_told(field: "models.Field[Any, Any]", value: Any) -> None:
    """Refuse what Django's own checks let through.

    That is null in a field that may be blank, a time without a zone, and a time where a day is asked for: which day it
    is depends on somebody's clock.
    """
    written_by_django = getattr(field, "auto_now", False) or getattr(field, "auto_now_add", False)
    if value is None and not field.null and not written_by_django:
        raise ValidationError({field.name: "must not be null."})
    if isinstance(value, datetime) and value.tzinfo is None:
        raise ValidationError({field.name: "must have a time zone. Allowed: for example 2026-03-01T00:00:00Z."})
    if isinstance(value, datetime) and field.get_internal_type() == "DateField":
        raise ValidationError({field.name: "must be a day. Allowed: for example 2026-03-01."})
