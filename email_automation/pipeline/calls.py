"""Calls: the mails that somebody's code asks for, whose content is what the code handed over."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from django.db import DatabaseError
from django.db.models import QuerySet

from courses.models import Course

from .. import words
from ..language import chosen_language, wishes_of
from ..links import SiteLinks
from ..models import EmailQueue
from ..packing import Gone, Rows, View, is_row
from .message import MessageType
from .outcome import trace
from .resolver import Draft, Resolver
from .run import Run

log = logging.getLogger(__name__)

#: Entries of a packed context that the engine itself has put there, for test mails: which template, which language.
TEMPLATE, LANGUAGE = "$template", "$language"


class CallResolver(Resolver):
    """Drafts from the outbox entries of calls; the targets are the entries."""

    user_path = "recipient_id"

    def __init__(self, message: type[MessageType]) -> None:
        self._message = message

    def rows(self) -> QuerySet[EmailQueue]:
        """Return every call."""
        return EmailQueue.objects.filter(target_id=None)

    def drafts(self, run: Run, target_ids: Sequence[int]) -> list[Draft]:
        """Return one draft per call, in a constant number of statements.

        One that names a row which is gone, or lacks what the message is made of, is a skip that says so.
        """
        entries = list(self.rows().filter(pk__in=target_ids).select_related("site", "site__configuration"))
        rows = Rows(entry.context_data for entry in entries)
        wishes = wishes_of({entry.recipient_id for entry in entries if entry.recipient_id is not None})
        return [self._draft_or_skip(entry, rows, wishes) for entry in entries]

    def _draft_or_skip(self, entry: EmailQueue, rows: Rows, wishes: Mapping[int, str]) -> Draft:
        try:
            return self._draft(entry, rows, wishes)
        except DatabaseError:
            raise
        except Exception as error:
            # What one caller has handed over must not hold up the others' mails at every attempt.
            log.error("email_queue=%s could not be drafted: %s", entry.pk, trace(error))
            skip = f"{words.INCOMPLETE}:context"
            return Draft(target_id=entry.pk, user_id=entry.recipient_id or 0, skip=skip)

    def _draft(self, entry: EmailQueue, rows: Rows, wishes: Mapping[int, str]) -> Draft:
        user_id = entry.recipient_id or 0
        draft = Draft(target_id=entry.pk, user_id=user_id, template_id=entry.context_data.get(TEMPLATE))
        packed = {name: value for name, value in entry.context_data.items() if name not in (TEMPLATE, LANGUAGE)}
        try:
            about = {name: rows.row(value) for name, value in packed.items() if is_row(value)}
        except Gone:
            draft.skip = words.NO_LONGER_ELIGIBLE
            return draft
        course = _course_of(about)
        draft.course_id = course.pk if course else None
        draft.course_keys = (course.key,) if course else ()
        draft.enrollment_id = getattr(about.get("enrollment"), "pk", None)
        draft.payment_id = getattr(about.get("payment"), "pk", None)
        site_language = getattr(getattr(entry.site, "configuration", None), "language", "")
        asked = entry.context_data.get(LANGUAGE, "")
        draft.language = chosen_language(
            asked, wishes.get(user_id, ""), course.language if course else "", site_language
        )
        links = SiteLinks(
            entry.site,
            source=self._message.owner(),
            campaign=self._message.NAME,
            first_course=course.key if course else "",
        )
        view = View(draft.language, links)
        try:
            draft.shared = rows.shown(packed, view)
        except Gone:
            draft.skip = words.NO_LONGER_ELIGIBLE
            return draft
        context = dict(draft.shared)
        if course is not None and "course" not in draft.shared:
            draft.shared["course"] = rows.shown_row(course, view)
        draft.shared = self._message.called(draft.shared, links) | draft.shared | {"context": context}
        missing = [name for name in self._message.variables if draft.shared.get(name) is None]
        if missing:
            draft.skip = f"{words.INCOMPLETE}:{missing[0]}"
        return draft


def _course_of(about: Mapping[str, Any]) -> Course | None:
    """Return the course that the rows of a call are about: the one named, else an enrolment's or a payment's."""
    courses = [about.get("course"), *(getattr(row, "course", None) for row in about.values())]
    return next((course for course in courses if isinstance(course, Course)), None)
