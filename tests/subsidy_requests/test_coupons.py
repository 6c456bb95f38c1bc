"""Granting codes …"""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils import timezone

from subsidy_requests.coupons import services
from subsidy_requests.coupons.models import Coupon, CouponCode
from subsidy_requests.coupons.services import Granted, Refused
from tests.factories import UserFactory
from tests.subsidy_requests.factories import CouponCodeFactory, CouponFactory, number_of
from tests.subsidy_requests.scene import fresh

pytestmark = pytest.mark.django_db


@pytest.fixture
def coupon() -> Coupon:
    row = CouponFactory()
    CouponCodeFactory.create_batch(3, coupon=row)
    return row


def grant(coupon: Coupon, **values: Any) -> Granted | Refused:
    given = {
        "request_uuid": uuid4(),
        "attempt": 1,
        "enterprise_uuid": coupon.enterprise_customer_uuid,
        "coupon_id": coupon.pk,
        "now": timezone.now(),
    } | values
    if "lms_user_id" not in given:
        given["lms_user_id"] = number_of(UserFactory())
    return services.grant(given.pop("request_uuid"), given.pop("attempt"), **given)


def test_the_oldest_free_code_is_taken(coupon: Coupon) -> None:
    learner, request = number_of(UserFactory()), uuid4()
    answer = grant(coupon, lms_user_id=learner, request_uuid=request)
    assert isinstance(answer, Granted)
    first = coupon.codes.order_by("pk")[0]
    assert (first.status, first.lms_user_id, first.subsidy_request_uuid) == ("assigned", learner, request)
    assert answer.code == first


def test_the_same_request_gets_the_same_code(coupon: Coupon) -> None:
    learner, request = number_of(UserFactory()), uuid4()
    first = grant(coupon, lms_user_id=learner, request_uuid=request)
    again = grant(coupon, lms_user_id=learner, request_uuid=request, attempt=2)
    assert isinstance(first, Granted)
    assert isinstance(again, Granted)
    assert (again.code, again.is_new) == (first.code, False)
    assert coupon.codes.filter(status="assigned").count() == 1


def test_two_requests_of_a_learner_get_two_codes(coupon: Coupon) -> None:
    learner = number_of(UserFactory())
    answers = [grant(coupon, lms_user_id=learner) for _ in range(2)]
    assert len({answer.code.pk for answer in answers if isinstance(answer, Granted)}) == 2


def test_what_was_taken_back_is_replaced_for_a_higher_attempt_only(coupon: Coupon) -> None:
    learner, request = number_of(UserFactory()), uuid4()
    first = grant(coupon, lms_user_id=learner, request_uuid=request)
    assert isinstance(first, Granted)
    services.void([first.code.pk])
    assert grant(coupon, lms_user_id=learner, request_uuid=request) == Refused("subsidy_revoked")
    second = grant(coupon, lms_user_id=learner, request_uuid=request, attempt=2)
    assert isinstance(second, Granted)
    assert second.code != first.code
    assert (fresh(first.code).status, first.code.subsidy_request_uuid) == ("void", None)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"coupon_id": 999_999}, "unknown_coupon"),
        ({"enterprise_uuid": uuid4(), "lms_user_id": 1}, "coupon_of_other_enterprise"),
        ({"now": timezone.now() - timedelta(days=60), "lms_user_id": 1}, "coupon_not_current"),
        ({"now": timezone.now() + timedelta(days=600)}, "coupon_not_current"),
        ({"lms_user_id": 1}, "learner_unknown"),
    ],
)
def test_the_first_reason_counts(coupon: Coupon, change: dict[str, Any], reason: str) -> None:
    assert grant(coupon, **change) == Refused(reason)
    assert not coupon.codes.exclude(status="free").exists()


def test_an_inactive_coupon_and_an_inactive_learner(coupon: Coupon) -> None:
    user = UserFactory(is_active=False)
    assert grant(coupon, lms_user_id=number_of(user)) == Refused("learner_unknown")
    Coupon.objects.update(is_active=False)
    assert grant(coupon) == Refused("coupon_not_current")


def test_none_left(coupon: Coupon) -> None:
    CouponCode.objects.update(status="void")
    assert grant(coupon) == Refused("no_free_code")


def test_a_code_is_redeemed_once(coupon: Coupon) -> None:
    request = uuid4()
    grant(coupon, request_uuid=request)
    assert services.redeem(request, "course-v1:edX+DemoX+2026") is True
    assert services.redeem(request, "course-v1:edX+DemoX+2027") is False
    code = CouponCode.objects.get(subsidy_request_uuid=request)
    assert (code.status, code.redeemed_course_run) == ("redeemed", "course-v1:edX+DemoX+2026")


@pytest.mark.parametrize("discount", ["0", "-1", "100.01"])
def test_a_discount_is_more_than_nothing_and_at_most_everything(discount: str) -> None:
    coupon = CouponFactory.build(discount_percent=discount)
    with pytest.raises(ValidationError, match="discount"):
        coupon.full_clean()
    with pytest.raises(IntegrityError), transaction.atomic():
        coupon.save()


def test_codes_differ_by_case(coupon: Coupon) -> None:
    CouponCodeFactory(coupon=coupon, code="Abc")
    CouponCodeFactory(coupon=coupon, code="aBC")
    with pytest.raises(IntegrityError), transaction.atomic():
        CouponCodeFactory(coupon=coupon, code="Abc")
