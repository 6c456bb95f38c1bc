"""Facts from a JSON file."""

import json
from collections.abc import Iterator
from dataclasses import MISSING, fields
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

from django.utils.dateparse import parse_date, parse_datetime

from courses.models import ContentItem
from courses.sources import (
    ActivityRow,
    BadRow,
    CertificateRow,
    CompletionRow,
    ContentItemRow,
    CourseRow,
    EnrollmentRow,
    Fact,
    LearnerRow,
    MeetingRow,
    ModeRow,
    ParticipantRow,
    PaymentRow,
    SectionRow,
    Source,
)

FactRow = TypeVar("FactRow", bound=Fact)


class Reader(Generic[FactRow]):
    """Turns JSON objects into rows of one kind; what does not fit becomes a BadRow."""

    TYPES: ClassVar[dict[str, str]] = {
        "start": "time or null",
        "end": "time or null",
        "enrollment_start": "time or null",
        "enrollment_end": "time or null",
        "expires_at": "time or null",
        "starts_at": "time or null",
        "created_at": "time",
        "paid_at": "time",
        "joined_at": "time",
        "left_at": "time",
        "published_at": "time",
        "completed_at": "time",
        "date": "day",
        "self_paced": "bool",
        "is_active": "bool",
        "is_visible": "bool",
        "has_usable_password": "bool",
        "highlights_enabled_for_messaging": "bool",
        "visible_to_staff_only": "bool",
        "hide_from_toc": "bool",
        "is_successful": "bool",
        "is_demo": "bool",
        "is_published": "bool",
        "weeks_to_complete": "int or null",
        "index": "int",
        "lms_user_id": "int",
        "seconds": "int",
        "type": "item type",
        "price": "decimal or null",
        "amount": "decimal",
        "highlights": "list",
    }

    def __init__(self, row_class: type[FactRow]) -> None:
        self.row_class = row_class
        self.names = [field.name for field in fields(row_class) if field.name != "place"]
        self.required = [field.name for field in fields(row_class) if field.default is MISSING]

    def read(self, data: Any, place: str) -> FactRow | BadRow:
        """Return the row of one JSON object."""
        if not isinstance(data, dict):
            return BadRow(place=place, message=f"must be an object with the fields {', '.join(self.names)}.")
        unknown = sorted(set(data) - set(self.names))
        if unknown:
            return BadRow(place=place, message=f"{unknown[0]}: unknown field. Allowed: {', '.join(self.names)}.")
        missing = [name for name in self.required if name not in data]
        if missing:
            return BadRow(place=place, message=f"{missing[0]}: is missing.")
        try:
            return self.row_class(place=place, **{name: self._value(name, value) for name, value in data.items()})
        except ValueError as error:
            return BadRow(place=place, message=str(error))

    def _value(self, name: str, value: Any) -> Any:
        """Return a JSON value as the type of its field; ValueError names the field and what is allowed."""
        kind = self.TYPES.get(name, "text")
        if value is None:
            if kind.endswith("or null"):
                return None
            raise ValueError(f"{name}: must not be null. Allowed: {ALLOWED[kind]}, or leave the field out.")
        converted = CONVERTERS[kind.removesuffix(" or null")](value)
        if converted is None:
            raise ValueError(f"{name}: {value!r} does not fit. Allowed: {ALLOWED[kind.removesuffix(' or null')]}.")
        return converted


def _as_time(value: Any) -> datetime | None:
    """Return a time with a zone, or None."""
    try:
        instant = parse_datetime(value) if isinstance(value, str) else None
        return instant.astimezone(UTC) if instant is not None and instant.tzinfo is not None else None
    except (ValueError, OverflowError):
        return None


def _as_day(value: Any) -> date | None:
    """Return a day, or None."""
    try:
        return parse_date(value) if isinstance(value, str) else None
    except ValueError:
        return None


def _as_int(value: Any) -> int | None:
    """Return a whole number that a column can hold, or None."""
    return value if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63 else None


def _as_text(value: Any) -> str | None:
    """Return a text that every database can hold (no NUL, no half of a character), or None."""
    if not isinstance(value, str) or "\0" in value:
        return None
    try:
        value.encode()
    except UnicodeEncodeError:
        return None
    return value


def _as_decimal(value: Any) -> Decimal | None:
    """Return an amount, or None."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        amount = Decimal(str(value))
    except InvalidOperation:
        return None
    return amount if amount.is_finite() else None


CONVERTERS: dict[str, Any] = {
    "time": _as_time,
    "day": _as_day,
    "decimal": _as_decimal,
    "bool": lambda value: value if isinstance(value, bool) else None,
    "int": _as_int,
    "list": lambda value: value if isinstance(value, list) else None,
    "item type": lambda value: value if value in ContentItem.Kind.values else None,
    "text": _as_text,
}
ALLOWED = {
    "time": "a time with zone such as 2026-03-01T00:00:00Z",
    "day": "a day such as 2026-03-01",
    "decimal": "a number",
    "bool": "true or false",
    "int": "a whole number",
    "list": "a list",
    "item type": "video, quiz or assignment",
    "text": "a text",
}

READERS: dict[str, Reader[Any]] = {
    "courses": Reader(CourseRow),
    "modes": Reader(ModeRow),
    "sections": Reader(SectionRow),
    "learners": Reader(LearnerRow),
    "enrollments": Reader(EnrollmentRow),
    "certificates": Reader(CertificateRow),
    "payments": Reader(PaymentRow),
    "meetings": Reader(MeetingRow),
    "participants": Reader(ParticipantRow),
    "content_items": Reader(ContentItemRow),
    "completions": Reader(CompletionRow),
    "activities": Reader(ActivityRow),
}


class JsonSource(Source):
    """Facts in a file: `.json` holds one object with a list per kind, `.jsonl` one object per line.

    A line has the fields of its row and `"kind"`, which is one of the keys of READERS.
    Lines are read one at a time, so the file may be of any size.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        if not self.path.is_file():
            raise ValueError(f"{self.path}: no such file")
        self.lists: dict[str, Any] | None = None if self.path.suffix == ".jsonl" else self._load()

    def courses(self) -> Iterator[CourseRow | BadRow]:
        """Yield the courses; a line that is no row of any kind is reported here, once."""
        return self._rows("courses")

    def modes(self) -> Iterator[ModeRow | BadRow]:
        """Yield the modes."""
        return self._rows("modes")

    def sections(self) -> Iterator[SectionRow | BadRow]:
        """Yield the sections."""
        return self._rows("sections")

    def learners(self) -> Iterator[LearnerRow | BadRow]:
        """Yield the learners."""
        return self._rows("learners")

    def enrollments(self) -> Iterator[EnrollmentRow | BadRow]:
        """Yield the enrolments."""
        return self._rows("enrollments")

    def certificates(self) -> Iterator[CertificateRow | BadRow]:
        """Yield the certificates."""
        return self._rows("certificates")

    def payments(self) -> Iterator[PaymentRow | BadRow]:
        """Yield the payments."""
        return self._rows("payments")

    def meetings(self) -> Iterator[MeetingRow | BadRow]:
        """Yield the meetings."""
        return self._rows("meetings")

    def participants(self) -> Iterator[ParticipantRow | BadRow]:
        """Yield who was in the meetings."""
        return self._rows("participants")

    def content_items(self) -> Iterator[ContentItemRow | BadRow]:
        """Yield the items of the courses."""
        return self._rows("content_items")

    def completions(self) -> Iterator[CompletionRow | BadRow]:
        """Yield what learners have completed."""
        return self._rows("completions")

    def activities(self) -> Iterator[ActivityRow | BadRow]:
        """Yield the days on which learners were in courses."""
        return self._rows("activities")

    def _load(self) -> dict[str, Any]:
        """Read a `.json` file; ValueError when its outer shape is not ours."""
        try:
            data = json.loads(self.path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise ValueError(f"{self.path}: not JSON ({error})") from None
        wrong = (
            not isinstance(data, dict)
            or set(data) - set(READERS)
            or any(not isinstance(rows, list) for rows in data.values())
        )
        if wrong:
            raise ValueError(f"{self.path}: must be an object with lists under {', '.join(READERS)}")
        return dict(data)

    def _rows(self, kind: str) -> Iterator[Any]:
        """Yield the rows of one kind."""
        reader = READERS[kind]
        if self.lists is not None:
            for position, data in enumerate(self.lists.get(kind, []), start=1):
                yield reader.read(data, f"row {position}")
            return
        with self.path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, start=1):
                yield from self._line(line, kind=kind, place=f"line {number}")

    def _line(self, line: str, *, kind: str, place: str) -> Iterator[Any]:
        """Yield the row of a line when it is of this kind."""
        if not line.strip():
            return
        try:
            data = json.loads(line)
        except ValueError:
            data = None
        own = data.pop("kind", None) if isinstance(data, dict) else None
        if own == kind:
            yield READERS[kind].read(data, place)
        elif own not in READERS and kind == "courses":
            yield BadRow(place=place, message=f"kind: must be one of {', '.join(READERS)}, in an object per line.")
