"""Stopping the reminders of one goal with its token, as mail programs do it (RFC 8058)."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse, HttpResponseRedirect
from django.urls import reverse
from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request
from rest_framework.response import Response

from .. import services, tokens
from ..models import CourseGoal
from ..throttles import UnsubscribeThrottle
from .base import GoalView
from .errors import Refused


class UnsubscribeFromCourseGoal(GoalView):
    """Needs no login, cookie or CSRF token: the token is the authority. The body is not read, whatever it is."""

    throttle_classes = (UnsubscribeThrottle,)

    def get_authenticators(self) -> list[BaseAuthentication]:
        """Return none: it does not matter who asks, and a browser that is signed in has no CSRF token either."""
        return []

    def get(self, request: Request, token: str) -> HttpResponseRedirect:
        """Lead people to the page; nothing is changed by looking."""
        return HttpResponseRedirect(reverse("course_goals:unsubscribe-page", args=[token]))

    def post(self, request: Request, token: str) -> Response:
        """Stop the reminders; once more changes nothing more."""
        known = tokens.read(token)
        try:
            if known is None:
                raise CourseGoal.DoesNotExist
            goal = services.unsubscribe(known, source=services.ONE_CLICK)
        except CourseGoal.DoesNotExist:
            raise Refused(404, "token_not_found", "This link is not valid.") from None
        return Response({"course_title": goal.course.title or goal.course.key})

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> HttpResponse:
        """Keep the token out of the log."""
        response = super().finalize_response(request, response, *args, **kwargs)
        tokens.logged(response, self.kwargs["token"])
        return response
