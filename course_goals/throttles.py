"""So many requests a minute: counted in Django's cache, for the API and the pages alike."""

from __future__ import annotations

from typing import Any

from email_automation import rest

from . import tokens
from .conf import setting


class Throttle(rest.Throttle):
    """Counts by the settings of weekly goals."""

    def allowed(self) -> int | None:
        """Return the setting that `limit` names."""
        limit: int | None = setting(self.limit)
        return limit


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
