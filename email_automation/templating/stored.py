"""The templates that people have switched on, as this process knows them: compiled, and looked at again on demand.

Nothing here asks the database but `refresh`, which delivery calls once for each slice of mails.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Final

from django.db.models import F, TextField, Value
from django.db.models.functions import MD5, Concat

from courses.statements import Kept

from ..pipeline import message as messages
from . import frame
from .edited import Edited, Sources
from .errors import TemplateError

if TYPE_CHECKING:
    from ..models import EmailTemplate

log = logging.getLogger(__name__)

#: What a row says, as one short text. The time of its last change would not do: `update()` leaves it alone.
_SAYS: Final = MD5(
    Concat(F("subject"), Value("\x1f"), F("html_content"), Value("\x1f"), F("text_content"), output_field=TextField())
)


@dataclass(frozen=True)
class _Row:
    says: str
    key: tuple[str, str]
    #: None when the row does not compile.
    edited: Edited | None


@dataclass
class _Known:
    """Replaced as a whole, never changed, so that readers need no lock."""

    rows: Mapping[int, _Row] = field(default_factory=dict)
    by_key: Mapping[tuple[str, str], _Row] = field(default_factory=dict)


_known = _Known()
_lock = threading.Lock()
_forced: ContextVar[tuple[str, Edited | None] | None] = ContextVar("email_automation_forced_template", default=None)


def refresh() -> None:
    """Look which rows are active, and compile those that are new or say something else. One statement, or two.

    A row that does not compile is logged once per version, and the message's files are used in its place.
    """
    # Backends are made before models can be imported, where a project renders something that early.
    from ..models import EmailTemplate

    global _known
    # Held while the database is asked, so that an older answer never replaces a newer one.
    with _lock:
        before, rows, changed = _known.rows, {}, []
        for pk, email_type, language, says in _active().rows():
            known, key = before.get(pk), (email_type, language.lower())
            rows[pk] = _Row(says, key, known.edited if known else None)
            if known is None or known.says != says or known.key[0] != email_type:
                changed.append(pk)
        for row in EmailTemplate.objects.filter(pk__in=changed) if changed else ():
            rows[row.pk] = _Row(rows[row.pk].says, rows[row.pk].key, _compiled(row))
        _known = _Known(rows, {row.key: row for row in rows.values()})


@cache
def _active() -> Kept:
    """Return what reads the rows that are switched on."""
    from ..models import EmailTemplate

    active = EmailTemplate.objects.filter(is_active=True, is_stock=False)
    return Kept(active.values_list("pk", "email_type", "language", _SAYS))


def current(email_type: str, language: str) -> Edited | None:
    """Return what people have written for a message in a language, or in all; None when its files are to be used."""
    forced = _forced.get()
    if forced is not None and forced[0] == email_type:
        return forced[1]
    by_key = _known.by_key
    row = by_key.get((email_type, language.lower())) or by_key.get((email_type, ""))
    return row.edited if row else None


@contextmanager
def using(row: EmailTemplate) -> Iterator[None]:
    """Have mails of the row's message made of this row, active or not, in whatever language, in this thread only.

    For previews and test mails. Raises TemplateError when it does not compile.
    """
    with forced(row.email_type, Edited(sources_of(row))):
        yield


@contextmanager
def forced(email_type: str, edited: Edited | None) -> Iterator[None]:
    """Have mails of a message made of this, None: of its files, in this thread only."""
    token = _forced.set((email_type, edited))
    try:
        yield
    finally:
        _forced.reset(token)


def forget() -> None:
    """Know nothing, as a new process does."""
    global _known
    _known = _Known()


def sources_of(row: EmailTemplate) -> Sources:
    """Return what a row says."""
    return Sources(row.subject, row.html_content, row.text_content)


def _compiled(row: EmailTemplate) -> Edited | None:
    try:
        if not frame.takes_content(messages.get(row.email_type)):
            raise TemplateError("the message's own body.html has no block named content")
        return Edited(sources_of(row))
    except (TemplateError, ValueError) as error:
        log.error("email_template=%s cannot be used, the files of %s are: %s", row.pk, row.email_type, error)
        return None


def _after_fork() -> None:
    global _lock
    # Another thread of the parent may have held it.
    _lock = threading.Lock()


os.register_at_fork(after_in_child=_after_fork)
