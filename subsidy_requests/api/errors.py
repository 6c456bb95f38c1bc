"""Errors of the API: `{"code": word, "detail": text, "uuids": [requests]}`, whatever went wrong."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final
from uuid import UUID

from django.core.exceptions import ValidationError
from django.http import Http404
from rest_framework.exceptions import APIException, NotAuthenticated, ParseError
from rest_framework.response import Response
from rest_framework.views import exception_handler

from ..services import Broken

#: What we say where the framework has words of its own.
OUR_WORDS: Final[dict[type[APIException], str]] = {
    NotAuthenticated: "You need to sign in.",
    ParseError: "The request body is not a JSON object.",
}


class Refused(APIException):
    """An error that we raise ourselves; `uuids` are the requests it is about."""

    def __init__(self, status: int, code: str, detail: str, uuids: Iterable[UUID] = ()) -> None:
        super().__init__(detail, code)
        self.status_code, self.uuids = status, [str(uuid) for uuid in uuids]


def required(field: str) -> Refused:
    """Return the error that a field is missing."""
    return Refused(400, "required", f"{field}: is required.")


def invalid(field: str, allowed: str) -> Refused:
    """Return the error that a field is not what is allowed ("a UUID")."""
    return Refused(400, "invalid", f"{field}: must be {allowed}.")


def not_found(what: str = "request") -> Refused:
    """Return the error for what is not there, or is not the caller's to see."""
    return Refused(404, "not_found", f"There is no such {what}.")


def forbidden(role: str) -> Refused:
    """Return the error that the caller does not have a role at the enterprise."""
    return Refused(403, "permission_denied", f"You need to be {role} for this enterprise.")


def answer(error: Exception, context: Mapping[str, Any]) -> Response | None:
    """Return the answer to an error; None, and so a crash, for one that is a mistake of ours."""
    if isinstance(error, Broken):
        error = Refused(422, error.code, str(error), error.uuids)
    elif isinstance(error, ValidationError):
        error = Refused(400, "invalid", _sentence(error))
    elif isinstance(error, Http404):
        error = not_found()
    response = exception_handler(error, context)
    if response is not None and isinstance(error, APIException):
        detail = OUR_WORDS.get(type(error), str(error.detail))
        response.data = {"code": error.get_codes(), "detail": detail, "uuids": getattr(error, "uuids", [])}
    return response


def _sentence(error: ValidationError) -> str:
    """Return what is wrong, each text behind its field."""
    if not hasattr(error, "error_dict"):
        return " ".join(error.messages)
    return " ".join(
        text if text.startswith(f"{field}:") or field == "__all__" else f"{field}: {text}"
        for field, texts in error.message_dict.items()
        for text in texts
    )
