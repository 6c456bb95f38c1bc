"""What the log keeps of a cohort's mails: their body once, and of each what differs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
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
) -> tuple[bytes, Body] | None:
    """Return the content of a mail that was filled in, and the body it refers to; None: keep it whole.

    The body has to be in the log, see `keep`, before a row refers to it. Mails of the first person of a cohort are kept
    whole: a body holds nothing that is one person's own, and many cohorts have one mail, for which a body would take
    more than it saves.
    """
    shape, texts, uuid = filled.shape, filled.texts.plain, str(message_uuid)
    parts = shape.kept_parts
    if parts is None or not shape.is_shared:
        return None
    if shape.body is None or shape.body.day != today:
        shape.body = Body.of(parts, headers, texts, uuid, day=today)
    body = shape.body
    return body.difference(texts, uuid, subject=subject, headers=headers), body


def keep(wanted: Iterable[Body | None]) -> None:
    """See to it that the log has these bodies. New ones are written together: there may be one for every two mails."""
    new = [body for body in wanted if body is not None and not body.is_kept]
    if not new:
        return
    by_digest = {body.digest: body for body in new}
    rows = [
        EmailBody(digest=digest, day=body.day, packed=pack_text(body.as_json)) for digest, body in by_digest.items()
    ]
    insert_if_absent(EmailBody, rows, unique_field="digest")
    for body in new:
        body.is_kept = True


def prune() -> int:
    """Delete the bodies whose rows keep no contents any more, and return how many."""
    before = timezone.now() - timedelta(days=setting("EMAIL_LOG_CONTENT_DAYS")) - GRACE
    deleted, _ = EmailBody.objects.filter(day__lt=before.date()).delete()
    return deleted
