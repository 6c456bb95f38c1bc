"""A signal of the ground floor …"""

import logging
from collections.abc import Iterator
from typing import Any

import pytest
from django.core import serializers
from django.db import DatabaseError, IntegrityError, OperationalError, connection, transaction
from django.db.models import F
from django.dispatch import Signal

from courses import signals
from courses.models import Course, CourseMode, Enrollment, Section
from tests.courses.helpers import heard
from tests.factories import (
    CertificateFactory,
    CourseFactory,
    CourseModeFactory,
    EnrollmentFactory,
    SectionFactory,
    UserFactory,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def listening() -> Iterator[Any]:
    """Connect guarded receivers and take them away after the test."""
    connected: list[tuple[Signal, str]] = []

    def connect(signal: Signal, function: Any) -> Any:
        guarded = signals.receiver(signal)(function)
        connected.append((signal, f"{function.__module__}.{function.__qualname__}"))
        return guarded

    yield connect
    for signal, uid in connected:
        signal.disconnect(dispatch_uid=uid)


@pytest.mark.django_db(transaction=True)
def test_is_sent_inside_the_transaction_of_a_plain_save() -> None:
    with heard(signals.enrollments_created) as created, heard(signals.enrollments_changed) as changed:
        enrollment = EnrollmentFactory()
        enrollment.is_active = False
        enrollment.save()
    assert [call["in_transaction"] for call in created + changed] == [True, True]


def test_names_the_new_enrolment_once() -> None:
    with heard(signals.enrollments_created) as calls:
        enrollment = Enrollment.objects.create(user=UserFactory(), course=CourseFactory())
    assert calls == [{"sender": Enrollment, "enrollments": [enrollment], "announce": True, "in_transaction": True}]


def test_says_what_changed_of_an_enrolment() -> None:
    enrollment = EnrollmentFactory()
    with heard(signals.enrollments_changed) as calls, heard(signals.enrollments_created) as created:
        enrollment.mode = "verified"
        enrollment.is_active = False
        enrollment.save()
        enrollment.is_active = True
        enrollment.save(update_fields=["is_active"])
    assert [call["changed"] for call in calls] == [
        {enrollment.pk: frozenset({"mode", "is_active"})},
        {enrollment.pk: frozenset({"is_active"})},
    ]
    assert created == []


def test_is_not_sent_when_nothing_changed() -> None:
    rows = [EnrollmentFactory(), CourseModeFactory(price="49.00"), SectionFactory(), CertificateFactory()]
    rows.append(rows[0].course)
    with (
        heard(signals.enrollments_changed) as a,
        heard(signals.course_modes_changed) as b,
        heard(signals.sections_changed) as c,
        heard(signals.certificates_changed) as d,
        heard(signals.course_changed) as e,
    ):
        for row in rows:
            row.save()
    assert a + b + c + d + e == []


def test_compares_with_what_is_stored_and_not_with_what_was_loaded() -> None:
    enrollment = EnrollmentFactory()
    Enrollment.objects.filter(pk=enrollment.pk).update(is_active=False)
    with heard(signals.enrollments_changed) as calls:
        enrollment.save()
    assert [call["changed"] for call in calls] == [{enrollment.pk: frozenset({"is_active"})}]


def test_ignores_what_a_save_does_not_write() -> None:
    enrollment = EnrollmentFactory()
    enrollment.is_active = False
    with heard(signals.enrollments_changed) as calls:
        enrollment.save(update_fields=["mode"])
        Enrollment.objects.only("mode").get(pk=enrollment.pk).save()
    assert calls == []


def test_understands_values_that_the_database_computes() -> None:
    section = SectionFactory(index=1)
    section.index = F("index") + 1
    with heard(signals.sections_changed) as calls:
        section.save()
    assert len(calls) == 1
    assert section.index == 2


def test_names_the_changed_facts_of_a_course() -> None:
    course = CourseFactory()
    with heard(signals.course_changed) as calls:
        course.start = None
        course.self_paced = False
        course.save()
    assert [(call["course"], call["changed"]) for call in calls] == [(course, frozenset({"start", "self_paced"}))]


def test_follows_a_mode_from_its_first_day_to_its_last() -> None:
    course = CourseFactory()
    with heard(signals.course_modes_changed) as calls:
        mode = CourseModeFactory(course=course)
        mode.price = 50
        mode.save()
        mode.delete()
    assert [(call["course"], call["slugs"]) for call in calls] == [(course, frozenset({"verified"}))] * 3


def test_reaches_both_courses_when_a_section_moves() -> None:
    section = SectionFactory()
    old, new = section.course, CourseFactory()
    with heard(signals.sections_changed) as calls:
        section.course = new
        section.save()
    assert [call["course"] for call in calls] == [new, old]


def test_follows_sections_that_are_removed_together() -> None:
    course = CourseFactory()
    SectionFactory(course=course)
    with heard(signals.sections_changed) as calls:
        Section.objects.filter(course=course).delete()
    assert [call["course"] for call in calls] == [course]


def test_is_silent_about_the_parts_of_a_course_that_is_deleted() -> None:
    for delete in (lambda course: course.delete(), lambda course: Course.objects.filter(pk=course.pk).delete()):
        course = CourseFactory()
        SectionFactory(course=course)
        CourseModeFactory(course=course)
        with heard(signals.sections_changed) as sections, heard(signals.course_modes_changed) as modes:
            delete(course)
        assert sections + modes == []
    assert not CourseMode.objects.exists()


def test_is_not_sent_for_fixtures() -> None:
    enrollment = EnrollmentFactory()
    text = serializers.serialize("json", [enrollment])
    enrollment.delete()
    with heard(signals.enrollments_created) as calls:
        for row in serializers.deserialize("json", text):
            row.save()
    assert calls == []
    assert Enrollment.objects.count() == 1


def test_reaches_the_other_receivers_when_one_fails(listening: Any, caplog: pytest.LogCaptureFixture) -> None:
    reached: list[int] = []
    address = "secret.person@example.com"

    def fails(sender: Any, **kwargs: Any) -> None:
        UserFactory(username="left behind")
        raise ValueError(f"cannot mail {address}")

    def works(sender: Any, enrollments: list[Enrollment], **kwargs: Any) -> None:
        reached.extend(row.pk for row in enrollments)

    listening(signals.enrollments_created, fails)
    listening(signals.enrollments_created, works)
    with caplog.at_level(logging.ERROR):
        enrollment = EnrollmentFactory()
    assert reached == [enrollment.pk]
    assert not type(enrollment.user).objects.filter(username="left behind").exists()
    (record,) = caplog.records
    assert f"enrollments={enrollment.pk}" in record.getMessage()
    assert "secret.person" not in caplog.text
    assert "Traceback" in caplog.text
    assert "ValueError: cannot mail <address>" in caplog.text


def test_leaves_a_usable_transaction_after_a_database_error(listening: Any, caplog: pytest.LogCaptureFixture) -> None:
    def fails(sender: Any, enrollments: list[Enrollment], **kwargs: Any) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT nothing FROM nowhere")

    listening(signals.enrollments_created, fails)
    with transaction.atomic():
        enrollment = EnrollmentFactory()
        Enrollment.objects.filter(pk=enrollment.pk).update(mode="honor")
    assert Enrollment.objects.get().mode == "honor"
    assert len(caplog.records) == 1


def test_logs_no_values_that_a_database_quotes(listening: Any, caplog: pytest.LogCaptureFixture) -> None:
    def fails(sender: Any, **kwargs: Any) -> None:
        UserFactory(username="secretname")
        UserFactory(username="secretname")

    listening(signals.enrollments_created, fails)
    EnrollmentFactory()
    assert "IntegrityError" in caplog.text
    assert "'secretname'" not in caplog.text
    assert "(secretname)" not in caplog.text


@pytest.mark.django_db(transaction=True)
def test_takes_its_effects_back_with_the_writer(listening: Any) -> None:
    def follows(sender: Any, enrollments: list[Enrollment], **kwargs: Any) -> None:
        SectionFactory(course=enrollments[0].course)

    listening(signals.enrollments_created, follows)
    course, user = CourseFactory(), UserFactory()
    with pytest.raises(RuntimeError), transaction.atomic():
        EnrollmentFactory(course=course, user=user)
        assert Section.objects.count() == 1
        raise RuntimeError
    assert Section.objects.count() == 0
    EnrollmentFactory(course=course, user=user)
    assert Section.objects.count() == 1


def test_passes_on_an_error_that_has_cost_the_transaction(listening: Any) -> None:
    def loses(sender: Any, **kwargs: Any) -> None:
        raise OperationalError(1213, "Deadlock found when trying to get lock")

    listening(signals.enrollments_created, loses)
    with pytest.raises(OperationalError), transaction.atomic():
        EnrollmentFactory()


def test_a_long_word_is_looked_at_once() -> None:
    # In the square of its length it would take a quarter of an hour; the time limit of a test ends that.
    long = "x" * 1_000_000
    assert str(signals.without_personal_data(ValueError(f"ann@example.com {long}"))) == f"ValueError: <address> {long}"


def test_logs_the_plain_error_when_there_is_nothing_to_hide() -> None:
    error = ValueError("no number")
    assert signals.without_personal_data(error) is error
    hidden = signals.without_personal_data(DatabaseError("duplicate key\nDETAIL: Key (email)=(a@b.c)"))
    assert str(hidden) == "DatabaseError: duplicate key"
    hidden = signals.without_personal_data(ValueError("to <ann@example.com>, bob@example.com"))
    assert str(hidden) == "ValueError: to <address> <address>"
    assert isinstance(IntegrityError(), DatabaseError)
