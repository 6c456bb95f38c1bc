"""Automatic enrolment as the flow meets it, by the numbers of the acceptance cases …"""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.core import mail
from django.utils import timezone

from courses import autoenrolment
from courses.models import AutoEnrolment, Enrollment
from subsidy_requests import services
from tests.factories import CourseFactory, CourseModeFactory
from tests.subsidy_requests.scene import AFTER_THE_WINDOW, Scene, at, carry, fresh, mails

pytestmark = pytest.mark.django_db


@pytest.fixture
def enrolling() -> Any:
    """Return scenes whose enterprise has learners enrolled."""

    def scene(kind: str = "license", **more: Any) -> Scene:
        return Scene(kind, attempt_auto_enrollment=True, **more)

    return scene


def granted(scene: Scene, course_id: str | None = "edX+DemoX") -> Any:
    """Return a request that was approved and granted, with all that followed the commit."""
    request = scene.asked(course_id)
    scene.approve(request)
    carry()
    autoenrolment.retry_due()
    return fresh(request)


def run(number: str = "2026", **fields: Any) -> Any:
    """Return an open run of the course."""
    return CourseFactory(key=f"course-v1:edX+DemoX+{number}", title="Demonstration", **fields)


@pytest.mark.parametrize("kind", ["license", "coupon"])
def test_case_16_one_open_run_is_enrolled_in_and_not_mailed_about(enrolling: Any, kind: str) -> None:
    course, scene = run(), enrolling(kind)
    CourseModeFactory(course=course, slug="verified")
    request = granted(scene)
    enrolment = Enrollment.objects.get(user=scene.learner)
    assert (request.state, enrolment.course, enrolment.mode) == ("fulfilled", course, "verified")
    [sent] = mails()
    assert sent.subject.startswith("Your request for")
    assert "enrol" not in (sent.subject + sent.body + sent.alternatives[0][0]).lower()
    if kind == "coupon":
        code = scene.coupon.codes.get(subsidy_request_uuid=request.uuid)
        assert (code.status, code.redeemed_course_run) == ("redeemed", course.key)


def test_case_17_what_fails_three_times_ends(enrolling: Any, monkeypatch: Any, told: list[Any]) -> None:
    run()
    scene = enrolling()

    def fail(*args: Any, **kwargs: Any) -> None:
        raise RuntimeError("no place")

    monkeypatch.setattr("courses.services.record_enrollment", fail)
    now = timezone.now()
    request = granted(scene)
    for minutes in (6, 12, 18):
        with at(now + timedelta(minutes=minutes)):
            services.sweep()
    row = AutoEnrolment.objects.get()
    assert (row.state, row.attempts, len(told)) == ("failed", 3, 1)
    assert fresh(request).state == "fulfilled"
    mails()
    with at(now + 3 * AFTER_THE_WINDOW):
        assert len(mail.outbox) == 1


@pytest.mark.parametrize(
    ("runs", "course_id", "reason"),
    [(1, None, "no_course"), (2, "edX+DemoX", "ambiguous_run"), (0, "edX+DemoX", "run_not_open")],
)
def test_case_18_where_it_is_not_clear_nobody_is_enrolled(
    enrolling: Any, runs: int, course_id: str | None, reason: str
) -> None:
    for number in range(runs):
        run(str(number))
    request = granted(enrolling(), course_id)
    row = AutoEnrolment.objects.get()
    assert (request.state, row.state, row.reason) == ("fulfilled", "skipped", reason)
    assert not Enrollment.objects.exists()
    assert len(mails()) == 1


@pytest.mark.parametrize(("discount", "number"), [("50", 0), ("100", 1)])
def test_case_18_a_code_has_to_pay_for_everything(enrolling: Any, discount: str, number: int) -> None:
    run()
    scene = enrolling("coupon")
    scene.coupon.discount_percent = Decimal(discount)
    scene.coupon.save()
    request = granted(scene)
    assert request.state == "fulfilled"
    assert Enrollment.objects.count() == number
    assert AutoEnrolment.objects.get().reason == ("" if number else "partial_discount")
    assert len(mails()) == 1


def test_case_19_several_at_once_enrol_nobody(enrolling: Any) -> None:
    for name in "ABC":
        CourseFactory(key=f"course-v1:edX+{name}+2026")
    scene = enrolling("coupon")
    requests = [scene.asked(f"edX+{name}") for name in "ABC"]
    scene.approve(*requests)
    carry()
    autoenrolment.retry_due()
    assert {fresh(request).state for request in requests} == {"fulfilled"}
    assert set(AutoEnrolment.objects.values_list("reason", flat=True)) == {"multiple_requests"}
    assert not Enrollment.objects.exists()
    assert len(mails()) == 1


def test_the_toggle_counts_as_it_was_at_the_approval(enrolling: Any) -> None:
    run()
    scene = enrolling()
    request = scene.asked()
    scene.approve(request)
    services.configure(scene.enterprise, changed_by=scene.admin, attempt_auto_enrollment=False)
    carry()
    autoenrolment.retry_due()
    assert Enrollment.objects.count() == 1


def test_a_repeated_event_enrols_nobody_twice(enrolling: Any) -> None:
    run()
    scene = enrolling()
    request = granted(scene)
    type(request).objects.update(state="approved")
    services.republish("license", [request.uuid], by=scene.admin)
    carry()
    autoenrolment.retry_due()
    assert (AutoEnrolment.objects.count(), Enrollment.objects.count(), fresh(request).state) == (1, 1, "fulfilled")
