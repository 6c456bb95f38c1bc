"""What the views of the API share: who is asking, and in which role."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.utils.functional import cached_property
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request

from email_automation import rest

from ..conf import setting
from ..models.roles import ADMIN, LEARNER
from ..roles import Roles, roles_of
from . import errors


class CallThrottle(rest.Throttle):
    """Calls of one account."""

    limit = "SUBSIDY_REQUESTS_CALLS_PER_MINUTE"

    def allowed(self) -> int | None:
        """Return the setting."""
        limit: int | None = setting(self.limit)
        return limit

    def subject(self, request: Any) -> str | None:
        """Return the account."""
        return f"user:{request.user.pk}"


class RequestView(rest.JsonView):
    """Base of the views."""

    permission_classes = (IsAuthenticated,)
    throttle_classes = (CallThrottle,)
    request: Request

    def added_authentication(self) -> list[str]:
        """Return what the project adds."""
        return list(setting("SUBSIDY_REQUESTS_AUTHENTICATION_CLASSES"))

    def get_exception_handler(self) -> Callable[..., Any]:
        """Return ours."""
        return errors.answer

    @cached_property
    def roles(self) -> Roles:
        """The caller's roles."""
        return roles_of(self.request)

    @property
    def is_staff(self) -> bool:
        """Whether the caller looks after all enterprises."""
        return bool(self.request.user.is_staff)

    def require_admin(self, enterprise_customer_uuid: UUID) -> None:
        """Raise Refused unless the caller is an administrator of the enterprise."""
        if not self.roles.has(ADMIN, enterprise_customer_uuid):
            raise errors.forbidden("an administrator")

    def require_learner(self, enterprise_customer_uuid: UUID) -> None:
        """Raise Refused unless the caller is a learner of the enterprise."""
        if not self.roles.has(LEARNER, enterprise_customer_uuid):
            raise errors.forbidden("a learner")
