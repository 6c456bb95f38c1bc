"""An automatic enrolment …"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.core import mail
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from courses import autoenrolment, runs, services, signals
from courses.alerts import Alert
from courses.autoenrolment import consider, retry_due
from courses.models import AutoEnrolment, Course, Enrollment, LearnerProfile
from tests.courses.enrolling_platform import Enrolling, enrolling_platform
from tests.factories import CourseFactory, CourseModeFactory, EnrollmentFactory, LearnerProfileFactory, UserFactory

pytestmark = [pytest.mark.every_database, pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("told")]

COURSE = "edX+DemoX"
ENTERPRISE = UUID(int=1)
DAY = timedelta(days=1)


@pytest.fixture
def learner() -> LearnerProfile:
    return LearnerProfileFactory(lms_user_id=7)


@pytest.fixture
def run() -> Course:
    return make_run("2026")


def make_run(name: str, **fields: Any) -> Course:
    return CourseFactory(key=f"course-v1:{COURSE}+{name}", **fields)


def considered(**values: Any) -> AutoEnrolment:
    given: dict[str, Any] = {
        "subsidy_request_uuid": uuid4(),
        "enterprise_customer_uuid": ENTERPRISE,
        "lms_user_id": 7,
        "course_id": COURSE,
        "learner_requests_in_action": 1,
    }
    return consider(**given | values)


def outcome(row: AutoEnrolment) -> tuple[str, str]:
    row.refresh_from_db()
    return row.state, row.reason


def let_5_minutes_pass() -> None:
    AutoEnrolment.objects.filter(next_attempt_at__isnull=False).update(next_attempt_at=timezone.now())


def skipped(reason: str) -> tuple[str, str]:
    return AutoEnrolment.SKIPPED, reason


def test_case_16_enrols_in_the_one_open_run_and_mails_nobody(learner: LearnerProfile, run: Course) -> None:
    row = considered()
    place = Enrollment.objects.get()
    assert (row.state, row.reason, row.run, row.mode, row.attempts) == ("enrolled", "", run.key, "audit", 1)
    assert (place.user_id, place.course_id, place.mode, place.is_active) == (learner.user_id, run.pk, "audit", True)
    assert mail.outbox == []
    assert row.next_attempt_at is None


@pytest.mark.parametrize(
    ("modes", "expected"),
    [
        ({}, "audit"),
        ({"audit": None, "verified": None}, "verified"),
        ({"audit": None, "verified": -1}, "audit"),
        ({"audit": None, "verified": 1}, "verified"),
        ({"honor": None, "professional": None}, "honor"),
        ({"professional": None}, "professional"),
    ],
)
def test_takes_the_verified_mode_else_the_default_one(
    learner: LearnerProfile, run: Course, modes: dict[str, int | None], expected: str
) -> None:
    for slug, days in modes.items():
        expires_at = None if days is None else timezone.now() + days * DAY
        CourseModeFactory(course=run, slug=slug, expires_at=expires_at)
    assert considered().mode == expected
    assert Enrollment.objects.get().mode == expected


def test_case_18_needs_a_course(learner: LearnerProfile, run: Course) -> None:
    assert [outcome(considered(course_id=empty)) for empty in (None, "")] == [skipped("no_course")] * 2


@pytest.mark.parametrize(
    ("discount", "expected"),
    [("50", skipped("partial_discount")), ("99.99", skipped("partial_discount")), ("100", ("enrolled", ""))],
)
def test_case_18_needs_a_coupon_that_pays_for_all(
    learner: LearnerProfile, run: Course, discount: str, expected: tuple[str, str]
) -> None:
    assert outcome(considered(discount_percent=Decimal(discount))) == expected


def test_case_19_leaves_those_alone_who_got_several_at_once(learner: LearnerProfile, run: Course) -> None:
    assert outcome(considered(learner_requests_in_action=3)) == skipped("multiple_requests")
    assert not Enrollment.objects.exists()


def test_tells_the_first_reason_that_applies(learner: LearnerProfile) -> None:
    late = {"discount_percent": Decimal(50), "learner_requests_in_action": 2}
    assert outcome(considered(course_id=None, **late)) == skipped("no_course")
    assert outcome(considered(**late)) == skipped("partial_discount")
    assert outcome(considered(learner_requests_in_action=2)) == skipped("multiple_requests")
    assert outcome(considered()) == skipped("run_not_open")


def test_leaves_those_alone_who_had_one_in_the_last_24_hours(learner: LearnerProfile, run: Course) -> None:
    first = considered()
    CourseFactory(key="course-v1:edX+Other+2026")
    assert outcome(considered(course_id="edX+Other")) == skipped("recent_auto_enrolment")
    AutoEnrolment.objects.filter(pk=first.pk).update(created_at=timezone.now() - DAY)
    assert outcome(considered(course_id="edX+Other")) == ("enrolled", "")


def test_counts_one_of_the_last_day_that_is_still_tried(
    learner: LearnerProfile, run: Course, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(services, "record_enrollment", lambda *args, **kwargs: 1 / 0)
        assert considered().state == "pending"
    CourseFactory(key="course-v1:edX+Other+2026")
    assert outcome(considered(course_id="edX+Other")) == skipped("recent_auto_enrolment")


def test_leaves_those_alone_who_are_in_any_run_of_the_course(learner: LearnerProfile, run: Course) -> None:
    ended = make_run("2020", end=timezone.now() - DAY)
    place = EnrollmentFactory(user=learner.user, course=ended)
    assert outcome(considered()) == skipped("already_enrolled")
    place.is_active = False
    place.save()
    assert outcome(considered()) == ("enrolled", "")


@pytest.mark.parametrize(
    ("field", "days", "is_open"),
    [
        ("enrollment_start", 1, False),
        ("enrollment_start", -1, True),
        ("enrollment_end", -1, False),
        ("enrollment_end", 1, True),
        ("end", -1, False),
        ("end", 1, True),
        ("start", 1, True),
    ],
)
def test_case_18_needs_an_open_run(learner: LearnerProfile, field: str, days: int, is_open: bool) -> None:
    make_run("2026", **{field: timezone.now() + days * DAY})
    assert outcome(considered()) == (("enrolled", "") if is_open else skipped("run_not_open"))


@pytest.mark.parametrize("field", ["is_active", "is_visible"])
def test_needs_a_run_that_can_be_found(learner: LearnerProfile, field: str) -> None:
    make_run("2026", **{field: False})
    assert outcome(considered()) == skipped("run_not_open")


def test_case_18_chooses_no_run_for_a_learner(learner: LearnerProfile, run: Course) -> None:
    make_run("2027")
    assert outcome(considered()) == skipped("ambiguous_run")
    make_run("2028", end=timezone.now() - DAY)
    Course.objects.filter(key__endswith="2027").update(is_visible=False)
    assert outcome(considered()) == ("enrolled", "")


def test_knows_the_runs_of_a_course_by_their_keys_alone() -> None:
    keys = ["course-v1:edX+DemoX+2026", "course-v1:edX+DemoX.2+1", "course-v1:edx+demox+1", "edX/DemoX/old"]
    for key in keys:
        CourseFactory(key=key, org="Elsewhere")
    assert [run.key for run in runs.runs_of("edX+DemoX")] == ["course-v1:edX+DemoX+2026", "edX/DemoX/old"]
    assert [runs.runs_of(text) for text in ("", "edX", "+", "edX+", "+DemoX", "edX+Demo%")] == [[]] * 6


def test_is_decided_once_for_each_request(learner: LearnerProfile) -> None:
    uuid = uuid4()
    assert outcome(considered(subsidy_request_uuid=uuid)) == skipped("run_not_open")
    make_run("2026")
    assert outcome(considered(subsidy_request_uuid=uuid)) == skipped("run_not_open")
    assert AutoEnrolment.objects.count() == 1
    retry_due()
    assert not Enrollment.objects.exists()


def test_goes_with_the_grant_it_follows(learner: LearnerProfile, run: Course) -> None:
    with pytest.raises(RuntimeError), transaction.atomic():
        considered()
        raise RuntimeError
    assert not AutoEnrolment.objects.exists()
    with transaction.atomic():
        assert considered().state == "pending"
        assert not Enrollment.objects.exists()
    assert AutoEnrolment.objects.get().state == "enrolled"


def test_whose_process_died_after_the_grant_is_picked_up(
    learner: LearnerProfile, run: Course, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(autoenrolment, "carry_out", lambda pk: 1 / 0)
        row = considered()
    assert (row.state, row.attempts, row.run) == ("pending", 0, "")
    assert retry_due() == {"enrolled": 1}


def test_two_that_wait_undecided_do_not_block_each_other(
    learner: LearnerProfile, run: Course, monkeypatch: pytest.MonkeyPatch
) -> None:
    CourseFactory(key="course-v1:edX+Other+2026")
    with monkeypatch.context() as patched:
        patched.setattr(autoenrolment, "carry_out", lambda pk: 1 / 0)
        first, second = considered(), considered(course_id="edX+Other")
    retry_due()
    assert (outcome(first), outcome(second)) == (("enrolled", ""), skipped("recent_auto_enrolment"))


def test_case_17_that_always_fails_is_tried_three_times_and_told_of(
    learner: LearnerProfile, run: Course, monkeypatch: pytest.MonkeyPatch, told: list[Alert]
) -> None:
    tries: list[int] = []

    def fails(*args: Any, **kwargs: Any) -> None:
        tries.append(1)
        raise RuntimeError("ada@example.com")

    monkeypatch.setattr(services, "record_enrollment", fails)
    row = considered()
    for attempt in (1, 2):
        row.refresh_from_db()
        assert (row.state, row.attempts) == ("pending", attempt)
        assert row.next_attempt_at is not None
        assert 290 < (row.next_attempt_at - timezone.now()).total_seconds() <= 300
        assert retry_due() == {}
        let_5_minutes_pass()
        retry_due()
    assert (outcome(row), len(tries)) == (("failed", "RuntimeError"), 3)
    assert retry_due() == {}
    (alert,) = told
    assert str(row.subsidy_request_uuid) in str(alert)
    assert "ada@example.com" not in str(alert)


def test_whose_third_attempt_was_interrupted_has_failed(
    learner: LearnerProfile, run: Course, monkeypatch: pytest.MonkeyPatch, told: list[Alert]
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(services, "record_enrollment", lambda *args, **kwargs: 1 / 0)
        row = considered()
    AutoEnrolment.objects.update(attempts=3)
    let_5_minutes_pass()
    assert retry_due() == {"failed": 1}
    assert (outcome(row), len(told)) == (("failed", "interrupted"), 1)


def test_of_nobody_we_know_fails_and_is_told_of(run: Course, told: list[Alert]) -> None:
    assert outcome(considered()) == ("failed", "learner_unknown")
    assert len(told) == 1


def test_that_succeeds_is_told_to_listeners_in_its_transaction(learner: LearnerProfile, run: Course) -> None:
    heard: list[Any] = []

    def listener(sender: Any, enrolments: list[AutoEnrolment], **kwargs: Any) -> None:
        heard.append((enrolments[0].subsidy_request_uuid, enrolments[0].run, connection.in_atomic_block))

    signals.auto_enrolled.connect(listener)
    try:
        row = considered()
    finally:
        signals.auto_enrolled.disconnect(listener)
    assert heard == [(row.subsidy_request_uuid, run.key, True)]


def test_of_one_learner_is_decided_one_after_the_other(learner: LearnerProfile, run: Course) -> None:
    other = CourseFactory(key="course-v1:edX+Other+2026")

    def one(course: str) -> None:
        try:
            considered(course_id=course)
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(one, [COURSE, "edX+Other"]))
    retry_due()
    assert sorted(AutoEnrolment.objects.values_list("state", flat=True)) == ["enrolled", "skipped"]
    assert Enrollment.objects.filter(course__in=[run, other]).count() == 1


@pytest.mark.parametrize("number", [1, 50])
def test_costs_the_same_whatever_else_is_there(learner: LearnerProfile, run: Course, number: int) -> None:
    for index in range(number):
        CourseFactory(key=f"course-v1:edX+Other{index}+2026")
        EnrollmentFactory(user=UserFactory(), course=run)
    with CaptureQueriesContext(connection) as queries:
        considered()
    assert len(queries) <= 52


class TestOnThePlatform:
    """… with the backend `lms` …"""

    @pytest.fixture
    def platform(self, settings: Any) -> Iterator[Enrolling]:
        with enrolling_platform() as made:
            settings.SUBSIDY_ENROLMENT_BACKEND = "lms"
            settings.LICENSE_LMS_BASE_URL = made.url
            settings.LICENSE_LMS_CLIENT_ID = "cadence"
            settings.LICENSE_LMS_CLIENT_SECRET = "secret"
            yield made

    def test_is_one_request_without_a_mail(self, learner: LearnerProfile, run: Course, platform: Enrolling) -> None:
        licence = uuid4()
        row = considered(license_uuid=licence)
        path = f"/enterprise/api/v1/enterprise-customer/{ENTERPRISE}/enroll_learners_in_courses/"
        place = {"user_id": 7, "course_run_key": run.key, "license_uuid": str(licence)}
        assert platform.asked == [(path, {"notify": False, "licenses_info": [place]}, "JWT a-token")]
        assert (outcome(row), Enrollment.objects.count()) == (("enrolled", ""), 0)

    @pytest.mark.parametrize(
        ("status", "body"),
        [(500, {}), (409, {"failures": [7]}), (201, {"failures": [7]}), (302, {}), (401, {})],
    )
    def test_that_is_refused_is_tried_again(
        self, learner: LearnerProfile, run: Course, platform: Enrolling, status: int, body: Any
    ) -> None:
        platform.status, platform.body = status, body
        row = considered()
        assert outcome(row) == ("pending", "EnrolmentRefused")
        platform.status, platform.body = 201, {}
        let_5_minutes_pass()
        assert retry_due() == {"enrolled": 1}
        assert len(platform.asked) == 2

    def test_of_a_platform_that_is_away_is_tried_again(
        self, learner: LearnerProfile, run: Course, platform: Enrolling, settings: Any
    ) -> None:
        settings.LICENSE_LMS_BASE_URL = "http://127.0.0.1:9"
        assert outcome(considered()) == ("pending", "ConnectionError")
