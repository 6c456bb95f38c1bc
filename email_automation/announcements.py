"""Announcements of new content: what is published within one window shares one mail.

The first item opens the window: an outbox entry for the whole course, due when the window ends. What follows until then
is added to it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone

from courses.bulk import locked
from courses.models import ContentItem, Course

from .conf import setting
from .events import owner_sites
from .models import EmailQueue
from .packing import storable
from .pipeline import entries, outbox
from .pipeline import message as messages
from .pipeline.outbox import Fact

NAME = "new_content"
ITEMS, DESCRIPTION = "items", "new_content_description"


def item_ids(entry: EmailQueue) -> list[int]:
    """Return the ids of the items an announcement is about."""
    ids: list[int] = entry.context_data.get(ITEMS, [])
    return ids


def description(entry: EmailQueue) -> str:
    """Return what somebody has said of an announcement, or ''."""
    return str(entry.context_data.get(DESCRIPTION) or "")


def announce(items: Collection[ContentItem]) -> None:
    """Add published items to the open windows of their courses, opening those that are missing.

    Call it in the transaction that publishes. It locks the courses, so that two who publish open one window.
    """
    by_course: dict[int, list[int]] = defaultdict(list)
    for item in items:
        by_course[item.course_id].append(item.pk)
    with transaction.atomic():
        courses = list(locked(Course.objects.filter(pk__in=by_course).order_by("pk")))
        owners = owner_sites(courses)
        for course in courses:
            if not entries.extended(_open(course.pk), ITEMS, by_course[course.pk]):
                _open_window(course.pk, owners[course.pk], {ITEMS: by_course[course.pk]})


def announce_now(course: Course, text: str = "") -> None:
    """Tell a course's learners at once: what `text` says, else what waits in the window, else that there is news.

    Raises ValueError for a text that cannot be stored.
    """
    if not storable(text):
        raise ValueError("content_description: holds a NUL or half a character; allowed is text that can be stored.")
    if not text and (waiting := _open(course.pk)) is not None and outbox.hasten([waiting.pk]):
        return
    context = {DESCRIPTION: text} if text else {}
    _open_window(course.pk, owner_sites([course])[course.pk], context, at_once=True)


def _open(course_id: int) -> EmailQueue | None:
    """Return the open window of a course."""
    return (
        EmailQueue.objects.filter(
            email_type=NAME, target_id=course_id, recipient=None, is_processed=False, scheduled_at__gt=timezone.now()
        )
        .order_by("scheduled_at")
        .first()
    )


def _open_window(course_id: int, site_id: int, context: dict[str, Any], *, at_once: bool = False) -> None:
    now = timezone.now()
    due = now if at_once else now + timedelta(seconds=setting("NEW_CONTENT_WINDOW_SECONDS"))
    fact = Fact(course_id, None, f"{NAME}:{course_id}:{now.isoformat()}", site_id, due, context)
    outbox.trigger(messages.get(NAME), [fact])
