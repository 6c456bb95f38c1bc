"""Course flags, waffle switches and configuration rows, read from the database at every call.

A *course flag* is a row of `courses.Flag` and its rows per course. `everyone` = no: off. Course off: off. Course on, or
`everyone` = yes: on. Otherwise off, also when there is no such flag. Percentages, users, groups and whatever depends
on a request do not count. Nothing is cached, so a change holds at once in every process.
"""

from typing import Any, NamedTuple, TypeVar

from config_models.models import ConfigurationModel
from django.db.models import Exists, OuterRef, Q, Subquery
from waffle import get_waffle_switch_model

from courses.models import CourseFlag, Flag

Configuration = TypeVar("Configuration", bound=ConfigurationModel)


class FlagState(NamedTuple):
    """Everything a course flag says: `everyone` and the ids of the courses with a row of their own."""

    everyone: bool | None
    on_ids: set[int]
    off_ids: set[int]

    def is_on(self, course_id: int) -> bool:
        """Answer for one course."""
        if self.everyone is False or course_id in self.off_ids:
            return False
        return self.everyone is True or course_id in self.on_ids


def course_flag_is_on(name: str, course_id: int) -> bool:
    """Answer a flag for one course (its id, not its key), in one query."""
    own_answer = Subquery(CourseFlag.objects.filter(flag=OuterRef("pk"), course_id=course_id).values("on"))
    row = Flag.objects.filter(name=name).values_list("everyone", own_answer).first()
    if row is None or False in row:
        return False
    return True in row


def courses_with_flag(name: str) -> FlagState:
    """Read a flag for all courses at once, in one query."""
    state = FlagState(None, set(), set())
    for everyone, course_id, on in Flag.objects.filter(name=name).values_list(
        "everyone", "course_rows__course_id", "course_rows__on"
    ):
        state = state._replace(everyone=everyone)
        if course_id is not None:
            (state.on_ids if on else state.off_ids).add(course_id)
    return state


def flag_q(name: str, course_field: str) -> Q:
    """Return the flag as part of a statement; `course_field` leads from the queried model to the course.

    For example `Schedule.objects.filter(flag_q("some.flag", "enrollment__course"))`; for Course itself "pk".
    """
    rows = CourseFlag.objects.filter(flag__name=name)
    on = rows.filter(Q(flag__everyone__isnull=True) | Q(flag__everyone=True), on=True)
    off = rows.filter(on=False)
    everyone = Exists(Flag.objects.filter(name=name, everyone=True))
    return Q(**{f"{course_field}__in": on.values("course_id")}) | (
        Q(everyone) & ~Q(**{f"{course_field}__in": off.values("course_id")})
    )


def switch_is_active(name: str) -> bool:
    """Answer a waffle switch; a missing one is off."""
    return get_waffle_switch_model()._base_manager.filter(name=name, active=True).exists()


def current_config(model: type[Configuration], **keys: Any) -> Configuration | None:
    """Return the newest row of a configuration model for these keys, or None, in one query."""
    row: Configuration | None = model._default_manager.filter(**keys).order_by("-change_date", "-id").first()
    return row
