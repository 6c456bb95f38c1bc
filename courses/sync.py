"""Loading and repairing the facts from a source."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.db import models, transaction

from courses import services
from courses.bulk import retry_on_deadlock, slices
from courses.models import Certificate, Course, CourseMode, Enrollment, LearnerProfile, Section
from courses.services.learning import CHUNK
from courses.services.upsert import clean
from courses.sources import UNSET, BadRow, Fact, Source, told

KINDS = ("courses", "modes", "sections", "learners", "enrollments", "certificates")
PARTS: dict[str, tuple[type[models.Model], str]] = {"modes": (CourseMode, "slug"), "sections": (Section, "index")}

Report = Callable[[str], None]


@dataclass(slots=True)
class Totals:
    """What a sync has read and done."""

    read: Counter[str] = field(default_factory=Counter)
    done: Counter[str] = field(default_factory=Counter)

    def __str__(self) -> str:
        parts = [f"{kind}={self.read[kind]}" for kind in KINDS]
        parts += [f"{word}={self.done[word]}" for word in ("created", "changed", "removed", "rejected")]
        return " ".join(parts)


@dataclass(slots=True)
class Chunk:
    """What became of up to 500 rows of one kind."""

    done: Counter[str] = field(default_factory=Counter)
    rejected: list[tuple[Fact, str]] = field(default_factory=list)

    def reject(self, row: Fact, error: Exception) -> None:
        """Leave a row out, with the reason in words."""
        self.rejected.append((row, in_words(error)))


def sync(source: Source, *, report: Report, announce: bool = False) -> Totals:
    """Load everything a source tells, 500 rows per transaction; a bad row is reported and left out.

    Rows that are already stored with the same values are not written. `announce` True tells learners of their new
    enrolments, as an enrolment through the platform does.
    """
    totals = Totals()
    for kind in KINDS:
        seen: dict[str, set[Any]] = {key: set() for key in source.complete(kind)} if kind in PARTS else {}
        incomplete = False
        position = 0
        for rows in slices(getattr(source, kind)(), CHUNK):
            places = {id(row): row.place or f"row {position + offset}" for offset, row in enumerate(rows, start=1)}
            position += len(rows)
            chunk = load_chunk(kind, rows, announce=announce)
            totals.read[kind] += len(rows)
            totals.done.update(chunk.done)
            for row, message in chunk.rejected:
                totals.done["rejected"] += 1
                report(f"{kind} {places[id(row)]}: {message}")
            incomplete = incomplete or bool(chunk.rejected)
            if kind in PARTS:
                for row in rows:
                    if not isinstance(row, BadRow):
                        seen.setdefault(row.course, set()).add(getattr(row, PARTS[kind][1]))
        # Nothing is removed on the word of a list that could not be read to the end.
        if kind in PARTS and not incomplete:
            totals.done["removed"] += remove_others(kind, seen)
    return totals


@retry_on_deadlock
def load_chunk(kind: str, rows: list[Any], *, announce: bool) -> Chunk:
    """Load rows of one kind in one transaction."""
    chunk = Chunk()
    good = []
    for row in rows:
        if isinstance(row, BadRow):
            chunk.rejected.append((row, row.message))
        else:
            good.append(row)
    with transaction.atomic():
        if kind == "courses":
            _load_courses(good, chunk)
        elif kind in PARTS:
            _load_parts(kind, good, chunk)
        elif kind == "learners":
            _load_learners(good, chunk)
        elif kind == "enrollments":
            _load_enrollments(good, chunk, announce=announce)
        else:
            _load_certificates(good, chunk)
    return chunk


def _load_courses(rows: list[Any], chunk: Chunk) -> None:
    """Record courses one by one; those that are stored as told are found in one query."""
    stored = Course.objects.in_bulk([row.key for row in rows], field_name="key")
    for row in rows:
        fields = told(row, "key")
        if row.key in stored and _as_told(stored[row.key], fields):
            continue
        _record(row, chunk, partial(services.record_course, row.key, **fields))


def _load_parts(kind: str, rows: list[Any], chunk: Chunk) -> None:
    """Record modes or sections one by one; those that are stored as told are found in one query."""
    model, name = PARTS[kind]
    writer: Any = services.record_mode if kind == "modes" else services.record_section
    courses = Course.objects.in_bulk({row.course for row in rows}, field_name="key")
    parts: Iterable[Any] = model._default_manager.filter(course__in=courses.values()).select_related("course")
    stored = {(part.course.key, getattr(part, name)): part for part in parts}
    for row in rows:
        if row.course not in courses:
            chunk.reject(row, unknown("course", row.course, "the key of a course that is stored or in the source"))
            continue
        fields = told(row, "course", name)
        part = stored.get((row.course, getattr(row, name)))
        if part is None or not _as_told(part, fields):
            course = courses[row.course]
            _record(row, chunk, partial(writer, course, getattr(row, name), **fields))


def _load_learners(rows: list[Any], chunk: Chunk) -> None:
    """Record learners together, or one by one when one of them is bad."""
    facts = [services.LearnerFact(**told(row)) for row in rows]
    try:
        with transaction.atomic():
            results = services.record_learners(facts)
    except (ValidationError, ValueError, TypeError):
        for row, fact in zip(rows, facts, strict=True):
            _record(row, chunk, partial(_record_learner, fact))
    else:
        chunk.done.update(word for _user, word in results)


def _record_learner(fact: services.LearnerFact) -> tuple[Any, str]:
    """Record one learner."""
    return services.record_learners([fact])[0]


def _load_enrollments(rows: list[Any], chunk: Chunk, *, announce: bool) -> None:
    """Record enrolments together, after the bad ones have been taken out."""
    facts = []
    for row, user_id, course in _resolved(rows, chunk):
        created_at = None if row.created_at is UNSET else row.created_at
        fact = services.EnrollmentFact(
            user_id=user_id, course=course, mode=row.mode, is_active=row.is_active, created_at=created_at
        )
        values = {"mode": fact.mode, "is_active": fact.is_active} | ({"created_at": created_at} if created_at else {})
        try:
            clean(Enrollment(**values))
        except (ValidationError, ValueError, TypeError) as error:
            chunk.reject(row, error)
        else:
            facts.append(fact)
    chunk.done.update(services.record_enrollments(facts, announce=announce))


def _load_certificates(rows: list[Any], chunk: Chunk) -> None:
    """Record certificates one by one; those that are stored as told are found in one query."""
    resolved = _resolved(rows, chunk)
    users = get_user_model()._default_manager.in_bulk({user_id for _row, user_id, _course in resolved})
    stored = {
        (certificate.user_id, certificate.course_id): certificate.status
        for certificate in Certificate.objects.filter(
            user_id__in=users, course_id__in={course.pk for _row, _user_id, course in resolved}
        )
    }
    for row, user_id, course in resolved:
        if stored.get((user_id, course.pk)) != row.status:
            _record(row, chunk, partial(services.record_certificate, users[user_id], course, status=row.status))


def _resolved(rows: list[Any], chunk: Chunk) -> list[tuple[Any, int, Course]]:
    """Return (row, user id, course) of the rows whose learner and course are known, in three queries."""
    courses = Course.objects.in_bulk({row.course for row in rows}, field_name="key")
    numbers = {row.lms_user_id for row in rows if row.lms_user_id is not UNSET}
    by_number = dict(LearnerProfile.objects.filter(lms_user_id__in=numbers).values_list("lms_user_id", "user_id"))
    names = {row.username for row in rows if row.lms_user_id is UNSET and row.username is not UNSET}
    by_name = dict(get_user_model()._default_manager.filter(username__in=names).values_list("username", "pk"))
    resolved = []
    for row in rows:
        number = row.lms_user_id
        user_id = by_name.get(row.username) if number is UNSET else by_number.get(number)
        if row.course not in courses:
            chunk.reject(row, unknown("course", row.course, "the key of a course that is stored or in the source"))
        elif user_id is None and number is UNSET:
            # The name itself stays out of the log: it is personal.
            chunk.reject(row, ValueError("username: unknown. Allowed: a learner that is stored or in the source."))
        elif user_id is None:
            chunk.reject(row, unknown("lms_user_id", number, "a learner that is stored or in the source"))
        else:
            resolved.append((row, user_id, courses[row.course]))
    return resolved


def _record(row: Fact, chunk: Chunk, write: Callable[[], tuple[Any, str]]) -> None:
    """Write one row in a savepoint; a bad one is left out."""
    try:
        with transaction.atomic():
            chunk.done[write()[1]] += 1
    except (ValidationError, ValueError, TypeError) as error:
        chunk.reject(row, error)


def _as_told(row: models.Model, fields: dict[str, Any]) -> bool:
    """Tell whether a stored row has all these values."""
    return all(getattr(row, name, UNSET) == value for name, value in fields.items())


def remove_others(kind: str, seen: dict[str, set[Any]]) -> int:
    """Remove the modes or sections of the courses told that the source does not tell; return how many."""
    model, name = PARTS[kind]
    removed = 0
    for keys in slices(seen, CHUNK):
        removed += _remove_in(model, name, {key: seen[key] for key in keys})
    return removed


@retry_on_deadlock
def _remove_in(model: type[models.Model], name: str, seen: dict[str, set[Any]]) -> int:
    """Remove what is not told, of up to 500 courses in one transaction."""
    stored: Iterable[Any] = model._default_manager.filter(course__key__in=seen).select_related("course")
    with transaction.atomic():
        gone = [part.pk for part in stored if getattr(part, name) not in seen[part.course.key]]
        if gone:
            model._default_manager.filter(pk__in=gone).delete()
    return len(gone)


def unknown(name: str, value: Any, allowed: str) -> ValueError:
    """Return the error for a value that names nothing."""
    return ValueError(f"{name}: {value!r} is unknown. Allowed: {allowed}.")


def in_words(error: Exception) -> str:
    """Return an error as one line that names the field."""
    if not isinstance(error, ValidationError):
        return " ".join(str(error).split())
    if not hasattr(error, "error_dict"):
        return " ".join(error.messages)
    lines = []
    for name, messages in error.message_dict.items():
        text = " ".join(messages)
        lines.append(text if text.startswith(f"{name}:") else f"{name}: {text}")
    return " ".join(lines)
