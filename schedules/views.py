"""The pages on which authors write highlights. They work as plain pages; a script opens the editors as dialogs.

Whoever asks for JSON, as the script does when it saves, is answered `{"message": ...}`, or, with the status of the
page, `{"error": {"code", "message", "faults": [{"code", "number", "length", "message"}]}}`. The error "conflict" also
holds the texts that are `stored` and what to send as `shown` to replace them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import wraps
from typing import Any
from urllib.parse import urlsplit

from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.template.loader import render_to_string
from django.templatetags.static import static
from django.urls import reverse
from django.utils import translation
from django.utils.cache import patch_vary_headers
from django.utils.translation import gettext as _
from django.views.decorators.csrf import csrf_protect
from django.views.decorators.http import require_http_methods, require_safe
from opaque_keys import InvalidKeyError
from opaque_keys.edx.keys import CourseKey

from courses.models import Course, Section
from courses.switches import switch_is_active
from courses.validators import HIGHLIGHT_LENGTH
from email_automation.views import page

from .highlights import MOST_TEXTS, ChangedMeanwhile, Fault, faults, fingerprint, save, switch_messaging, written
from .messages.course_update import LAST_WEEK
from .outline import outline_of

SWITCH = "dynamic_pacing.studio_course_update"
PERMISSION = "courses.change_section"
STYLE = "schedules/authoring.css"
SCRIPT = "schedules/authoring.js"
TURN = {"on": True, "off": False}

log = logging.getLogger(__name__)

View = Callable[..., HttpResponse]


class Refused(Exception):
    """A request that is not answered with a page of its own."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(code)
        self.status, self.code, self.message = status, code, message


def may_write(request: HttpRequest) -> bool:
    """Return whether whoever asks may write highlights."""
    return request.user.is_active and request.user.is_staff and request.user.has_perm(PERMISSION)


def _for_authors(view: View) -> View:
    """Let only authors in, hand on the course instead of its key, and answer refusals in the shape asked for."""

    @wraps(view)
    def guarded(request: HttpRequest, course_key: str, **kwargs: Any) -> HttpResponse:
        known = page.language_of(request.user.pk) if request.user.pk else ""
        with translation.override(known or translation.get_language_from_request(request)):
            try:
                _check_author(request)
                response = view(request, _course(course_key), **kwargs)
            except Refused as refused:
                response = _refusal(request, refused)
        patch_vary_headers(response, ["Accept", "Accept-Language", "Cookie"])
        return response

    return guarded


def _check_author(request: HttpRequest) -> None:
    if not request.user.is_authenticated:
        raise Refused(401, "logged_out", _("You are logged out. Log in in another tab and copy your texts there."))
    if not may_write(request):
        raise Refused(403, "forbidden", _("You may not write highlights. Ask an administrator for the permission."))


def _course(key: str) -> Course:
    try:
        CourseKey.from_string(key)
    except InvalidKeyError:
        course = None
    else:
        course = Course.objects.filter(key=key).first()
    if course is None:
        raise Refused(404, "not_found", _("There is no such course."))
    return course


def _refusal(request: HttpRequest, refused: Refused) -> HttpResponse:
    if _wants_json(request):
        return _error(refused.status, refused.code, refused.message)
    if refused.code == "logged_out":
        return page.guarded(redirect_to_login(request.get_full_path()))
    return _page(request, "refused.html", {"message": refused.message}, status=refused.status)


@require_safe
@_for_authors
def outline(request: HttpRequest, course: Course) -> HttpResponse:
    """Show the sections of a course, and what the mail of each week lists."""
    context = {
        "lines": outline_of(course),
        "last_week": LAST_WEEK,
        "editable": switch_is_active(SWITCH),
        "saved": request.GET.get("saved", ""),
    }
    return _course_page(request, "outline.html", course, context)


@require_http_methods(["GET", "HEAD", "POST"])
@csrf_protect
@_for_authors
def highlights(request: HttpRequest, course: Course, section_id: int) -> HttpResponse:
    """Show or save the highlights of a section."""
    _check_switch()
    section = course.sections.filter(pk=section_id).first()
    if section is None:
        raise _no_section()
    if request.method != "POST":
        return _editor(request, section, section.highlights)
    posted = request.POST.getlist("text")
    if found := faults(posted):
        return _faulty(request, section, posted, found)
    try:
        save(course, section.pk, written(posted), shown=request.POST.get("shown", ""))
    except Section.DoesNotExist:
        raise _no_section() from None
    except ChangedMeanwhile as changed:
        return _conflict(request, section, posted, changed.stored)
    log.info("highlights of section %s saved by user %s", section.pk, request.user.pk)
    return _saved(request, course, str(section.pk), _("The highlights are saved."))


def _check_switch() -> None:
    if not switch_is_active(SWITCH):
        raise Refused(404, "switched_off", _("Writing highlights is switched off."))


def _no_section() -> Refused:
    return Refused(404, "not_found", _("There is no such section in this course."))


def _editor(request: HttpRequest, section: Section, texts: Sequence[str], **more: Any) -> HttpResponse:
    """Return the form of a section with these texts and with blank fields for more."""
    status = more.pop("status", 200)
    by_number: dict[int | None, list[Fault]] = {}
    for fault in more.get("faults", ()):
        by_number.setdefault(fault.number, []).append(fault)
    fields = [*texts, *[""] * (MOST_TEXTS - len(texts))]
    context = {
        "section": section,
        "fields": [(number, text, number in by_number) for number, text in enumerate(fields, start=1)],
        "limit": HIGHLIGHT_LENGTH,
        "most": MOST_TEXTS,
        "shown": fingerprint(more.get("stored", section.highlights)),
        **more,
    }
    return _course_page(request, "highlights.html", section.course, context, status=status)


def _faulty(request: HttpRequest, section: Section, posted: Sequence[str], found: list[Fault]) -> HttpResponse:
    message = _("Nothing is saved yet.")
    if _wants_json(request):
        return _error(422, "invalid", message, faults=found)
    # What the author has been shown, not what is stored by now: a conflict must still be noticed.
    shown = request.POST.get("shown", "")
    return _editor(request, section, posted, problem=message, faults=found, shown=shown, status=422)


def _conflict(request: HttpRequest, section: Section, posted: Sequence[str], stored: list[str]) -> HttpResponse:
    message = _("Nothing is saved yet: somebody else has saved other highlights since you opened this form.")
    if _wants_json(request):
        return _error(409, "conflict", message, stored=stored, shown=fingerprint(stored))
    return _editor(request, section, posted, problem=message, stored=stored, status=409)


@require_http_methods(["GET", "HEAD", "POST"])
@csrf_protect
@_for_authors
def messaging(request: HttpRequest, course: Course) -> HttpResponse:
    """Ask whether the highlights of a course shall be mailed, or no longer, and do it."""
    _check_switch()
    if request.method != "POST":
        return _course_page(request, "messaging.html", course, {})
    on = TURN.get(request.POST.get("turn", ""))
    if on is None:
        raise Refused(400, "bad_request", _("This form is incomplete. Open it again."))
    try:
        switch_messaging(course, on)
    except Course.DoesNotExist:
        raise Refused(404, "not_found", _("There is no such course.")) from None
    log.info("messaging of course %s turned %s by user %s", course.pk, "on" if on else "off", request.user.pk)
    message = _("The weekly highlights mail is on.") if on else _("The weekly highlights mail is off.")
    return _saved(request, course, "messaging", message)


def _saved(request: HttpRequest, course: Course, what: str, message: str) -> HttpResponse:
    """Lead back to the outline, whose part `what` then says so."""
    if _wants_json(request):
        return page.guarded(JsonResponse({"message": message}))
    address = reverse("schedules:outline", args=[course.key])
    return page.guarded(HttpResponseRedirect(f"{address}?saved={what}", status=303))


def _wants_json(request: HttpRequest) -> bool:
    return request.get_preferred_type(["text/html", "application/json"]) == "application/json"


def _error(status: int, code: str, message: str, *, faults: Sequence[Fault] = (), **more: Any) -> HttpResponse:
    error = {"code": code, "message": message, "faults": [asdict(fault) for fault in faults], **more}
    return page.guarded(JsonResponse({"error": error}, status=status))


def _course_page(
    request: HttpRequest, template: str, course: Course, context: Mapping[str, Any], *, status: int = 200
) -> HttpResponse:
    values = {"course": course, "course_title": course.title or course.key, **context}
    return _page(request, template, values, status=status)


def _page(request: HttpRequest, template: str, context: Mapping[str, Any], *, status: int) -> HttpResponse:
    values = {"site_name": page.site_name(request), "style": static(STYLE), "script": static(SCRIPT), **context}
    body = render_to_string(f"schedules/pages/{template}", values, request=request)
    response = HttpResponse(body, status=status, headers={"Content-Language": translation.get_language() or ""})
    ours = _origin(static(STYLE))
    page.guarded(
        response,
        content_security=f"default-src 'none'; style-src 'unsafe-inline' {ours}; script-src {ours}; "
        "connect-src 'self'; base-uri 'none'; frame-ancestors 'none'",
    )
    # With no referrer at all a browser posts from "Origin: null", which the CSRF check refuses.
    response["Referrer-Policy"] = "same-origin"
    return response


def _origin(address: str) -> str:
    """Return what a page's policy calls the server of an address; static files may come from another one."""
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.netloc}" if parts.netloc else "'self'"
