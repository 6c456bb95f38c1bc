"""An event of the platform …"""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from opaque_keys.edx.keys import CourseKey
from openedx_events.content_authoring.data import CourseCatalogData, CourseScheduleData
from openedx_events.content_authoring.signals import COURSE_CATALOG_INFO_CHANGED
from openedx_events.learning.data import CertificateData, CourseData, CourseEnrollmentData, UserData, UserPersonalData
from openedx_events.learning.signals import (
    CERTIFICATE_CHANGED,
    CERTIFICATE_CREATED,
    CERTIFICATE_REVOKED,
    COURSE_ENROLLMENT_CHANGED,
    COURSE_ENROLLMENT_CREATED,
    COURSE_UNENROLLMENT_COMPLETED,
)
from openedx_events.tooling import OpenEdxPublicSignal

from courses import signals
from courses.models import Certificate, Course, Enrollment, LearnerProfile
from tests.courses.helpers import heard
from tests.factories import CourseFactory, UserFactory

pytestmark = pytest.mark.django_db

KEY = "course-v1:edX+C+2017"
NOON = datetime(2017, 8, 1, 12, tzinfo=UTC)


def user_data(**pii: Any) -> UserData:
    fields = {"username": "ada", "email": "ada@example.com", "name": "Ada King Lovelace"} | pii
    return UserData(id=42, is_active=True, pii=UserPersonalData(**fields))


def send_enrollment(
    event: OpenEdxPublicSignal,
    *,
    minutes: int = 0,
    mode: str = "audit",
    is_active: bool = True,
    created: datetime = NOON,
    **pii: Any,
) -> list[Any]:
    data = CourseEnrollmentData(
        user=user_data(**pii),
        course=CourseData(course_key=CourseKey.from_string(KEY), display_name="Course C"),
        mode=mode,
        is_active=is_active,
        creation_date=created,
    )
    return event.send_event(enrollment=data, time=NOON + timedelta(minutes=minutes))


def send_certificate(event: OpenEdxPublicSignal, status: str, *, minutes: int = 0) -> None:
    data = CertificateData(
        user=user_data(),
        course=CourseData(course_key=CourseKey.from_string(KEY)),
        mode="verified",
        grade="0.9",
        download_url="",
        name="Ada",
        current_status=status,
    )
    event.send_event(certificate=data, time=NOON + timedelta(minutes=minutes))


def send_catalog(*, minutes: int = 0, pacing: str = "self", name: str = "Course C") -> None:
    schedule = CourseScheduleData(start=NOON, end=NOON + timedelta(days=90), pacing=pacing)
    data = CourseCatalogData(course_key=CourseKey.from_string(KEY), name=name, schedule_data=schedule)
    COURSE_CATALOG_INFO_CHANGED.send_event(catalog_info=data, time=NOON + timedelta(minutes=minutes))


def test_about_a_course_brings_when_it_takes_enrolments_and_whether_it_is_shown() -> None:
    dates = {"enrollment_start": NOON - timedelta(days=9), "enrollment_end": NOON + timedelta(days=9)}
    for hidden in (True, False):
        schedule = CourseScheduleData(start=NOON, pacing="self", **dates)
        key = CourseKey.from_string(KEY)
        data = CourseCatalogData(course_key=key, name="C", schedule_data=schedule, hidden=hidden)
        COURSE_CATALOG_INFO_CHANGED.send_event(catalog_info=data, time=NOON + timedelta(minutes=not hidden))
        course = Course.objects.get()
        assert (course.enrollment_start, course.enrollment_end) == tuple(dates.values())
        assert course.is_visible is not hidden


def test_about_an_enrolment_brings_learner_course_and_place() -> None:
    with heard(signals.enrollments_created) as calls:
        send_enrollment(COURSE_ENROLLMENT_CREATED)
    enrollment = Enrollment.objects.select_related("user", "course").get()
    assert (enrollment.course.key, enrollment.course.title, enrollment.created_at) == (KEY, "Course C", NOON)
    user = enrollment.user
    assert (user.username, user.email, user.first_name, user.last_name) == (
        "ada",
        "ada@example.com",
        "Ada",
        "King Lovelace",
    )
    assert user.has_usable_password()
    assert LearnerProfile.objects.get().lms_user_id == 42
    assert [(call["announce"], call["in_transaction"]) for call in calls] == [(True, True)]


def test_may_come_twice() -> None:
    with heard(signals.enrollments_created) as created, heard(signals.enrollments_changed) as changed:
        for _ in range(2):
            send_enrollment(COURSE_ENROLLMENT_CREATED)
    assert (len(created), changed) == (1, [])


def test_about_a_change_that_overtakes_the_creation_welcomes_the_learner_once() -> None:
    with heard(signals.enrollments_created) as calls:
        send_enrollment(COURSE_ENROLLMENT_CHANGED, minutes=1)
        send_enrollment(COURSE_ENROLLMENT_CREATED, minutes=2)
    assert [call["announce"] for call in calls] == [True]


def test_about_a_change_of_an_old_enrolment_welcomes_nobody() -> None:
    with heard(signals.enrollments_created) as calls:
        send_enrollment(COURSE_ENROLLMENT_CHANGED, created=NOON - timedelta(days=100), mode="verified")
    assert [call["announce"] for call in calls] == [False]


def test_changes_the_track() -> None:
    send_enrollment(COURSE_ENROLLMENT_CREATED)
    send_enrollment(COURSE_ENROLLMENT_CHANGED, minutes=5, mode="verified")
    send_enrollment(COURSE_ENROLLMENT_CHANGED, minutes=4, mode="honor")
    assert Enrollment.objects.get().mode == "verified"


def test_ends_an_enrolment() -> None:
    send_enrollment(COURSE_ENROLLMENT_CREATED)
    send_enrollment(COURSE_UNENROLLMENT_COMPLETED, minutes=5)
    assert not Enrollment.objects.get().is_active


def test_that_ends_an_enrolment_may_overtake_its_beginning() -> None:
    with heard(signals.enrollments_created) as calls:
        send_enrollment(COURSE_UNENROLLMENT_COMPLETED, minutes=5)
        send_enrollment(COURSE_ENROLLMENT_CREATED, minutes=0)
    assert not Enrollment.objects.get().is_active
    assert [call["announce"] for call in calls] == [False]


def test_brings_a_learner_back() -> None:
    send_enrollment(COURSE_ENROLLMENT_CREATED)
    send_enrollment(COURSE_UNENROLLMENT_COMPLETED, minutes=5)
    send_enrollment(COURSE_ENROLLMENT_CREATED, minutes=10)
    assert Enrollment.objects.get().is_active


def test_follows_a_learner_who_gets_another_name_and_address() -> None:
    send_enrollment(COURSE_ENROLLMENT_CREATED)
    send_enrollment(COURSE_ENROLLMENT_CHANGED, minutes=1, username="ada.l", email="new@example.com")
    send_enrollment(COURSE_ENROLLMENT_CHANGED, minutes=0, username="ada", email="old@example.com")
    user = get_user_model().objects.get()
    assert (user.username, user.email) == ("ada.l", "new@example.com")


def test_cannot_take_over_a_staff_account() -> None:
    staff = UserFactory(username="ada", email="safe@example.com", is_superuser=True)
    send_enrollment(COURSE_ENROLLMENT_CREATED)
    staff.refresh_from_db()
    assert staff.email == "safe@example.com"
    assert Enrollment.objects.get().user.username == "ada_lms42"


def test_about_a_certificate_keeps_the_newest_state() -> None:
    with heard(signals.certificates_changed) as calls:
        send_certificate(CERTIFICATE_CREATED, "downloadable")
        send_certificate(CERTIFICATE_REVOKED, "unavailable", minutes=2)
        send_certificate(CERTIFICATE_CHANGED, "generating", minutes=1)
    assert Certificate.objects.get().status == "unavailable"
    assert len(calls) == 2


def test_about_the_catalogue_brings_title_dates_and_pacing() -> None:
    send_catalog()
    course = Course.objects.get()
    assert (course.title, course.start, course.end, course.self_paced) == (
        "Course C",
        NOON,
        NOON + timedelta(days=90),
        True,
    )
    send_catalog(minutes=2, pacing="instructor")
    send_catalog(minutes=1, name="Older")
    course.refresh_from_db()
    assert (course.title, course.self_paced) == ("Course C", False)


def test_about_an_enrolment_leaves_a_known_course_alone() -> None:
    CourseFactory(key=KEY, title="Own title", start=NOON)
    send_enrollment(COURSE_ENROLLMENT_CREATED)
    assert Course.objects.values_list("title", "start", "self_paced").get() == ("Own title", NOON, True)


def test_that_cannot_be_taken_in_leaves_nothing_and_is_logged_without_personal_data(
    caplog: pytest.LogCaptureFixture,
) -> None:
    results = send_enrollment(COURSE_ENROLLMENT_CREATED, mode="x" * 200, email="secret@example.com")
    assert "EventFailed" in repr(results)
    assert not Course.objects.exists()
    assert not get_user_model().objects.exists()
    assert "org.openedx.learning.course.enrollment.created.v1" in caplog.text
    assert "secret@example.com" not in caplog.text
