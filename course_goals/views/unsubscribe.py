"""The page that stops the reminders of one goal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.template.loader import render_to_string
from django.utils import translation
from django.utils.cache import patch_vary_headers
from django.views.decorators.csrf import csrf_exempt

from email_automation.views import page

from .. import links, services, tokens
from ..models import CourseGoal
from ..throttles import UnsubscribeThrottle

METHODS = ("GET", "HEAD", "POST")


@csrf_exempt  # the token is the authority, and who opens a mail's link may have no cookies
def unsubscribe(request: HttpRequest, token: str) -> HttpResponse:
    """Ask (GET), or stop the reminders of one goal (POST). A second POST changes nothing more."""
    response = _answer(request, token)
    tokens.logged(response, token)
    return response


def _answer(request: HttpRequest, text: str) -> HttpResponse:
    if request.method not in METHODS:
        return page.guarded(HttpResponseNotAllowed(METHODS))
    token = tokens.read(text)
    goal = CourseGoal.objects.select_related("course").filter(unsubscribe_token=token).first() if token else None
    if token is None or goal is None:
        return _page(request, "invalid.html", {}, status=404)
    language, posted = page.language_of(goal.user_id), request.method == "POST"
    throttle = UnsubscribeThrottle()
    if not throttle.allow_request(request):
        return page.too_many(request, throttle.wait(), language=language)
    if posted:
        services.unsubscribe(token, source=services.UNSUBSCRIBE_PAGE)
    context = {
        "title": goal.course.title or goal.course.key,
        "course_url": links.course_home(goal.course.key),
        "off": posted or not goal.subscribed_to_reminders,
        "just_now": posted,
    }
    return _page(request, "unsubscribe.html", context, language=language)


def _page(
    request: HttpRequest, template: str, context: Mapping[str, Any], *, status: int = 200, language: str = ""
) -> HttpResponse:
    """Render a page in the learner's language, or else the browser's; nothing can make a session or set a cookie."""
    with translation.override(language or translation.get_language_from_request(request)):
        values = {"site_name": page.site_name(request), **context}
        body = render_to_string(f"course_goals/pages/{template}", values)
        response = HttpResponse(body, status=status, headers={"Content-Language": translation.get_language() or ""})
    patch_vary_headers(response, ["Accept-Language"])
    return page.guarded(response)
