"""What the APIs of the apps share: JSON alone, a session with its CSRF check, so many requests a minute."""

from __future__ import annotations

import hashlib
import json
import logging
import math
from typing import Any, ClassVar, Final, NoReturn

from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, HttpResponse
from django.utils import translation
from django.utils.module_loading import import_string
from rest_framework.authentication import BaseAuthentication, SessionAuthentication
from rest_framework.exceptions import APIException, ParseError, PermissionDenied, UnsupportedMediaType
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.permissions import AllowAny
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle, SimpleRateThrottle
from rest_framework.views import APIView

from .views import page

JSON: Final = "application/json"
WINDOW: Final = 60

log = logging.getLogger(__name__)


class CsrfFailed(PermissionDenied):
    """A request that another site may have made."""

    default_detail = "CSRF check failed."
    default_code = "csrf_failed"


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
            raise CsrfFailed from None


class JsonView(APIView):
    """Base of the views; what a host has set for its own API does not reach them."""

    renderer_classes = (JSONRenderer,)
    parser_classes = ()
    content_negotiation_class = OnlyJSON
    permission_classes = (AllowAny,)
    throttle_classes: tuple[type[BaseThrottle], ...] = ()
    metadata_class = None
    versioning_class = None

    def added_authentication(self) -> list[str]:
        """Return the dotted paths of the authentication classes that a project has beside the session."""
        return []

    def get_authenticators(self) -> list[BaseAuthentication]:
        """Return the session, and what the project adds."""
        return [Session(), *(import_string(path)() for path in self.added_authentication())]

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Answer in the language of whoever asks, and let nobody keep the answer."""
        known = page.language_of(request.user.pk) if request.user.pk else ""
        with translation.override(known or translation.get_language_from_request(request)):
            response: HttpResponse = super().dispatch(request, *args, **kwargs)
            response["Content-Language"] = translation.get_language() or ""
        return page.guarded(response)


class Throttle(SimpleRateThrottle):
    """Counts the requests of the last minute; subclasses say how many there may be, 0 or None means any number.

    Without a working cache nobody is turned away.
    """

    #: The name of the setting, which also keeps what is counted apart.
    limit: ClassVar[str]

    def __init__(self) -> None:
        self.num_requests, self.duration = self.allowed(), WINDOW

    def allowed(self) -> int | None:
        """Return how many requests a minute there may be."""
        raise NotImplementedError

    def subject(self, request: Any) -> str | None:
        """Return whose requests are counted, or None for one that is not."""
        raise NotImplementedError

    def allow_request(self, request: Any, view: Any = None) -> bool:
        """Count a request and return whether it may go on."""
        self.rate = self.num_requests or None
        try:
            return bool(super().allow_request(request, view))
        except Exception as error:
            log.warning("throttling is off: the cache does not answer (%s)", type(error).__name__)
            return True

    def get_cache_key(self, request: Any, view: Any) -> str | None:
        """Return a digest: keys of a cache end up in its logs, and the subject may be somebody's address."""
        subject = self.subject(request)
        if subject is None:
            return None
        return f"email_automation.rest:{hashlib.sha256(f'{self.limit}:{subject}'.encode()).hexdigest()}"

    def wait(self) -> int:
        """Return in how many whole seconds the next request may come."""
        return math.ceil(super().wait() or WINDOW)


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


def _refuse(constant: str) -> NoReturn:
    raise ValueError(constant)
