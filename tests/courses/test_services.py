"""The writer of facts …"""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.db import connection
from django.test.utils import CaptureQueriesContext

from courses import services, signals
from courses.models import Certificate, Course, CourseMode, Enrollment, LearnerProfile, Section
from courses.services import EnrollmentFact, LearnerFact
from tests.courses.helpers import heard
from tests.factories import (
    CourseFactory,
    EnrollmentFactory,
    LearnerProfileFactory,
    UserFactory,
)

pytestmark = pytest.mark.django_db

KEY = "course-v1:edX+C+2017"
NOON = datetime(2017, 8, 1, 12, tzinfo=UTC)


def writes(captured: CaptureQueriesContext) -> list[str]:
    return [query["sql"] for query in captured if query["sql"].startswith(("INSERT", "UPDATE", "DELETE"))]


def test_creates_then_changes_then_leaves_alone() -> None:
    course, word = services.record_course(KEY, title="C", start=NOON)
    assert (word, course.org, course.start) == ("created", "edX", NOON)
    course, word = services.record_course(KEY, title="C two")
    assert (word, course.title, course.start) == ("changed", "C two", NOON)
    with CaptureQueriesContext(connection) as captured:
        assert services.record_course(KEY, title="C two", start=NOON)[1] == "unchanged"
    assert writes(captured) == []


def test_does_so_for_every_kind_of_fact() -> None:
    course, user = CourseFactory(), UserFactory()
    for record in (
        lambda: services.record_section(course, 0, title="One", highlights=["a"]),
        lambda: services.record_mode(course, "verified", price="49", expires_at=NOON),
        lambda: services.record_enrollment(user, course, mode="honor", created_at=NOON),
        lambda: services.record_certificate(user, course, status="downloadable"),
        lambda: services.record_profile(user, language="es"),
    ):
        assert record()[1] == "created"
        with CaptureQueriesContext(connection) as captured:
            assert record()[1] == "unchanged"
        assert writes(captured) == []


@pytest.mark.parametrize(
    ("record", "field"),
    [
        (lambda: services.record_course("no key"), "key"),
        (lambda: services.record_course(KEY, price=-1), "price"),
        (lambda: services.record_course(KEY, currency=None), "currency"),
        (lambda: services.record_course(KEY, start=NOON.replace(tzinfo=None)), "start"),
        (lambda: services.record_course(KEY, weeks_to_complete=-1), "weeks_to_complete"),
        (lambda: services.record_mode(CourseFactory(), "gold"), "slug"),
        (lambda: services.record_section(CourseFactory(), -1), "index"),
        (lambda: services.record_section(CourseFactory(), 0, highlights=["x" * 251]), "highlights"),
        (lambda: services.record_enrollment(UserFactory(), CourseFactory(), mode="x" * 101), "mode"),
        (lambda: services.record_user("a b"), "username"),
        (lambda: services.record_user("a", email="nonsense"), "email"),
    ],
)
def test_refuses_a_malformed_value_and_names_the_field(record: Any, field: str) -> None:
    with pytest.raises(ValidationError) as caught:
        record()
    assert list(caught.value.message_dict) == [field]


def test_keeps_stored_facts_when_a_change_is_refused() -> None:
    course = CourseFactory(title="C")
    with pytest.raises(ValidationError):
        services.record_course(course.key, title="D", price=-1)
    course.refresh_from_db()
    assert course.title == "C"


def test_sends_one_signal_for_one_change() -> None:
    course, user = CourseFactory(), UserFactory()
    with heard(signals.enrollments_created) as created, heard(signals.enrollments_changed) as changed:
        enrollment, _ = services.record_enrollment(user, course)
        services.record_enrollment(user, course, mode="verified")
        services.end_enrollment(user, course)
        services.end_enrollment(user, course)
        services.record_enrollment(user, course, mode="verified")
    assert [call["enrollments"] for call in created] == [[enrollment]]
    assert [call["changed"][enrollment.pk] for call in changed] == [
        frozenset({"mode"}),
        frozenset({"is_active"}),
        frozenset({"is_active"}),
    ]
    assert all(call["in_transaction"] for call in created + changed)


def test_passes_on_that_a_learner_shall_not_be_told() -> None:
    with heard(signals.enrollments_created) as calls:
        services.record_enrollment(UserFactory(), CourseFactory(), announce=False)
        services.record_enrollment(UserFactory(), CourseFactory())
    assert [call["announce"] for call in calls] == [False, True]


def test_keeps_the_first_instant_of_an_enrolment_when_none_is_told() -> None:
    enrollment = EnrollmentFactory(created_at=NOON)
    services.record_enrollment(enrollment.user, enrollment.course, mode="verified")
    enrollment.refresh_from_db()
    assert enrollment.created_at == NOON


def test_ends_nothing_where_nothing_began() -> None:
    assert services.end_enrollment(UserFactory(), CourseFactory()) == (None, "unchanged")


def test_ignores_a_report_older_than_what_is_known() -> None:
    user, course = UserFactory(), CourseFactory()
    services.record_enrollment(user, course, is_active=False, reported_at=NOON)
    assert services.record_enrollment(user, course, reported_at=NOON - timedelta(seconds=1))[1] == "stale"
    assert not Enrollment.objects.get().is_active


def test_remembers_the_time_of_a_report_that_changed_nothing() -> None:
    user, course = UserFactory(), CourseFactory()
    services.record_enrollment(user, course, reported_at=NOON)
    later = NOON + timedelta(hours=2)
    assert services.record_enrollment(user, course, reported_at=later)[1] == "unchanged"
    assert services.end_enrollment(user, course, reported_at=NOON + timedelta(hours=1))[1] == "stale"
    assert Enrollment.objects.get().is_active


def test_removes_modes_and_sections() -> None:
    course = CourseFactory()
    services.record_mode(course, "verified")
    services.record_section(course, 0)
    assert services.remove_mode(course, "verified") and services.remove_section(course, 0)
    assert not services.remove_mode(course, "verified") and not services.remove_section(course, 0)
    assert not CourseMode.objects.exists() and not Section.objects.exists()


def test_records_a_certificate_once_per_status() -> None:
    user, course = UserFactory(), CourseFactory()
    with heard(signals.certificates_changed) as calls:
        for status in ("notpassing", "notpassing", "downloadable"):
            services.record_certificate(user, course, status=status)
    assert len(calls) == 2
    assert Certificate.objects.get().status == "downloadable"


def test_records_many_enrolments_with_one_signal_each() -> None:
    course = CourseFactory()
    old = EnrollmentFactory(course=course, mode="audit")
    same = EnrollmentFactory(course=course)
    facts = [
        EnrollmentFact(user_id=old.user_id, course=course, mode="verified"),
        EnrollmentFact(user_id=same.user_id, course=course),
        *(EnrollmentFact(user_id=UserFactory().pk, course=course) for _ in range(3)),
    ]
    with heard(signals.enrollments_created) as created, heard(signals.enrollments_changed) as changed:
        assert services.record_enrollments(facts, announce=False) == {"created": 3, "changed": 1, "unchanged": 1}
    assert [(len(call["enrollments"]), call["announce"]) for call in created] == [(3, False)]
    assert [call["changed"] for call in changed] == [{old.pk: frozenset({"mode"})}]
    assert all(row.pk for row in created[0]["enrollments"])
    with heard(signals.enrollments_created) as created, heard(signals.enrollments_changed) as changed:
        assert services.record_enrollments(facts) == {"created": 0, "changed": 0, "unchanged": 5}
    assert created + changed == []


def test_needs_the_same_queries_for_one_and_for_fifty_enrolments() -> None:
    course = CourseFactory()

    def queries(users: list[Any], mode: str) -> int:
        facts = [EnrollmentFact(user_id=user.pk, course=course, mode=mode) for user in users]
        with CaptureQueriesContext(connection) as captured:
            services.record_enrollments(facts)
        return len(captured)

    one, fifty = [UserFactory()], UserFactory.create_batch(50)
    assert queries(one, "audit") == queries(fifty, "audit")
    assert queries(one, "verified") == queries(fifty, "verified")


def test_counts_the_later_of_two_facts_about_one_place() -> None:
    user, course = UserFactory(), CourseFactory()
    services.record_enrollments(
        [EnrollmentFact(user_id=user.pk, course=course, mode=mode) for mode in ("audit", "verified")]
    )
    assert Enrollment.objects.get().mode == "verified"


def test_makes_a_learner_mailable_whom_no_password_lets_in(client: Any) -> None:
    user, word = services.record_user("ada", email="ada@example.com", lms_user_id=7, language="es")
    assert word == "created"
    stored = get_user_model().objects.get(username="ada")
    assert stored.has_usable_password()
    assert not stored.check_password(stored.password)
    assert not client.login(username="ada", password=stored.password)
    assert (stored.learner_profile.lms_user_id, stored.learner_profile.language) == (7, "es")
    assert user == stored


def test_keeps_the_state_of_the_password_that_the_platform_tells() -> None:
    services.record_user("ada", has_usable_password=False)
    assert not get_user_model().objects.get().has_usable_password()
    assert services.record_user("ada", has_usable_password=False)[1] == "unchanged"
    assert services.record_user("ada", has_usable_password=True)[1] == "changed"
    assert get_user_model().objects.get().has_usable_password()


def test_finds_a_learner_by_number_before_name() -> None:
    profile = LearnerProfileFactory(lms_user_id=7, user__username="ada")
    user, word = services.record_user("ada.l", lms_user_id=7, email="new@example.com")
    assert (user.pk, word) == (profile.user_id, "changed")
    user.refresh_from_db()
    assert (user.username, user.email) == ("ada.l", "new@example.com")


def test_adopts_a_learner_of_the_same_name_without_a_number() -> None:
    stored = UserFactory(username="ada")
    user, _ = services.record_user("ada", lms_user_id=7)
    assert user == stored
    assert LearnerProfile.objects.get().lms_user_id == 7


def test_never_takes_over_a_staff_account() -> None:
    for name, rights in (("admin", {"is_superuser": True}), ("editor", {"is_staff": True})):
        staff = UserFactory(username=name, email="safe@example.com", **rights)
        user, word = services.record_user(name, lms_user_id=9 + len(name), email="attacker@example.com")
        assert (word, user.username) == ("created", f"{name}_lms{9 + len(name)}")
        staff.refresh_from_db()
        assert staff.email == "safe@example.com"
        assert services.record_user(name, lms_user_id=9 + len(name), email="attacker@example.com")[1] == "unchanged"
        with pytest.raises(ValidationError, match="staff account"):
            services.record_user(name, email="attacker@example.com")


def test_leaves_a_mapped_staff_account_as_it_is() -> None:
    profile = LearnerProfileFactory(
        lms_user_id=7, user__username="boss", user__is_staff=True, user__email="a@b.example"
    )
    user, word = services.record_user("other", lms_user_id=7, email="x@example.com", is_active=False, language="fr")
    assert (user.pk, word) == (profile.user_id, "changed")
    user.refresh_from_db()
    assert (user.username, user.email, user.is_active) == ("boss", "a@b.example", True)
    assert LearnerProfile.objects.get().language == "fr"


def test_tells_two_learners_of_one_name_apart_by_number() -> None:
    first, _ = services.record_user("ada", lms_user_id=1)
    second, _ = services.record_user("ada", lms_user_id=2)
    assert (first.username, second.username) == ("ada", "ada_lms2")


def test_keeps_what_a_newer_report_told_of_a_learner() -> None:
    services.record_user("ada", lms_user_id=1, email="new@example.com", reported_at=NOON)
    word = services.record_user("ada", lms_user_id=1, email="old@example.com", reported_at=NOON - timedelta(1))[1]
    assert word == "stale"
    assert get_user_model().objects.get().email == "new@example.com"


def test_needs_the_same_queries_for_one_and_for_fifty_learners() -> None:
    def queries(numbers: range, email: str) -> int:
        facts = [LearnerFact(username=f"u{n}", lms_user_id=n, email=f"{n}@{email}", language=email) for n in numbers]
        with CaptureQueriesContext(connection) as captured:
            services.record_learners(facts)
        return len(captured)

    for email in ("a.example", "b.example", "b.example"):
        assert queries(range(1, 2), email) == queries(range(100, 150), email)
    assert Course.objects.count() == 0
