"""The writer of schedules: who gets one when they enrol, and with which dates."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType

from config_models.models import ConfigurationModel
from django.conf import settings
from django.contrib.sites.models import Site
from django.db import transaction
from django.db.models import OuterRef, Subquery
from django.utils import timezone

from courses import sites, switches
from courses.bulk import insert_if_absent, transaction_is_lost
from courses.models import Course, CourseMode, Enrollment, Section
from courses.signals import without_personal_data
from email_automation.pipeline.slicing import slices

from . import dates
from .models import (
    CourseDynamicUpgradeDeadlineConfiguration,
    DynamicUpgradeDeadlineConfiguration,
    OrgDynamicUpgradeDeadlineConfiguration,
    Schedule,
    ScheduleConfig,
    ScheduleCreationRecord,
    ScheduleExperience,
)

log = logging.getLogger(__name__)

CREATION_FLAG = "schedules.create_schedules_for_course"
DEFAULT_HOLD_BACK_KEY = "schedules.hold_back"
BATCH = 500


@dataclass(frozen=True)
class CourseFacts:
    """What the dates and the experience of a course's schedules depend on."""

    course: Course
    days: int | None
    verified_mode: CourseMode | None
    experience: int

    def deadline(self, start: datetime, now: datetime) -> datetime | None:
        """Return the upgrade deadline of a schedule that starts at `start`."""
        mode = self.verified_mode
        return dates.upgrade_deadline(
            start,
            days=self.days,
            verified_mode=mode is not None,
            verified_expires_at=mode.expires_at if mode else None,
            course_end=self.course.end,
            now=now,
        )


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


def _create(enrollments: Sequence[Enrollment]) -> None:
    courses = Course.objects.in_bulk({enrollment.course_id for enrollment in enrollments})
    wanted = [row for row in enrollments if row.is_active and courses[row.course_id].self_paced]
    if not wanted:
        return
    configs = current_configs()
    owners = sites.owners_of_orgs({courses[row.course_id].org for row in wanted}, configs)
    flag = switches.courses_with_flag(CREATION_FLAG)
    facts = course_facts([courses[pk] for pk in {row.course_id for row in wanted}])
    now = timezone.now()
    schedules, held_back = [], []
    for enrollment in wanted:
        course = courses[enrollment.course_id]
        owner = owners[course.org]
        config = configs[owner] if owner is not None else None
        if not (flag.is_on(course.pk) or (config is not None and config.create_schedules)):
            continue
        ratio = config.hold_back_ratio if config is not None else 0
        fraction = dates.hold_back_fraction(_hold_back_key(), enrollment.user_id, course.key)
        if fraction < ratio:
            held_back.append(
                ScheduleCreationRecord(
                    enrollment=enrollment, outcome=ScheduleCreationRecord.HELD_BACK, ratio=ratio, fraction=fraction
                )
            )
            continue
        start = dates.start_date(enrollment.created_at, course.start)
        schedules.append(
            Schedule(enrollment=enrollment, start_date=start, upgrade_deadline=facts[course.pk].deadline(start, now))
        )
    _record_held_back(held_back)
    created = insert_if_absent(Schedule, schedules, unique_field="enrollment")
    ScheduleExperience.objects.bulk_create(
        ScheduleExperience(schedule=row, experience_type=facts[row.enrollment.course_id].experience) for row in created
    )


def _record_held_back(records: Sequence[ScheduleCreationRecord]) -> None:
    if not records:
        return
    having = Schedule.objects.filter(enrollment__in=[record.enrollment_id for record in records])
    done = set(having.values_list("enrollment_id", flat=True))
    without = [record for record in records if record.enrollment_id not in done]
    insert_if_absent(ScheduleCreationRecord, without, unique_field="enrollment")


def _record_failure(enrollment: Enrollment, error: Exception) -> None:
    record = ScheduleCreationRecord(
        enrollment=enrollment,
        outcome=ScheduleCreationRecord.FAILED,
        error=_storable(f"{type(error).__name__}: {error}"),
    )
    try:
        with transaction.atomic():
            insert_if_absent(ScheduleCreationRecord, [record], unique_field="enrollment")
    except Exception as second:
        log.error("no record of the failure for enrolment %s", enrollment.pk, exc_info=_loggable(second))


def _loggable(error: Exception) -> tuple[type[Exception], BaseException, TracebackType | None]:
    return type(error), without_personal_data(error), error.__traceback__


def _storable(text: str) -> str:
    # PostgreSQL takes no NUL in a text, and no database a lone surrogate.
    return text.replace("\0", "\\0").encode("utf-8", "backslashreplace").decode()


def _hold_back_key() -> str:
    return str(getattr(settings, "SCHEDULES_HOLD_BACK_KEY", DEFAULT_HOLD_BACK_KEY))


def current_configs() -> dict[int, ScheduleConfig]:
    """Return {site id: its newest ScheduleConfig} of the sites that have one, in one query."""
    history = ScheduleConfig.objects.filter(site=OuterRef("pk")).order_by("-change_date", "-id")
    newest = Site.objects.values(newest=Subquery(history.values("pk")[:1]))
    return {row.site_id: row for row in ScheduleConfig.objects.filter(pk__in=newest)}


def course_facts(courses: Collection[Course]) -> dict[int, CourseFacts]:
    """Return {course id: facts} in a constant number of queries, switches and configuration read afresh."""
    ids = [course.pk for course in courses]
    verified = {mode.course_id: mode for mode in CourseMode.objects.filter(course_id__in=ids, slug="verified")}
    overall = _setting(switches.current_config(DynamicUpgradeDeadlineConfiguration))
    by_org = _newest(
        OrgDynamicUpgradeDeadlineConfiguration.objects.filter(org_id__in={course.org for course in courses}), "org_id"
    )
    by_course = _newest(
        CourseDynamicUpgradeDeadlineConfiguration.objects.filter(course_id__in=[course.key for course in courses]),
        "course_id",
    )
    experiences = _experiences(courses)
    return {
        course.pk: CourseFacts(
            course=course,
            days=dates.effective_days([by_course.get(course.key), by_org.get(course.org), overall]),
            verified_mode=verified.get(course.pk),
            experience=experiences[course.pk],
        )
        for course in courses
    }


def _newest(rows: Iterable[ConfigurationModel], key: str) -> Mapping[str, dates.DeadlineSetting | None]:
    ordered = sorted(rows, key=lambda row: (row.change_date, row.pk))
    return {getattr(row, key): _setting(row) for row in ordered}


def _setting(row: ConfigurationModel | None) -> dates.DeadlineSetting | None:
    if row is None:
        return None
    return dates.DeadlineSetting(row.enabled, row.deadline_days, getattr(row, "opt_out", False))


def _experiences(courses: Collection[Course]) -> dict[int, int]:
    """Return {course id: experience}: updates where messaging is on and a section learners see has highlights."""
    messaging = [course.pk for course in courses if course.highlights_enabled_for_messaging]
    highlights: dict[int, bool] = defaultdict(bool)
    if messaging:
        sections = Section.objects.filter(
            course_id__in=messaging, visible_to_staff_only=False, hide_from_toc=False
        ).values_list("course_id", "highlights")
        for course_id, texts in sections:
            highlights[course_id] |= any(text.strip() for text in texts)
    return {
        course.pk: ScheduleExperience.COURSE_UPDATES if highlights[course.pk] else ScheduleExperience.NUDGES
        for course in courses
    }


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
