"""Pages of a list, by where the last one ended: no page costs more than another, and nothing is counted."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Self

from django.db.models import Q, QuerySet
from rest_framework.request import Request

from .errors import invalid
from .reading import one_of, whole

ORDERINGS: Final = {
    "created": "created_at",
    "-created": "-created_at",
    "reviewed_at": "reviewed_at",
    "-reviewed_at": "-reviewed_at",
}
SIZE: Final = 20
LARGEST: Final = 100


@dataclass(frozen=True)
class Cursor:
    """The row at which a page begins: its value, its id, and whether the page lies before it."""

    value: datetime | None
    pk: int
    backward: bool

    @classmethod
    def read(cls, text: str) -> Self:
        """Return the cursor of an address. Raises Refused."""
        try:
            value, pk, backward = json.loads(base64.urlsafe_b64decode(text.encode("ascii")))
            moment = None if value is None else datetime.fromisoformat(value)
            if type(pk) is not int or not 0 <= pk < 2**63 or (moment is not None and moment.tzinfo is None):
                raise ValueError
            return cls(moment, pk, bool(backward))
        except (ValueError, TypeError, OverflowError, RecursionError):
            raise invalid("cursor", "what next or previous of a page names") from None

    def __str__(self) -> str:
        value = None if self.value is None else self.value.isoformat()
        return base64.urlsafe_b64encode(json.dumps([value, self.pk, int(self.backward)]).encode()).decode()


def page_of(rows: QuerySet[Any], request: Request) -> tuple[list[Any], dict[str, str | None]]:
    """Return the rows of the page an address asks for, and the addresses of the next and the previous one."""
    query = request.query_params
    chosen = ORDERINGS[one_of("ordering", query.get("ordering", "-created"), list(ORDERINGS))]
    size = min(whole("page_size", query.get("page_size", str(SIZE))), LARGEST)
    cursor = Cursor.read(query["cursor"]) if query.get("cursor") else None
    field, backward = chosen.lstrip("-"), cursor is not None and cursor.backward
    # Read against the order, a page that lies before a row begins right at it.
    falling = chosen.startswith("-") != backward
    found: list[Any] = []
    for part in _parts(rows, field, cursor, falling=falling):
        if len(found) <= size:
            found += part[: size + 1 - len(found)]
    more, found = len(found) > size, found[:size]
    if backward:
        found.reverse()
    links: dict[str, str | None] = {"next": None, "previous": None}
    if found and (more or backward):
        links["next"] = _link(request, Cursor(getattr(found[-1], field), found[-1].pk, False))
    if found and (more if backward else cursor is not None):
        links["previous"] = _link(request, Cursor(getattr(found[0], field), found[0].pk, True))
    return found, links


def _parts(rows: QuerySet[Any], field: str, cursor: Cursor | None, *, falling: bool) -> list[QuerySet[Any]]:
    """Return what follows a cursor, in order: rows with a value and, before or behind them, those without any.

    One statement for each, because the databases do not agree where nothing stands in an order, and an index helps
    only in the order that is a database's own.
    """
    sign, than = ("-", "lt") if falling else ("", "gt")
    known = rows.order_by(f"{sign}{field}", f"{sign}pk")
    unknown: list[QuerySet[Any]] = []
    if rows.model._meta.get_field(field).null:
        known = known.filter(**{f"{field}__isnull": False})
        unknown = [rows.filter(**{f"{field}__isnull": True}).order_by(f"{sign}pk")]
    if cursor is None:
        return [known, *unknown] if falling else [*unknown, known]
    behind = {f"pk__{than}": cursor.pk}
    if cursor.value is None:
        rest = [part.filter(**behind) for part in unknown]
        return rest if falling else [*rest, known]
    # The first term is for the index, which none of the databases finds in the second.
    known = known.filter(
        Q(**{f"{field}__{than}e": cursor.value}), Q(**{f"{field}__{than}": cursor.value}) | Q(**behind)
    )
    return [known, *unknown] if falling else [known]


def _link(request: Request, cursor: Cursor) -> str:
    query = request.query_params.copy()
    query["cursor"] = str(cursor)
    return request.build_absolute_uri(f"{request.path}?{query.urlencode()}")
