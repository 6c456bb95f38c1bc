"""What enterprises have chosen: administrators change it, staff creates it."""

from __future__ import annotations

from typing import Any, Final
from uuid import UUID

from rest_framework.request import Request
from rest_framework.response import Response

from email_automation.rest import body_of

from .. import services
from ..models import SubsidyRequestCustomerConfiguration
from ..models.configuration import SUBSIDY_TYPES
from . import errors, reading, shown
from .base import RequestView

CHANGEABLE: Final = ("subsidy_requests_enabled", "subsidy_type", "attempt_auto_enrollment", "contact_email")
WHAT: Final = "configuration"
FLAGS: Final = ("subsidy_requests_enabled", "attempt_auto_enrollment")
LONGEST: Final = {"contact_email": 254, "name": 255, "slug": 128}


class Configurations(RequestView):
    """Where staff adds an enterprise."""

    def post(self, request: Request) -> Response:
        """Create a configuration; one that is there already is not touched."""
        if not self.is_staff:
            raise errors.forbidden("staff")
        body = body_of(request)
        enterprise = reading.uuid(body, "enterprise_customer_uuid")
        if not reading.text(body, "name", longest=LONGEST["name"]).strip():
            raise errors.required("name")
        fields = _fields(body, ("name", "slug", *CHANGEABLE))
        if SubsidyRequestCustomerConfiguration.objects.filter(pk=enterprise).exists():
            raise errors.Refused(
                422, "already_configured", "enterprise_customer_uuid: there is a configuration already."
            )
        row = services.configure(enterprise, changed_by=request.user, **fields)
        return Response(shown.configuration(row), status=201)


class Configuration(RequestView):
    """One enterprise's configuration."""

    def get(self, request: Request, uuid: str) -> Response:
        """Return it."""
        return Response(shown.configuration(self._row(reading.named(uuid, WHAT))))

    def patch(self, request: Request, uuid: str) -> Response:
        """Change what the body names; what it does not name stays."""
        body = body_of(request)
        fields = _fields(body, CHANGEABLE)
        if unknown := sorted(set(body) - set(CHANGEABLE)):
            raise errors.Refused(400, "invalid", f"{unknown[0]}: cannot be changed; allowed: {', '.join(CHANGEABLE)}.")
        row = self._row(reading.named(uuid, WHAT))
        return Response(shown.configuration(services.configure(row.pk, changed_by=request.user, **fields)))

    def _row(self, uuid: UUID) -> SubsidyRequestCustomerConfiguration:
        if not self.is_staff:
            self.require_admin(uuid)
        row = SubsidyRequestCustomerConfiguration.objects.filter(pk=uuid).first()
        if row is None:
            raise errors.not_found(WHAT)
        return row


def _fields(body: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    """Return the fields that a body names, read strictly. Raises Refused."""
    fields: dict[str, Any] = {}
    for name in names:
        if name not in body:
            continue
        if name in FLAGS:
            fields[name] = reading.flag(body, name, default=False)
        elif name == "subsidy_type":
            if body[name] is not None and body[name] not in SUBSIDY_TYPES:
                raise errors.invalid(name, f"null or one of {', '.join(SUBSIDY_TYPES)}")
            fields[name] = body[name]
        else:
            fields[name] = reading.text(body, name, longest=LONGEST[name])
    return fields
