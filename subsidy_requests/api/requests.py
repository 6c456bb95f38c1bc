"""Requests: asking, looking, and the decisions of administrators. One set of views serves both kinds."""

from __future__ import annotations

from typing import Any, ClassVar
from uuid import UUID

from django.db.models import Count, Q, QuerySet
from rest_framework.request import Request
from rest_framework.response import Response

from email_automation.rest import body_of

from .. import services, states
from ..models.configuration import COUPON, LICENSE
from ..models.requests import MODELS
from ..models.roles import ADMIN, LEARNER
from . import errors, pages, reading, shown
from .base import RequestView


class KindView(RequestView):
    """Base of the views of one kind of request, which the address names."""

    kind: ClassVar[str] = LICENSE

    def rows(self) -> QuerySet[Any]:
        """Return the requests of this kind."""
        return MODELS[self.kind]._default_manager.select_related("reviewer__learner_profile")

    def visible(self) -> QuerySet[Any]:
        """Return those the caller may see: own ones, those of the enterprises administered, for staff all."""
        if self.is_staff:
            return self.rows()
        administered = self.roles.enterprises(ADMIN)
        if administered is None:
            return self.rows()
        own = Q(user_id=self.request.user.pk)
        return self.rows().filter(own | Q(enterprise_customer_uuid__in=administered) if administered else own)

    def of_enterprise(self, enterprise_customer_uuid: UUID) -> QuerySet[Any]:
        """Return those of one enterprise that the caller may see. Raises Refused for somebody without a role there."""
        rows = self.rows().filter(enterprise_customer_uuid=enterprise_customer_uuid)
        if self.is_staff or self.roles.has(ADMIN, enterprise_customer_uuid):
            return rows
        if not self.roles.has(LEARNER, enterprise_customer_uuid):
            raise errors.forbidden("a learner or an administrator")
        return rows.filter(user_id=self.request.user.pk)


class Requests(KindView):
    """The list of requests, and a learner's way to ask."""

    def get(self, request: Request) -> Response:
        """Return a page of the requests that the caller may see and the filters leave."""
        rows, links = pages.page_of(self._filtered(), request)
        return Response(links | {"results": [shown.request(row, viewer=request.user) for row in rows]})

    def _filtered(self) -> QuerySet[Any]:
        query = self.request.query_params
        if query.get("enterprise_customer_uuid"):
            rows = self.of_enterprise(reading.uuid(query, "enterprise_customer_uuid"))
        else:
            rows = self.visible()
        if chosen := [reading.one_of("state", value, states.STATES) for value in query.getlist("state")]:
            rows = rows.filter(state__in=chosen)
        if query.get("course_id"):
            rows = rows.filter(course_id=reading.course(query, needed=True))
        if query.get("lms_user_id"):
            rows = rows.filter(lms_user_id=reading.whole("lms_user_id", query["lms_user_id"]))
        return rows

    def post(self, request: Request) -> Response:
        """Store the caller's request."""
        body = body_of(request)
        enterprise = reading.uuid(body, "enterprise_customer_uuid")
        course_id = reading.course(body, needed=self.kind == COUPON)
        self.require_learner(enterprise)
        row = services.create_request(self.kind, request.user, enterprise_customer_uuid=enterprise, course_id=course_id)
        return Response(shown.request(row, viewer=request.user), status=201)


class OneRequest(KindView):
    """One request."""

    def get(self, request: Request, uuid: str) -> Response:
        """Return it."""
        row = self.visible().filter(uuid=reading.named(uuid, "request")).first()
        if row is None:
            raise errors.not_found()
        return Response(shown.request(row, viewer=request.user))


class Overview(KindView):
    """How many requests of an enterprise are in which state."""

    def get(self, request: Request) -> Response:
        """Return the states that occur, with their numbers."""
        enterprise = reading.uuid(request.query_params, "enterprise_customer_uuid")
        if not self.is_staff:
            self.require_admin(enterprise)
        rows = MODELS[self.kind]._default_manager.filter(enterprise_customer_uuid=enterprise).order_by()
        found = dict(rows.values_list("state").annotate(number=Count("pk")))
        return Response([{"state": state, "count": found[state]} for state in states.STATES if state in found])


class Approve(KindView):
    """An administrator approves a batch, or nothing of it."""

    def post(self, request: Request) -> Response:
        """Approve, and say what was approved and what had been before."""
        body = body_of(request)
        enterprise = reading.uuid(body, "enterprise_customer_uuid")
        uuids = reading.uuids(body, "subsidy_request_uuids")
        subsidy: UUID | int
        if self.kind == LICENSE:
            subsidy = reading.uuid(body, "subscription_plan_uuid")
        else:
            subsidy = reading.number(body, "coupon_id")
        notify = reading.flag(body, "send_notification", default=True)
        self.require_admin(enterprise)
        decision = services.approve(
            self.kind,
            uuids,
            enterprise_customer_uuid=enterprise,
            subsidy_id=subsidy,
            reviewer=request.user,
            send_notification=notify,
            linked=self.roles.linked,
        )
        return Response({"approved": decision.decided, "skipped": decision.skipped})


class Decline(KindView):
    """An administrator declines a batch, or nothing of it."""

    def post(self, request: Request) -> Response:
        """Decline, and say what."""
        body = body_of(request)
        enterprise = reading.uuid(body, "enterprise_customer_uuid")
        uuids = reading.uuids(body, "subsidy_request_uuids")
        reason = reading.text(body, "decline_reason")
        notify = reading.flag(body, "send_notification", default=True)
        self.require_admin(enterprise)
        decision = services.decline(
            self.kind,
            uuids,
            enterprise_customer_uuid=enterprise,
            reviewer=request.user,
            decline_reason=reason,
            send_notification=notify,
        )
        return Response({"declined": decision.decided})
