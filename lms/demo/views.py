"""The demo's page: buttons that let something happen, and the mails that came of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import wraps
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import translation
from django.views.decorators.http import require_POST, require_safe

from email_automation import words
from email_automation.models import EmailLog
from email_automation.views import page as pages
from email_automation.views.outbox import LARGEST_ID, title_of

from . import fence, goals, requests
from .deeds import DEEDS, learner

NEWEST = 10
#: Of the mails that came of one deed so many are listed; a course may have many learners.
LISTED = 5

View = Callable[..., HttpResponse]


def way_here() -> tuple[str, str] | None:
    """Return the way from the outbox to this page, where there is one."""
    return (reverse("demo:page"), "Let something happen") if fence.stands() else None


def _in_the_demo(view: View) -> View:
    """Answer in the demo alone, in the language of its report."""

    @wraps(view)
    def guarded(request: HttpRequest, **kwargs: str) -> HttpResponse:
        if not fence.stands():
            raise Http404
        with translation.override("en"):
            return view(request, **kwargs)

    return guarded


@_in_the_demo
@require_safe
def page(request: HttpRequest) -> HttpResponse:
    """Show the buttons, what the last one has done, and the newest mails."""
    person = learner()
    newest = EmailLog.objects.select_related("recipient").defer("content").order_by("-pk")
    name = (person.get_full_name() or person.get_username()) if person else ""
    context: dict[str, Any] = {
        "said": _said(request),
        "deeds": [(key, deed.button, deed.promise.format(name=name)) for key, deed in DEEDS.items()] if person else [],
        "rows": _titled(newest[:NEWEST]),
        "course_home": goals.home_address(),
    }
    since = request.GET.get("since", "")
    if context["said"] and since.isascii() and since.isdigit():
        came = _titled(newest.filter(pk__gt=min(int(since), LARGEST_ID)))
        context |= {"came": came[:LISTED], "more": len(came[LISTED:])}
    return _answer(request, "page", context)


def _answer(request: HttpRequest, name: str, context: dict[str, Any]) -> HttpResponse:
    context["site_name"] = pages.site_name(request)
    response = pages.guarded(HttpResponse(render_to_string(f"demo/{name}.html", context, request=request)))
    response["Content-Language"] = "en"
    # With no referrer at all a browser posts from "Origin: null", which the CSRF check refuses.
    response["Referrer-Policy"] = "same-origin"
    return response


@_in_the_demo
@require_POST
def do(request: HttpRequest, name: str) -> HttpResponse:
    """Let something happen, and lead back to the page, which says what."""
    deed, person = DEEDS.get(name), learner()
    if deed is None or person is None:
        raise Http404
    last = EmailLog.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
    happened = deed.do(person)
    came = EmailLog.objects.filter(pk__gt=last).values_list("status", flat=True)
    messages.info(request, f"{happened} {_in_words(list(came))}")
    return pages.guarded(HttpResponseRedirect(f"{reverse('demo:page')}?since={last}", status=303))


@_in_the_demo
@require_safe
def requests_page(request: HttpRequest) -> HttpResponse:
    """Show who has asked for a licence, how far that is, and what an administrator can decide."""
    rows = [(each, title_of(each.mail.email_type) if each.mail else "") for each in requests.shown()]
    return _answer(request, "requests", {"said": _said(request), "rows": rows, "enterprise": requests.ENTERPRISE.name})


@_in_the_demo
@require_POST
def decide(request: HttpRequest, request_uuid: UUID, decision: str) -> HttpResponse:
    """Approve or decline a request, and lead back to the list, which says what came of it."""
    decided = {"approve": requests.approve, "decline": requests.decline}.get(decision)
    asked = {each.uuid: each for each in requests.requests()}.get(request_uuid)
    if decided is None or asked is None:
        raise Http404
    messages.info(request, decided(asked))
    return pages.guarded(HttpResponseRedirect(reverse("demo:requests"), status=303))


def _said(request: HttpRequest) -> list[str]:
    return [str(text) for text in messages.get_messages(request)]


def _titled(rows: Iterable[EmailLog]) -> list[tuple[EmailLog, str]]:
    return [(row, title_of(row.email_type)) for row in rows]


def _in_words(statuses: Sequence[str]) -> str:
    """Return what became of the mails of one deed."""
    sent = sum(status in words.HANDED_OFF for status in statuses)
    others = Counter(status for status in statuses if status not in words.HANDED_OFF)
    went = {0: "No mail", 1: "One mail"}.get(sent, f"{sent} mails")
    return ", ".join([f"{went} went out", *(f"{number} {status}" for status, number in others.items())]) + "."
