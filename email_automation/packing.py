"""Contexts of calls: what somebody's code hands over for a mail, as JSON that waits in the outbox, and back again.

Rows become their ids and are read when the mail is sent, so that it says what is true by then.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from django.db.models import Model
from django.utils.functional import Promise

from courses.models import ContentItem, Course, Enrollment, Meeting, Payment
from courses.validators import WEB_ADDRESS

from . import values
from .links import SiteLinks
from .models import WeeklyProgressReport

#: The key that marks an id in a packed context: {"$row": "courses.course", "id": 17}.
ROW: Final = "$row"
LONGEST: Final = 100_000
#: Whole numbers are smaller, as in a column of a database.
BIG: Final = 2**63
#: What the engine itself puts into every mail.
RESERVED: Final = frozenset({*values.EXAMPLES, "brand", "context"} - {*values.ABOUT})


@dataclass(frozen=True)
class View:
    """How rows are put into words: in which language, and with whose links."""

    language: str
    links: SiteLinks

    def tracked(self, url: str) -> str:
        """Return a web address with the values that track it; '' for what is none, which leads nowhere."""
        try:
            return self.links.tracked(url) if WEB_ADDRESS.match(url) else ""
        except ValueError:
            return ""


#: The rows a context may hold, and what a template sees of each.
SHOWN: Final[Mapping[type[Model], Callable[[Any, View], dict[str, Any]]]] = {
    Course: lambda row, view: values.course(row, url=view.links.course_home(row.key)),
    Enrollment: lambda row, view: values.enrollment(row, language=view.language),
    Payment: lambda row, view: values.payment(row, language=view.language),
    Meeting: lambda row, view: values.meeting(row, language=view.language),
    ContentItem: lambda row, view: values.item(row, url=view.tracked(row.url)),
    WeeklyProgressReport: lambda row, view: values.report(row, language=view.language),
}
_BY_LABEL: Final = {model._meta.label_lower: model for model in SHOWN}
#: What has to be read with a row to put it into words or to know which course it is about.
_RELATED: Final[Mapping[type[Model], tuple[str, ...]]] = {
    Enrollment: ("course",),
    Payment: ("course",),
    Meeting: ("course",),
    ContentItem: ("course",),
    WeeklyProgressReport: ("course",),
}


class Gone(LookupError):
    """A row that a context names is not there any more."""


def packed(context: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return a context as JSON values, rows as their ids.

    Raises ValueError that names the entry and what is allowed: JSON values with finite numbers, and rows of the models
    in `SHOWN`; no name that the engine gives itself.
    """
    if context is None:
        return {}
    if not isinstance(context, Mapping):
        raise ValueError(f"context: must be a dictionary, not {type(context).__name__}.")
    for name in context:
        if not isinstance(name, str) or not name.isidentifier() or name.startswith("_"):
            raise ValueError(
                f"context: {name!r} cannot be a variable of a template; allowed are names such as my_text."
            )
        if name in RESERVED:
            raise ValueError(f"context: {name!r} is given by the engine; use another name.")
    try:
        data = {name: _packed(value, f"context: {name!r}") for name, value in context.items()}
    except RecursionError:
        raise ValueError("context: is nested too deeply, or holds itself.") from None
    if len(json.dumps(data)) > LONGEST:
        raise ValueError(f"context: is longer than {LONGEST} characters as JSON; pass rows or links instead.")
    return data


def _packed(value: Any, where: str) -> Any:
    match value:
        case str():
            if not storable(value):
                raise ValueError(f"{where} holds a NUL or half a character; allowed is text that can be stored.")
            return value
        case None | bool():
            return value
        case int() if -BIG < value < BIG:
            return value
        case float() if value == value and abs(value) != float("inf"):
            return value
        case Promise():
            return str(value)
        case Model() if type(value) in SHOWN:
            if value.pk is None:
                raise ValueError(f"{where} is not saved, so it has no id.")
            return {ROW: value._meta.label_lower, "id": value.pk}
        case Mapping():
            if any(not isinstance(key, str) or not storable(key) for key in value) or ROW in value:
                raise ValueError(f"{where} has a key that is not allowed; allowed are texts other than {ROW!r}.")
            return {key: _packed(item, f"{where}[{key!r}]") for key, item in value.items()}
        case list() | tuple():
            return [_packed(item, f"{where}[{number}]") for number, item in enumerate(value)]
    rows = ", ".join(sorted(model.__name__ for model in SHOWN))
    raise ValueError(f"{where} is a {type(value).__name__}; allowed are JSON values and rows of {rows}.")


def storable(text: str) -> bool:
    """Return whether every database takes a text: PostgreSQL has no place for NUL, and none for half a character."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in text


class Rows:
    """The rows that some packed contexts name, read in one statement for each model."""

    def __init__(self, contexts: Iterable[Mapping[str, Any]]) -> None:
        wanted: dict[type[Model], set[Any]] = {}
        for context in contexts:
            for label, pk in _named(context):
                if label in _BY_LABEL:
                    wanted.setdefault(_BY_LABEL[label], set()).add(pk)
        self._found = {
            model: model._default_manager.select_related(*_RELATED.get(model, ())).in_bulk(ids)
            for model, ids in wanted.items()
        }

    def row(self, packed_row: Any) -> Any:
        """Return the row a packed one stands for. Raises Gone."""
        model = _BY_LABEL.get(packed_row[ROW])
        row = self._found.get(model, {}).get(packed_row["id"]) if model is not None else None
        if row is None:
            raise Gone(f"{packed_row[ROW]} {packed_row['id']}")
        return row

    def shown(self, value: Any, view: View) -> Any:
        """Return a packed value as a template sees it. Raises Gone."""
        if is_row(value):
            return self.shown_row(self.row(value), view)
        if isinstance(value, dict):
            return {key: self.shown(item, view) for key, item in value.items()}
        if isinstance(value, list):
            return [self.shown(item, view) for item in value]
        return value

    def shown_row(self, row: Model, view: View) -> dict[str, Any]:
        """Return a row as a template sees it."""
        return SHOWN[type(row)](row, view)


def is_row(value: Any) -> bool:
    """Return whether a packed value stands for a row."""
    return isinstance(value, dict) and ROW in value


def _named(value: Any) -> Iterable[tuple[str, Any]]:
    if is_row(value):
        yield value[ROW], value["id"]
    elif isinstance(value, dict):
        for item in value.values():
            yield from _named(item)
    elif isinstance(value, list):
        for item in value:
            yield from _named(item)
