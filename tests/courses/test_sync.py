"""sync_courses …"""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.db import connection
from django.test.utils import CaptureQueriesContext

from courses import signals
from courses.models import Certificate, Course, CourseMode, Enrollment, LearnerProfile, Section
from courses.sources import BadRow, CourseRow, EnrollmentRow, LearnerRow, Source
from tests.courses.helpers import heard
from tests.courses.loading import as_lines, run, written
from tests.factories import CourseFactory, CourseModeFactory, SectionFactory

pytestmark = pytest.mark.django_db

KEY = "course-v1:edX+C+2017"

EVERYTHING: dict[str, list[dict[str, Any]]] = {
    "courses": [
        {"key": KEY, "title": "C", "start": "2017-07-01T00:00:00Z", "end": None, "self_paced": True, "price": 9.5}
    ],
    "modes": [{"course": KEY, "slug": "audit"}, {"course": KEY, "slug": "verified", "price": "49.00", "sku": "ABC"}],
    "sections": [{"course": KEY, "index": 0, "title": "One", "highlights": ["a", "b"]}],
    "learners": [
        {"username": "ada", "email": "ada@example.com", "lms_user_id": 1, "language": "es"},
        {"username": "bob", "has_usable_password": False},
    ],
    "enrollments": [
        {"course": KEY, "lms_user_id": 1, "mode": "verified", "created_at": "2017-08-01T09:30:00+00:00"},
        {"course": KEY, "username": "bob", "is_active": False},
    ],
    "certificates": [{"course": KEY, "username": "ada", "status": "downloadable"}],
}


@pytest.fixture
def write(tmp_path: Path) -> Any:
    return partial(written, tmp_path)


def test_loads_when_a_course_takes_enrolments_and_whether_it_is_shown(write: Any) -> None:
    told = {"enrollment_start": "2017-06-01T00:00:00Z", "enrollment_end": None, "is_visible": False}
    run(write({"courses": [{"key": KEY, **told}]}))
    course = Course.objects.get()
    assert (course.enrollment_start, course.enrollment_end) == (datetime(2017, 6, 1, tzinfo=UTC), None)
    assert not course.is_visible


@pytest.mark.parametrize("name", ["facts.json", "facts.jsonl"])
def test_loads_everything_and_the_second_time_nothing(write: Any, name: str) -> None:
    path = write(EVERYTHING if name == "facts.json" else as_lines(EVERYTHING), name)
    output, errors, status = run(path)
    assert (errors, status) == ("", 0)
    assert output.startswith(
        f"sync_courses {path} courses=1 modes=2 sections=1 learners=2 enrollments=2 certificates=1 "
        "created=9 changed=0 removed=0 rejected=0 seconds="
    )
    assert Course.objects.values_list("title", "org", "self_paced").get() == ("C", "edX", True)
    assert set(CourseMode.objects.values_list("slug", flat=True)) == {"audit", "verified"}
    assert Section.objects.get().highlights == ["a", "b"]
    assert LearnerProfile.objects.get(lms_user_id=1).language == "es"
    assert not get_user_model().objects.get(username="bob").has_usable_password()
    assert set(Enrollment.objects.values_list("user__username", "mode", "is_active")) == {
        ("ada", "verified", True),
        ("bob", "audit", False),
    }
    assert Certificate.objects.get().status == "downloadable"
    with (
        heard(signals.enrollments_created) as a,
        heard(signals.enrollments_changed) as b,
        heard(signals.course_changed) as c,
        heard(signals.course_modes_changed) as d,
        heard(signals.sections_changed) as e,
        heard(signals.certificates_changed) as f,
        CaptureQueriesContext(connection) as captured,
    ):
        output, _, status = run(path)
    assert "created=0 changed=0 removed=0 rejected=0" in output
    assert status == 0
    assert a + b + c + d + e + f == []
    writes = [q["sql"] for q in captured if q["sql"].startswith(("INSERT", "UPDATE", "DELETE"))]
    # PostgreSQL is asked with an INSERT which of the enrolments are new.
    assert [sql for sql in writes if "DO NOTHING" not in sql] == []


def test_repairs_what_differs(write: Any) -> None:
    path = write(EVERYTHING)
    run(path)
    Course.objects.update(title="wrong")
    Enrollment.objects.update(mode="wrong")
    CourseMode.objects.filter(slug="verified").update(sku="wrong")
    assert "created=0 changed=4 removed=0" in run(path)[0]
    assert Course.objects.get().title == "C"


def test_removes_modes_and_sections_that_the_source_no_longer_tells(write: Any) -> None:
    course = CourseFactory(key=KEY)
    CourseModeFactory(course=course, slug="professional")
    SectionFactory(course=course, index=5)
    other = CourseModeFactory()
    assert "removed=2" in run(write(EVERYTHING))[0]
    assert set(CourseMode.objects.filter(course=course).values_list("slug", flat=True)) == {"audit", "verified"}
    assert CourseMode.objects.filter(pk=other.pk).exists()


def test_removes_nothing_when_a_row_could_not_be_read(write: Any) -> None:
    CourseModeFactory(course=CourseFactory(key=KEY), slug="professional")
    data = EVERYTHING | {"modes": [{"course": KEY, "slug": "audit"}, {"course": KEY, "slug": "gold"}]}
    output, errors, status = run(write(data))
    assert "removed=0 rejected=1" in output
    assert "modes row 2: slug: 'gold' is not a course mode. Allowed: audit" in errors
    assert status == 1


@pytest.mark.parametrize(
    ("kind", "row", "message"),
    [
        ("courses", {"key": "nonsense"}, "key: 'nonsense' is not a course key. Allowed: course-v1:Org+Course+Run"),
        ("courses", {"title": "x"}, "key: is missing."),
        ("courses", {"key": KEY, "color": "red"}, "color: unknown field. Allowed: key, title"),
        (
            "courses",
            {"key": KEY, "start": "2017-07-01T00:00:00"},
            "start: '2017-07-01T00:00:00' does not fit. Allowed: a time",
        ),
        ("courses", {"key": KEY, "start": "2017-99-01T00:00:00Z"}, "start: '2017-99-01T00:00:00Z' does not fit."),
        ("courses", {"key": KEY, "self_paced": "yes"}, "self_paced: 'yes' does not fit. Allowed: true or false."),
        ("courses", {"key": KEY, "title": None}, "title: must not be null."),
        ("courses", {"key": KEY, "price": "NaN"}, "price: 'NaN' does not fit. Allowed: a number."),
        ("courses", {"key": KEY, "price": -1}, "price: Ensure this value"),
        (
            "courses",
            {"key": KEY, "weeks_to_complete": 1.5},
            "weeks_to_complete: 1.5 does not fit. Allowed: a whole number.",
        ),
        ("courses", "text", "must be an object with the fields key, title"),
        ("modes", {"course": "course-v1:a+b+c", "slug": "audit"}, "course: 'course-v1:a+b+c' is unknown."),
        ("sections", {"course": KEY, "index": True}, "index: True does not fit."),
        ("sections", {"course": KEY, "index": 0, "highlights": ["x" * 251]}, "highlights: the text starting with"),
        ("learners", {"username": "a b"}, "username: Enter a valid username."),
        ("learners", {"username": "carl", "email": "nonsense"}, "email: Enter a valid email address."),
        ("enrollments", {"course": KEY, "username": "nobody"}, "username: unknown. Allowed: a learner that is stored"),
        ("enrollments", {"course": KEY, "lms_user_id": 99}, "lms_user_id: 99 is unknown."),
        ("enrollments", {"course": KEY}, "username: unknown."),
        (
            "enrollments",
            {"course": KEY, "username": "ada", "mode": "x" * 101},
            "mode: Ensure this value has at most 100",
        ),
        ("certificates", {"course": KEY, "username": "ada"}, "status: is missing."),
        (
            "certificates",
            {"course": KEY, "username": "ada", "status": "x" * 33},
            "status: Ensure this value has at most 32",
        ),
    ],
)
def test_reports_a_bad_row_and_loads_the_others(write: Any, kind: str, row: Any, message: str) -> None:
    good = len(EVERYTHING[kind])
    output, errors, status = run(write(EVERYTHING | {kind: [*EVERYTHING[kind], row]}))
    assert f"{kind} row {good + 1}: {message}" in errors
    assert "created=9 " in output
    assert "rejected=1" in output
    assert status == 1


def test_names_the_line_of_a_bad_row(write: Any) -> None:
    lines = [json.dumps({"kind": "courses", "key": KEY}), "", "{broken", json.dumps({"kind": "cats"}), '["x"]']
    output, errors, status = run(write("\n".join(lines), "facts.jsonl"))
    assert [line.split(":")[0] for line in errors.splitlines()[:3]] == [
        "courses line 3",
        "courses line 4",
        "courses line 5",
    ]
    assert "courses=4" in output
    assert "created=1" in output
    assert status == 1


def test_welcomes_nobody_unless_asked(write: Any) -> None:
    for arguments, announce in (((), False), (("--announce",), True)):
        Enrollment.objects.all().delete()
        with heard(signals.enrollments_created) as calls:
            run(write(EVERYTHING), *arguments)
        assert [call["announce"] for call in calls] == [announce]


def test_writes_nothing_when_dry(write: Any) -> None:
    output, _, status = run(write(EVERYTHING), "--dry-run")
    assert output.startswith("DRY RUN sync_courses ")
    assert "created=9" in output
    assert status == 0
    assert not Course.objects.exists()
    assert not get_user_model().objects.exists()


class Host(Source):
    """What a host would write."""

    def courses(self) -> Iterator[CourseRow | BadRow]:
        yield CourseRow(key=KEY, title="From the host", self_paced=True)

    def learners(self) -> Iterator[LearnerRow | BadRow]:
        for number in range(1200):
            yield LearnerRow(username=f"u{number}", email=f"u{number}@example.com", lms_user_id=number)

    def enrollments(self) -> Iterator[EnrollmentRow | BadRow]:
        for number in range(1200):
            yield EnrollmentRow(course=KEY, lms_user_id=number)


def test_reads_a_hosts_own_source_in_chunks() -> None:
    with heard(signals.enrollments_created) as calls:
        output, errors, status = run("tests.courses.test_sync.Host")
    assert (errors, status) == ("", 0)
    assert "learners=1200 enrollments=1200 certificates=0 created=2401 changed=0" in output
    assert [len(call["enrollments"]) for call in calls] == [500, 500, 200]
    assert "created=0 changed=0" in run("tests.courses.test_sync.Host")[0]


@pytest.mark.parametrize(
    "source",
    ["no.such.Source", "nonsense", "nosuch.json", "tests.courses.test_sync.KEY", "tests.courses.test_sync.Nope"],
)
def test_knows_when_there_is_no_such_source(source: str) -> None:
    output, errors, status = run(source)
    assert (output, status) == ("", 2)
    assert errors.startswith("unknown source: ")
    assert len(errors.splitlines()) == 1


@pytest.mark.parametrize("text", ["{broken", "[]", '{"cats": []}', '{"courses": {}}'])
def test_refuses_a_file_of_another_shape(write: Any, text: str) -> None:
    assert run(write(text))[2] == 2
