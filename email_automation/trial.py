"""Test mails of a template: to whoever edits it, made of example values, whatever its state."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.utils import timezone

from . import words
from .models import EmailLog, EmailQueue, EmailTemplate
from .packing import RESERVED
from .pipeline import message as messages
from .pipeline import outbox
from .pipeline.calls import LANGUAGE, TEMPLATE
from .templating.checking import samples

#: A test mail that could not go out while somebody looked at the page is not wanted any more.
LIFETIME = timedelta(minutes=30)


def send_test(template: EmailTemplate, user: Any, *, language: str = "") -> EmailLog | None:
    """Send a stored template to a person with example values, and return the mail's row; None when it was not claimed.

    The row's status and reason say what became of it. It is a test mail: no link in it can opt anybody out.
    """
    kind = messages.get(template.email_type)
    context = {name: value for name, value in samples(kind).items() if name not in RESERVED}
    now = timezone.now()
    entry = EmailQueue(
        recipient=user,
        email_type=kind.NAME,
        site_id=settings.SITE_ID,
        context_data=context | {TEMPLATE: template.pk, LANGUAGE: language or template.language},
        priority=words.HIGH,
        scheduled_at=now,
        expires_at=now + LIFETIME,
    )
    outbox.send_now([entry])
    return EmailLog.objects.filter(queued=entry.pk).first()
