"""Values of bodies and queries, read strictly: what is wrong names its field and what is allowed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID

from email_automation.packing import storable

from .. import course_names
from ..models.requests import LONGEST_REASON
from .errors import invalid, not_found, required

MOST_UUIDS: Final = 100
LARGEST: Final = 2**63 - 1
_UUID: Final = "a UUID"


def uuid(body: Mapping[str, Any], field: str) -> UUID:
    """Return a uuid, which must be there. Raises Refused."""
    value = body.get(field)
    if value in (None, ""):
        raise required(field)
    return _uuid(value, field)


def named(text: str, what: str) -> UUID:
    """Return the uuid in an address; what is none names nothing. Raises Refused."""
    try:
        return UUID(text)
    except ValueError:
        raise not_found(what) from None


def uuids(body: Mapping[str, Any], field: str) -> list[UUID]:
    """Return a list of 1 to 100 uuids. Raises Refused."""
    value = body.get(field)
    if value is None:
        raise required(field)
    if not isinstance(value, list) or not 1 <= len(value) <= MOST_UUIDS:
        raise invalid(field, f"a list of 1 to {MOST_UUIDS} UUIDs")
    return [_uuid(item, field) for item in value]


def number(body: Mapping[str, Any], field: str) -> int:
    """Return a whole number from 1, which must be there. Raises Refused."""
    value = body.get(field)
    if value is None:
        raise required(field)
    if type(value) is not int or not 1 <= value <= LARGEST:
        raise invalid(field, "a whole number from 1")
    return value


def flag(body: Mapping[str, Any], field: str, *, default: bool) -> bool:
    """Return true or false, which may be left out. Raises Refused."""
    value = body.get(field, default)
    if not isinstance(value, bool):
        raise invalid(field, "true or false")
    return value


def text(body: Mapping[str, Any], field: str, *, longest: int = LONGEST_REASON) -> str:
    """Return a text, which may be left out. Raises Refused."""
    value = body.get(field, "")
    if not isinstance(value, str) or len(value) > longest or not storable(value):
        raise invalid(field, f"a text of at most {longest} characters")
    return value


def course(body: Mapping[str, Any], *, needed: bool) -> str | None:
    """Return the key of a course, or None where it may be left out and is. Raises Refused."""
    value = body.get("course_id")
    if value in (None, ""):
        if needed:
            raise required("course_id")
        return None
    if not isinstance(value, str) or not course_names.is_course(value):
        raise invalid("course_id", course_names.ALLOWED)
    return value


def one_of(field: str, value: str, allowed: Sequence[str]) -> str:
    """Return a value of a query if it is among those allowed. Raises Refused."""
    if value not in allowed:
        raise invalid(field, f"one of {', '.join(allowed)}")
    return value


def whole(field: str, value: str) -> int:
    """Return a value of a query as a whole number from 1. Raises Refused."""
    if not (value.isascii() and value.isdigit() and 1 <= int(value[:20]) <= LARGEST):
        raise invalid(field, "a whole number from 1")
    return int(value)


def _uuid(value: Any, field: str) -> UUID:
    try:
        if not isinstance(value, str):
            raise ValueError
        return UUID(value)
    except ValueError:
        raise invalid(field, _UUID) from None
