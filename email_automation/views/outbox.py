"""The outbox: what was sent, to look at. For staff who may see the log, and for anybody where DEBUG is on."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.contrib.auth.views import redirect_to_login
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import NoReverseMatch, reverse
from django.utils.translation import gettext_lazy as _
from django.views.decorators.clickjacking import xframe_options_sameorigin
from django.views.decorators.http import require_safe

from ..braze_standin import reader
from ..channels import CAMPAIGN_CHANNEL
from ..models import EmailLog
from ..pipeline import message as messages
from . import page

PAGE_SIZE = 50
LARGEST_ID = 2**63 - 1
#: A mail may show its own styles and inlined pictures and nothing else: a picture fetched here would look to the
#: provider as if the learner had opened the mail.
MAIL_SECURITY = (
    "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; frame-ancestors 'self'"
)
TIMES = (
    ("created_at", _("Planned")),
    ("next_attempt_at", _("Not before")),
    ("expires_at", _("Not after")),
    ("sent_at", _("Sent")),
    ("delivered_at", _("Delivered")),
    ("opened_at", _("Opened")),
    ("clicked_at", _("Clicked")),
)

View = Callable[..., HttpResponse]
#: Names a page beside the outbox as (address, words), or None while there is none.
Way = Callable[[], tuple[str, str] | None]

_ways: list[Way] = []


def also(way: Way) -> None:
    """Have the outbox lead to a page of the project's; `way` is asked each time it is shown."""
    _ways.append(way)


def may_look(request: HttpRequest) -> bool:
    """Return whether the outbox is open to whoever asks."""
    user = request.user
    return settings.DEBUG or (user.is_active and user.is_staff and user.has_perm("email_automation.view_emaillog"))


def for_staff(view: View) -> View:
    """Show a page to those who may look at the outbox; others log in, or find nothing."""

    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if may_look(request):
            return view(request, *args, **kwargs)
        if request.user.is_authenticated:
            raise Http404
        return redirect_to_login(request.get_full_path())

    return guarded


@require_safe
@for_staff
def outbox(request: HttpRequest) -> HttpResponse:
    """List the newest mails, a page at a time; `before` is the id the page ends above."""
    before = request.GET.get("before", "")
    rows = EmailLog.objects.select_related("recipient").defer("content").order_by("-pk")
    if before.isascii() and before.isdigit():
        rows = rows.filter(pk__lt=min(int(before), LARGEST_ID))
    found = list(rows[: PAGE_SIZE + 1])
    context = {
        "rows": [(row, title_of(row.email_type)) for row in found[:PAGE_SIZE]],
        "older": found[PAGE_SIZE - 1].pk if len(found) > PAGE_SIZE else None,
        "later_page": bool(before),
        "ways": _found_ways(),
    }
    return page.answer(request, "outbox.html", context)


@require_safe
@for_staff
def mail(request: HttpRequest, log_id: int) -> HttpResponse:
    """Show one mail: as it was sent, its text and headers, and what became of it."""
    row = _row(log_id)
    context = {
        "row": row,
        "title": title_of(row.email_type),
        "content": row.stored_content(),
        "times": [(label, getattr(row, name)) for name, label in TIMES],
        "admin_url": _admin_url("change", row.pk),
        "explain_url": explain_url(row),
        "ways": _found_ways(),
        "by_campaign": row.channel == CAMPAIGN_CHANNEL,
    }
    if context["by_campaign"]:
        context["delivered"] = reader.delivered_to(row.to_address, dispatch_id=row.provider_message_id)
    return page.guarded(
        page.answer(request, "mail.html", context),
        content_security=f"{page.CONTENT_SECURITY}; frame-src 'self'",
    )


@require_safe
@xframe_options_sameorigin
@for_staff
def mail_html(request: HttpRequest, log_id: int) -> HttpResponse:
    """Return the mail's HTML alone, for the frame of `mail`; it can run and fetch nothing."""
    content = _row(log_id).stored_content()
    if content is None:
        raise Http404
    return page.guarded(HttpResponse(content["html"]), content_security=MAIL_SECURITY)


def _found_ways() -> list[tuple[str, str]]:
    return [found for way in _ways if (found := way()) is not None]


def _row(log_id: int) -> EmailLog:
    return get_object_or_404(EmailLog.objects.select_related("recipient", "run", "course", "site"), pk=log_id)


def title_of(name: str) -> str:
    """Return what people call a message, or its bare name where no app declares it any more."""
    try:
        return messages.get(name).title
    except ValueError:
        return name


def explain_url(row: EmailLog) -> str:
    """Return the address of the page that says why this person got this mail, or ''."""
    try:
        label = messages.get(row.email_type).label()
    except ValueError:
        return ""
    address = _admin_url("explain")
    query = {"message": label, "user": row.recipient.get_username(), "date": row.day or "", "site": row.site_id}
    return f"{address}?{urlencode(query)}" if address else ""


def _admin_url(page_name: str, *args: Any) -> str:
    try:
        return reverse(f"admin:email_automation_emaillog_{page_name}", args=args)
    except NoReverseMatch:
        # A host may leave the admin out.
        return ""
