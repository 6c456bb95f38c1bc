"""What the values of a schedule depend on, read afresh for many courses in a constant number of statements."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from config_models.models import ConfigurationModel

from courses import switches
from courses.models import Course, CourseMode, Section

from . import dates
from .models import (
    CourseDynamicUpgradeDeadlineConfiguration,
    DynamicUpgradeDeadlineConfiguration,
    OrgDynamicUpgradeDeadlineConfiguration,
    ScheduleExperience,
)


@dataclass(frozen=True)
class CourseFacts:
    """What the dates of a course's schedules depend on."""

    course: Course
    days: int | None
    verified_mode: CourseMode | None

    def start_date(self, enrolled_at: datetime) -> datetime:
        """Return when the clock of a learner who enrolled at `enrolled_at` starts."""
        return dates.start_date(enrolled_at, self.course.start)

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


def course_facts(courses: Collection[Course]) -> dict[int, CourseFacts]:
    """Return {course id: facts} in four statements."""
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
    return {
        course.pk: CourseFacts(
            course=course,
            days=dates.effective_days([by_course.get(course.key), by_org.get(course.org), overall]),
            verified_mode=verified.get(course.pk),
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


def course_experiences(courses: Collection[Course]) -> dict[int, int]:
    """Return {course id: experience}: updates for a course that has something to tell in one."""
    weekly = weekly_highlights([course.pk for course in courses if course.highlights_enabled_for_messaging])
    return {
        course.pk: ScheduleExperience.COURSE_UPDATES if course.pk in weekly else ScheduleExperience.NUDGES
        for course in courses
    }


def weekly_highlights(course_ids: Collection[int]) -> dict[int, list[list[str]]]:
    """Return {course id: [the highlights of week 1, of week 2, …]} of the courses that have any, in one statement.

    A week is a section that learners see and in which an author has put at least one text that is not blank, while
    messaging is on for the course; the weeks stand in the order of the course, the texts in the author's.
    """
    weekly: dict[int, list[list[str]]] = defaultdict(list)
    if course_ids:
        sections = Section.objects.filter(
            course_id__in=course_ids,
            course__highlights_enabled_for_messaging=True,
            visible_to_staff_only=False,
            hide_from_toc=False,
        ).order_by("course_id", "index")
        for course_id, texts in sections.values_list("course_id", "highlights"):
            if said := [text for text in texts if text.strip()]:
                weekly[course_id].append(said)
    return dict(weekly)
