"""The unsubscribe page, and the page test mails lead to."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.http.request import RawPostDataException
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods, require_safe

from .. import consent, throttle
from ..models import CourseOptOut, EmailPreference
from . import page

ONE_CLICK = "one-click"
PAGE = "unsubscribe page"


@csrf_exempt  # the token is the authority, and one-click requests (RFC 8058) come without cookies
@require_http_methods(["GET", "HEAD", "POST"])
def unsubscribe(request: HttpRequest, token: str) -> HttpResponse:
    """Ask (GET), or stop one category of mail, or mail about one course, for one person (POST).

    A second POST changes nothing more.
    """
    try:
        grant = consent.read_unsubscribe_token(token)
    except consent.InvalidToken:
        return page.invalid_link(request)
    language = page.language_of(grant.user_id)
    posted = request.method == "POST"
    # Counted apart, so that a scanner that reads a link again and again keeps nobody from unsubscribing.
    what = grant.category or f"course-{grant.course.pk if grant.course else ''}"
    subject = f"{'post' if posted else 'read'}:{grant.user_id}:{what}"
    if seconds := throttle.wait("EMAIL_PAGES_PER_TOKEN", subject):
        return page.too_many(request, seconds, language=language)
    if posted:
        _stop(grant, source=_source(request))
    context = {
        "category": consent.category_words(grant.category) if grant.category else "",
        "course": grant.course,
        "off": posted or _is_off(grant),
        "just_now": posted,
    }
    return page.answer(request, "unsubscribe.html", context, language=language)


def _stop(grant: consent.Grant, *, source: str) -> None:
    if grant.course is not None:
        consent.set_course_opt_out(grant.user_id, grant.course, True)
    else:
        consent.opt_out(grant.user_id, grant.category, source=source)


def _is_off(grant: consent.Grant) -> bool:
    if grant.course is not None:
        return CourseOptOut.objects.filter(user_id=grant.user_id, course=grant.course).exists()
    return not EmailPreference.of(grant.user_id).accepts(grant.category)


def _source(request: HttpRequest) -> str:
    """Return what the history will say, decided by the body alone: providers send any content type, or none."""
    try:
        one_click = b"list-unsubscribe" in request.body.lower()
    except RawPostDataException:
        # A middleware has read the stream, so it is parsed.
        one_click = "List-Unsubscribe" in request.POST
    return ONE_CLICK if one_click else PAGE


@require_safe
def test_mail(request: HttpRequest) -> HttpResponse:
    """Say that the link belongs to a test mail and can do nothing."""
    return page.answer(request, "test_mail.html")
