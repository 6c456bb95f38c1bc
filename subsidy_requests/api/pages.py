"""Pages of a list, by where the last one ended: no page costs more than another, and nothing is counted."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Self

from django.db.models import F, Q, QuerySet
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
    if cursor is not None:
        rows = rows.filter(_behind(field, cursor, falling=falling))
    # Rows without a value come last in a falling order and first in a rising one, on every database.
    order = F(field).desc(nulls_last=True) if falling else F(field).asc(nulls_first=True)
    found = list(rows.order_by(order, "-pk" if falling else "pk")[: size + 1])
    more, found = len(found) > size, found[:size]
    if backward:
        found.reverse()
    links: dict[str, str | None] = {"next": None, "previous": None}
    if found and (more or backward):
        links["next"] = _link(request, Cursor(getattr(found[-1], field), found[-1].pk, False))
    if found and (more if backward else cursor is not None):
        links["previous"] = _link(request, Cursor(getattr(found[0], field), found[0].pk, True))
    return found, links


def _behind(field: str, cursor: Cursor, *, falling: bool) -> Q:
    later = {"pk__lt": cursor.pk} if falling else {"pk__gt": cursor.pk}
    if cursor.value is None:
        same = Q(**{f"{field}__isnull": True}, **later)
        return same if falling else same | Q(**{f"{field}__isnull": False})
    same = Q(**{field: cursor.value}, **later)
    beyond = Q(**{f"{field}__lt" if falling else f"{field}__gt": cursor.value})
    return same | beyond | (Q(**{f"{field}__isnull": True}) if falling else Q())


def _link(request: Request, cursor: Cursor) -> str:
    query = request.query_params.copy()
    query["cursor"] = str(cursor)
    return request.build_absolute_uri(f"{request.path}?{query.urlencode()}")
