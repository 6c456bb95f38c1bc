"""So many requests a minute: counted in Django's cache, for the API and the pages alike."""

from __future__ import annotations

import hashlib
import logging
import math
from typing import Any, ClassVar, Final

from rest_framework.throttling import SimpleRateThrottle

from . import tokens
from .conf import setting

WINDOW: Final = 60

log = logging.getLogger(__name__)


class Throttle(SimpleRateThrottle):
    """Counts the requests of the last minute; `limit` names the setting, 0 or None means none.

    Without a working cache nobody is turned away.
    """

    limit: ClassVar[str]

    def __init__(self) -> None:
        self.num_requests, self.duration = setting(self.limit), WINDOW

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
        return f"course_goals.throttle:{hashlib.sha256(f'{self.limit}:{subject}'.encode()).hexdigest()}"

    def wait(self) -> int:
        """Return in how many whole seconds the next request may come."""
        return math.ceil(super().wait() or WINDOW)


class SaveThrottle(Throttle):
    """Saves of one learner."""

    limit = "COURSE_GOALS_SAVES_PER_MINUTE"

    def subject(self, request: Any) -> str | None:
        """Return the learner."""
        return f"user:{request.user.pk}"


class OutlineThrottle(Throttle):
    """Outlines for one learner, or for one client address."""

    limit = "COURSE_GOALS_OUTLINES_PER_MINUTE"

    def subject(self, request: Any) -> str | None:
        """Return the learner, or the address of somebody who is not signed in."""
        if request.user.is_authenticated:
            return f"user:{request.user.pk}"
        return f"address:{request.META.get('REMOTE_ADDR', '')}"


class UnsubscribeThrottle(Throttle):
    """Unsubscribing with one token, by whatever address: providers post for many people from one."""

    limit = "COURSE_GOALS_UNSUBSCRIBES_PER_MINUTE"

    def subject(self, request: Any) -> str | None:
        """Return the token of a post; to look changes nothing and is not counted."""
        token = tokens.read(request.resolver_match.kwargs["token"])
        return f"token:{token}" if token and request.method == "POST" else None
