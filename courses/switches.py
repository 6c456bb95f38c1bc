"""Course flags, waffle switches and configuration rows, read from the database at every call.

A *course flag* is a row of `courses.Flag` and its rows per course. `everyone` = no: off. Course off: off. Course on, or
`everyone` = yes: on. Otherwise off, also when there is no such flag. Percentages, users, groups and whatever depends
on a request do not count. Nothing is cached, so a change holds at once in every process.

A *learner flag* is the same row asked about a course and a person. Only "otherwise" differs: it is on for those whom
waffle's own rules about people name (superusers, staff, authenticated, users, groups). Percentage, language and test
cookies belong to a browser and are never met, so that a page and a mail agree.
"""

from functools import lru_cache
from typing import Any, NamedTuple, TypeVar

from config_models.models import ConfigurationModel
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractUser, AnonymousUser
from django.db.models import Exists, OuterRef, Q, Subquery
from waffle import get_waffle_switch_model

from courses.models import CourseFlag, Flag
from courses.statements import Kept

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


def learner_flag_is_on(name: str, course_id: int, user: AbstractUser | AnonymousUser | None) -> bool:
    """Answer a flag for one course and one person, or nobody, in one query."""
    if user is None or user.pk is None:
        return course_flag_is_on(name, course_id)
    own_answer = Subquery(CourseFlag.objects.filter(flag=OuterRef("pk"), course_id=course_id).values("on"))
    listed = Exists(Flag.users.through._default_manager.filter(flag=OuterRef("pk"), user=user.pk))
    grouped = Exists(Flag.groups.through._default_manager.filter(flag=OuterRef("pk"), group__user=user.pk))
    row = Flag.objects.filter(name=name).annotate(own_answer=own_answer, named=listed | grouped).first()
    if row is None or False in (row.everyone, row.own_answer):
        return False
    return bool(
        row.everyone
        or row.own_answer
        or row.authenticated
        or (row.superusers and user.is_superuser)
        or (row.staff and user.is_staff)
        or row.named
    )


def learner_flag_q(name: str, *, course_field: str, user_field: str) -> Q:
    """Return the flag as part of a statement about courses and people.

    Both fields lead from the queried model: `CourseGoal.objects.filter(learner_flag_q("some.flag",
    course_field="course", user_field="user"))`.
    """
    undecided = Flag.objects.filter(name=name, everyone__isnull=True)
    listed = Flag.users.through._default_manager.filter(flag__in=undecided)
    groups = Flag.groups.through._default_manager.filter(flag__in=undecided)
    grouped = get_user_model()._default_manager.filter(groups__in=groups.values("group_id"))
    person = (
        Q(Exists(undecided.filter(authenticated=True)))
        | (Q(Exists(undecided.filter(superusers=True))) & Q(**{f"{user_field}__is_superuser": True}))
        | (Q(Exists(undecided.filter(staff=True))) & Q(**{f"{user_field}__is_staff": True}))
        | Q(**{f"{user_field}__in": listed.values("user_id")})
        | Q(**{f"{user_field}__in": grouped.values("pk")})
    )
    off = CourseFlag.objects.filter(flag__name=name, on=False)
    return flag_q(name, course_field) | (person & ~Q(**{f"{course_field}__in": off.values("course_id")}))


def switch_is_active(name: str) -> bool:
    """Answer a waffle switch; a missing one is off."""
    return get_waffle_switch_model()._base_manager.filter(name=name, active=True).exists()


def current_config(model: type[Configuration], **keys: Any) -> Configuration | None:
    """Return the newest row of a configuration model for these keys, or None, in one query."""
    names = [field.attname for field in model._meta.concrete_fields]
    rows = _newest(model, tuple(keys.items())).rows()  # type: ignore[arg-type]  # takes __hash__ for an instance's
    newest: Configuration | None = model.from_db(model._default_manager.db, names, rows[0]) if rows else None
    return newest


@lru_cache(maxsize=64)
def _newest(model: type[ConfigurationModel], keys: tuple[tuple[str, Any], ...]) -> Kept:
    rows = model._default_manager.filter(**dict(keys)).order_by("-change_date", "-id")
    return Kept(rows.values_list(*(field.attname for field in model._meta.concrete_fields))[:1])
