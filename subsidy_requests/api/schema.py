"""The API in OpenAPI's words, for people who write clients; a test hammers the API by it."""

from __future__ import annotations

from typing import Any, Final

from django.urls import reverse
from rest_framework.request import Request
from rest_framework.response import Response

from email_automation.openapi import SECURITY, Object, an_object, answer, body, errors, in_path, or_null, ref
from email_automation.rest import JsonView

from .. import states
from ..models.configuration import COUPON, LICENSE, SUBSIDY_TYPES
from ..models.requests import LONGEST_COURSE, LONGEST_REASON
from . import pages
from .reading import LARGEST, MOST_UUIDS

ERRORS: Final = {
    400: "A field is missing or wrong, and is named: `parse_error`, `required`, `invalid`.",
    401: "Nobody is signed in: `not_authenticated`, `authentication_failed`.",
    403: "`permission_denied`: no such role at that enterprise; or `csrf_failed`.",
    404: "`not_found`: not there, or not the caller's to see.",
    415: "The body is no `application/json`: `unsupported_media_type`.",
    422: "A rule forbids it, and nothing was changed.",
    429: "Too many requests: `throttled`.",
}
CODES: Final = (
    "parse_error", "required", "invalid", "not_authenticated", "authentication_failed", "permission_denied",
    "csrf_failed", "not_found", "method_not_allowed", "unsupported_media_type", "throttled", "requests_disabled",
    "wrong_subsidy_type", "already_outstanding", "learner_unknown", "unknown_requests", "already_declined",
    "learner_not_linked", "already_decided", "already_configured",
)  # fmt: skip
UUID: Final[Object] = {"type": "string", "format": "uuid"}
MOMENT: Final[Object] = {"type": "string", "format": "date-time"}
TEXT: Final[Object] = {"type": "string"}
FLAG: Final[Object] = {"type": "boolean"}
COURSE: Final[Object] = {
    "type": "string",
    "pattern": r"^[A-Za-z0-9_\-~.]+\+[A-Za-z0-9_\-~.]+$",
    "maxLength": LONGEST_COURSE,
    "description": "A course, not a run of it, for example `edX+DemoX`.",
}
NUMBER: Final[Object] = {"type": "integer", "minimum": 1, "maximum": LARGEST}
PATHS: Final = {LICENSE: "license-requests", COUPON: "coupon-code-requests"}


def description() -> Object:
    """Return the description."""
    paths: dict[str, Any] = {}
    for kind in PATHS:
        paths |= _requests(kind)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Subsidy requests", "version": "1"},
        "security": [{"session": [], "csrf": []}],
        "paths": paths | _configurations(),
        "components": {
            "securitySchemes": dict(SECURITY),
            "schemas": {
                "LicenseRequest": _request(
                    course_id=or_null(TEXT), subscription_plan_uuid=or_null(UUID), license_uuid=or_null(UUID)
                ),
                "CouponCodeRequest": _request(course_id=TEXT, coupon_id=or_null({"type": "integer"}), coupon_code=TEXT),
                "Configuration": an_object(
                    enterprise_customer_uuid=UUID, name=TEXT, slug=TEXT, **_choices(), contact_email=TEXT
                ),
                "Error": an_object(code={"enum": list(CODES)}, detail=TEXT, uuids={"type": "array", "items": UUID}),
            },
        },
    }


def _requests(kind: str) -> dict[str, Any]:
    """Return the addresses of one kind of request."""
    prefix, one = PATHS[kind], ref("LicenseRequest" if kind == LICENSE else "CouponCodeRequest")
    root = reverse(f"subsidy_requests:{prefix}")
    wish = {
        "type": "object",
        "properties": {
            "enterprise_customer_uuid": UUID,
            "course_id": COURSE if kind == COUPON else {"anyOf": [COURSE, {"type": "null"}]},
        },
        "required": ["enterprise_customer_uuid", *(["course_id"] if kind == COUPON else [])],
    }
    source = {"subscription_plan_uuid": UUID} if kind == LICENSE else {"coupon_id": NUMBER}
    link = or_null(TEXT)
    page = an_object(next=link, previous=link, results={"type": "array", "items": one})
    filters = [
        _in_query("enterprise_customer_uuid", UUID),
        _in_query("state", {"type": "array", "items": {"enum": list(states.STATES)}}),
        _in_query("course_id", COURSE),
        _in_query("lms_user_id", NUMBER),
        _in_query("ordering", {"enum": list(pages.ORDERINGS)}),
        _in_query("page_size", NUMBER | {"description": f"{pages.SIZE} by default, at most {pages.LARGEST}."}),
        _in_query("cursor", TEXT),
    ]
    counts = {"type": "array", "items": an_object(state={"enum": list(states.STATES)}, count={"type": "integer"})}
    named = {"type": "array", "items": UUID}
    return {
        root: {
            "get": _operation(
                f"list_{kind}", "The requests that the caller may see", answer("A page.", page), 400, 401, 403, 429
            )
            | {"parameters": filters},
            "post": _operation(
                f"ask_{kind}", "Ask for a subsidy", answer("Stored.", one), 400, 401, 403, 415, 422, 429, code="201"
            )
            | {"requestBody": body(wish)},
        },
        f"{root}overview/": {
            "get": _operation(
                f"overview_{kind}", "How many are in which state", answer("The states.", counts), 400, 401, 403, 429
            )
            | {"parameters": [_in_query("enterprise_customer_uuid", UUID, required=True)]}
        },
        f"{root}{{uuid}}/": {
            "parameters": [in_path("uuid", "The request.", format="uuid")],
            "get": _operation(f"see_{kind}", "One request", answer("It.", one), 401, 404, 429),
        },
        f"{root}approve/": {
            "post": _operation(
                f"approve_{kind}",
                "Approve a batch or nothing; what is approved already is skipped",
                answer("Approved.", an_object(approved=named, skipped=named)),
                400, 401, 403, 415, 422, 429,
            )
            | {"requestBody": body(_batch(**source))}
        },
        f"{root}decline/": {
            "post": _operation(
                f"decline_{kind}",
                "Decline a batch or nothing",
                answer("Declined.", an_object(declined=named)),
                400, 401, 403, 415, 422, 429,
            )
            | {"requestBody": body(_batch(decline_reason={"type": "string", "maxLength": LONGEST_REASON}))}
        },
    }  # fmt: skip


def _configurations() -> dict[str, Any]:
    root = reverse("subsidy_requests:customer-configurations")
    one = answer("The configuration.", ref("Configuration"))
    named = {"name": {"type": "string", "minLength": 1, "maxLength": 255}, "slug": {"type": "string", "maxLength": 128}}
    changes = _choices() | {"contact_email": {"type": "string", "maxLength": 254}}
    return {
        root: {
            "post": _operation("configure", "Add an enterprise (staff)", one, 400, 401, 403, 415, 422, 429, code="201")
            | {
                "requestBody": body(
                    {
                        "type": "object",
                        "properties": {"enterprise_customer_uuid": UUID, **named, **changes},
                        "required": ["enterprise_customer_uuid", "name"],
                    }
                )
            }
        },
        f"{root}{{uuid}}/": {
            "parameters": [in_path("uuid", "The enterprise.", format="uuid")],
            "get": _operation("see_configuration", "What an enterprise has chosen", one, 401, 403, 404, 429),
            "patch": _operation("change_configuration", "Change it", one, 400, 401, 403, 404, 415, 429)
            | {"requestBody": body({"type": "object", "properties": changes, "additionalProperties": False})},
        },
    }


def _request(**more: Object) -> Object:
    """Return the schema of a request; who is not its learner also sees the reviewer and the attempt."""
    schema = an_object(
        uuid=UUID,
        enterprise_customer_uuid=UUID,
        lms_user_id={"type": "integer"},
        course_title=TEXT,
        state={"enum": list(states.STATES)},
        created=MOMENT,
        reviewed_at=or_null(MOMENT),
        fulfilled_at=or_null(MOMENT),
        decline_reason=TEXT,
        error_reason=TEXT,
        **more,
    )
    schema["properties"] |= {"reviewer_lms_user_id": or_null({"type": "integer"}), "attempt": {"type": "integer"}}
    return schema


def _choices() -> dict[str, Object]:
    return {
        "subsidy_requests_enabled": FLAG,
        "subsidy_type": {"enum": [*SUBSIDY_TYPES, None]},
        "attempt_auto_enrollment": FLAG,
    }


def _batch(**more: Object) -> Object:
    """Return the body of a decision."""
    needed = ["enterprise_customer_uuid", "subsidy_request_uuids", *(name for name in more if name != "decline_reason")]
    return {
        "type": "object",
        "properties": {
            "enterprise_customer_uuid": UUID,
            "subsidy_request_uuids": {"type": "array", "items": UUID, "minItems": 1, "maxItems": MOST_UUIDS},
            "send_notification": FLAG | {"default": True},
            **more,
        },
        "required": needed,
    }


def _operation(name: str, summary: str, fine: Object, *statuses: int, code: str = "200") -> Object:
    return {"operationId": name, "summary": summary, "responses": {code: fine, **errors(ERRORS, *statuses)}}


def _in_query(name: str, schema: Object, *, required: bool = False) -> Object:
    return {"name": name, "in": "query", "required": required, "schema": schema}


class Schema(JsonView):
    """Serves the description."""

    def get(self, request: Request) -> Response:
        """Return it."""
        return Response(description())
