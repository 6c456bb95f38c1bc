"""Errors of the API: `{"detail": text, "code": code, "field": name or null}`, whatever went wrong."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from rest_framework.exceptions import APIException, NotAuthenticated, ParseError
from rest_framework.response import Response
from rest_framework.views import exception_handler

#: What we say where the framework has words of its own.
OUR_WORDS: Final[dict[type[APIException], str]] = {
    NotAuthenticated: "You need to sign in.",
    ParseError: "The request body is not a JSON object.",
}


class Refused(APIException):
    """An error that we raise ourselves; `field` is what the request should say differently."""

    def __init__(self, status: int, code: str, detail: str, field: str | None = None) -> None:
        super().__init__(detail, code)
        self.status_code, self.field = status, field


def required(field: str) -> Refused:
    """Return the error that a field is missing."""
    return Refused(400, "required", f"{field} is required.", field)


def invalid(field: str, kind: str) -> Refused:
    """Return the error that a field is not of its kind ("a string")."""
    return Refused(400, "invalid", f"{field} must be {kind}.", field)


def answer(error: Exception, context: Mapping[str, Any]) -> Response | None:
    """Return the answer to an error; None, and so a crash, for one that is a mistake of ours."""
    response = exception_handler(error, context)
    if response is not None and isinstance(error, APIException):
        detail = OUR_WORDS.get(type(error), str(error.detail))
        response.data = {"detail": detail, "code": error.get_codes(), "field": getattr(error, "field", None)}
    return response
