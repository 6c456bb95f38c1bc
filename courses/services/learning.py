"""Writing enrolments and certificates."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from django.contrib.auth.models import AbstractUser
from django.db import transaction
from django.utils import timezone

from courses import signals
from courses.bulk import any_of, insert_if_absent, locked, retry_on_deadlock, slices
from courses.models import Certificate, Course, Enrollment
from courses.services.upsert import Word, clean, record

CHUNK = 500
ENROLLMENT_KEY = ["user_id", "course_id"]

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrollmentFact:
    """A learner's place in a course, as `record_enrollments` takes it; `created_at` None: not told."""

    user_id: int
    course: Course
    mode: str = "audit"
    is_active: bool = True
    created_at: datetime | None = None


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
    return record(
        Enrollment, {"user": user, "course": course}, fields, reported_at=reported_at, save={"announce": announce}
    )


@retry_on_deadlock
def end_enrollment(
    user: AbstractUser, course: Course, *, reported_at: datetime | None = None
) -> tuple[Enrollment | None, Word]:
    """Record that a learner has left a course; (None, "unchanged") when there was never a place."""
    if not Enrollment.objects.filter(user_id=user.pk, course=course).exists():
        return None, "unchanged"
    return record(Enrollment, {"user": user, "course": course}, {"is_active": False}, reported_at=reported_at)


def record_enrollments(facts: Iterable[EnrollmentFact], *, announce: bool = True) -> Counter[str]:
    """Record many places, 500 per transaction with one signal each; return how many were created, changed, unchanged.

    Of two facts about one place in the same 500 the later one counts.
    """
    counts: Counter[str] = Counter()
    for chunk in slices(facts, CHUNK):
        counts.update(_record_chunk(chunk, announce=announce))
    return counts


@retry_on_deadlock
def _record_chunk(facts: list[EnrollmentFact], *, announce: bool) -> dict[str, int]:
    """Record the facts in one transaction with a constant number of queries."""
    by_key = {(fact.user_id, fact.course.pk): fact for fact in facts}
    with transaction.atomic():
        created = insert_if_absent(
            Enrollment, [_new_enrollment(fact) for fact in by_key.values()], unique_field=["user", "course"]
        )
        inserted = {(row.user_id, row.course_id) for row in created}
        others = [key for key in by_key if key not in inserted]
        changed: dict[int, frozenset[str]] = {}
        rows: list[Enrollment] = []
        if others:
            for row in locked(Enrollment.objects.filter(any_of(others, attnames=ENROLLMENT_KEY)).order_by("pk")):
                fact = by_key[row.user_id, row.course_id]
                names = _apply(row, fact)
                if names:
                    changed[row.pk] = names
                    rows.append(row)
        if rows:
            Enrollment.objects.bulk_update(rows, sorted(frozenset[str]().union(*changed.values())))
            signals.enrollments_changed.send(sender=Enrollment, enrollments=rows, changed=changed)
        if created:
            signals.enrollments_created.send(sender=Enrollment, enrollments=created, announce=announce)
    return {"created": len(created), "changed": len(rows), "unchanged": len(by_key) - len(created) - len(rows)}


def _new_enrollment(fact: EnrollmentFact) -> Enrollment:
    """Return the row of a fact, checked and not yet stored."""
    row = Enrollment(
        user_id=fact.user_id,
        course=fact.course,
        mode=fact.mode,
        is_active=fact.is_active,
        created_at=fact.created_at or timezone.now(),
    )
    clean(row)
    return row


def _apply(row: Enrollment, fact: EnrollmentFact) -> frozenset[str]:
    """Set what a fact tells differently from a stored row; return the names of these fields."""
    row.course = fact.course
    told = {"mode": fact.mode, "is_active": fact.is_active, "created_at": fact.created_at or row.created_at}
    different = {name: value for name, value in told.items() if getattr(row, name) != value}
    for name, value in different.items():
        setattr(row, name, value)
    return frozenset(different)


@retry_on_deadlock
def record_certificate(
    user: AbstractUser, course: Course, *, status: str, reported_at: datetime | None = None
) -> tuple[Certificate, Word]:
    """Record the state of a learner's certificate."""
    return record(Certificate, {"user": user, "course": course}, {"status": status}, reported_at=reported_at)
