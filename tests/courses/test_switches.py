"""A course flag or switch …"""

from datetime import UTC, datetime
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser, Group
from django.db import connection
from django.test.utils import CaptureQueriesContext
from waffle.models import Switch

from courses.models import Course, Enrollment, Flag, SelfPacedConfiguration
from courses.switches import (
    course_flag_is_on,
    courses_with_flag,
    current_config,
    flag_q,
    learner_flag_is_on,
    learner_flag_q,
    switch_is_active,
)
from tests.factories import CourseFactory, CourseFlagFactory, EnrollmentFactory, FlagFactory, UserFactory

pytestmark = pytest.mark.django_db

NAME = "schedules.create_schedules_for_course"

TRUTH = [
    (None, None, False),
    (None, True, True),
    (None, False, False),
    (True, None, True),
    (True, True, True),
    (True, False, False),
    (False, None, False),
    (False, True, False),
    (False, False, False),
]


def answers(course: Course) -> set[bool]:
    """Ask for one course in all the ways there are."""
    return {
        course_flag_is_on(NAME, course.pk),
        courses_with_flag(NAME).is_on(course.pk),
        Course.objects.filter(flag_q(NAME, "pk"), pk=course.pk).exists(),
        Enrollment.objects.filter(flag_q(NAME, "course"), course=course).exists(),
        not Enrollment.objects.exclude(flag_q(NAME, "course")).filter(course=course).exists(),
    }


@pytest.mark.parametrize(("everyone", "row", "expected"), TRUTH)
def test_follows_its_truth_table(everyone: bool | None, row: bool | None, expected: bool) -> None:
    course = EnrollmentFactory().course
    flag = FlagFactory(name=NAME, everyone=everyone)
    CourseFlagFactory(flag=flag, on=True)
    CourseFlagFactory(flag=flag, on=False)
    CourseFlagFactory(course=course, on=not expected)
    if row is not None:
        CourseFlagFactory(flag=flag, course=course, on=row)
    assert answers(course) == {expected}


def test_is_off_when_it_is_missing() -> None:
    course = EnrollmentFactory().course
    assert answers(course) == {False}
    assert courses_with_flag(NAME) == (None, set(), set())


def test_ignores_whatever_depends_on_a_person() -> None:
    course = EnrollmentFactory().course
    flag = FlagFactory(
        name=NAME, percent=99.9, superusers=True, staff=True, authenticated=True, languages="en", testing=True
    )
    flag.users.add(UserFactory())
    assert answers(course) == {False}


def test_is_read_in_one_query() -> None:
    course = CourseFactory()
    for number in range(3):
        CourseFlagFactory(flag__name=NAME, course=CourseFactory(), on=bool(number))
    for ask in (
        lambda: course_flag_is_on(NAME, course.pk),
        lambda: courses_with_flag(NAME),
        lambda: list(Course.objects.filter(flag_q(NAME, "pk"))),
        lambda: switch_is_active(NAME),
        lambda: current_config(SelfPacedConfiguration),
    ):
        with CaptureQueriesContext(connection) as captured:
            ask()
        assert len(captured) == 1


def test_takes_effect_at_once_however_it_is_changed() -> None:
    course = CourseFactory()
    FlagFactory(name=NAME, everyone=True)
    Switch.objects.create(name=NAME, active=True)
    assert course_flag_is_on(NAME, course.pk) and switch_is_active(NAME)
    with connection.cursor() as cursor:
        # As another process would, past every cache and signal of this one.
        cursor.execute(f"UPDATE {Flag._meta.db_table} SET everyone = %s", [False])
        cursor.execute(f"UPDATE {Switch._meta.db_table} SET active = %s", [False])
    assert not course_flag_is_on(NAME, course.pk) and not switch_is_active(NAME)


def test_is_off_as_a_switch_when_missing_or_inactive() -> None:
    assert not switch_is_active(NAME)
    Switch.objects.create(name=NAME, active=False)
    assert not switch_is_active(NAME)


def test_is_the_newest_row_of_a_configuration() -> None:
    assert current_config(SelfPacedConfiguration) is None
    for enabled in (True, False, True):
        SelfPacedConfiguration.objects.create(enabled=enabled)
    SelfPacedConfiguration.objects.update(change_date=datetime(2017, 8, 1, tzinfo=UTC))
    newest = SelfPacedConfiguration.objects.order_by("pk").last()
    assert current_config(SelfPacedConfiguration) == newest == SelfPacedConfiguration.current()
    assert current_config(SelfPacedConfiguration, enabled=False) != newest


def test_is_no_remembered_configuration(django_assert_num_queries: Any) -> None:
    assert not SelfPacedConfiguration.current().enabled
    SelfPacedConfiguration.objects.bulk_create([SelfPacedConfiguration(enabled=True)])
    with django_assert_num_queries(1):
        assert SelfPacedConfiguration.current().enabled


class TestForALearner:
    """The same flag, asked about a course and a person."""

    RULES = [
        {},
        {"superusers": True},
        {"staff": True},
        {"authenticated": True},
        {"superusers": True, "staff": True},
        {"percent": 99.9},
        {"percent": 99.9, "languages": "en", "testing": True},
    ]

    @staticmethod
    def people() -> list[Any]:
        """Return somebody of each kind."""
        return [
            UserFactory(),
            UserFactory(is_staff=True),
            UserFactory(is_superuser=True),
            UserFactory(is_staff=True, is_superuser=True),
        ]

    @staticmethod
    def of_all(course: Course, people: list[Any]) -> dict[int, set[bool]]:
        """Ask for one course and each person in all the ways there are."""
        q = learner_flag_q(NAME, course_field="course", user_field="user")
        on = set(Enrollment.objects.filter(q).values_list("user_id", flat=True))
        off = set(Enrollment.objects.exclude(q).values_list("user_id", flat=True))
        return {
            user.pk: {learner_flag_is_on(NAME, course.pk, user), user.pk in on, user.pk not in off} for user in people
        }

    @pytest.mark.parametrize("rules", RULES, ids=str)
    @pytest.mark.parametrize(("everyone", "row", "for_courses"), TRUTH)
    def test_follows_the_truth_table_and_else_waffles_rules_about_people(
        self, everyone: bool | None, row: bool | None, for_courses: bool, rules: dict[str, Any]
    ) -> None:
        course, people = CourseFactory(), self.people()
        for user in people:
            EnrollmentFactory(user=user, course=course)
        flag = FlagFactory(name=NAME, everyone=everyone, **({"superusers": False} | rules))
        FlagFactory(authenticated=True, everyone=True)
        if row is not None:
            CourseFlagFactory(flag=flag, course=course, on=row)
        undecided = everyone is None and row is None
        for user in people:
            expected = bool(flag.is_active_for_user(user)) if undecided else for_courses
            assert self.of_all(course, people)[user.pk] == {expected}

    @pytest.mark.parametrize("how", ["listed", "in a group"])
    @pytest.mark.parametrize(("everyone", "row", "for_courses"), TRUTH)
    def test_is_on_for_people_it_names_where_nothing_else_is_said(
        self, everyone: bool | None, row: bool | None, for_courses: bool, how: str
    ) -> None:
        course, (named, other) = CourseFactory(), UserFactory.create_batch(2)
        for user in (named, other):
            EnrollmentFactory(user=user, course=course)
        flag, group = FlagFactory(name=NAME, everyone=everyone), Group.objects.create(name="pilot")
        if how == "listed":
            flag.users.add(named)
        else:
            named.groups.add(group)
            flag.groups.add(group)
        another = FlagFactory()
        another.users.add(other)
        other.groups.add(Group.objects.create(name="others"))
        if row is not None:
            CourseFlagFactory(flag=flag, course=course, on=row)
        undecided = everyone is None and row is None
        assert self.of_all(course, [named, other]) == {
            named.pk: {undecided or for_courses},
            other.pk: {for_courses},
        }

    def test_is_off_when_it_is_missing(self) -> None:
        user = UserFactory(is_superuser=True)
        course = EnrollmentFactory(user=user).course
        assert self.of_all(course, [user]) == {user.pk: {False}}

    @pytest.mark.parametrize("nobody", [None, AnonymousUser()], ids=["none", "anonymous"])
    def test_is_that_of_the_course_for_nobody(self, nobody: Any) -> None:
        course = CourseFactory()
        flag = FlagFactory(name=NAME, authenticated=True)
        assert not learner_flag_is_on(NAME, course.pk, nobody)
        CourseFlagFactory(flag=flag, course=course)
        assert learner_flag_is_on(NAME, course.pk, nobody)

    def test_is_read_in_one_query(self, django_assert_num_queries: Any) -> None:
        user = UserFactory(is_superuser=True)
        course = EnrollmentFactory(user=user).course
        FlagFactory(name=NAME).groups.add(Group.objects.create(name="pilot"))
        with django_assert_num_queries(1):
            learner_flag_is_on(NAME, course.pk, user)
        q = learner_flag_q(NAME, course_field="course", user_field="user")
        with django_assert_num_queries(1):
            list(Enrollment.objects.filter(q))
