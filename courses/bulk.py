"""Writing many rows at once, safely beside other writers, on every database we support."""

import random
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from datetime import date, datetime
from decimal import Decimal
from functools import wraps
from itertools import islice, repeat
from operator import attrgetter, is_
from types import NoneType
from typing import Any, ParamSpec, TypeVar
from uuid import UUID

from django.db import IntegrityError, OperationalError, connections, models, router, transaction
from django.db.models import Field, Q, QuerySet
from django.db.models.base import ModelState

Row = TypeVar("Row", bound=models.Model)
P = ParamSpec("P")
T = TypeVar("T")

MAX_TRIES = 5
FIRST_PAUSE = 0.05

POSTGRESQL_DEADLOCK = "40P01"
POSTGRESQL_SERIALIZATION = "40001"
MARIADB_DEADLOCK = 1213
MARIADB_LOCK_WAIT = 1205


def slices(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Yield lists of at most `size` items, in order, reading no further ahead than one list."""
    stream = iter(items)
    while batch := list(islice(stream, size)):
        yield batch


def copy_of(pattern: Row, **columns: Any) -> Row:
    """Return a copy of a row that is not stored, with other values in the columns named (`recipient_id`).

    A tenth of the time that making the row from all its values takes, which counts where thousands are alike.
    """
    row = pattern.__class__.__new__(pattern.__class__)
    row.__dict__.update(pattern.__dict__, **columns)
    row._state = ModelState()
    return row


def insert_if_absent(
    model: type[Row], rows: Iterable[Row], *, unique_field: str | Sequence[str], token_field: str | None = None
) -> list[Row]:
    """Insert the rows whose key is not stored yet and return those that are ours, with their ids.

    `unique_field` names the unique column, or the columns of a unique constraint. Rows with a null in the key are
    always inserted. Of rows with an equal key in one call the first wins. Rows are written in key order, so that two
    callers with the same keys queue up instead of blocking each other.

    PostgreSQL says itself which rows it has inserted. Elsewhere `token_field` helps: all rows carry one value that no
    other caller uses, and the rows that afterwards carry our token are ours; nothing is ever rolled back, which suits
    many callers that fight for the same keys. Without it, a caller that lost the race for one key starts again from
    what is stored by then.

    Returned are the very objects that were passed in. Errors other than a duplicate key are raised.
    """
    names = [unique_field] if isinstance(unique_field, str) else list(unique_field)
    attnames = [_attname(model, name) for name in names]
    keyless: list[Row] = []
    by_key: dict[tuple[Any, ...], Row] = {}
    for row in rows:
        key = tuple(getattr(row, attname) for attname in attnames)
        if None in key:
            keyless.append(row)
        else:
            by_key.setdefault(key, row)
    ordered = {key: by_key[key] for key in sorted(by_key)}
    tokens = {getattr(row, token_field) for row in by_key.values()} if token_field else set()
    if len(tokens) > 1 or None in tokens:
        raise ValueError(f"all rows must carry one and the same {token_field}")
    using = router.db_for_write(model)
    with transaction.atomic(using=using):
        if connections[using].vendor == "postgresql":
            inserted = _insert_arrays_or_start_again(model, ordered, attnames=attnames, using=using)
        elif token_field is None:
            inserted = _insert_or_start_again(model, ordered, attnames=attnames, using=using)
        else:
            inserted = _insert_and_read_tokens(model, ordered, names=names, token_field=token_field, using=using)
        _insert_plain(model, keyless, using=using)
    return inserted + keyless


def _attname(model: type[models.Model], name: str) -> str:
    """Return the attribute that holds the stored value of a field (`course_id` for `course`)."""
    attname = getattr(model._meta.get_field(name), "attname", None)
    if attname is None:
        raise ValueError(f"{model.__name__}.{name} is not stored in a column of its own")
    return str(attname)


def _insert_arrays_or_start_again(
    model: type[Row], by_key: dict[tuple[Any, ...], Row], *, attnames: list[str], using: str
) -> list[Row]:
    """Insert what is missing in a savepoint, once more without the keys that a faster writer has taken meanwhile.

    A second unique column can notice another writer's row before the key does; then the statement fails although
    nothing is wrong. Every try must find a new winner.
    """
    while by_key:
        try:
            with transaction.atomic(using=using):
                return _insert_arrays(model, by_key, attnames=attnames, using=using)
        except IntegrityError:
            taken = _stored_ids(model, list(by_key), attnames=attnames, using=using)
            if not taken:
                raise
            by_key = {key: row for key, row in by_key.items() if key not in taken}
    return []


def _insert_arrays(
    model: type[Row], by_key: dict[tuple[Any, ...], Row], *, attnames: list[str], using: str
) -> list[Row]:
    """Insert with one array per column, and one value for a column that is equal in all rows (PostgreSQL).

    One statement whatever the number of rows, several times faster than a VALUES list of thousands of parameters.
    """
    connection = connections[using]
    quote = connection.ops.quote_name
    expressions, values = [], []
    fields = [field for field in model._meta.concrete_fields if not field.primary_key and not field.generated]
    rows = list(by_key.values())
    _set_what_saving_sets(rows, fields)
    for field, column in zip(fields, _columns(rows, fields), strict=True):
        kind = field.db_type(connection)
        # The very same value in all rows, as most columns of rows that are planned together have, is prepared once.
        alike = field.attname not in attnames and all(map(is_, column, repeat(column[0])))
        prepared = [field.get_db_prep_save(value, connection=connection) for value in (column[:1] if alike else column)]
        if alike or (field.attname not in attnames and all(value == prepared[0] for value in prepared)):
            expressions.append(f"%s::{kind}")
            values.append(prepared[0])
        else:
            expressions.append(f"unnest(%s::{kind}[])")
            values.append(array_of(prepared))
    keys = ", ".join(quote(_column(model, attname)) for attname in attnames)
    statement = (
        f"INSERT INTO {quote(model._meta.db_table)} ({', '.join(quote(str(field.column)) for field in fields)}) "
        f"SELECT {', '.join(expressions)} ON CONFLICT ({keys}) DO NOTHING "
        f"RETURNING {keys}, {quote(str(model._meta.pk.column))}"
    )
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        ids = {tuple(found[:-1]): found[-1] for found in cursor.fetchall()}
    return _marked_as_stored(by_key, ids, using=using)


def _columns(rows: Sequence[models.Model], fields: Sequence["Field[Any, Any]"]) -> Iterable[tuple[Any, ...]]:
    """Return the values of some rows by field, as they are before the database has them."""
    if len(fields) == 1:
        return [tuple(map(attrgetter(fields[0].attname), rows))]
    return zip(*map(attrgetter(*(field.attname for field in fields)), rows), strict=True)


def _set_what_saving_sets(rows: Sequence[models.Model], fields: Sequence["Field[Any, Any]"]) -> None:
    """Give rows the values that fields make themselves; what one statement writes has one time."""
    for field in fields:
        if isinstance(field, models.DateField | models.TimeField):
            if field.auto_now or field.auto_now_add:
                now = field.pre_save(rows[0], add=True)
                for row in rows:
                    setattr(row, field.attname, now)
        elif type(field).pre_save is not Field.pre_save:
            for row in rows:
                field.pre_save(row, add=True)


def array_of(values: list[Any]) -> list[Any] | str:
    """Return values as the driver takes them for an array of PostgreSQL's, see `array_literal`."""
    return array_literal(values) if _PLAIN.issuperset(map(type, values)) else values


def array_literal(values: Collection[Any]) -> str:
    """Return texts, numbers, truth values, times, uuids, bytes and Nones as PostgreSQL writes an array.

    The driver looks at each element of a list by itself and takes four times as long.
    """
    kinds = set(map(type, values))
    if kinds == {int}:
        return f"{{{','.join(map(str, values))}}}"
    if kinds == {str}:
        joined = '","'.join(values)
        if "\\" not in joined and joined.count('"') == 2 * len(values) - 2:
            return f'{{"{joined}"}}'
    return f"{{{','.join(map(_element, values))}}}"


#: What `array_literal` takes; of exactly these types, since a subclass may be written in another way.
_PLAIN = frozenset({str, int, bool, float, Decimal, date, datetime, UUID, bytes, NoneType})


def _element(value: Any) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, bytes):
        return f'"\\\\x{value.hex()}"'
    text = str(value)
    if "\\" in text or '"' in text:
        text = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'


def _column(model: type[models.Model], attname: str) -> str:
    """Return the column behind an attribute."""
    return next(str(field.column) for field in model._meta.concrete_fields if field.attname == attname)


def _marked_as_stored(by_key: dict[tuple[Any, ...], Row], ids: dict[tuple[Any, ...], Any], *, using: str) -> list[Row]:
    """Give the rows whose key is in `ids` their id, and return them."""
    stored = []
    for key, row in by_key.items():
        if key in ids:
            row.pk = ids[key]
            row._state.adding = False
            row._state.db = using
            stored.append(row)
    return stored


def _insert_or_start_again(
    model: type[Row], by_key: dict[tuple[Any, ...], Row], *, attnames: list[str], using: str
) -> list[Row]:
    """Insert what is missing in a savepoint; after a lost race look again. Every try must find a new winner."""
    known = set(_stored_ids(model, list(by_key), attnames=attnames, using=using))
    while True:
        absent = [row for key, row in by_key.items() if key not in known]
        if not absent:
            return []
        try:
            with transaction.atomic(using=using):
                _insert_plain(model, absent, using=using)
            return absent
        except IntegrityError:
            found = set(_stored_ids(model, list(by_key), attnames=attnames, using=using))
            if found <= known:
                raise
            known = found
            for row in absent:
                row.pk = None
                row._state.adding = True


def _insert_and_read_tokens(
    model: type[Row], by_key: dict[tuple[Any, ...], Row], *, names: list[str], token_field: str, using: str
) -> list[Row]:
    """Insert beside whatever is stored, then ask whose token each key carries."""
    if not by_key:
        return []
    rows = list(by_key.values())
    token = getattr(rows[0], token_field)
    # SQLite and MariaDB translate ignore_conflicts into INSERT OR/IGNORE, which also hides NOT NULL and foreign key
    # errors; rewriting the key with itself does not.
    targets = names if connections[using].features.supports_update_conflicts_with_target else None
    model._base_manager.using(using).bulk_create(
        rows, update_conflicts=True, update_fields=names, unique_fields=targets
    )
    attnames = [_attname(model, name) for name in names]
    ours = _stored_ids(model, list(by_key), attnames=attnames, using=using, only=Q(**{token_field: token}))
    return _marked_as_stored(by_key, ours, using=using)


def _insert_plain(model: type[Row], rows: list[Row], *, using: str) -> None:
    """Insert rows and give them their ids, also where the database returns none for a batch (MySQL)."""
    if not rows:
        return
    if connections[using].features.can_return_rows_from_bulk_insert:
        model._base_manager.using(using).bulk_create(rows)
        return
    for row in rows:
        models.Model.save_base(row, force_insert=True, using=using, raw=True)


def _stored_ids(
    model: type[models.Model], keys: list[tuple[Any, ...]], *, attnames: list[str], using: str, only: Q | None = None
) -> dict[tuple[Any, ...], Any]:
    """Return {key: id} of the stored rows with these keys, in one query."""
    if not keys:
        return {}
    found = model._base_manager.using(using).filter(any_of(keys, attnames=attnames))
    if only is not None:
        found = found.filter(only)
    return {row[1:]: row[0] for row in found.values_list("pk", *attnames)}


def any_of(keys: Sequence[tuple[Any, ...]], *, attnames: Sequence[str]) -> Q:
    """Return the condition "the columns `attnames` hold one of these keys"."""
    if len(attnames) == 1:
        return Q(**{f"{attnames[0]}__in": [key[0] for key in keys]})
    # Grouped by the column with the fewest values: one OR term per group.
    few = min(range(len(attnames)), key=lambda position: len({key[position] for key in keys}))
    groups: dict[Any, list[tuple[Any, ...]]] = {}
    for key in keys:
        groups.setdefault(key[few], []).append(key[:few] + key[few + 1 :])
    others = [*attnames[:few], *attnames[few + 1 :]]
    condition = Q()
    for value, rests in groups.items():
        condition |= Q(**{attnames[few]: value}) & any_of(rests, attnames=others)
    return condition


def locked(queryset: "QuerySet[Row]") -> "QuerySet[Row]":
    """Lock the rows against other writers until the transaction ends, but not against rows that refer to them."""
    features = connections[queryset.db].features
    return queryset.select_for_update(no_key=features.has_select_for_no_key_update)


def retry_on_deadlock(function: Callable[P, T]) -> Callable[P, T]:
    """Run a function again, up to five times with growing random pauses, when the database broke a lock cycle.

    Only the outermost call can do so: inside somebody's transaction the error is passed on, because half of that
    transaction would be missing.
    """

    @wraps(function)
    def retried(*args: P.args, **kwargs: P.kwargs) -> T:
        for attempt in range(1, MAX_TRIES + 1):
            try:
                return function(*args, **kwargs)
            except OperationalError as error:
                if attempt == MAX_TRIES or transaction.get_connection().in_atomic_block or not is_deadlock(error):
                    raise
            time.sleep(random.uniform(0.5, 1.5) * FIRST_PAUSE * 2**attempt)  # noqa: S311 (no secret)
        raise AssertionError("the last attempt returns or raises")

    return retried


def is_deadlock(error: BaseException) -> bool:
    """Tell whether an error means "lock cycle or lock timeout, try again"."""
    if not isinstance(error, OperationalError):
        return False
    if _sqlstate(error) in (POSTGRESQL_DEADLOCK, POSTGRESQL_SERIALIZATION):
        return True
    if error.args and error.args[0] in (MARIADB_DEADLOCK, MARIADB_LOCK_WAIT):
        return True
    return "is locked" in str(error)


def transaction_is_lost(error: BaseException) -> bool:
    """Tell whether the database has already given up the whole transaction, savepoints included."""
    if not isinstance(error, OperationalError):
        return False
    return _sqlstate(error) == POSTGRESQL_SERIALIZATION or bool(error.args and error.args[0] == MARIADB_DEADLOCK)


def _sqlstate(error: BaseException) -> str | None:
    """Return PostgreSQL's five-letter code of an error, when it has one."""
    return getattr(error.__cause__, "sqlstate", None)
