"""What the platform says of an administrator, and which of its rows are about one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Any, Final, TypeVar
from uuid import UUID

from ..models import EnterpriseAdmin
from .errors import DirectoryError

ROLE: Final = "enterprise_admin"
LARGEST: Final = 2**63 - 1
LONGEST: Final = {
    name: EnterpriseAdmin._meta.get_field(name).max_length or 0  # type: ignore[union-attr]  # both are columns of text
    for name in ("user_name", "email")
}
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class AdminRecord:
    """One person as the administrator of one enterprise, in the directory's words."""

    ecu_id: int
    lms_user_id: int
    user_name: str
    email: str
    account_active: bool
    ecu_created: datetime | None
    joined_date: datetime | None


def administrators(
    rows: Iterable[Mapping[str, Any]], enterprise_uuid: UUID, *, service_username: str
) -> list[AdminRecord]:
    """Return the administrators among the platform's rows about an enterprise, each once, by number.

    The platform narrows its answer by role only for callers with staff rights, so each row is looked at again. Its
    `active` says which enterprise a user has selected and means nothing here. Raises DirectoryError for a row that
    cannot be read: an answer with a hole is not complete.
    """
    found: dict[int, AdminRecord] = {}
    for row in rows:
        if _is_about(row, enterprise_uuid):
            record = _record(row)
            if record.user_name != service_username:
                found.setdefault(record.ecu_id, record)
    return [found[ecu_id] for ecu_id in sorted(found)]


def _is_about(row: Mapping[str, Any], enterprise_uuid: UUID) -> bool:
    """Tell whether a row is about this enterprise and, where it says so, about an administrator."""
    enterprise = _value(row, "enterprise_customer", dict, optional=True) or {}
    if str(enterprise.get("uuid", enterprise_uuid)).lower() != str(enterprise_uuid):
        return False
    roles = _value(row, "role_assignments", list, optional=True)
    return roles is None or ROLE in roles


def _record(row: Mapping[str, Any]) -> AdminRecord:
    user = _value(row, "user", dict)
    return AdminRecord(
        ecu_id=_number(row, "id"),
        lms_user_id=_number(user, "id", of="user."),
        user_name=_text(user, "username", LONGEST["user_name"]),
        email=_text(user, "email", LONGEST["email"], optional=True),
        account_active=_value(user, "is_active", bool, of="user."),
        ecu_created=_moment(row, "created"),
        joined_date=_moment(row, "joined_date"),
    )


def _value(row: Mapping[str, Any], name: str, kind: type[T], *, optional: bool = False, of: str = "") -> Any:
    value = row.get(name)
    if value is None and optional:
        return None
    if not isinstance(value, kind):
        raise DirectoryError(f"{of}{name} of a row is {type(value).__name__}. Allowed: {kind.__name__}.")
    return value


def _number(row: Mapping[str, Any], name: str, *, of: str = "") -> int:
    value = _value(row, name, int, of=of)
    if isinstance(value, bool) or not 0 < value <= LARGEST:
        raise DirectoryError(f"{of}{name} of a row is no number of a row. Allowed: 1 to {LARGEST}.")
    return int(value)


def _text(user: Mapping[str, Any], name: str, longest: int, *, optional: bool = False) -> str:
    value = (_value(user, name, str, optional=optional, of="user.") or "").strip()
    if len(value) > longest or "\x00" in value or not (value or optional):
        raise DirectoryError(f"user.{name} of a row has {len(value)} characters. Allowed: at most {longest}.")
    return str(value)


def _moment(row: Mapping[str, Any], name: str) -> datetime | None:
    """Return a moment, or the first one of a day; without a zone it is UTC."""
    text = _value(row, name, str, optional=True)
    if not text:
        return None
    try:
        day = date.fromisoformat(text) if len(text) == len("2026-01-01") else None
        moment = datetime.combine(day, time()) if day else datetime.fromisoformat(text)
    except ValueError:
        raise DirectoryError(f"{name} of a row is no time. Allowed: for example 2026-03-01T00:00:00Z.") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
