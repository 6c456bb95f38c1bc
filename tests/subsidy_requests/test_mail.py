"""One mail for approvals that come together …"""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
import time_machine
from django.core import mail
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from email_automation.models import EmailLog, EmailQueue
from email_automation.pipeline import dispatch, ledger, message, receipts, sweep
from subsidy_requests import notices, services
from subsidy_requests.messages import VARIABLES
from subsidy_requests.models import ApprovalItem, ApprovalWindow, DeclineNotice
from tests.subsidy_requests.factories import CouponCodeRequestFactory, LicenseRequestFactory
from tests.subsidy_requests.scene import NOON, Scene, at, carry, fresh, mails

pytestmark = pytest.mark.django_db


def fulfil(scene: Scene, course_id: str) -> Any:
    """Let a request of the scene's learner be approved before, and granted now."""
    request = CouponCodeRequestFactory(
        user=scene.learner,
        customer=scene.customer,
        course_id=course_id,
        course_title=course_id,
        state="approved",
        attempt=1,
    )
    assert services.fulfil(
        "coupon",
        request.uuid,
        subsidy=(1, f"CODE-{uuid4()}"),
        lms_user_id=request.lms_user_id,
        enterprise_customer_uuid=scene.enterprise,
    )
    return request


def swept() -> list[Any]:
    sweep.sweep()
    return mail.outbox


def test_case_19_three_requests_approved_in_one_call_are_one_mail(codes: Scene) -> None:
    requests = [codes.asked(f"edX+C{n}") for n in range(3)]
    codes.approve(*requests)
    carry()
    assert {fresh(request).state for request in requests} == {"fulfilled"}
    assert {fresh(request).learner_requests_in_action for request in requests} == {3}
    [sent] = mails()
    assert all(f"edX+C{n}" in sent.body for n in range(3))


def test_case_20_what_is_fulfilled_before_the_window_closes_joins(codes: Scene) -> None:
    with at(NOON):
        fulfil(codes, "edX+A")
    with at(NOON + timedelta(minutes=4)):
        fulfil(codes, "edX+B")
        assert swept() == []
    with at(NOON + timedelta(minutes=12)):
        fulfil(codes, "edX+C")
        [first] = swept()
    assert "edX+A" in first.body
    assert "edX+B" in first.body
    assert "edX+C" not in first.body
    with at(NOON + timedelta(minutes=22)):
        _, second = swept()
    assert second.subject == "Your request for edX+C is approved"
    assert list(ApprovalWindow.objects.values_list("state", flat=True)) == ["sent", "sent"]


def test_case_20_what_is_fulfilled_as_it_closes_does_not_join(codes: Scene) -> None:
    with at(NOON):
        fulfil(codes, "edX+A")
    with at(NOON + timedelta(minutes=10)):
        fulfil(codes, "edX+B")
    assert ApprovalWindow.objects.count() == 2
    entries = EmailQueue.objects.order_by("pk")
    assert [entry.scheduled_at for entry in entries] == [
        NOON + timedelta(minutes=10),
        NOON + timedelta(minutes=20),
    ]
    assert [entry.dedupe_key for entry in entries] == [
        f"request_approved:{window.pk}" for window in ApprovalWindow.objects.order_by("pk")
    ]


def test_a_window_whose_mail_waits_is_closed_all_the_same(codes: Scene) -> None:
    with at(NOON):
        fulfil(codes, "edX+A")
    with at(NOON + timedelta(minutes=15)):
        fulfil(codes, "edX+B")
    with at(NOON + timedelta(minutes=30)):
        assert len(swept()) == 2


def test_case_20_without_a_window_there_is_a_mail_for_each(codes: Scene, settings: Any) -> None:
    settings.SUBSIDY_APPROVAL_WINDOW_SECONDS = 0
    for name in "ABC":
        fulfil(codes, f"edX+{name}")
    assert len(swept()) == 3


def test_case_20_twenty_are_named_and_the_rest_counted(codes: Scene) -> None:
    with at(NOON):
        for number in range(25):
            fulfil(codes, f"edX+N{number:02}")
    with at(NOON + timedelta(minutes=10)):
        [sent] = swept()
    html = sent.alternatives[0][0]
    for part in (sent.body, html):
        assert all(f"edX+N{number:02}" in part for number in range(20))
        assert "edX+N20" not in part
        assert "and 5 more" in part


def test_a_course_named_twice_is_shown_once(codes: Scene) -> None:
    with at(NOON):
        fulfil(codes, "edX+A")
        licence = LicenseRequestFactory(
            user=codes.learner, customer=codes.customer, course_id="edX+A", state="approved", attempt=1
        )
        services.fulfil(
            "license",
            licence.uuid,
            subsidy=(uuid4(), uuid4()),
            lms_user_id=licence.lms_user_id,
            enterprise_customer_uuid=codes.enterprise,
        )
    with at(NOON + timedelta(minutes=10)):
        [sent] = swept()
    assert ApprovalItem.objects.count() == 2
    assert sent.subject == "Your request for edX+A is approved"


def test_two_learners_have_windows_of_their_own(codes: Scene) -> None:
    other = codes.another_learner()
    requests = [codes.asked(), codes.asked(who=other)]
    codes.approve(*requests)
    carry()
    assert sorted(sent.to[0] for sent in mails()) == sorted([codes.learner.email, other.email])


def test_who_is_inactive_by_then_gets_none(codes: Scene) -> None:
    fulfil(codes, "edX+A")
    type(codes.learner).objects.filter(pk=codes.learner.pk).update(is_active=False)
    assert mails() == []
    window = ApprovalWindow.objects.get()
    assert (window.state, window.reason) == ("skipped", "active_user")


def test_case_31_without_a_slug_the_mail_waits(codes: Scene, told: list[Any]) -> None:
    type(codes.customer).objects.update(slug="")
    with at(NOON):
        request = fulfil(codes, "edX+A")
    assert fresh(request).state == "fulfilled"
    with at(NOON + timedelta(minutes=10)):
        assert swept() == []
        services.sweep()
    assert ApprovalWindow.objects.get().waiting
    assert told == []
    with at(NOON + timedelta(minutes=71)):
        services.sweep()
        services.sweep()
    assert len(told) == 1
    assert "slug" in str(told[0])
    assert codes.learner.email not in str(told[0])
    type(codes.customer).objects.update(slug="harbour")
    with at(NOON + timedelta(minutes=75)):
        assert services.sweep()["released"] == 1
        assert services.sweep()["released"] == 0
        [sent] = swept()
    assert "https://learn.example.com/harbour/course/edX+A" in sent.body
    assert ApprovalWindow.objects.get().state == "sent"


def test_case_31_a_refusal_waits_too(codes: Scene) -> None:
    type(codes.customer).objects.update(slug="")
    codes.decline(codes.asked())
    assert mails() == []
    type(codes.customer).objects.update(slug="harbour")
    services.sweep()
    assert len(mails()) == 1
    assert DeclineNotice.objects.get().state == "sent"


def test_a_change_of_the_type_declines_and_says_so(licences: Scene) -> None:
    asked = [licences.asked("edX+A"), licences.asked("edX+B", who=licences.another_learner())]
    approved = licences.asked(who=licences.another_learner())
    licences.approve(approved)
    services.configure(licences.enterprise, changed_by=licences.admin, subsidy_type="coupon")
    assert {fresh(request).state for request in asked} == {"declined"}
    assert {request.reviewer for request in asked} == {licences.admin}
    assert fresh(approved).state == "approved"
    sent = mails()
    refusals = [each for each in sent if "declined" in each.subject]
    assert len(refusals) == 2
    assert all("has changed" in each.body for each in refusals)


def test_one_refusal_for_all_that_a_call_declines(codes: Scene) -> None:
    requests = [codes.asked(f"edX+C{number}") for number in range(3)]
    codes.decline(*requests, decline_reason="Budget <spent>")
    [sent] = mails()
    assert sent.subject == "Your requests are declined"
    assert all(f"edX+C{number}" in sent.body for number in range(3))
    assert "Budget &lt;spent&gt;" in sent.alternatives[0][0]


def test_declining_costs_the_same_for_one_learner_and_for_fifty(licences: Scene) -> None:
    costs = []
    for number in (1, 50):
        requests = LicenseRequestFactory.create_batch(number, customer=licences.customer)
        with CaptureQueriesContext(connection) as queries:
            services.decline(
                "license",
                [request.uuid for request in requests],
                enterprise_customer_uuid=licences.enterprise,
                reviewer=licences.admin,
            )
        # SQLite takes at most so many parameters in a statement, so there a write of fifty rows is cut in two or three.
        costs.append(len({query["sql"][:60] for query in queries.captured_queries}))
    assert costs[0] == costs[1]
    assert DeclineNotice.objects.count() == 51


def test_a_run_of_the_clock_leaves_an_open_window_alone(codes: Scene) -> None:
    with at(NOON):
        fulfil(codes, "edX+A")
    kind = message.get("request_approved")
    with at(NOON + timedelta(minutes=5)):
        assert dispatch.run_daily(kind, 1).audience == 0
        fulfil(codes, "edX+B")
    with at(NOON + timedelta(minutes=10)):
        assert dispatch.run_daily(kind, 1).sent == 1
        assert len(swept()) == 1


def test_a_stopped_message_leaves_a_window_that_says_so(codes: Scene) -> None:
    from waffle.models import Switch

    Switch.objects.create(name="email_automation.hold_request_approved", active=True)
    fulfil(codes, "edX+A")
    window = ApprovalWindow.objects.get()
    assert (window.state, window.reason) == ("skipped", "stopped")
    assert mails() == []


def test_a_mail_in_doubt_is_no_end_of_the_window(codes: Scene) -> None:
    window = ApprovalWindow.objects.create(
        user=codes.learner, enterprise_customer_uuid=codes.enterprise, site_id=1, closes_at=timezone.now()
    )
    row = EmailLog(target_id=window.pk, status="pending")
    notices.followed(ApprovalWindow, [row])
    assert fresh(window).state == "open"


def test_a_mail_in_doubt_that_its_provider_reports_was_sent(codes: Scene) -> None:
    with at(NOON):
        fulfil(codes, "edX+A")
    with at(NOON + timedelta(minutes=10)):
        assert len(swept()) == 1
    window, log = ApprovalWindow.objects.get(), EmailLog.objects.get()
    EmailLog.objects.update(status="unknown", doubts=1)
    notices.followed(ApprovalWindow, EmailLog.objects.all())
    assert fresh(window).state == "failed"
    ledger.report(receipts.Receipt(word="delivered", at=timezone.now(), reference=receipts.reference(log)))
    assert (fresh(window).state, fresh(window).reason) == ("sent", "")


def test_the_moment_of_a_grant_is_that_of_its_item(codes: Scene) -> None:
    with time_machine.travel(NOON, tick=True):
        request = fulfil(codes, "edX+A")
    assert fresh(request).fulfilled_at == ApprovalItem.objects.get().fulfilled_at


@pytest.fixture
def by_braze(braze: Any, settings: Any) -> Any:
    """Have the mails go out as campaigns."""
    settings.SUBSIDY_REQUESTS_CHANNEL = "braze_campaign"
    settings.ACE_ENABLED_CHANNELS = ["django_mail", "braze_campaign"]
    return braze


def test_case_31_a_campaign_gets_the_same_names_one_recipient_a_request(codes: Scene, by_braze: Any) -> None:
    learners = [codes.learner, codes.another_learner()]
    codes.approve(*(codes.asked("edX+A", who=learner) for learner in learners))
    carry()
    assert mails() == []
    bodies = [json.loads(request.body) for request in by_braze.requests]
    assert len(bodies) == 2
    for body in bodies:
        [recipient] = body["recipients"]
        values = body["trigger_properties"]
        assert set(values) == set(VARIABLES)
        assert values["course_about_page_url"].endswith("/course/edX+A")
        assert values["contact_admin_link"] == "mailto:contact@example.com"
        assert recipient["external_user_id"].isdigit()
    numbers = {body["recipients"][0]["external_user_id"] for body in bodies}
    assert numbers == {str(learner.learner_profile.lms_user_id) for learner in learners}
    assert set(ApprovalWindow.objects.values_list("state", flat=True)) == {"sent"}


def test_case_31_by_mail_nobody_is_posted_to(codes: Scene, braze: Any) -> None:
    codes.approve(codes.asked("edX+A"))
    carry()
    assert len(mails()) == 1
    assert braze.requests == []
