"""What schedules do when the ground floor reports a fact, or an operator sets a deadline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.db.models.signals import post_save
from django.dispatch import receiver as on

from courses.models import Course, Enrollment
from courses.signals import (
    course_changed,
    course_modes_changed,
    enrollments_changed,
    enrollments_created,
    receiver,
    sections_changed,
)

from . import recompute, services
from .models import (
    CourseDynamicUpgradeDeadlineConfiguration,
    DynamicUpgradeDeadlineConfiguration,
    OrgDynamicUpgradeDeadlineConfiguration,
)

# Organisation and key decide which deadline settings are the course's.
DATE_FIELDS = frozenset({"start", "end", "org", "key"})


@receiver(enrollments_created)
def create_schedules(sender: Any, enrollments: Sequence[Enrollment], **kwargs: Any) -> None:
    """Make schedules for learners who have just enrolled, in the enrolment's own transaction."""
    services.create_schedules(enrollments)


@receiver(enrollments_changed)
def follow_enrollments(
    sender: Any, enrollments: Sequence[Enrollment], changed: Mapping[int, frozenset[str]], **kwargs: Any
) -> None:
    """Put the experience of learners who have come back right; while they were away nobody kept it true."""
    back = [row for row in enrollments if row.is_active and "is_active" in changed.get(row.pk, ())]
    if back:
        services.refresh_experiences_of(back)


@receiver(course_changed)
def follow_course(sender: Any, course: Course, changed: frozenset[str], **kwargs: Any) -> None:
    """Have the schedules of a course follow its dates and its messaging."""
    scope = recompute.scope_of_course(course.key)
    if changed & DATE_FIELDS:
        recompute.request(recompute.DATES, scope)
    if "highlights_enabled_for_messaging" in changed:
        recompute.request(recompute.EXPERIENCE, scope)


@receiver(course_modes_changed)
def follow_modes(sender: Any, course: Course, slugs: frozenset[str], **kwargs: Any) -> None:
    """Have the deadlines of a course follow its verified mode."""
    if "verified" in slugs:
        recompute.request(recompute.DATES, recompute.scope_of_course(course.key))


@receiver(sections_changed)
def follow_sections(sender: Any, course: Course, **kwargs: Any) -> None:
    """Have the experience of a course's schedules follow its sections."""
    recompute.request(recompute.EXPERIENCE, recompute.scope_of_course(course.key))


# Not guarded as those above: a setting that cannot be followed is not saved either.
@on(post_save, sender=DynamicUpgradeDeadlineConfiguration)
def follow_global_setting(raw: bool, **kwargs: Any) -> None:
    """Have all deadlines follow the global setting; fixtures are silent, as for facts."""
    if not raw:
        recompute.request(recompute.DATES, recompute.EVERYTHING)


@on(post_save, sender=OrgDynamicUpgradeDeadlineConfiguration)
def follow_org_setting(instance: OrgDynamicUpgradeDeadlineConfiguration, raw: bool, **kwargs: Any) -> None:
    """Have the deadlines of an organisation's courses follow its setting."""
    if not raw:
        recompute.request(recompute.DATES, recompute.scope_of_org(instance.org_id))


@on(post_save, sender=CourseDynamicUpgradeDeadlineConfiguration)
def follow_course_setting(instance: CourseDynamicUpgradeDeadlineConfiguration, raw: bool, **kwargs: Any) -> None:
    """Have the deadlines of a course follow its setting."""
    if not raw:
        recompute.request(recompute.DATES, recompute.scope_of_course(instance.course_id))
