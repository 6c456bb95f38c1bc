"""The flow from the wish to the mail, by the numbers of the cases; over both transports, which is case 30 …"""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.core import mail
from django.core.management import call_command
from django.db import transaction

from courses.eventbus import emit
from courses.events import LICENSE_ASSIGNED, LicenseAssignmentData
from courses.models import Enrollment, EventInbox, EventOutbox
from email_automation.models import EmailQueue
from license_notifications.models import License
from license_notifications.services import granting
from subsidy_requests import services, states
from subsidy_requests.models import ApprovalItem, CouponCodeRequest, LicenseRequest
from tests.subsidy_requests.scene import NOON, Scene, at, carry, dead, fresh, mails, outbox

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("transport")]


def assigned(request: Any, **values: Any) -> LicenseAssignmentData:
    """Return the fact that a licence was granted for a request."""
    given = {
        "subsidy_request_uuid": request.uuid,
        "attempt": 1,
        "lms_user_id": request.lms_user_id,
        "enterprise_customer_uuid": request.enterprise_customer_uuid,
        "subscription_uuid": uuid4(),
        "license": uuid4(),
        "course_id": request.course_id,
    }
    return LicenseAssignmentData(**given | values)


def tell(data: LicenseAssignmentData) -> None:
    with transaction.atomic():
        emit(LICENSE_ASSIGNED, assignment=data)
    carry()


def test_case_1_a_learner_asks_once(licences: Scene) -> None:
    answer = licences.ask()
    assert (answer.status_code, answer.json()["state"]) == (201, "requested")
    again = licences.ask()
    assert (again.status_code, again.json()["code"]) == (422, "already_outstanding")
    assert again.json()["uuids"] == [answer.json()["uuid"]]
    assert LicenseRequest.objects.count() == 1


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"subsidy_requests_enabled": False}, "requests_disabled"),
        ({"subsidy_type": "coupon"}, "wrong_subsidy_type"),
        ({"subsidy_type": None}, "wrong_subsidy_type"),
    ],
)
def test_case_1_who_may_not_ask_leaves_no_row(db: None, change: dict[str, Any], code: str) -> None:
    scene = Scene()
    services.configure(scene.enterprise, changed_by=scene.admin, **change)
    answer = scene.ask()
    assert (answer.status_code, answer.json()["code"]) == (422, code)
    assert not LicenseRequest.objects.exists()


def test_case_2_an_approval_touches_nothing_before_it_is_published(licences: Scene) -> None:
    request = licences.asked()
    answer = licences.approve(request)
    assert (answer.status_code, answer.json()) == (200, {"approved": [str(request.uuid)], "skipped": []})
    request = fresh(request)
    assert (request.state, request.reviewer, request.attempt) == ("approved", licences.admin, 1)
    assert request.reviewed_at is not None
    assert EventOutbox.objects.filter(published_at=None).count() == outbox() == 1
    assert set(License.objects.values_list("status", flat=True)) == {"unassigned"}
    assert (EmailQueue.objects.count(), mail.outbox) == (0, [])


def test_case_3_what_is_rolled_back_is_not_told(licences: Scene) -> None:
    request = licences.asked()
    with pytest.raises(RuntimeError), transaction.atomic():
        services.approve(
            "license",
            [request.uuid],
            enterprise_customer_uuid=licences.enterprise,
            subsidy_id=licences.plan.pk,
            reviewer=licences.admin,
        )
        raise RuntimeError
    carry()
    assert fresh(request).state == "requested"
    assert (outbox(), EventInbox.objects.count()) == (0, 0)


def test_case_4_a_grant_fulfils_once_and_is_mailed_once(licences: Scene) -> None:
    request = licences.asked()
    licences.approve(request)
    carry()
    request = fresh(request)
    assert request.state == "fulfilled"
    assert request.subscription_plan_uuid == licences.plan.pk
    assert License.objects.get(pk=request.license_uuid).lms_user_id == request.lms_user_id
    [sent] = mails()
    assert sent.to == [licences.learner.email]
    row = EventInbox.objects.get(consumer="enterprise-access")
    for _ in range(2):
        EventOutbox.objects.filter(event_id=row.event_id).update(published_at=None)
        carry()
    assert EventInbox.objects.filter(consumer="enterprise-access").count() == 1
    tell(assigned(request, subscription_uuid=request.subscription_plan_uuid, license=request.license_uuid))
    assert (dead(), ApprovalItem.objects.count(), len(mails())) == ([], 1, 1)


def test_case_5_another_licence_for_a_fulfilled_request_is_told(licences: Scene, told: list[Any]) -> None:
    request = licences.asked()
    licences.approve(request)
    carry()
    before = fresh(request).license_uuid
    tell(assigned(request))
    assert fresh(request).license_uuid == before
    assert [row.reason for row in dead()] == ["fulfilled with another subsidy"]
    assert len(told) == 1


def test_case_5_a_grant_for_a_declined_request_is_orphaned(licences: Scene, told: list[Any]) -> None:
    request = licences.asked()
    licences.decline(request, send_notification=False)
    tell(assigned(request))
    assert fresh(request).state == "declined"
    assert "orphaned subsidy" in str(told[0])
    assert mails() == []


def test_case_6_an_unknown_request_holds_nothing_up(licences: Scene, told: list[Any]) -> None:
    request = licences.asked()
    licences.approve(request)
    stranger = LicenseRequest(uuid=uuid4(), lms_user_id=1, enterprise_customer_uuid=licences.enterprise)
    tell(assigned(stranger))
    assert [row.reason for row in dead()] == ["orphaned subsidy"]
    assert fresh(request).state == "fulfilled"


def test_case_7_without_a_licence_it_is_an_error_and_can_be_approved_again(db: None) -> None:
    scene = Scene(licences=0)
    request = scene.asked()
    scene.approve(request)
    carry()
    assert (fresh(request).state, request.error_reason) == ("error", "no_free_license")
    assert mails() == []
    scene.add_licences(1)
    assert scene.approve(request).json()["approved"] == [str(request.uuid)]
    carry()
    assert (fresh(request).state, request.attempt, request.error_reason) == ("fulfilled", 2, "")
    assert len(mails()) == 1


def test_case_8_a_licence_the_learner_holds_is_enough(licences: Scene) -> None:
    request = licences.asked()
    held = License.objects.create(
        subscription_plan=licences.plan, status="activated", lms_user_id=request.lms_user_id, user_email="x@example.com"
    )
    licences.approve(request)
    carry()
    assert (fresh(request).state, request.license_uuid) == ("fulfilled", held.pk)
    assert License.objects.filter(lms_user_id=request.lms_user_id).count() == 1


def test_case_9_a_batch_with_a_declined_one_changes_nothing(licences: Scene) -> None:
    requests = [licences.asked(who=licences.another_learner()) for _ in range(3)]
    licences.decline(requests[1])
    answer = licences.approve(*requests)
    assert (answer.status_code, answer.json()["code"]) == (422, "already_declined")
    assert answer.json()["uuids"] == [str(requests[1].uuid)]
    assert [fresh(request).state for request in requests] == ["requested", "declined", "requested"]
    assert outbox() == 0
    assert licences.approve(requests[1]).json()["code"] == "already_declined"


def test_case_9_what_is_decided_is_not_declined(licences: Scene) -> None:
    request = licences.asked()
    licences.approve(request)
    assert licences.decline(request).json()["code"] == "already_decided"
    carry()
    answer = licences.decline(request)
    assert (answer.status_code, answer.json()["code"], fresh(request).state) == (422, "already_decided", "fulfilled")


def test_case_9_what_is_approved_is_skipped(licences: Scene) -> None:
    first, second = (licences.asked(who=licences.another_learner()) for _ in range(2))
    licences.approve(second)
    answer = licences.approve(first, second, first)
    assert (answer.status_code, answer.json()) == (
        200,
        {"approved": [str(first.uuid)], "skipped": [str(second.uuid)]},
    )
    assert fresh(first).attempt == fresh(second).attempt == 1


def test_case_10_a_refusal_is_mailed_and_no_event(licences: Scene) -> None:
    request = licences.asked()
    answer = licences.decline(request, decline_reason="Not part of the plan.")
    assert (answer.status_code, answer.json()) == (200, {"declined": [str(request.uuid)]})
    assert (fresh(request).state, request.decline_reason) == ("declined", "Not part of the plan.")
    [sent] = mails()
    assert "Not part of the plan." in sent.body
    assert outbox() == 0


@pytest.mark.parametrize("kind", ["license", "coupon"])
def test_case_11_the_mail_leads_to_the_course_and_says_no_more(db: None, kind: str) -> None:
    scene = Scene(kind)
    scene.approve(scene.asked("edX+Demo_X.é"))
    carry()
    [sent] = mails()
    html = sent.alternatives[0][0]
    page = f"https://learn.example.com/{scene.customer.slug}/course/edX+Demo_X.%C3%A9"
    assert page in sent.body
    assert page in html
    for part in (sent.subject, sent.body, html):
        assert "enrol" not in part.lower()


def test_case_11_without_a_course_it_leads_to_the_dashboard(licences: Scene) -> None:
    licences.approve(licences.asked(None))
    carry()
    [sent] = mails()
    assert f"https://learn.example.com/{licences.customer.slug}\n" in sent.body
    assert "/course/" not in sent.body
    assert "None" not in sent.body


def test_case_12_a_code_is_granted(codes: Scene) -> None:
    request = codes.asked()
    codes.approve(request)
    carry()
    request = fresh(request)
    assert (request.state, request.coupon_id) == ("fulfilled", codes.coupon.pk)
    assert request.coupon_code == codes.coupon.codes.get(status="assigned").code
    assert len(mails()) == 1


def test_case_12_one_code_for_two_requests(db: None) -> None:
    scene = Scene("coupon", codes=1)
    requests = [scene.asked(who=scene.another_learner()) for _ in range(2)]
    scene.approve(*requests)
    carry()
    assert sorted(fresh(request).state for request in requests) == ["error", "fulfilled"]
    assert CouponCodeRequest.objects.get(state="error").error_reason == "no_free_code"
    assert len(mails()) == 1


def test_case_14_who_is_not_to_be_told_is_not(licences: Scene) -> None:
    request = licences.asked()
    licences.approve(request, send_notification=False)
    carry()
    assert (fresh(request).state, mails()) == ("fulfilled", [])


def test_case_15_nobody_is_enrolled_unless_it_is_switched_on(licences: Scene) -> None:
    assert licences.customer.attempt_auto_enrollment is False
    licences.approve(licences.asked())
    carry()
    assert len(mails()) == 1
    assert not Enrollment.objects.exists()


def test_a_grant_before_the_approval_waits(licences: Scene) -> None:
    request = licences.asked()
    tell(assigned(request))
    assert EventInbox.objects.get(consumer="enterprise-access").state == EventInbox.DEFERRED
    assert fresh(request).state == states.REQUESTED


def test_a_failure_of_another_attempt_is_nothing(licences: Scene) -> None:
    request = licences.asked()
    licences.approve(request)
    assert services.fail("license", request.uuid, attempt=2, reason="no_free_license") is False
    assert services.fail("license", request.uuid, attempt=1, reason="no_free_license") is True
    assert services.fail("license", request.uuid, attempt=1, reason="no_free_license") is False


def test_a_late_grant_fulfils_an_error(licences: Scene) -> None:
    request = licences.asked()
    licences.approve(request)
    services.fail("license", request.uuid, attempt=1, reason="given_up")
    carry()
    assert fresh(request).state == "fulfilled"


def test_nothing_personal_is_told(licences: Scene, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        licences.approve(licences.asked())
        carry()
    told_of = caplog.text + str(list(EventOutbox.objects.values_list("headers", flat=True)))
    payloads = b"".join(bytes(row.payload) for row in EventOutbox.objects.all())
    for word in (licences.learner.email, licences.learner.username, licences.admin.username):
        assert word not in told_of
        assert word.encode() not in payloads
    assert mail.outbox == []


class TestHandlers:
    """Case 25: a handler that fails."""

    @pytest.fixture
    def grants(self, monkeypatch: pytest.MonkeyPatch) -> list[Exception | None]:
        """What the next grants end with: an error, or None for the usual."""
        ends: list[Exception | None] = []
        usual = granting.grant

        def grant(*args: Any, **kwargs: Any) -> Any:
            error = ends.pop(0) if ends else None
            if error is not None:
                raise error
            return usual(*args, **kwargs)

        monkeypatch.setattr("license_notifications.handlers.grant", grant)
        return ends

    def test_case_25_fails_twice_and_then_works(self, licences: Scene, grants: list[Exception | None]) -> None:
        with at(NOON):
            request = licences.asked()
            licences.approve(request)
            grants += [RuntimeError("one"), RuntimeError("two")]
            carry()
            assert fresh(request).state == "approved"
        for seconds in (2, 10):
            with at(NOON + timedelta(seconds=seconds)):
                carry()
        row = EventInbox.objects.get(consumer="license-manager")
        assert (row.state, row.attempts, fresh(request).state) == ("done", 2, "fulfilled")
        with at(NOON + timedelta(minutes=11)):
            assert len(mails()) == 1

    def test_case_25_fails_always_and_is_done_after_a_fix(
        self, licences: Scene, grants: list[Exception | None], told: list[Any]
    ) -> None:
        other = licences.asked(who=licences.another_learner())
        with at(NOON):
            request = licences.asked()
            licences.approve(request)
            grants += [RuntimeError("broken")] * 5
            carry()
        for seconds in (2, 10, 60):
            with at(NOON + timedelta(seconds=seconds)):
                carry()
        with at(NOON + timedelta(seconds=300)):
            carry()
            [row] = dead()
            assert (row.attempts, len(told), fresh(request).state) == (5, 1, "approved")
            licences.approve(other)
            carry()
            assert fresh(other).state == "fulfilled"
            call_command("requeue_events", "--id", str(row.pk))
            carry()
        assert (dead(), fresh(request).state) == ([], "fulfilled")
