"""Stock rows: what the files say, put where people edit it."""

from __future__ import annotations

import logging
from collections.abc import Iterator

from django.conf import settings
from django.db import IntegrityError, transaction
from simple_history.utils import bulk_create_with_history, bulk_update_with_history

from courses.bulk import locked, retry_on_deadlock

from ..models import EmailTemplate
from ..pipeline import message as messages
from ..pipeline.message import MessageType
from .edited import Sources
from .stock import sources
from .writer import Unwritable

log = logging.getLogger(__name__)

Key = tuple[str, str]
_SAYS = ("name", "subject", "html_content", "text_content")


def create_default_templates() -> int:
    """Make a stock row for each message and site language that has no row in use, and return how many were made.

    Stock rows whose files have changed are brought up to date, and not counted. Edited rows stay as they are. May run
    beside itself in another process.
    """
    wanted = {(row.email_type, row.language): row for row in _rows()}
    _bring_up_to_date(wanted)
    return len(_insert(wanted))


def _rows() -> Iterator[EmailTemplate]:
    for kind in messages.all_messages():
        for language, _ in settings.LANGUAGES:
            try:
                yield _row(kind, language, sources(kind, language))
            except Unwritable as error:
                log.warning("message=%s language=%s has no stock template: %s", kind.label(), language, error)


def _row(kind: type[MessageType], language: str, written: Sources) -> EmailTemplate:
    return EmailTemplate(
        name=f"{kind.title} ({language})",
        email_type=kind.NAME,
        language=language,
        subject=written.subject,
        html_content=written.html,
        text_content=written.text,
        is_stock=True,
    )


@retry_on_deadlock
def _bring_up_to_date(wanted: dict[Key, EmailTemplate]) -> None:
    with transaction.atomic():
        # Locked, so that an edit saved at the same moment is not written over: it waits, and is no stock row after.
        changed = []
        for row in locked(EmailTemplate.objects.filter(is_stock=True).order_by("pk")):
            new = wanted.get((row.email_type, row.language))
            if new is not None and any(getattr(row, name) != getattr(new, name) for name in _SAYS):
                for name in _SAYS:
                    setattr(row, name, getattr(new, name))
                changed.append(row)
        if changed:
            bulk_update_with_history(changed, EmailTemplate, [*_SAYS], default_change_reason="files changed")


@retry_on_deadlock
def _insert(wanted: dict[Key, EmailTemplate]) -> list[EmailTemplate]:
    """Insert what is missing; after a lost race look again. Every try must find a new winner."""
    known = _taken()
    while True:
        absent = [row for key, row in wanted.items() if key not in known]
        if not absent:
            return []
        try:
            with transaction.atomic():
                return list(bulk_create_with_history(absent, EmailTemplate, default_change_reason="from the files"))
        except IntegrityError:
            found = _taken()
            if found <= known:
                raise
            known = found
            for row in absent:
                row.pk = None
                row._state.adding = True


def _taken() -> set[Key]:
    """Return for which messages and languages there is a row in use, or a stock row that somebody switched off."""
    rows = EmailTemplate.objects.filter(is_active=True) | EmailTemplate.objects.filter(is_stock=True)
    return set(rows.values_list("email_type", "language"))
