"""What all pages share: their language, their headers, and the two answers that end early."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.contrib.sites.models import Site
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.utils import translation
from django.utils.cache import patch_vary_headers

from courses import sites
from courses.languages import closest_language
from courses.models import LearnerProfile

from .. import throttle

# A page holds no script and asks nobody else for anything; its style is its own, written into it.
CONTENT_SECURITY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'"


def answer(
    request: HttpRequest,
    template: str,
    context: Mapping[str, Any] | None = None,
    *,
    status: int = 200,
    language: str = "",
    csrf: bool = False,
) -> HttpResponse:
    """Render `pages/<template>` in the person's language, or else the browser's.

    Only with `csrf` does the template see the request: without it nothing can make a session or set a cookie.
    """
    with translation.override(language or translation.get_language_from_request(request)):
        values = {"site_name": site_name(request), **(context or {})}
        body = render_to_string(f"email_automation/pages/{template}", values, request=request if csrf else None)
        response = HttpResponse(body, status=status, headers={"Content-Language": translation.get_language() or ""})
    patch_vary_headers(response, ["Accept-Language"])
    guarded(response)
    if csrf:
        # With no referrer at all a browser posts from "Origin: null", which the CSRF check refuses.
        response["Referrer-Policy"] = "same-origin"
    return response


def guarded(response: HttpResponse, *, content_security: str = CONTENT_SECURITY) -> HttpResponse:
    """Put the headers on a response that keep its address and its content to whoever opened it."""
    # The address is the authority, so it must not travel on with a click, stay in a cache or be found by a search.
    response["Referrer-Policy"] = "no-referrer"
    response["Cache-Control"] = "no-store"
    response["X-Robots-Tag"] = "noindex"
    response["X-Content-Type-Options"] = "nosniff"
    response["Content-Security-Policy"] = content_security
    return response


def site_name(request: HttpRequest) -> str:
    """Return the name of the site that was called, or of the default one."""
    try:
        site = sites.site_by_domain(request.get_host())
    except sites.UnknownSite:
        site = Site.objects.filter(pk=getattr(settings, "SITE_ID", 0)).first() or Site(domain=request.get_host())
    return sites.brand(site)["name"]


def language_of(user_id: int) -> str:
    """Return the released language closest to the one in a person's profile, or ''."""
    wanted = LearnerProfile.objects.filter(user_id=user_id).values_list("language", flat=True).first()
    return closest_language(wanted, [code for code, _ in settings.LANGUAGES]) or ""


def invalid_link(request: HttpRequest) -> HttpResponse:
    """Answer a token that is garbage, somebody else's or too old; all of them alike."""
    seconds = throttle.wait("EMAIL_PAGES_PER_ADDRESS", request.META.get("REMOTE_ADDR", ""))
    return too_many(request, seconds) if seconds else answer(request, "invalid.html", status=404)


def too_many(request: HttpRequest, seconds: int, *, language: str = "") -> HttpResponse:
    """Answer somebody who came too often."""
    response = answer(request, "too_many.html", {"seconds": seconds}, status=429, language=language)
    response["Retry-After"] = str(seconds)
    return response
