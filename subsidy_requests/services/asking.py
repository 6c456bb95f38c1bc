"""A learner asks."""

from __future__ import annotations

import logging
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction

from courses.bulk import locked, retry_on_deadlock

from .. import accounts, course_names
from ..models import SubsidyRequest, SubsidyRequestCustomerConfiguration
from ..models.configuration import COUPON
from ..models.requests import MODELS
from .rules import Broken

log = logging.getLogger(__name__)


@retry_on_deadlock
def create_request(kind: str, user: Any, *, enterprise_customer_uuid: UUID, course_id: str | None) -> SubsidyRequest:
    """Store a learner's request and return it. Raises Broken for a rule, ValueError for a course that is none.

    Whether the account is a learner of the enterprise is for the caller to ask (`roles`).
    """
    if not (course_names.is_course(course_id) if course_id else kind != COUPON):
        raise ValueError(f"course_id: must be {course_names.ALLOWED}.")
    model = MODELS[kind]
    with transaction.atomic():
        # Locked: a change of the type declines what was asked before it, and must not miss one.
        chosen = locked(
            SubsidyRequestCustomerConfiguration.objects.filter(enterprise_customer_uuid=enterprise_customer_uuid)
        ).first()
        if chosen is None or not chosen.subsidy_requests_enabled:
            raise Broken("requests_disabled")
        if chosen.subsidy_type != kind:
            raise Broken("wrong_subsidy_type")
        same = {"user": user, "enterprise_customer_uuid": enterprise_customer_uuid, "outstanding": 1}
        if kind == COUPON:
            same["course_id"] = course_id
        if standing := list(model._default_manager.filter(**same).values_list("uuid", flat=True)):
            raise Broken("already_outstanding", standing)
        number = accounts.number_of(user)
        if number is None:
            raise Broken("learner_unknown")
        request: SubsidyRequest = model(
            user=user,
            lms_user_id=number,
            enterprise_customer_uuid=enterprise_customer_uuid,
            course_title=course_names.title_of(course_id),
        )
        request.course_id = course_id or None
        try:
            with transaction.atomic():
                request.save(force_insert=True)
        except IntegrityError:
            # Asked for twice at the same moment, where a lock does not keep the second one waiting.
            raise Broken(
                "already_outstanding", model._default_manager.filter(**same).values_list("uuid", flat=True)
            ) from None
    log.info("%s=%s requested lms_user=%s enterprise=%s", kind, request.uuid, number, enterprise_customer_uuid)
    return request
