"""What the log keeps of a cohort's mails: their body once, and of each what differs."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from uuid import UUID

from django.utils import timezone

from courses.bulk import insert_if_absent

from ..conf import setting
from ..models import EmailBody
from ..models.body import Body
from ..models.content import pack_text
from .shape import Filled

#: A body of one day has rows that were begun a little later, and whose contents go by the row's own time.
GRACE = timedelta(days=2)


def difference(
    filled: Filled, message_uuid: UUID, *, subject: str, headers: Mapping[str, str], today: date
) -> bytes | None:
    """Return the content of a mail that was filled in, and see to it that its body is kept; None: keep it whole.

    Those of the first person of a cohort are: a body holds nothing that is one person's own, and many cohorts have one
    mail, for which a body would take more than it saves.
    """
    shape, texts, uuid = filled.shape, filled.texts.plain, str(message_uuid)
    parts = shape.kept_parts
    if parts is None or not shape.is_shared:
        return None
    if shape.body is None or shape.body.day != today:
        body = Body.of(parts, headers, texts, uuid, day=today)
        row = EmailBody(digest=body.digest, day=today, packed=pack_text(body.as_json))
        insert_if_absent(EmailBody, [row], unique_field="digest")
        shape.body = body
    return shape.body.difference(texts, uuid, subject=subject, headers=headers)


def prune() -> int:
    """Delete the bodies whose rows keep no contents any more, and return how many."""
    before = timezone.now() - timedelta(days=setting("EMAIL_LOG_CONTENT_DAYS")) - GRACE
    deleted, _ = EmailBody.objects.filter(day__lt=before.date()).delete()
    return deleted
