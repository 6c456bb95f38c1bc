"""The API in OpenAPI's words, for people who write clients; a test hammers the API by it."""

from __future__ import annotations

from typing import Final

from rest_framework.request import Request
from rest_framework.response import Response

from email_automation.openapi import SECURITY, Object, an_object, answer, body, errors, in_path, or_null, ref

from ..conf import days_range
from ..models import MOST_DAYS
from .base import GoalView

ERRORS: Final = {
    400: "The body is not a JSON object, or a field is missing or wrong: "
    "`parse_error`, `required`, `invalid`, `out_of_range`.",
    401: "Nobody is signed in: `not_authenticated`.",
    403: "`csrf_failed`, or `not_enrolled`.",
    404: "`course_not_found`, `goals_not_enabled`, or `token_not_found`.",
    415: "The body is no `application/json`: `unsupported_media_type`.",
    429: "Too many requests: `throttled`.",
}
CODES: Final = (
    "parse_error", "required", "invalid", "out_of_range", "not_authenticated", "authentication_failed", "csrf_failed",
    "not_enrolled", "course_not_found", "goals_not_enabled", "token_not_found", "method_not_allowed",
    "unsupported_media_type", "throttled",
)  # fmt: skip
COURSE_KEY: Final = in_path(
    "course_key", "A course key, for example `course-v1:Org+Course+Run`.", pattern="^[^/]+$", minLength=1
)
TOKEN: Final = in_path("token", "The token of a goal, from its mail.", minLength=1, pattern="^[^/]+$")
FIELD: Final = {"enum": ["course_id", "subscribed_to_reminders", "days_per_week", None]}


def description() -> Object:
    """Return the description as the settings have it."""
    fewest, most = days_range()
    week = an_object(
        start={"type": "string", "format": "date", "description": "The Monday."},
        today={"type": "string", "format": "date", "description": "By the learner's own clock."},
        days_done={"type": "integer", "minimum": 0, "maximum": 7},
        days_left={"type": "integer", "minimum": 1, "maximum": 7, "description": "Today counts."},
        reached={"type": "boolean"},
    )
    outline = an_object(
        weekly_learning_goal_enabled={"type": "boolean"},
        selected_goal=or_null(ref("Goal")),
        choices={"type": "array", "items": an_object(days={"type": "integer"}, name={"type": "string"})},
        week=or_null(ref("Week")),
    )
    wish = {
        "type": "object",
        "properties": {
            "course_id": {"type": "string", "minLength": 1},
            "days_per_week": {
                "anyOf": [{"type": "integer", "minimum": fewest, "maximum": most}, {"const": 0}, {"type": "null"}],
                "description": "0 clears the goal. Left out or null: as it is, which needs one to be there.",
            },
            "subscribed_to_reminders": {"type": "boolean"},
        },
        "required": ["course_id", "subscribed_to_reminders"],
    }
    return {
        "openapi": "3.1.0",
        "info": {"title": "Weekly goals", "version": "1"},
        "security": [{"session": [], "csrf": []}],
        "paths": {
            "/api/course_home/save_course_goal": {
                "post": {
                    "operationId": "save_course_goal",
                    "summary": "Set, change or clear the caller's goal",
                    "requestBody": body(wish),
                    "responses": {
                        "200": answer(
                            "Saved.",
                            an_object(
                                header={"type": "string"},
                                message={"type": "string"},
                                selected_goal=or_null(ref("Goal")),
                            ),
                        ),
                        **errors(ERRORS, 400, 401, 403, 404, 415, 429),
                    },
                }
            },
            "/api/course_home/outline/{course_key}": {
                "parameters": [COURSE_KEY],
                "get": {
                    "operationId": "outline",
                    "summary": "The caller's goal and week in a course; opening it counts as a day of study",
                    "security": [{}, {"session": []}],
                    "responses": {
                        "200": answer("The outline.", an_object(course_goals=outline)),
                        **errors(ERRORS, 404, 429),
                    },
                },
            },
            "/api/course_home/last_seen_time_zone": {
                "post": {
                    "operationId": "last_seen_time_zone",
                    "summary": "Report the zone of the caller's browser; an unusable name is ignored",
                    "requestBody": body({"type": "object", "properties": {"time_zone": {"examples": ["Asia/Tokyo"]}}}),
                    "responses": {"204": {"description": "Heard."}, **errors(ERRORS, 400, 401, 403, 415)},
                }
            },
            "/api/course_home/unsubscribe_from_course_goal/{token}": {
                "parameters": [TOKEN],
                "get": {
                    "operationId": "unsubscribe_page",
                    "summary": "Lead to the page that asks; changes nothing",
                    "security": [],
                    "responses": {"302": {"description": "To the page."}},
                },
                "post": {
                    "operationId": "unsubscribe",
                    "summary": "Stop the reminders of one goal (RFC 8058); the body is not read",
                    "security": [],
                    "responses": {
                        "200": answer("They are off.", an_object(course_title={"type": "string"})),
                        **errors(ERRORS, 404, 429),
                    },
                },
            },
        },
        "components": {
            "securitySchemes": dict(SECURITY),
            "schemas": {
                "Goal": an_object(
                    days_per_week={"type": "integer", "minimum": 1, "maximum": MOST_DAYS},
                    subscribed_to_reminders={"type": "boolean"},
                ),
                "Week": week,
                "Error": an_object(detail={"type": "string"}, code={"enum": list(CODES)}, field=FIELD),
            },
        },
    }


class Schema(GoalView):
    """Serves the description."""

    def get(self, request: Request) -> Response:
        """Return it."""
        return Response(description())
