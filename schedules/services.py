"""The writer of schedules: who gets one when they enrol, with which values, and what these are later."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Any, TypeVar

from django.conf import settings
from django.contrib.sites.models import Site
from django.db import connection, models, transaction
from django.db.models import Case, F, Field, OuterRef, QuerySet, Subquery, Value, When
from django.db.models.functions import Cast
from django.utils import timezone

from courses import sites, switches
from courses.bulk import insert_if_absent, locked, retry_on_deadlock, slices, transaction_is_lost
from courses.models import Course, Enrollment
from courses.signals import without_personal_data

from . import dates
from .facts import course_experiences, course_facts
from .models import Schedule, ScheduleConfig, ScheduleCreationRecord, ScheduleExperience

Row = TypeVar("Row", bound=models.Model)

log = logging.getLogger(__name__)

CREATION_FLAG = "schedules.create_schedules_for_course"
DEFAULT_HOLD_BACK_KEY = "schedules.hold_back"
BATCH = 500

CREATED, REFUSED = "created", "refused"
HELD_BACK, FAILED = ScheduleCreationRecord.HELD_BACK, ScheduleCreationRecord.FAILED


@dataclass(frozen=True)
class Decision:
    """What becomes of an enrolment, and the rows that say so; there are none when it is refused."""

    outcome: str
    experience: ScheduleExperience | None = None
    record: ScheduleCreationRecord | None = None


def create_schedules(enrollments: Sequence[Enrollment]) -> None:
    """Make the schedules these new enrolments call for; meant to be called in the enrolments' own transaction.

    An enrolment that fails is left with a `failed` record and keeps nobody else from a schedule. Nothing is raised,
    and the transaction stays usable.
    """
    try:
        with transaction.atomic():
            _create(enrollments)
    except Exception as error:
        if transaction_is_lost(error):
            raise
        if len(enrollments) > 1:
            for enrollment in enrollments:
                create_schedules([enrollment])
        else:
            log.error("no schedule for enrolment %s", enrollments[0].pk, exc_info=_loggable(error))
            _record_failure(enrollments[0], error)


def _create(enrollments: Sequence[Enrollment]) -> list[str]:
    """Write what is decided about new enrolments, and return their outcomes in the same order."""
    decisions = _decide(enrollments)
    _record_held_back([decision.record for decision in decisions if decision.record is not None])
    experiences = [decision.experience for decision in decisions if decision.experience is not None]
    insert_if_absent(Schedule, [row.schedule for row in experiences], unique_field="enrollment")
    ScheduleExperience.objects.bulk_create(row for row in experiences if row.schedule.pk is not None)
    return [decision.outcome for decision in decisions]


def _decide(enrollments: Sequence[Enrollment]) -> list[Decision]:
    """Return what facts, switches and hold-back say about each enrolment, in the same order; writes nothing."""
    courses = Course.objects.in_bulk({enrollment.course_id for enrollment in enrollments})
    wanted = {row.course_id for row in enrollments if row.is_active and courses[row.course_id].self_paced}
    if not wanted:
        return [Decision(REFUSED)] * len(enrollments)
    configs = current_configs()
    owners = sites.owners_of_orgs({courses[pk].org for pk in wanted}, configs)
    flag = switches.courses_with_flag(CREATION_FLAG)
    facts = course_facts([courses[pk] for pk in wanted])
    experiences = course_experiences([courses[pk] for pk in wanted])
    now = timezone.now()
    decisions = []
    for enrollment in enrollments:
        course = courses[enrollment.course_id]
        if not (enrollment.is_active and course.self_paced):
            decisions.append(Decision(REFUSED))
            continue
        owner = owners[course.org]
        config = configs[owner] if owner is not None else None
        if not (flag.is_on(course.pk) or (config is not None and config.create_schedules)):
            decisions.append(Decision(REFUSED))
            continue
        ratio = config.hold_back_ratio if config is not None else 0
        fraction = dates.hold_back_fraction(_hold_back_key(), enrollment.user_id, course.key)
        if fraction < ratio:
            record = ScheduleCreationRecord(enrollment=enrollment, outcome=HELD_BACK, ratio=ratio, fraction=fraction)
            decisions.append(Decision(HELD_BACK, record=record))
            continue
        start = facts[course.pk].start_date(enrollment.created_at)
        deadline = facts[course.pk].deadline(start, now)
        schedule = Schedule(enrollment=enrollment, start_date=start, upgrade_deadline=deadline)
        experience = ScheduleExperience(schedule=schedule, experience_type=experiences[course.pk])
        decisions.append(Decision(CREATED, experience=experience))
    return decisions


def _record_held_back(records: Sequence[ScheduleCreationRecord]) -> None:
    if not records:
        return
    having = Schedule.objects.filter(enrollment__in=[record.enrollment_id for record in records])
    done = set(having.values_list("enrollment_id", flat=True))
    without = [record for record in records if record.enrollment_id not in done]
    insert_if_absent(ScheduleCreationRecord, without, unique_field="enrollment")


def _record_failure(enrollment: Enrollment, error: Exception) -> None:
    """Leave a `failed` record, or count one more try in the one that is there."""
    text = storable(f"{type(error).__name__}: {error}")
    record = ScheduleCreationRecord(enrollment=enrollment, outcome=FAILED, error=text)
    try:
        with transaction.atomic():
            if not insert_if_absent(ScheduleCreationRecord, [record], unique_field="enrollment"):
                ScheduleCreationRecord.objects.filter(enrollment=enrollment, outcome=FAILED).update(
                    attempts=F("attempts") + 1, error=text, modified=timezone.now()
                )
    except Exception as second:
        log.error("no record of the failure for enrolment %s", enrollment.pk, exc_info=_loggable(second))


def _loggable(error: Exception) -> tuple[type[Exception], BaseException, TracebackType | None]:
    return type(error), without_personal_data(error), error.__traceback__


def storable(text: str) -> str:
    """Return a text that every database takes: PostgreSQL no NUL, and none of them a lone surrogate."""
    return text.replace("\0", "\\0").encode("utf-8", "backslashreplace").decode()


def _hold_back_key() -> str:
    return str(getattr(settings, "SCHEDULES_HOLD_BACK_KEY", DEFAULT_HOLD_BACK_KEY))


def current_configs() -> dict[int, ScheduleConfig]:
    """Return {site id: its newest ScheduleConfig} of the sites that have one, in one query."""
    history = ScheduleConfig.objects.filter(site=OuterRef("pk")).order_by("-change_date", "-id")
    newest = Site.objects.values(newest=Subquery(history.values("pk")[:1]))
    return {row.site_id: row for row in ScheduleConfig.objects.filter(pk__in=newest)}


def without_schedule(*, course: Course | None = None, since: datetime | None = None) -> Iterator[list[Enrollment]]:
    """Yield pages of the enrolments whose schedule failed; with `since` also those that nobody decided about.

    The latter are active, were created at `since` or later, and have neither a schedule nor a record.
    """
    failed = ScheduleCreationRecord.objects.filter(outcome=FAILED).select_related("enrollment")
    undecided = Enrollment.objects.filter(is_active=True, schedule=None, schedule_creation_record=None)
    if course is not None:
        failed, undecided = failed.filter(enrollment__course=course), undecided.filter(course=course)
    for records in _pages(failed):
        yield [record.enrollment for record in records]
    if since is not None:
        yield from _pages(undecided.filter(created_at__gte=since))


def _pages(rows: QuerySet[Row]) -> Iterator[list[Row]]:
    page = list(rows.order_by("pk")[:BATCH])
    while page:
        yield page
        page = list(rows.filter(pk__gt=page[-1].pk).order_by("pk")[:BATCH])


def create_missing(enrollment: Enrollment, *, dry_run: bool = False) -> str:
    """Do for an enrolment what was to be done when it was new, and return the outcome.

    A `failed` record goes with anything but another failure, which is counted in it. Raises nothing that concerns
    only this enrolment.
    """
    try:
        return _decide([enrollment])[0].outcome if dry_run else _create_missing(enrollment)
    except Exception as error:
        log.error("no schedule for enrolment %s", enrollment.pk, exc_info=_loggable(error))
        if not dry_run:
            _record_failure(enrollment, error)
        return FAILED


@retry_on_deadlock
def _create_missing(enrollment: Enrollment) -> str:
    with transaction.atomic():
        ScheduleCreationRecord.objects.filter(enrollment=enrollment, outcome=FAILED).delete()
        return _create([enrollment])[0]


def refresh_dates(schedules: Sequence[Schedule], *, dry_run: bool = False) -> int:
    """Put start and deadline of these schedules right, and return how many were wrong.

    The caller holds the rows locked: the facts are read after that, so whoever reads newer ones writes later.
    """
    enrollments = _enrollments(schedules)
    facts = course_facts({row.course_id: row.course for row in enrollments.values()}.values())
    now = timezone.now()
    wrong = []
    for schedule in schedules:
        enrollment = enrollments[schedule.enrollment_id]
        start = facts[enrollment.course_id].start_date(enrollment.created_at)
        deadline = facts[enrollment.course_id].deadline(start, now)
        if (schedule.start_date, schedule.upgrade_deadline) != (start, deadline):
            schedule.start_date, schedule.upgrade_deadline = start, deadline
            wrong.append(schedule)
    if wrong and not dry_run:
        # One statement of any size; bulk_update makes three of 500 rows on SQLite.
        Schedule.objects.filter(pk__in=[row.pk for row in wrong]).update(
            start_date=_each(wrong, "start_date"), upgrade_deadline=_each(wrong, "upgrade_deadline"), modified=now
        )
    return len(wrong)


def _enrollments(schedules: Sequence[Schedule]) -> dict[int, Enrollment]:
    rows = Enrollment.objects.filter(pk__in=[schedule.enrollment_id for schedule in schedules])
    return {row.pk: row for row in rows.select_related("course")}


def _each(schedules: Sequence[Schedule], name: str) -> Case | Cast:
    """Return the expression that gives each row its own value of a field."""
    field: Field[Any, Any] = Schedule._meta.get_field(name)  # type: ignore[assignment]
    ids = defaultdict(list)
    for schedule in schedules:
        ids[getattr(schedule, name)].append(schedule.pk)
    cases = (When(pk__in=pks, then=Value(value, output_field=field)) for value, pks in ids.items())
    each = Case(*cases, output_field=field)
    return Cast(each, output_field=field) if connection.features.requires_casted_case_in_updates else each


def refresh_experiences(schedules: Sequence[Schedule]) -> int:
    """Put the experience of those of these schedules right whose enrolment is active; return how many were wrong.

    The caller holds the rows locked, as for `refresh_dates`. A schedule without a row has experience 0.
    """
    enrollments = {pk: row for pk, row in _enrollments(schedules).items() if row.is_active}
    active = [row for row in schedules if row.enrollment_id in enrollments]
    right = course_experiences({row.course_id: row.course for row in enrollments.values()}.values())
    rows = ScheduleExperience.objects.filter(schedule__in=[row.pk for row in active])
    stored = dict(rows.values_list("schedule_id", "experience_type"))
    wrong = []
    for schedule in active:
        experience = right[enrollments[schedule.enrollment_id].course_id]
        if stored.get(schedule.pk, ScheduleExperience.NUDGES) != experience:
            wrong.append(ScheduleExperience(schedule_id=schedule.pk, experience_type=experience))
    ScheduleExperience.objects.bulk_create(
        wrong,
        update_conflicts=True,
        update_fields=["experience_type"],
        unique_fields=["schedule"] if connection.features.supports_update_conflicts_with_target else None,
    )
    return len(wrong)


def refresh_experiences_of(enrollments: Sequence[Enrollment]) -> int:
    """Put the experience of the schedules of these enrolments right, in the enrolments' own transaction."""
    with transaction.atomic():
        rows = Schedule.objects.filter(enrollment__in=[row.pk for row in enrollments])
        return refresh_experiences(list(locked(rows).order_by("pk")))


def set_active(schedule_ids: Iterable[int], active: bool) -> int:
    """Set `active` on these schedules and return how many had another value."""
    changed = 0
    for batch in slices(schedule_ids, BATCH):
        others = Schedule.objects.filter(pk__in=batch).exclude(active=active)
        changed += others.update(active=active, modified=timezone.now())
    return changed


def set_experience(schedule_ids: Iterable[int], experience_type: int) -> int:
    """Set the experience of these schedules, also of those without a row, and return how many read otherwise before."""
    changed = 0
    for batch in slices(schedule_ids, BATCH):
        with transaction.atomic():
            rows = [ScheduleExperience(schedule_id=pk, experience_type=experience_type) for pk in batch]
            created = insert_if_absent(ScheduleExperience, rows, unique_field="schedule")
            others = ScheduleExperience.objects.filter(schedule__in=batch).exclude(experience_type=experience_type)
            changed += others.update(experience_type=experience_type)
            changed += len(created) if experience_type != ScheduleExperience.NUDGES else 0
    return changed
