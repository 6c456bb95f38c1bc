"""What the stand-in for Braze has delivered, beside the e-mails of the outbox, with previews from our own templates."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from ..braze_standin import reader
from ..braze_standin.reader import Delivered
from ..channels import CAMPAIGN_CHANNEL
from ..conf import setting
from ..models import EmailLog
from . import page
from .outbox import LARGEST_ID, PAGE_SIZE, also, for_staff


@require_safe
@for_staff
def braze(request: HttpRequest) -> HttpResponse:
    """List the newest messages, a page at a time; `before` is the number the page ends above."""
    said = request.GET.get("before", "")
    before = min(int(said), LARGEST_ID) if said.isascii() and said.isdigit() else None
    context: dict[str, Any] = {"stands_in": reader.stands_in(), "url": setting("BRAZE_API_URL")}
    if context["stands_in"]:
        try:
            found = reader.delivered(limit=PAGE_SIZE + 1, before=before)
        except reader.NotRunning:
            context["away"] = True
        else:
            context |= {
                "rows": list(_with_mails(found[:PAGE_SIZE])),
                "older": found[PAGE_SIZE - 1].number if len(found) > PAGE_SIZE else None,
                "later_page": before is not None,
            }
    return page.guarded(
        page.answer(request, "braze.html", context),
        content_security=f"{page.CONTENT_SECURITY}; frame-src 'self'",
    )


def _with_mails(messages: Iterable[Delivered]) -> Iterable[tuple[Delivered, EmailLog | None]]:
    """Yield each message with the row of our log it came from; a request's rows share its id, not their addresses."""
    messages = list(messages)
    rows = EmailLog.objects.filter(
        provider_message_id__in={message.dispatch_id for message in messages}, channel=CAMPAIGN_CHANNEL
    )
    known = {(row.provider_message_id, row.to_address.lower()): row for row in rows.defer("content")}
    for message in messages:
        yield message, known.get((message.dispatch_id, message.email.lower()))


def _way() -> tuple[str, str] | None:
    if CAMPAIGN_CHANNEL not in (getattr(settings, "ACE_ENABLED_CHANNELS", None) or ()) or not reader.stands_in():
        return None
    return reverse("email_automation:outbox-braze"), _("Messages of Braze's stand-in")


also(_way)
