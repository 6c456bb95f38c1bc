"""People and events that come at the same moment …"""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import pytest
from django.utils import timezone

from subsidy_requests import services
from subsidy_requests.coupons import services as pool
from subsidy_requests.models import ApprovalItem, ApprovalWindow, LicenseRequest
from subsidy_requests.services import Broken
from tests.courses.test_bulk_races import WRITERS, at_once
from tests.factories import UserFactory
from tests.subsidy_requests.factories import CouponCodeRequestFactory, LicenseRequestFactory, number_of
from tests.subsidy_requests.scene import Scene, outbox

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def no_pokes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nobody publish and handle after a commit."""
    monkeypatch.setattr("courses.eventbus.pokes.run_here", lambda: None)


def test_ask_for_the_same_once(no_pokes: None) -> None:
    scene = Scene()

    def ask(number: int) -> str:
        try:
            row = services.create_request(
                "license", scene.learner, enterprise_customer_uuid=scene.enterprise, course_id="edX+DemoX"
            )
        except Broken as broken:
            return broken.code
        return row.state

    assert sorted(at_once(ask)) == ["already_outstanding"] * (WRITERS - 1) + ["requested"]
    assert LicenseRequest.objects.count() == 1


def test_approve_the_same_once(no_pokes: None) -> None:
    scene = Scene()
    uuids = [LicenseRequestFactory(customer=scene.customer).uuid for _ in range(3)]

    def approve(number: int) -> int:
        decision = services.approve(
            "license",
            uuids if number % 2 else list(reversed(uuids)),
            enterprise_customer_uuid=scene.enterprise,
            subsidy_id=scene.plan.pk,
            reviewer=scene.admin,
        )
        return len(decision.decided)

    assert sorted(at_once(approve)) == [0] * (WRITERS - 1) + [3]
    assert outbox() == 3
    assert set(LicenseRequest.objects.values_list("attempt", flat=True)) == {1}


def test_end_in_one_window(no_pokes: None) -> None:
    scene = Scene("coupon")
    requests = [
        CouponCodeRequestFactory(
            user=scene.learner, customer=scene.customer, course_id=f"edX+C{n}", state="approved", attempt=1
        )
        for n in range(WRITERS)
    ]

    def fulfil(number: int) -> bool:
        request = requests[number]
        return services.fulfil(
            "coupon",
            request.uuid,
            subsidy=(1, f"CODE-{number}"),
            lms_user_id=request.lms_user_id,
            enterprise_customer_uuid=scene.enterprise,
        )

    assert at_once(fulfil) == [True] * WRITERS
    assert (ApprovalWindow.objects.count(), ApprovalItem.objects.count()) == (1, WRITERS)


def test_take_the_same_code_never(no_pokes: None) -> None:
    scene = Scene("coupon", codes=WRITERS - 1)
    learners = [number_of(UserFactory()) for _ in range(WRITERS)]
    answers = at_once(lambda number: granted(scene, uuid4(), learners[number]))
    assert answers.count("no_free_code") == 1
    assert len(set(answers)) == WRITERS


def test_grant_one_request_one_code(no_pokes: None) -> None:
    scene = Scene("coupon", codes=WRITERS)
    learner, request = number_of(UserFactory()), uuid4()
    assert len(set(at_once(lambda number: granted(scene, request, learner)))) == 1
    assert scene.coupon.codes.filter(status="assigned").count() == 1


def granted(scene: Scene, request: UUID, learner: int) -> Any:
    """Return the code that is granted, or why none is."""
    answer = pool.grant(
        request,
        1,
        enterprise_uuid=scene.enterprise,
        coupon_id=scene.coupon.pk,
        lms_user_id=learner,
        now=timezone.now(),
    )
    return answer.reason if isinstance(answer, pool.Refused) else answer.code.code
