"""Factories of customers, roles, requests and coupons."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import factory
from django.utils import timezone
from factory.django import DjangoModelFactory

from courses.models import LearnerProfile
from subsidy_requests import states
from subsidy_requests.coupons.models import Coupon, CouponCode
from subsidy_requests.models import (
    CouponCodeRequest,
    EnterpriseRoleAssignment,
    LicenseRequest,
    SubsidyRequestCustomerConfiguration,
)
from subsidy_requests.models.roles import ADMIN, LEARNER
from tests.factories import UserFactory


class CustomerFactory(DjangoModelFactory):
    """An enterprise with a slug whose learners may ask for licences."""

    class Meta:
        model = SubsidyRequestCustomerConfiguration

    enterprise_customer_uuid = factory.LazyFunction(uuid.uuid4)
    name = factory.Sequence(lambda n: f"Harbour Shipping {n}")
    slug = factory.Sequence(lambda n: f"harbour-{n}")
    subsidy_requests_enabled = True
    subsidy_type = "license"
    contact_email = "contact@example.com"


class _RequestFactory(DjangoModelFactory):
    """A request that was just made; `customer` is the enterprise's configuration."""

    class Meta:
        abstract = True

    class Params:
        customer = factory.SubFactory(CustomerFactory)
        fulfilled = factory.Trait(state=states.FULFILLED, attempt=1)

    user = factory.SubFactory(UserFactory)
    lms_user_id = factory.LazyAttribute(lambda request: number_of(request.user))
    enterprise_customer_uuid = factory.LazyAttribute(lambda request: request.customer.enterprise_customer_uuid)
    course_id = "edX+DemoX"
    course_title = "Demonstration Course"
    state = states.REQUESTED
    reviewer = factory.Maybe(
        factory.LazyAttribute(lambda request: request.state != states.REQUESTED), factory.SubFactory(UserFactory)
    )
    reviewed_at = factory.LazyAttribute(
        lambda request: None if request.state == states.REQUESTED else datetime(2026, 3, 1, tzinfo=UTC)
    )
    fulfilled_at = factory.LazyAttribute(
        lambda request: datetime(2026, 3, 1, tzinfo=UTC) if request.state == states.FULFILLED else None
    )


class LicenseRequestFactory(_RequestFactory):
    """A request for a licence."""

    class Meta:
        model = LicenseRequest

    subscription_plan_uuid = factory.LazyAttribute(
        lambda request: uuid.uuid4() if request.state == states.FULFILLED else None
    )
    license_uuid = factory.LazyAttribute(lambda request: uuid.uuid4() if request.state == states.FULFILLED else None)


class CouponCodeRequestFactory(_RequestFactory):
    """A request for a coupon code."""

    class Meta:
        model = CouponCodeRequest

    coupon_id = factory.LazyAttribute(lambda request: 1 if request.state == states.FULFILLED else None)
    coupon_code = factory.LazyAttribute(lambda request: "SECRET-1234" if request.state == states.FULFILLED else "")


class CouponFactory(DjangoModelFactory):
    """A coupon of 100 per cent that is current."""

    class Meta:
        model = Coupon

    enterprise_customer_uuid = factory.LazyFunction(uuid.uuid4)
    title = factory.Sequence(lambda n: f"Coupon {n}")
    starts_at = factory.LazyFunction(lambda: timezone.now() - timedelta(days=30))
    ends_at = factory.LazyFunction(lambda: timezone.now() + timedelta(days=365))


class CouponCodeFactory(DjangoModelFactory):
    """A free code."""

    class Meta:
        model = CouponCode

    coupon = factory.SubFactory(CouponFactory)
    code = factory.Sequence(lambda n: f"CODE-{n:04}")


def number_of(user: Any) -> int:
    """Return an account's number on the platform, giving it one unlike its id where it has none."""
    profile, _ = LearnerProfile.objects.get_or_create(user=user)
    if profile.lms_user_id is None:
        profile.lms_user_id = 70_000 + user.pk
        profile.save()
    return profile.lms_user_id


def learner_of(customer: SubsidyRequestCustomerConfiguration, **fields: Any) -> Any:
    """Return somebody the platform knows, who is a learner of the enterprise."""
    return _person(customer, LEARNER, **fields)


def admin_of(customer: SubsidyRequestCustomerConfiguration, **fields: Any) -> Any:
    """Return somebody the platform knows, who is an administrator of the enterprise."""
    return _person(customer, ADMIN, **fields)


def _person(customer: SubsidyRequestCustomerConfiguration, role: str, **fields: Any) -> Any:
    user = UserFactory(**fields)
    number_of(user)
    EnterpriseRoleAssignment.objects.create(
        user=user, enterprise_customer_uuid=customer.enterprise_customer_uuid, role=role
    )
    return user
