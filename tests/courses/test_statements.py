"""Statements that are put together once and asked about other rows."""

from __future__ import annotations

import pytest
from django.db import connection
from django.db.models import Exists, OuterRef, Q
from django.test.utils import CaptureQueriesContext

from courses.models import Course, Enrollment
from courses.statements import ByIds, Kept
from tests.factories import CourseFactory, EnrollmentFactory

pytestmark = pytest.mark.django_db

COLUMNS = ("pk", "key", "price", "self_paced", "start", "taken")


def found() -> ByIds:
    # Parameters before the ids and behind them, and columns that some databases have to convert.
    taken = Exists(Enrollment.objects.filter(course=OuterRef("pk"), mode="audit"))
    courses = Course.objects.annotate(taken=taken).filter(~Q(title="hidden")).order_by("pk")
    return ByIds(courses.values_list(*COLUMNS), "pk")


def as_stored(*courses: Course) -> list[tuple[object, ...]]:
    stored = [Course.objects.get(pk=course.pk) for course in courses]
    return [
        (row.pk, row.key, row.price, row.self_paced, row.start, row.enrollments.filter(mode="audit").exists())
        for row in stored
    ]


def test_it_tells_of_each_row_what_is_stored_now() -> None:
    one, two, three, hidden = [CourseFactory(title=title, price="9.50") for title in ("a", "b", "c", "hidden")]
    EnrollmentFactory(course=two)
    kept = found()
    assert kept.rows([one.pk, two.pk, hidden.pk]) == as_stored(one, two)
    Course.objects.filter(pk=three.pk).update(price=None, self_paced=False)
    assert kept.rows({two.pk, three.pk, 10**9}) == as_stored(two, three)
    assert kept.rows((three.pk,)) == as_stored(three)
    three.delete()
    assert kept.rows((three.pk,)) == []


def test_a_path_may_lead_over_other_tables() -> None:
    place, _ = EnrollmentFactory.create_batch(2)
    kept = ByIds(Enrollment.objects.filter(is_active=True).values_list("pk", "course__key"), "course__enrollments__pk")
    assert kept.rows([place.pk]) == [(place.pk, place.course.key)]
    by_person = ByIds(Enrollment.objects.values_list("pk"), "user_id")
    assert by_person.rows([place.user_id]) == [(place.pk,)]


@pytest.mark.parametrize(("number", "statements"), [(0, 0), (1, 1), (50, 1)])
def test_it_costs_one_statement(number: int, statements: int) -> None:
    ids = [course.pk for course in CourseFactory.create_batch(number)]
    with CaptureQueriesContext(connection) as queries:
        assert [pk for pk, *_ in found().rows(ids)] == ids
    assert len(queries) == statements


def test_nothing_is_found_where_nothing_can_be() -> None:
    course = CourseFactory()
    assert ByIds(Course.objects.none().values_list("pk"), "pk").rows([course.pk]) == []


def test_a_kept_statement_tells_what_is_stored_now_in_one_statement() -> None:
    one, two = CourseFactory(price="9.50"), CourseFactory(price=None)
    kept = Kept(Course.objects.exclude(title="hidden").order_by("pk").values_list(*COLUMNS[:-1]))
    assert kept.rows() == [row[:-1] for row in as_stored(one, two)]
    Course.objects.filter(pk=one.pk).update(title="hidden")
    Course.objects.filter(pk=two.pk).update(price="1.25")
    with CaptureQueriesContext(connection) as queries:
        assert kept.rows() == [row[:-1] for row in as_stored(two)]
    assert len([query for query in queries if "hidden" in query["sql"]]) == 1
