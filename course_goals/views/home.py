"""The home page of a course, on which learners choose a weekly goal: a plain page, and a script that saves at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from django.contrib import messages
from django.contrib.auth.models import AbstractUser
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.loader import render_to_string
from django.templatetags.static import static
from django.utils import timezone, translation
from django.utils.cache import patch_vary_headers
from django.utils.translation import gettext as _
from django.views.decorators.csrf import csrf_protect
from django.views.decorators.http import require_http_methods
from opaque_keys import InvalidKeyError
from opaque_keys.edx.keys import CourseKey

from courses.models import Course
from email_automation.views import page

from .. import access, activity, conf, links, services
from ..models import CourseGoal
from ..throttles import SaveThrottle
from .home_card import preview_state, shown

STYLE: Final = "course_goals/home.css"
SCRIPT: Final = "course_goals/home.js"


class Refused(Exception):
    """A form that is not saved; the message is for the learner."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status, self.message = status, message


@require_http_methods(["GET", "HEAD", "POST"])
@csrf_protect
def home(request: HttpRequest, course_key: str) -> HttpResponse:
    """Show a course with the goal and the week, or save the form; to open the page counts as a day of study."""
    user = request.user
    if not access.signed_in(user):
        return page.guarded(redirect_to_login(request.get_full_path()))
    language = page.language_of(user.pk)
    with translation.override(language or translation.get_language_from_request(request)):
        response = _answer(request, user, _course(course_key), language)
    patch_vary_headers(response, ["Accept-Language", "Cookie"])
    return response


def _course(key: str) -> Course | None:
    # A database refuses to look for some of what cannot be printed.
    if not key.isprintable():
        return None
    try:
        CourseKey.from_string(key)
    except InvalidKeyError:
        return None
    return Course.objects.filter(key=key).first()


def _answer(request: HttpRequest, user: AbstractUser, course: Course | None, language: str) -> HttpResponse:
    if course is None:
        return _page(request, "home_missing.html", {}, status=404)
    if request.method != "POST":
        # First the day, so that the page shows it as done.
        activity.record_visit(request, course)
        return _home(request, user, course)
    throttle = SaveThrottle()
    if not throttle.allow_request(request):
        return page.too_many(request, throttle.wait(), language=language)
    try:
        said = _save(request, user, course)
    except Refused as refused:
        return _home(request, user, course, problem=refused.message, status=refused.status)
    messages.success(request, said, fail_silently=True)
    return page.guarded(HttpResponseRedirect(f"{_address(request, course)}{links.GOAL}", status=303))


def _save(request: HttpRequest, user: AbstractUser, course: Course) -> str:
    """Save the form, and return what the learner is told. Raises Refused."""
    if access.is_preview(request):
        return _("This is a preview: nothing is saved.")
    try:
        access.check(user, course)
    except access.NotAvailable:
        raise Refused(404, _("Weekly goals are not available in this course.")) from None
    except access.NotEnrolled:
        raise Refused(403, _("You are not enrolled in this course.")) from None
    if request.POST.get("action") == "clear":
        services.set_goal(user, course, days_per_week=0, subscribed=False, source=services.PAGE)
        return _("Your goal is cleared.")
    days = _days(request.POST.get("days_per_week", ""))
    # Without a goal the box cannot be used yet: whoever chooses the first one gets its reminders, also from a form that
    # has been open since before the goal was set elsewhere.
    known = CourseGoal.objects.filter(user_id=user.pk, course=course, days_per_week__gt=0)
    first = "first" in request.POST or not known.exists()
    subscribed = first or "subscribed_to_reminders" in request.POST
    services.set_goal(user, course, days_per_week=days, subscribed=subscribed, source=services.PAGE)
    return _("Your goal is saved.")


def _days(text: str) -> int:
    """Return the days that a form asks for. Raises Refused."""
    days = int(text) if text.isascii() and text.isdigit() and len(text) == 1 else 0
    if not days or not conf.can_be_chosen(days):
        raise Refused(422, _("Nothing is saved yet: choose one of the goals."))
    return days


def _home(
    request: HttpRequest, user: AbstractUser, course: Course, *, problem: str = "", status: int = 200
) -> HttpResponse:
    """Show the page, with the goal where there are goals for whoever asks."""
    context: dict[str, Any] = {
        "course": course,
        "course_title": course.title or course.key,
        "problem": problem,
    }
    preview = access.is_preview(request)
    now = timezone.now()
    state = preview_state(user, course, now) if preview else services.goal_state(user, course, now)
    if state.progress is not None:
        wish = request.GET.get("weekly_goal", "")
        context |= shown(state.selected, state.progress, course, user, wish=wish, preview=preview)
        context |= {
            "address": _address(request, course),
            "said": [str(text) for text in messages.get_messages(request)],
            "script": static(SCRIPT),
        }
    return _page(request, "home.html", context, status=status)


def _address(request: HttpRequest, course: Course) -> str:
    """Return the page's address without a wish for a goal, which is fulfilled or passed over by now."""
    query = f"?preview={access.PREVIEW}" if access.is_preview(request) else ""
    return f"{links.course_home(course.key)}{query}"


def _page(request: HttpRequest, template: str, context: Mapping[str, Any], *, status: int) -> HttpResponse:
    values = {"site_name": page.site_name(request), "style": static(STYLE), **context}
    body = render_to_string(f"course_goals/pages/{template}", values, request=request)
    response = HttpResponse(body, status=status, headers={"Content-Language": translation.get_language() or ""})
    ours = _origin(static(STYLE))
    page.guarded(
        response,
        content_security=f"default-src 'none'; style-src 'unsafe-inline' {ours}; script-src {ours}; "
        "connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    )
    # With no referrer at all a browser posts from "Origin: null", which the CSRF check refuses.
    response["Referrer-Policy"] = "same-origin"
    return response


def _origin(address: str) -> str:
    """Return what a page's policy calls the server of an address; static files may come from another one."""
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.netloc}" if parts.netloc else "'self'"
