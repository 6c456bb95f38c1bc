"""Writing the rows of a source, one kind and at most 500 rows at a time."""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from django.contrib.auth import get_user_model
from django.db import models, transaction

from courses import services
from courses.bulk import any_of, retry_on_deadlock
from courses.chunk import MALFORMED, Chunk, resolved
from courses.models import (
    Certificate,
    Completion,
    ContentItem,
    Course,
    CourseMode,
    Enrollment,
    Meeting,
    Participant,
    Payment,
    Section,
    UserActivity,
)
from courses.services.upsert import check_key
from courses.sources import UNSET, BadRow, told

PARTS: dict[str, tuple[type[models.Model], str]] = {"modes": (CourseMode, "slug"), "sections": (Section, "index")}
LEARNER = ("username", "lms_user_id")


@retry_on_deadlock
def load_chunk(kind: str, rows: list[Any], *, announce: bool) -> Chunk:
    """Load rows of one kind in one transaction."""
    chunk = Chunk(announce)
    good = []
    for row in rows:
        if isinstance(row, BadRow):
            chunk.rejected.append((row, row.message))
        else:
            good.append(row)
    with transaction.atomic():
        LOADERS[kind](good, chunk)
    return chunk


def _load_courses(rows: list[Any], chunk: Chunk) -> None:
    """Record courses one by one; those that are stored as told are found in one query."""
    stored = Course.objects.in_bulk([row.key for row in rows], field_name="key")
    for row in rows:
        fields = told(row, "key")
        if not _as_told(stored.get(row.key), fields):
            chunk.record(row, partial(services.record_course, row.key, **fields))


def _load_parts(kind: str, writer: Callable[..., Any], rows: list[Any], chunk: Chunk) -> None:
    """Record modes or sections one by one; those that are stored as told are found in one query."""
    model, name = PARTS[kind]
    resolved_rows = resolved(rows, chunk, "course")
    courses = {found["course"] for _row, found in resolved_rows}
    parts: Iterable[Any] = model._default_manager.filter(course__in=courses)
    stored = {(part.course_id, getattr(part, name)): part for part in parts}
    for row, found in resolved_rows:
        fields = told(row, "course", name)
        if not _as_told(stored.get((found["course"].pk, getattr(row, name))), fields):
            chunk.record(row, partial(writer, found["course"], getattr(row, name), **fields))


def _load_learners(rows: list[Any], chunk: Chunk) -> None:
    """Record learners together, or one by one when one of them is bad."""
    facts = [services.LearnerFact(**told(row)) for row in rows]
    try:
        with transaction.atomic():
            results = services.record_learners(facts)
    except MALFORMED:
        for row, fact in zip(rows, facts, strict=True):
            chunk.record(row, partial(_record_learner, fact))
    else:
        chunk.done.update(word for _user, word in results)


def _record_learner(fact: services.LearnerFact) -> tuple[Any, str]:
    """Record one learner."""
    return services.record_learners([fact])[0]


def _load_enrollments(rows: list[Any], chunk: Chunk) -> None:
    """Record enrolments together, after the bad ones have been taken out."""
    facts = []
    for row, found in resolved(rows, chunk, "course", "learner"):
        values = told(row, "course", *LEARNER)
        if chunk.fits(row, Enrollment(**values)):
            facts.append(services.EnrollmentFact(user_id=found["learner"], course=found["course"], **values))
    chunk.done.update(services.record_enrollments(facts, announce=chunk.announce))


def _load_certificates(rows: list[Any], chunk: Chunk) -> None:
    """Record certificates one by one; those that are stored as told are found in one query."""
    resolved_rows = resolved(rows, chunk, "course", "learner")
    users = _users(resolved_rows)
    keys = [(found["learner"], found["course"].pk) for _row, found in resolved_rows]
    stored = _stored(Certificate, keys, "user_id", "course_id")
    for (row, found), key in zip(resolved_rows, keys, strict=True):
        if not _as_told(stored.get(key), {"status": row.status}):
            user = users[found["learner"]]
            chunk.record(row, partial(services.record_certificate, user, found["course"], status=row.status))


def _load_payments(rows: list[Any], chunk: Chunk) -> None:
    """Record payments one by one, silently; those that are stored as told are found in one query."""
    resolved_rows = resolved(rows, chunk, "course", "learner")
    users = _users(resolved_rows)
    stored = Payment.objects.select_related("course").in_bulk([row.txn_ref for row in rows], field_name="txn_ref")
    for row, found in resolved_rows:
        user = users[found.pop("learner")]
        fields = told(row, *LEARNER) | found
        if not _as_told(stored.get(row.txn_ref), fields | {"user_id": user.pk}):
            chunk.record(row, partial(_record_payment, user, **fields))


def _record_payment(user: Any, **fields: Any) -> tuple[Any, str]:
    """Record one payment; without a transaction every load would make a new one."""
    check_key("txn_ref", fields["txn_ref"])
    return services.record_payment(user, announce=False, **fields)


def _load_meetings(rows: list[Any], chunk: Chunk) -> None:
    """Record meetings."""
    facts = [(row, told(row) | found) for row, found in resolved(rows, chunk, "course")]
    _load_keyed(Meeting, facts, chunk, services.record_meeting)


def _load_content_items(rows: list[Any], chunk: Chunk) -> None:
    """Record content, silently."""
    resolved_rows = resolved(rows, chunk, "course")
    facts = [(row, told(row, "type") | found | {"kind": row.type}) for row, found in resolved_rows]
    _load_keyed(ContentItem, facts, chunk, partial(services.record_content_item, announce=False))


def _load_keyed(
    model: type[models.Model], facts: list[tuple[Any, dict[str, Any]]], chunk: Chunk, writer: Callable[..., Any]
) -> None:
    """Record (row, fields) one by one; those that are stored as told are found in one query."""
    stored = model._default_manager.select_related("course").in_bulk([row.key for row, _ in facts], field_name="key")
    for row, fields in facts:
        if not _as_told(stored.get(row.key), fields):
            chunk.record(row, partial(writer, **fields))


def _load_participants(rows: list[Any], chunk: Chunk) -> None:
    """Record attendances one by one, silently; those that are stored as told are found in one query."""
    resolved_rows = resolved(rows, chunk, "meeting", "learner")
    users = _users(resolved_rows)
    keys = [(found["meeting"].pk, found["learner"]) for _row, found in resolved_rows]
    stored = _stored(Participant, keys, "meeting_id", "user_id")
    for (row, found), key in zip(resolved_rows, keys, strict=True):
        fields = told(row, "meeting", *LEARNER)
        if not _as_told(stored.get(key), fields):
            write = partial(services.record_attendance, found["meeting"], users[found["learner"]], announce=False)
            chunk.record(row, partial(write, **fields))


def _load_completions(rows: list[Any], chunk: Chunk) -> None:
    """Record completions together, after the bad ones have been taken out."""
    facts = [
        services.CompletionFact(user_id=found["learner"], item_id=found["item"].pk, completed_at=row.completed_at)
        for row, found in resolved(rows, chunk, "item", "learner")
        if chunk.fits(row, Completion(completed_at=row.completed_at))
    ]
    chunk.done.update(services.record_completions(facts))


def _load_activities(rows: list[Any], chunk: Chunk) -> None:
    """Record days together, after the bad ones have been taken out."""
    facts = [
        services.ActivityFact(user_id=found["learner"], course_id=found["course"].pk, day=row.date, seconds=row.seconds)
        for row, found in resolved(rows, chunk, "course", "learner")
        if chunk.fits(row, UserActivity(date=row.date, seconds=row.seconds))
    ]
    chunk.done.update(services.record_activities(facts))


LOADERS: dict[str, Callable[[list[Any], Chunk], None]] = {
    "courses": _load_courses,
    "modes": partial(_load_parts, "modes", services.record_mode),
    "sections": partial(_load_parts, "sections", services.record_section),
    "learners": _load_learners,
    "enrollments": _load_enrollments,
    "certificates": _load_certificates,
    "payments": _load_payments,
    "meetings": _load_meetings,
    "participants": _load_participants,
    "content_items": _load_content_items,
    "completions": _load_completions,
    "activities": _load_activities,
}


def _users(resolved_rows: list[tuple[Any, dict[str, Any]]]) -> dict[int, Any]:
    """Return the learners of resolved rows by id."""
    return get_user_model()._default_manager.in_bulk({found["learner"] for _row, found in resolved_rows})


def _stored(model: type[models.Model], keys: list[tuple[Any, ...]], *attnames: str) -> dict[tuple[Any, ...], Any]:
    """Return the stored rows with these keys."""
    found = model._default_manager.filter(any_of(keys, attnames=attnames)) if keys else []
    return {tuple(getattr(row, attname) for attname in attnames): row for row in found}


def _as_told(row: models.Model | None, fields: dict[str, Any]) -> bool:
    """Tell whether a row is stored with all these values."""
    return row is not None and all(getattr(row, name, UNSET) == value for name, value in fields.items())
