"""The tables of requests …"""

from __future__ import annotations

from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from subsidy_requests import states
from subsidy_requests.models import CouponCodeRequest, EnterpriseRoleAssignment, LicenseRequest
from subsidy_requests.states import TRANSITIONS, NotAllowed, Trigger, after
from tests.factories import UserFactory
from tests.subsidy_requests.factories import CouponCodeRequestFactory, CustomerFactory, LicenseRequestFactory

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("state", states.STATES)
def test_one_outstanding_licence_request_of_a_learner_at_an_enterprise(state: str) -> None:
    first = LicenseRequestFactory(state=state)

    def again() -> LicenseRequest:
        with transaction.atomic():
            row: LicenseRequest = LicenseRequestFactory(
                user=first.user, enterprise_customer_uuid=first.enterprise_customer_uuid, course_id="edX+Other"
            )
            return row

    if state in states.OUTSTANDING:
        with pytest.raises(IntegrityError):
            again()
    else:
        assert again().pk
    with transaction.atomic():
        LicenseRequestFactory(user=first.user)
        LicenseRequestFactory(enterprise_customer_uuid=first.enterprise_customer_uuid)


def test_one_outstanding_code_request_of_a_learner_for_a_course() -> None:
    first = CouponCodeRequestFactory()
    same = {"user": first.user, "enterprise_customer_uuid": first.enterprise_customer_uuid}
    CouponCodeRequestFactory(**same, course_id="edX+Other")
    with pytest.raises(IntegrityError), transaction.atomic():
        CouponCodeRequestFactory(**same)
    CouponCodeRequest.objects.filter(pk=first.pk).update(state="declined")
    CouponCodeRequestFactory(**same)
    with pytest.raises(IntegrityError), transaction.atomic():
        CouponCodeRequest.objects.filter(pk=first.pk).update(state="error")


@pytest.mark.parametrize("state", states.STATES)
@pytest.mark.parametrize("factory", [LicenseRequestFactory, CouponCodeRequestFactory])
def test_every_state_but_the_first_needs_a_reviewer(factory: Any, state: str) -> None:
    request = factory(state=state)
    request.full_clean()
    for name in ("reviewer", "reviewed_at"):
        before = getattr(request, name)
        setattr(request, name, None)
        if state == "requested":
            request.full_clean()
        else:
            with pytest.raises(ValidationError, match=f"{name}: needed in the state {state}"):
                request.full_clean()
        setattr(request, name, before)


@pytest.mark.parametrize("factory", [LicenseRequestFactory, CouponCodeRequestFactory])
def test_what_is_fulfilled_names_both_parts_of_the_subsidy(factory: Any) -> None:
    request = factory(fulfilled=True)
    for name in request.SUBSIDY_FIELDS:
        before = getattr(request, name)
        setattr(request, name, "" if isinstance(before, str) else None)
        with pytest.raises(ValidationError, match=f"{name}: needed"):
            request.full_clean()
        setattr(request, name, before)


def test_an_unknown_state_is_refused() -> None:
    request = LicenseRequestFactory(state="declined")
    request.state = "pending"
    with pytest.raises(ValidationError, match="state"):
        request.full_clean()
    with pytest.raises(IntegrityError), transaction.atomic():
        request.save()


def test_the_table_of_transitions_is_that_of_the_specification() -> None:
    ways = {(state, trigger.value, to) for trigger, (froms, to) in TRANSITIONS.items() for state in froms}
    assert ways == {
        ("requested", "approve", "approved"),
        ("error", "approve", "approved"),
        ("approved", "assigned", "fulfilled"),
        ("error", "assigned", "fulfilled"),
        ("approved", "failed", "error"),
        ("requested", "decline", "declined"),
        ("error", "decline", "declined"),
        ("requested", "type changed", "declined"),
        ("error", "type changed", "declined"),
        ("approved", "give up", "error"),
    }
    for trigger in Trigger:
        for state in states.STATES:
            if not any(way[:2] == (state, trigger.value) for way in ways):
                with pytest.raises(NotAllowed, match=state):
                    after(state, trigger)


def test_a_reviewer_who_is_gone_holds_nothing_up(licences: Any) -> None:
    from tests.subsidy_requests.scene import carry, fresh

    request = licences.asked()
    licences.approve(request)
    licences.admin.delete()
    carry()
    assert (fresh(request).state, request.reviewer) == ("fulfilled", None)


def test_a_new_customer_takes_no_requests_and_enrols_nobody() -> None:
    row = CustomerFactory._meta.model(enterprise_customer_uuid="12345678-1234-5678-1234-567812345678", name="X")
    row.full_clean()
    assert (row.subsidy_requests_enabled, row.attempt_auto_enrollment, row.subsidy_type) == (False, False, None)
    assert "rejected" in str(row._meta.get_field("attempt_auto_enrollment").help_text)


def test_a_role_is_given_once() -> None:
    user, enterprise = UserFactory(), CustomerFactory().enterprise_customer_uuid
    for role in ("learner", "admin"):
        EnterpriseRoleAssignment.objects.create(user=user, enterprise_customer_uuid=enterprise, role=role)
    with pytest.raises(IntegrityError), transaction.atomic():
        EnterpriseRoleAssignment.objects.create(user=user, enterprise_customer_uuid=enterprise, role="admin")
