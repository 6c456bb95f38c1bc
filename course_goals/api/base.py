"""What the views of the API share: JSON alone, a session with its CSRF check, errors of one shape."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final, NoReturn

from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, HttpResponse
from django.utils import translation
from django.utils.module_loading import import_string
from opaque_keys import InvalidKeyError
from opaque_keys.edx.keys import CourseKey
from rest_framework.authentication import BaseAuthentication, SessionAuthentication
from rest_framework.exceptions import APIException, ParseError, UnsupportedMediaType
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.permissions import AllowAny
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle
from rest_framework.views import APIView

from courses.models import Course
from email_automation.views import page

from .. import access
from ..conf import setting
from . import errors

JSON: Final = "application/json"


class OnlyJSON(BaseContentNegotiation):
    """Answers in JSON whatever the client would rather have."""

    def select_renderer(self, request: Request, renderers: Any, format_suffix: str | None = None) -> tuple[Any, str]:
        """Return the only one."""
        return renderers[0], renderers[0].media_type


class Session(SessionAuthentication):
    """Django's session. A missing login and a failed CSRF check are told apart."""

    def authenticate_header(self, request: Request) -> str:
        """Return what makes a missing login a 401."""
        return "Session"

    def enforce_csrf(self, request: Request) -> None:
        """Refuse a request that another site may have made."""
        try:
            # Django's own request: the framework's would read the body, and complain of it first.
            super().enforce_csrf(request._request)
        except APIException:
            raise errors.Refused(403, "csrf_failed", "CSRF check failed.") from None


class GoalView(APIView):
    """Base of the views; what a host has set for its own API does not reach them."""

    renderer_classes = (JSONRenderer,)
    parser_classes = ()
    content_negotiation_class = OnlyJSON
    permission_classes = (AllowAny,)
    throttle_classes: tuple[type[BaseThrottle], ...] = ()
    metadata_class = None
    versioning_class = None

    def get_authenticators(self) -> list[BaseAuthentication]:
        """Return the session, and what the project adds."""
        added = [import_string(path)() for path in setting("COURSE_GOALS_AUTHENTICATION_CLASSES")]
        return [Session(), *added]

    def get_exception_handler(self) -> Callable[..., Any]:
        """Return ours."""
        return errors.answer

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Answer in the language of whoever asks, and let nobody keep the answer."""
        known = page.language_of(request.user.pk) if request.user.pk else ""
        with translation.override(known or translation.get_language_from_request(request)):
            response: HttpResponse = super().dispatch(request, *args, **kwargs)
            response["Content-Language"] = translation.get_language() or ""
        return page.guarded(response)


def body_of(request: Request) -> dict[str, Any]:
    """Return the object in a request's body, read as UTF-8. Raises UnsupportedMediaType or ParseError."""
    if request.content_type.partition(";")[0].strip().lower() != JSON:
        raise UnsupportedMediaType(request.content_type)
    try:
        data = json.loads(request.body.decode(), parse_constant=_refuse)
    except (ValueError, RecursionError, RequestDataTooBig):
        data = None
    if not isinstance(data, dict):
        raise ParseError
    return data


def course_of(key: str) -> Course:
    """Return the course with a key. Raises Refused."""
    try:
        CourseKey.from_string(key)
    except InvalidKeyError:
        course = None
    else:
        course = Course.objects.filter(key=key).first()
    if course is None:
        raise errors.Refused(404, "course_not_found", "There is no such course.", "course_id")
    return course


def check_access(user: Any, course: Course) -> None:
    """Raise Refused unless a learner has goals in a course."""
    try:
        access.check(user, course)
    except access.NotAvailable:
        detail = "Weekly goals are not available in this course."
        raise errors.Refused(404, "goals_not_enabled", detail, "course_id") from None
    except access.NotEnrolled:
        detail = "You are not enrolled in this course."
        raise errors.Refused(403, "not_enrolled", detail, "course_id") from None


def _refuse(constant: str) -> NoReturn:
    raise ValueError(constant)
