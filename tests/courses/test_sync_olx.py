"""sync_courses --source olx …"""

import gzip
import json
import tarfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from courses import signals
from courses.models import Course, CourseMode, Enrollment, Section
from tests.courses.exports import COURSE, FILES, KEY, POLICY, export, member, tar
from tests.courses.helpers import heard
from tests.courses.loading import run
from tests.factories import CourseFactory, CourseModeFactory, EnrollmentFactory, SectionFactory

pytestmark = pytest.mark.django_db

Write = Callable[..., str]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    return lambda *more, **changes: export(tmp_path / "course.abc.tar.gz", *more, **changes)


def sections() -> list[tuple[Any, ...]]:
    columns = ("index", "title", "visible_to_staff_only", "hide_from_toc", "highlights")
    return list(Section.objects.filter(course__key=KEY).order_by("index").values_list(*columns))


def assert_refused(path: str, problem: str) -> None:
    """Check that an export is refused in one line that names it, with nothing stored."""
    output, errors, status = run("olx", path)
    assert (output, status) == ("", 1)
    assert errors.startswith(f"refused: {path}: ")
    assert problem in errors
    assert len(errors.splitlines()) == 1
    assert not Course.objects.exists()


def test_reads_what_studio_exports(write: Write) -> None:
    path = write()
    output, errors, status = run("olx", path)
    assert (errors, status) == ("", 0)
    assert output.startswith(
        f"sync_courses olx {path} courses=1 modes=0 sections=3 learners=0 enrollments=0 certificates=0 "
        "created=4 changed=0 removed=0 rejected=0 seconds="
    )
    course = Course.objects.get()
    assert (course.key, course.org, course.title, course.language) == (
        KEY,
        "Harbour",
        "Navigation for everybody",
        "es",
    )
    assert (course.start, course.end) == (datetime(2026, 3, 1, 8, tzinfo=UTC), None)
    assert (course.self_paced, course.highlights_enabled_for_messaging) == (True, True)
    assert sections() == [
        (0, "Maps & charts", False, False, ["Read a chart", "Find the nørth"]),
        (1, "For the crew", True, False, []),
        (2, "Tides", False, True, []),
    ]


def test_changes_nothing_the_second_time(write: Write) -> None:
    path = write()
    run("olx", path)
    with (
        heard(signals.course_changed) as a,
        heard(signals.sections_changed) as b,
        CaptureQueriesContext(connection) as captured,
    ):
        output, _, status = run("olx", path)
    assert "created=0 changed=0 removed=0 rejected=0" in output
    assert (status, a, b) == (0, [], [])
    assert [q["sql"] for q in captured if q["sql"].startswith(("INSERT", "UPDATE", "DELETE"))] == []


@pytest.mark.parametrize(("told", "is_visible"), [("both", True), ("about", False), ("none", False), (None, True)])
def test_reads_when_a_course_takes_enrolments_and_whether_it_is_shown(
    write: Write, told: str | None, is_visible: bool
) -> None:
    dates = {"enrollment_start": "2026-01-01T00:00:00Z", "enrollment_end": "2026-02-01"}
    policy = {"course/2026": {**dates, "catalog_visibility": told}}
    run("olx", write(**{POLICY: json.dumps(policy)}))
    course = Course.objects.get()
    assert course.enrollment_start == datetime(2026, 1, 1, tzinfo=UTC)
    assert course.enrollment_end == datetime(2026, 2, 1, tzinfo=UTC)
    assert course.is_visible is is_visible


def test_follows_the_course_and_leaves_what_no_export_tells(write: Write) -> None:
    course = CourseFactory(key=KEY, title="Old", self_paced=False, weeks_to_complete=6, is_active=False)
    for index in range(5):
        SectionFactory(course=course, index=index, title=f"Old {index}")
    CourseModeFactory(course=course)
    EnrollmentFactory(course=course)
    other = SectionFactory(index=7)
    output, _, _ = run("olx", write())
    assert "created=0 changed=4 removed=2" in output
    course.refresh_from_db()
    assert (course.title, course.self_paced) == ("Navigation for everybody", True)
    assert (course.weeks_to_complete, course.is_active) == (6, False)
    assert [row[1] for row in sections()] == ["Maps & charts", "For the crew", "Tides"]
    assert CourseMode.objects.exists() and Enrollment.objects.exists()
    assert Section.objects.filter(pk=other.pk).exists()


def test_removes_the_sections_of_a_course_that_has_none_left(write: Write) -> None:
    SectionFactory(course=CourseFactory(key=KEY))
    assert "removed=1" in run("olx", write(**{COURSE: '<course display_name="Empty"/>'}))[0]
    assert sections() == []


def test_writes_nothing_when_dry(write: Write) -> None:
    output, _, status = run("olx", write(), "--dry-run")
    assert output.startswith("DRY RUN sync_courses olx ")
    assert ("created=4" in output, status) == (True, 0)
    assert not Course.objects.exists()


@pytest.mark.parametrize("top", ["", "./", "2026-export/", "demo/course/"])
def test_finds_the_course_whatever_the_folder_is_called(tmp_path: Path, top: str) -> None:
    path = tmp_path / "x.tar.gz"
    files = [member(top + name.removeprefix("course/"), text) for name, text in reversed(FILES.items())]
    path.write_bytes(gzip.compress(tar(*files)))
    assert "created=4" in run("olx", str(path))[0]


def test_reads_a_course_in_one_file_with_sections_inline(write: Write) -> None:
    whole = """<course org="Harbour" course="NAV1" url_name="2026" display_name="2026" start="2026-03-01T09:00+01:00">
        <chapter url_name="a1" display_name="true" highlights='["x"]'/><chapter display_name="Two"><html/></chapter>
        <chapter url_name="deep:c3"/></course>"""
    run("olx", write(**{"course/course.xml": whole, POLICY: "{}", "course/chapter/deep/c3.xml": "<chapter/>"}))
    course = Course.objects.get()
    assert (course.title, course.start, course.self_paced) == ("2026", datetime(2026, 3, 1, 8, tzinfo=UTC), False)
    assert [(row[1], row[4]) for row in sections()] == [("true", ["x"]), ("Two", []), ("", [])]


def test_lets_the_policy_decide(write: Write) -> None:
    policy = {
        "course/2026": {"start": "2027-01-01T00:00", "end": "2027-06-01", "self_paced": "false", "language": None},
        "chapter/a1": {"highlights": ["From the policy"], "visible_to_staff_only": True},
        "chapter/b2": {"visible_to_staff_only": False},
        "tabs": [],
    }
    run("olx", write(**{POLICY: json.dumps(policy)}))
    course = Course.objects.get()
    assert (course.title, course.self_paced, course.language) == ("Navigation for all", False, "")
    assert (course.start, course.end) == (datetime(2027, 1, 1, tzinfo=UTC), datetime(2027, 6, 1, tzinfo=UTC))
    assert [(row[2], row[4]) for row in sections()] == [(True, ["From the policy"]), (False, []), (False, [])]


def test_reads_the_policy_of_an_older_export(write: Write) -> None:
    old = {"course/policies/2026.json": json.dumps({"course/2026": {"display_name": "As it was"}})}
    run("olx", write(without=(POLICY,), **old))
    assert Course.objects.get().title == "As it was"


def test_takes_the_platforms_defaults_for_what_is_not_set(write: Write) -> None:
    run("olx", write(without=(POLICY,), **{COURSE: "<course><chapter/></course>"}))
    course = Course.objects.get()
    assert (course.title, course.start, course.end) == (KEY, datetime(2030, 1, 1, tzinfo=UTC), None)
    assert (course.self_paced, course.language, course.highlights_enabled_for_messaging) == (False, "", False)
    assert sections() == [(0, "", False, False, [])]


def test_lets_a_section_inherit_that_only_staff_see_the_course(write: Write) -> None:
    policy = {"course/2026": {"visible_to_staff_only": True}, "chapter/c3": {"visible_to_staff_only": False}}
    run("olx", write(**{POLICY: json.dumps(policy)}))
    assert [row[2] for row in sections()] == [True, True, False]


def test_puts_a_title_on_one_line(write: Write) -> None:
    run("olx", write(**{"course/chapter/c3.xml": '<chapter display_name=" Tides&#10;&#9;and moons "/>'}))
    assert sections()[2][1] == "Tides and moons"


@pytest.mark.parametrize(
    ("gone", "member_name"),
    [
        ("course/course.xml", "course.xml"),
        (COURSE, "course/2026.xml"),
        ("course/chapter/b2.xml", "chapter/b2.xml"),
    ],
)
def test_refuses_an_export_with_a_file_missing(write: Write, gone: str, member_name: str) -> None:
    assert_refused(write(without=(gone,)), f": {member_name}: is missing")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("<course>", "line 1: bad XML (no element found)"),
        ("<course>\n<chapter>\n</course>", "line 3: bad XML (mismatched tag)"),
        ("", "line 1: bad XML (no element found)"),
        ("<course>\0</course>", "line 1: has a NUL byte."),
        ('<course display_name="&#0;"/>', "line 1: bad XML (reference to invalid character number)"),
        ('<?xml version="1.0"?>\n<!DOCTYPE course>\n<course/>', "line 2: declares a document type (DOCTYPE)"),
        ('<!DOCTYPE c [<!ENTITY x SYSTEM "file:///etc/passwd">]><course display_name="&x;"/>', "line 1: declares"),
        (
            '<!DOCTYPE c [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]><course display_name="&b;"/>',
            "line 1: declares",
        ),
        ('<course display_name="a < b"/>', "line 1: bad XML (not well-formed (invalid token))"),
        ("<course>&nbsp;</course>", "line 1: bad XML (undefined entity)"),
        ('<course>\n<a b="Señal"/></course>'.encode("latin-1"), "line 2: is not in UTF-8."),
        ('<?xml version="1.0" encoding="latin-1"?><course a="ñ"/>'.encode("latin-1"), "line 1: is not in UTF-8."),
        ("<course/>".encode("utf-16"), "line 1: is not in UTF-8."),
        ("<course/>".encode("utf-16-le"), "line 1: has a NUL byte."),
        ("<course>" + "<a>" * 300 + "</a>" * 300 + "</course>", "line 1: elements are nested more than 200 deep"),
        ("<library/>", "has a <library> where a <course> should be"),
    ],
)
def test_refuses_bad_xml_with_its_line(write: Write, text: str | bytes, problem: str) -> None:
    assert_refused(write(**{COURSE: text}), f": course/2026.xml: {problem}")


@pytest.mark.parametrize(
    ("attributes", "problem"),
    [
        ('url_name="2026" course="NAV1"', "org: is missing."),
        ('url_name="" org="Harbour" course="NAV1"', "url_name: is missing."),
        ('url_name="a b" org="Harbour" course="NAV1"', "'course-v1:Harbour+NAV1+a b' is not a course key."),
        ('url_name="2027" org="Harbour" course="NAV1"', "course/2027.xml: is missing."),
    ],
)
def test_refuses_a_course_without_a_key(write: Write, attributes: str, problem: str) -> None:
    assert_refused(write(**{"course/course.xml": f"<course {attributes}/>"}), problem)


@pytest.mark.parametrize(
    ("attribute", "problem"),
    [
        ('start="soon"', "start: soon is no time. Allowed: for example 2030-01-01T00:00:00Z."),
        ('start="2026"', "start: 2026 is no time."),
        ('end="2026-02-30T00:00:00Z"', "end: 2026-02-30T00:00:00Z is no time."),
        ('start="0001-01-01T00:00:00+14:00"', "start: 0001-01-01T00:00:00+14:00 is no time."),
        ('self_paced="yes"', "self_paced: yes is not true or false."),
        ('self_paced="1"', "self_paced: 1 is not true or false."),
        ("display_name='\"\\u0000\"'", "display_name: has a character that is none"),
        ("display_name='\"\\ud800\"'", "display_name: has a character that is none"),
    ],
)
def test_refuses_a_course_with_a_bad_value(write: Write, attribute: str, problem: str) -> None:
    changed = {COURSE: f"<course {attribute}/>"}
    assert_refused(write(without=(POLICY,), **changed), f": course/2026.xml: {problem}")


@pytest.mark.parametrize(
    ("highlights", "problem"),
    [
        ("Read a chart", "must be a list of texts."),
        ('{"a": 1}', "must be a list of texts."),
        ('["a", 1]', "must be a list of texts."),
        (json.dumps(["x"] * 11), "11 texts. Allowed: at most 10."),
        (json.dumps(["x" * 251]), "the text starting with 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxx' has 251 characters."),
        ('["a\\u0000"]', "has a character that is none"),
        ("[" * 100_000, "must be a list of texts."),
    ],
)
def test_refuses_a_section_with_bad_highlights(write: Write, highlights: str, problem: str) -> None:
    quoted = highlights.replace("&", "&amp;").replace('"', "&quot;")
    changed = {"course/chapter/b2.xml": f'<chapter highlights="{quoted}"/>'}
    assert_refused(write(**changed), f": chapter/b2.xml: highlights: {problem}")


def test_takes_ten_highlights_of_250_characters(write: Write) -> None:
    run("olx", write(**{"course/chapter/a1.xml": f"<chapter highlights='{json.dumps(['é' * 250] * 10)}'/>"}))
    assert sections()[0][4] == ["é" * 250] * 10


@pytest.mark.parametrize(
    ("policy", "problem"),
    [
        ("{broken", "is no JSON (Expecting property name"),
        (b"\xff\xfe{", "is not in UTF-8."),
        ("[]", "must be an object."),
        ("[" * 100_000, "is no JSON"),
        ('{"course/2026": []}', "course/2026: must be an object."),
        ('{"chapter/a1": {"highlights": "x"}}', "highlights: must be a list of texts."),
        ('{"course/2026": {"display_name": 7}}', "display_name: is no text."),
        ('{"course/2026": {"start": 7}}', "start: 7 is no time."),
    ],
)
def test_refuses_a_bad_policy(write: Write, policy: str | bytes, problem: str) -> None:
    assert_refused(write(**{POLICY: policy}), f": policies/2026/policy.json: {problem}")


def test_stores_nothing_when_the_database_would_not_take_one_row(write: Write) -> None:
    path = write(**{"course/chapter/c3.xml": f'<chapter display_name="{"x" * 256}"/>'})
    output, errors, status = run("olx", path)
    assert (output, status) == ("", 1)
    assert "sections chapter/c3.xml: title: Ensure this value has at most 255 characters" in errors
    assert errors.endswith("refused: 1 bad rows, nothing was stored")
    assert not Course.objects.exists()


def test_refuses_two_courses_in_one_export(write: Write) -> None:
    assert_refused(write(**{"other/course.xml": FILES["course/course.xml"]}), "is a second course beside")


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["olx"], "wrong number of arguments: --source olx EXPORT"),
        (["olx", "a.tar.gz", "b.tar.gz"], "wrong number of arguments: --source olx EXPORT"),
        (["facts.json", "more.json"], "wrong number of arguments: --source SOURCE, or --source olx EXPORT"),
        (["olx", "nosuch.tar.gz"], "unknown source: nosuch.tar.gz: no such file"),
    ],
)
def test_knows_a_wrong_call_from_a_bad_export(arguments: list[str], problem: str) -> None:
    assert run(*arguments) == ("", problem, 2)


def test_ignores_links_inside_the_archive(write: Write) -> None:
    link = member("course/static/b.png", type=tarfile.SYMTYPE, linkname="../static/a.png")
    hard = member("course/static/c.png", type=tarfile.LNKTYPE, linkname="course/static/a.png")
    assert "created=4" in run("olx", write(link, hard))[0]
