"""Writing many rows at once …"""

from datetime import date
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.sites.models import Site
from django.db import IntegrityError, OperationalError, connection, models, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from django.utils.safestring import SafeString
from hypothesis import given
from hypothesis import strategies as st

from courses import bulk
from courses.bulk import any_of, array_literal, copy_of, insert_if_absent, is_deadlock, retry_on_deadlock
from courses.models import Certificate, Course, Enrollment, LearnerProfile, SiteConfiguration, UserActivity
from tests.factories import CourseFactory, EnrollmentFactory, LearnerProfileFactory, UserFactory

pytestmark = pytest.mark.django_db
# SQLite and MariaDB have no arrays to read one as, and our statements for them have none either.
has_arrays = pytest.mark.skipif(connection.vendor != "postgresql", reason="only PostgreSQL has arrays")


def courses(*names: str, **fields: Any) -> list[Course]:
    return [Course(key=f"course-v1:edX+{name}+1", org="edX", title=name, **fields) for name in names]


def profiles(*numbers: int | None, token: str = "mine", users: list[Any] | None = None) -> list[LearnerProfile]:
    users = users or [UserFactory() for _ in numbers]
    return [
        LearnerProfile(user=user, lms_user_id=number, language=token)
        for user, number in zip(users, numbers, strict=True)
    ]


def test_returns_only_the_rows_that_were_absent_with_their_ids() -> None:
    stored = CourseFactory(key="course-v1:edX+B+1", title="stored")
    ours = insert_if_absent(Course, courses("C", "B", "A"), unique_field="key")
    assert [row.title for row in ours] == ["A", "C"]
    assert all(Course.objects.get(pk=row.pk).title == row.title for row in ours)
    stored.refresh_from_db()
    assert stored.title == "stored"
    assert insert_if_absent(Course, courses("A", "B", "C"), unique_field="key") == []


def test_takes_the_first_of_two_rows_with_one_key() -> None:
    first, second = courses("A", "A")
    assert insert_if_absent(Course, [first, second], unique_field="key") == [first]


def test_understands_a_key_of_two_columns() -> None:
    one, two = CourseFactory(), CourseFactory()
    users = [UserFactory() for _ in range(3)]
    EnrollmentFactory(user=users[0], course=one)
    rows = [Enrollment(user=user, course=course) for user in users for course in (one, two)]
    assert len(insert_if_absent(Enrollment, rows, unique_field=["user", "course"])) == 5
    assert Enrollment.objects.count() == 6


def test_understands_a_key_of_three_columns() -> None:
    users, courses = UserFactory.create_batch(2), [CourseFactory(), CourseFactory()]
    rows = [
        UserActivity(user=user, course=course, date=date(2026, 3, day))
        for user in users
        for course in courses
        for day in (1, 2, 3)
    ]
    stored = rows[::2]
    assert insert_if_absent(UserActivity, stored, unique_field=["user", "course", "date"]) != []
    keys = [(row.user_id, row.course_id, row.date) for row in stored]
    found = UserActivity.objects.filter(any_of(keys, attnames=["user_id", "course_id", "date"]))
    assert {(row.user_id, row.course_id, row.date) for row in found} == set(keys)
    assert len(insert_if_absent(UserActivity, rows, unique_field=["user", "course", "date"])) == 6
    other = any_of(keys[:1], attnames=["user_id", "course_id", "date"])
    assert UserActivity.objects.filter(other).count() == 1


def test_inserts_rows_without_a_key_always() -> None:
    ours = insert_if_absent(LearnerProfile, profiles(None, None, 5), unique_field="lms_user_id")
    assert len({row.pk for row in ours}) == 3


def test_returns_the_rows_that_carry_our_token() -> None:
    LearnerProfileFactory(lms_user_id=1, language="theirs")
    ours = insert_if_absent(LearnerProfile, profiles(3, 1, 2), unique_field="lms_user_id", token_field="language")
    assert [row.lms_user_id for row in ours] == [2, 3]
    assert all(row.pk and not row._state.adding for row in ours)
    assert LearnerProfile.objects.get(lms_user_id=1).language == "theirs"


def test_adds_rows_without_a_key_beside_those_with_a_token() -> None:
    ours = insert_if_absent(LearnerProfile, profiles(1, None), unique_field="lms_user_id", token_field="language")
    assert {row.lms_user_id for row in ours} == {1, None}
    assert all(LearnerProfile.objects.filter(pk=row.pk).exists() for row in ours)


def test_wants_one_token_for_all_rows() -> None:
    rows = profiles(1, 2)
    rows[1].language = "other"
    with pytest.raises(ValueError, match="one and the same language"):
        insert_if_absent(LearnerProfile, rows, unique_field="lms_user_id", token_field="language")


@pytest.mark.parametrize("token_field", [None, "language"])
def test_does_not_hide_other_errors(token_field: str | None) -> None:
    rows = profiles(1)
    rows[0].time_zone = None  # type: ignore[assignment]
    with pytest.raises(IntegrityError), transaction.atomic():
        insert_if_absent(LearnerProfile, rows, unique_field="lms_user_id", token_field=token_field)


def test_starts_again_when_somebody_was_faster(monkeypatch: pytest.MonkeyPatch) -> None:
    real = bulk._stored_ids
    raced: list[int] = []

    def late(model: type[models.Model], keys: Any, **kwargs: Any) -> Any:
        found = real(model, keys, **kwargs)
        if not raced:
            raced.append(CourseFactory(key="course-v1:edX+B+1").pk)
        return found

    monkeypatch.setattr(bulk, "_stored_ids", late)
    by_key = {(row.key,): row for row in courses("A", "B")}
    # Called directly: PostgreSQL settles the race in its one statement and never comes here.
    ours = bulk._insert_or_start_again(Course, by_key, attnames=["key"], using="default")
    assert [row.title for row in ours] == ["A"]
    assert Course.objects.count() == 2


def test_copies_of_a_row_are_rows_of_their_own() -> None:
    pattern = Course(org="edX", title="pattern", self_paced=True)
    rows = [copy_of(pattern, key=f"course-v1:edX+{name}+1") for name in "AB"]
    rows[1].title = "other"
    assert insert_if_absent(Course, rows, unique_field="key") == rows
    stored = Course.objects.order_by("key").values_list("key", "title", "self_paced")
    assert list(stored) == [("course-v1:edX+A+1", "pattern", True), ("course-v1:edX+B+1", "other", True)]
    assert (pattern.pk, pattern._state.adding, pattern.key) == (None, True, "")


def test_odd_texts_of_any_kind_arrive_as_they_are() -> None:
    titles = ["NULL", "", "{a,b}", 'a"b', "a\\b", " x ", "a,b", "\u00e9\U0001f469", SafeString("<b>safe</b>"), "'; --"]
    rows = [
        Course(key=f"course-v1:edX+{number}+1", org="edX", title=title, self_paced=bool(number % 2))
        for number, title in enumerate(titles)
    ]
    insert_if_absent(Course, rows, unique_field="key")
    stored = Course.objects.order_by("pk").values_list("title", "self_paced")
    assert list(stored) == [(title, bool(number % 2)) for number, title in enumerate(titles)]


@has_arrays
@given(
    st.one_of(
        st.lists(st.text(st.characters(exclude_characters="\0", codec="utf-8"))),
        st.lists(st.one_of(st.none(), st.sampled_from(['","', '"', "\\", "NULL", "", "{}", ","]))),
    )
)
def test_an_array_of_texts_is_read_as_it_was_written(texts: list[str | None]) -> None:
    assert read_array(texts, "text") == texts


@has_arrays
@given(st.lists(st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1))))
def test_an_array_of_numbers_is_read_as_it_was_written(numbers: list[int | None]) -> None:
    assert read_array(numbers, "bigint") == numbers


def read_array(values: list[Any], kind: str) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT %s::{kind}[]", [array_literal(values)])
        return cursor.fetchone()[0]


def test_values_that_are_no_plain_ones_arrive_too() -> None:
    sites = [Site.objects.create(domain=f"{name}.example.com", name=name) for name in "ab"]
    links = [{"x": 'a"b'}, {"x": "{,}"}]
    rows = [SiteConfiguration(site=site, social_links=link) for site, link in zip(sites, links, strict=True)]
    insert_if_absent(SiteConfiguration, rows, unique_field="site")
    stored = SiteConfiguration.objects.filter(site__in=sites).order_by("site")
    assert list(stored.values_list("social_links", flat=True)) == links


def test_rows_get_the_time_they_are_written_at() -> None:
    before, course = timezone.now(), CourseFactory()
    rows = [Certificate(user=UserFactory(), course=course, status="downloadable") for _ in range(3)]
    insert_if_absent(Certificate, rows, unique_field=["user", "course"])
    stored = dict(Certificate.objects.values_list("pk", "modified"))
    assert stored == {row.pk: row.modified for row in rows}
    assert before <= min(stored.values()) <= max(stored.values()) <= timezone.now()
    # Elsewhere Django reads the clock for each row.
    assert len(set(stored.values())) == 1 or connection.vendor != "postgresql"


def test_needs_the_same_queries_for_one_row_and_for_fifty() -> None:
    def queries(names: list[str]) -> int:
        with CaptureQueriesContext(
            connection,
        ) as captured:
            insert_if_absent(Course, courses(*names), unique_field="key")
        return len(captured)

    assert queries(["X"]) == queries([f"Y{number}" for number in range(50)])


def test_writes_the_rows_in_key_order() -> None:
    ours = insert_if_absent(Course, courses("C", "A", "B"), unique_field="key")
    assert [row.title for row in sorted(ours, key=lambda row: row.pk)] == ["A", "B", "C"]


def failing(times: int, error: Exception) -> Any:
    calls: list[int] = []

    @retry_on_deadlock
    def function() -> int:
        calls.append(1)
        if len(calls) <= times:
            raise error
        return len(calls)

    return function


LOCKED = OperationalError("database is locked")
DEADLOCK = OperationalError(1213, "Deadlock found")


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    taken: list[float] = []
    monkeypatch.setattr(bulk.time, "sleep", taken.append)
    return taken


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("error", [LOCKED, DEADLOCK, OperationalError(1205, "Lock wait timeout exceeded")])
def test_is_tried_again_after_a_deadlock(error: Exception, pauses: list[float]) -> None:
    assert failing(4, error)() == 5
    assert len(pauses) == 4
    assert max(pauses) < 2


@pytest.mark.django_db(transaction=True)
def test_is_given_up_after_five_tries(pauses: list[float]) -> None:
    with pytest.raises(OperationalError):
        failing(5, DEADLOCK)()
    assert len(pauses) == 4


@pytest.mark.django_db(transaction=True)
def test_is_not_tried_again_after_other_errors(pauses: list[float]) -> None:
    for error in (OperationalError("no such table"), IntegrityError("x"), ValueError("x")):
        with pytest.raises(type(error)):
            failing(1, error)()
    assert pauses == []


def test_is_not_tried_again_inside_somebody_elses_transaction(pauses: list[float]) -> None:
    with pytest.raises(OperationalError):
        failing(1, DEADLOCK)()
    assert pauses == []


@pytest.mark.parametrize(("state", "expected"), [("40P01", True), ("40001", True), ("23505", False)])
def test_knows_postgresqls_codes(state: str, expected: bool) -> None:
    error = OperationalError("x")
    error.__cause__ = type("Cause", (Exception,), {"sqlstate": state})()
    assert is_deadlock(error) is expected


def test_keeps_user_names_apart() -> None:
    model = get_user_model()
    assert len(insert_if_absent(model, [model(username="a"), model(username="A")], unique_field="username")) == 2
