"""Where `sync_courses` reads facts from: a host implements `Source`, or writes a file (see `courses.json_source`)."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from typing import Any, Final


class Unset(Enum):
    """The value of a field that a source does not tell; what is stored stays."""

    UNSET = "unset"


UNSET: Final = Unset.UNSET


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """Base of the rows a source yields. `place` says where the row comes from, for messages ("line 12")."""

    place: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CourseRow(Fact):
    """One course; the columns of Course."""

    key: str
    title: str | Unset = UNSET
    org: str | Unset = UNSET
    start: datetime | None | Unset = UNSET
    end: datetime | None | Unset = UNSET
    enrollment_start: datetime | None | Unset = UNSET
    enrollment_end: datetime | None | Unset = UNSET
    self_paced: bool | Unset = UNSET
    is_visible: bool | Unset = UNSET
    is_active: bool | Unset = UNSET
    language: str | Unset = UNSET
    weeks_to_complete: int | None | Unset = UNSET
    price: Decimal | None | Unset = UNSET
    currency: str | Unset = UNSET
    highlights_enabled_for_messaging: bool | Unset = UNSET


@dataclass(frozen=True, slots=True, kw_only=True)
class ModeRow(Fact):
    """One mode of a course. When a source tells any mode of a course it must tell all: the others are removed."""

    course: str
    slug: str
    price: Decimal | Unset = UNSET
    currency: str | Unset = UNSET
    expires_at: datetime | None | Unset = UNSET
    sku: str | Unset = UNSET


@dataclass(frozen=True, slots=True, kw_only=True)
class SectionRow(Fact):
    """One section of a course. When a source tells any section of a course it must tell all: the others are removed."""

    course: str
    index: int
    title: str | Unset = UNSET
    visible_to_staff_only: bool | Unset = UNSET
    hide_from_toc: bool | Unset = UNSET
    highlights: list[str] | Unset = UNSET


@dataclass(frozen=True, slots=True, kw_only=True)
class LearnerRow(Fact):
    """One learner; `lms_user_id` is the number of the account on the platform."""

    username: str
    email: str | Unset = UNSET
    first_name: str | Unset = UNSET
    last_name: str | Unset = UNSET
    is_active: bool | Unset = UNSET
    has_usable_password: bool | Unset = UNSET
    lms_user_id: int | Unset = UNSET
    language: str | Unset = UNSET
    time_zone: str | Unset = UNSET


@dataclass(frozen=True, slots=True, kw_only=True)
class LearnersFact(Fact):
    """Base of the rows about a learner, who is named by number on the platform or by user name."""

    username: str | Unset = UNSET
    lms_user_id: int | Unset = UNSET


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrollmentRow(LearnersFact):
    """One learner's place in a course."""

    course: str
    mode: str = "audit"
    is_active: bool = True
    created_at: datetime | Unset = UNSET


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateRow(LearnersFact):
    """The state of a learner's certificate in a course."""

    course: str
    status: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentRow(LearnersFact):
    """One payment of a learner, told apart by its transaction."""

    txn_ref: str
    amount: Decimal
    currency: str
    course: str | Unset = UNSET
    method: str | Unset = UNSET
    is_successful: bool | Unset = UNSET
    paid_at: datetime | Unset = UNSET


@dataclass(frozen=True, slots=True, kw_only=True)
class MeetingRow(Fact):
    """One meeting; the columns of Meeting."""

    key: str
    course: str | Unset = UNSET
    title: str | Unset = UNSET
    is_demo: bool | Unset = UNSET
    starts_at: datetime | None | Unset = UNSET


@dataclass(frozen=True, slots=True, kw_only=True)
class ParticipantRow(LearnersFact):
    """That a learner was in a meeting, which is named by its key."""

    meeting: str
    joined_at: datetime | Unset = UNSET
    left_at: datetime | Unset = UNSET


@dataclass(frozen=True, slots=True, kw_only=True)
class ContentItemRow(Fact):
    """One item of a course; `type` is video, quiz or assignment."""

    key: str
    course: str
    type: str
    title: str
    url: str | Unset = UNSET
    is_published: bool | Unset = UNSET
    published_at: datetime | Unset = UNSET


@dataclass(frozen=True, slots=True, kw_only=True)
class CompletionRow(LearnersFact):
    """That a learner has completed an item, which is named by its key."""

    item: str
    completed_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ActivityRow(LearnersFact):
    """A learner's day in a course; `seconds` is that day's total."""

    course: str
    date: date
    seconds: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class BadRow(Fact):
    """A row that the source could not read; `message` names the field and what is allowed."""

    message: str


class SourceRefused(Exception):
    """Nothing of a source can be taken in; the message names the source, the place in it and what is wrong."""


class Source:
    """What a host offers to `sync_courses`: plain iterators, read once each, in this order.

    A kind that a source does not tell is left alone. Iterators may yield BadRow for what they cannot read; an
    exception ends the whole command. With `all_or_nothing` a single bad row keeps out all the others.
    """

    all_or_nothing = False

    def courses(self) -> Iterator[CourseRow | BadRow]:
        """Yield the courses."""
        return iter(())

    def modes(self) -> Iterator[ModeRow | BadRow]:
        """Yield the modes of the courses."""
        return iter(())

    def sections(self) -> Iterator[SectionRow | BadRow]:
        """Yield the sections of the courses."""
        return iter(())

    def learners(self) -> Iterator[LearnerRow | BadRow]:
        """Yield the learners."""
        return iter(())

    def enrollments(self) -> Iterator[EnrollmentRow | BadRow]:
        """Yield the enrolments, ended ones with `is_active` False."""
        return iter(())

    def certificates(self) -> Iterator[CertificateRow | BadRow]:
        """Yield the certificates."""
        return iter(())

    def payments(self) -> Iterator[PaymentRow | BadRow]:
        """Yield the payments."""
        return iter(())

    def meetings(self) -> Iterator[MeetingRow | BadRow]:
        """Yield the meetings."""
        return iter(())

    def participants(self) -> Iterator[ParticipantRow | BadRow]:
        """Yield who was in the meetings."""
        return iter(())

    def content_items(self) -> Iterator[ContentItemRow | BadRow]:
        """Yield the items of the courses."""
        return iter(())

    def completions(self) -> Iterator[CompletionRow | BadRow]:
        """Yield what learners have completed."""
        return iter(())

    def activities(self) -> Iterator[ActivityRow | BadRow]:
        """Yield the days on which learners were in courses."""
        return iter(())

    def complete(self, kind: str) -> Iterable[str]:
        """Name the courses whose modes or sections are all told, so that none told means none left.

        A course with at least one row of the kind need not be named.
        """
        return ()


def told(row: Fact, *without: str) -> dict[str, Any]:
    """Return the fields that a row tells, as {name: value}, without its place and the fields named."""
    values = {field.name: getattr(row, field.name) for field in fields(row)}
    return {
        name: value for name, value in values.items() if value is not UNSET and name != "place" and name not in without
    }
