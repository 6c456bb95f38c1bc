"""The only writer of facts. Everything is an idempotent upsert: telling a fact twice writes it once.

Single-row functions return `(row, word)`; the word is "created", "changed", "unchanged", or "stale" for a report that
is older than what is known. Malformed values raise ValidationError with the name of the field. Signals follow
`courses.signals`; nothing is written and nothing is sent when nothing changes.
"""

from datetime import datetime
from typing import Any, Literal, TypeVar

from django.contrib.auth.models import AbstractUser
from django.db import IntegrityError, models, transaction
from django.utils import timezone

from courses.bulk import locked, retry_on_deadlock
from courses.models import Certificate, Course, CourseMode, Enrollment, LearnerProfile, Section

Word = Literal["created", "changed", "unchanged", "stale"]
Row = TypeVar("Row", bound=models.Model)



@retry_on_deadlock
def record_course(key: str, *, reported_at: datetime | None = None, **fields: Any) -> tuple[Course, Word]:
    """Record a course's facts; `fields` are columns of Course, those not named stay."""
    return _record(Course, {"key": key}, fields, reported_at=reported_at)


@retry_on_deadlock
def record_section(course: Course, index: int, **fields: Any) -> tuple[Section, Word]:
    """Record the section at a position of a course."""
    return _record(Section, {"course": course, "index": index}, fields)


@retry_on_deadlock
def remove_section(course: Course, index: int) -> bool:
    """Remove the section at a position; tell whether there was one."""
    return Section.objects.filter(course=course, index=index).delete()[0] > 0


@retry_on_deadlock
def record_mode(course: Course, slug: str, **fields: Any) -> tuple[CourseMode, Word]:
    """Record a mode in which a course is offered."""
    return _record(CourseMode, {"course": course, "slug": slug}, fields)


@retry_on_deadlock
def remove_mode(course: Course, slug: str) -> bool:
    """Remove a mode of a course; tell whether there was one."""
    return CourseMode.objects.filter(course=course, slug=slug).delete()[0] > 0


@retry_on_deadlock
def record_enrollment(
    user: AbstractUser,
    course: Course,
    *,
    mode: str = "audit",
    is_active: bool = True,
    created_at: datetime | None = None,
    announce: bool = True,
    reported_at: datetime | None = None,
) -> tuple[Enrollment, Word]:
    """Record a learner's place in a course.

    `created_at` None: now for a new row, kept for a stored one. `announce` False: the learner is not told of a new
    enrolment. `reported_at`: the time of the event that says so; an event older than the newest one known is "stale".
    """
    fields: dict[str, Any] = {"mode": mode, "is_active": is_active}
    if created_at is not None:
        fields["created_at"] = created_at
    return _record(
        Enrollment, {"user": user, "course": course}, fields, reported_at=reported_at, save={"announce": announce}
    )


@retry_on_deadlock
def end_enrollment(
    user: AbstractUser, course: Course, *, reported_at: datetime | None = None
) -> tuple[Enrollment | None, Word]:
    """Record that a learner has left a course; (None, "unchanged") when there was never a place."""
    if not Enrollment.objects.filter(user=user, course=course).exists():
        return None, "unchanged"
    return _record(Enrollment, {"user": user, "course": course}, {"is_active": False}, reported_at=reported_at)


@retry_on_deadlock
def record_certificate(
    user: AbstractUser, course: Course, *, status: str, reported_at: datetime | None = None
) -> tuple[Certificate, Word]:
    """Record the state of a learner's certificate."""
    return _record(
        Certificate, {"user": user, "course": course}, {"status": status},
        reported_at=reported_at or timezone.now(), reported_field="modified",
    )


@retry_on_deadlock
def record_profile(user: AbstractUser, **fields: Any) -> tuple[LearnerProfile, Word]:
    """Record language, zones or platform number of a person."""
    return _record(LearnerProfile, {"user": user}, fields)


def _record(
    model: type[Row],
    lookup: dict[str, Any],
    fields: dict[str, Any],
    *,
    reported_at: datetime | None = None,
    reported_field: str = "reported_at",
    save: dict[str, Any] | None = None,
) -> tuple[Row, Word]:
    """Insert the row, or write those of its fields that differ."""
    with transaction.atomic():
        row = locked(model._base_manager.filter(**lookup)).first()
        if row is None:
            row = model(**lookup, **fields)
            if reported_at is not None:
                setattr(row, reported_field, reported_at)
            clean(row)
            try:
                with transaction.atomic():
                    row.save(force_insert=True, **(save or {}))
                return row, "created"
            except IntegrityError:
                row = locked(model._base_manager.filter(**lookup)).first()
                if row is None:
                    raise
        return _write_differences(row, fields, reported_at=reported_at, reported_field=reported_field)


def _write_differences(
    row: Row, fields: dict[str, Any], *, reported_at: datetime | None, reported_field: str
) -> tuple[Row, Word]:
    """Write the fields of a stored, locked row that differ."""
    if reported_at is not None:
        newest = getattr(row, reported_field)
        if newest is not None and reported_at < newest:
            return row, "stale"
    before = {name: getattr(row, name) for name in fields}
    for name, value in fields.items():
        setattr(row, name, value)
    clean(row)
    written = [name for name in fields if getattr(row, name) != before[name]]
    if written:
        if reported_at is not None:
            setattr(row, reported_field, reported_at)
            written.append(reported_field)
        if "modified" in {field.name for field in row._meta.concrete_fields} and "modified" not in written:
            written.append("modified")
        row.save(update_fields=written)
        return row, "changed"
    if reported_at is not None and reported_field == "reported_at" and getattr(row, reported_field) != reported_at:
        # Not a change that anybody hears of, but later events are compared with it.
        type(row)._base_manager.filter(pk=row.pk).update(reported_at=reported_at)
        setattr(row, reported_field, reported_at)
    return row, "unchanged"


def clean(row: models.Model) -> None:
    """Check and normalise a row's own values; what needs a query (uniqueness, relations) is left to the database."""
    if isinstance(row, Course):
        row.fill_from_key()
    row.clean_fields(exclude={field.name for field in row._meta.concrete_fields if field.is_relation})
