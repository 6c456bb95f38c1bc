"""Requests, coupons and configurations in the admin …"""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse

from subsidy_requests import services
from subsidy_requests.coupons.models import CouponCode
from subsidy_requests.models import EnterpriseRoleAssignment, LicenseRequest
from tests.factories import UserFactory
from tests.subsidy_requests.factories import CouponCodeFactory, CouponCodeRequestFactory, LicenseRequestFactory
from tests.subsidy_requests.scene import Scene, carry, fresh, outbox

pytestmark = pytest.mark.django_db

LICENCES = "/admin/subsidy_requests/licenserequest/"
CODES = "/admin/subsidy_requests/couponcoderequest/"


def client_of(user: Any) -> Client:
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def boss() -> Any:
    return UserFactory(admin=True)


@pytest.fixture
def root(boss: Any) -> Client:
    return client_of(boss)


def act(client: Client, path: str, action: str, *rows: Any, **more: Any) -> Any:
    """Choose rows of a list and an action, as the page posts it."""
    return client.post(path, {"action": action, "_selected_action": [row.pk for row in rows], "index": 0} | more)


def staff_with(*codenames: str) -> Client:
    user = UserFactory(is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
    return client_of(user)


class TestDecisions:
    def test_approving_asks_from_which_plan_and_is_logged(self, root: Client, boss: Any, licences: Scene) -> None:
        request = licences.asked()
        page = act(root, LICENCES, "approve", request)
        assert b"Subscription plan" in page.content
        assert fresh(request).state == "requested"
        confirmed = {"confirmed": "yes", "subscription_plan_uuid": str(licences.plan.pk), "send_notification": "on"}
        assert act(root, LICENCES, "approve", request, **confirmed).status_code == 302
        assert (fresh(request).state, request.reviewer, request.send_notification) == ("approved", boss, True)
        assert LogEntry.objects.filter(object_id=str(request.pk), user=boss).count() == 1

    def test_who_has_lost_the_role_is_not_approved_here_either(self, root: Client, licences: Scene) -> None:
        request = licences.asked()
        EnterpriseRoleAssignment.objects.filter(user=request.user).delete()
        act(root, LICENCES, "approve", request, confirmed="yes", subscription_plan_uuid=str(licences.plan.pk))
        assert fresh(request).state == "requested"

    def test_a_plan_that_is_none_is_asked_for_again(self, root: Client, licences: Scene) -> None:
        request = licences.asked()
        page = act(root, LICENCES, "approve", request, confirmed="yes", subscription_plan_uuid="x")
        assert b"Enter a valid UUID" in page.content
        assert fresh(request).state == "requested"

    def test_a_code_is_approved_from_a_coupon(self, root: Client, codes: Scene) -> None:
        request = codes.asked()
        act(root, CODES, "approve", request, confirmed="yes", coupon_id=codes.coupon.pk)
        carry()
        assert (fresh(request).state, request.send_notification) == ("fulfilled", False)

    def test_declining_asks_why(self, root: Client, licences: Scene) -> None:
        request = licences.asked()
        assert b"Decline these requests?" in act(root, LICENCES, "decline", request).content
        act(root, LICENCES, "decline", request, confirmed="yes", decline_reason="Too late.")
        assert (fresh(request).state, request.decline_reason) == ("declined", "Too late.")

    def test_a_rule_says_which_request_breaks_it(self, root: Client, licences: Scene) -> None:
        request = licences.asked()
        licences.approve(request)
        page = act(root, LICENCES, "decline", request, confirmed="yes", follow="1")
        assert page.status_code == 302
        assert str(request.uuid) in root.get(LICENCES).content.decode()
        assert fresh(request).state == "approved"

    def test_requests_of_two_enterprises_are_not_decided_together(self, root: Client) -> None:
        requests = LicenseRequestFactory.create_batch(2)
        act(root, LICENCES, "decline", *requests, confirmed="yes")
        assert {fresh(request).state for request in requests} == {"requested"}

    @pytest.mark.parametrize("action", ["approve", "decline", "republish", "give_up"])
    def test_each_has_a_permission_of_its_own(self, licences: Scene, action: str) -> None:
        request = licences.asked()
        page = staff_with("view_licenserequest", f"{action}_licenserequest").get(LICENCES).content.decode()
        assert f'value="{action}"' in page
        others = {"approve", "decline", "republish", "give_up"} - {action}
        assert not any(f'value="{other}"' in page for other in others)
        looking = staff_with("view_licenserequest")
        act(looking, LICENCES, action, request, confirmed="yes", subscription_plan_uuid=str(uuid4()))
        assert fresh(request).state == "requested"

    def test_a_state_is_not_edited(self, root: Client, licences: Scene) -> None:
        request = licences.asked()
        address = reverse("admin:subsidy_requests_licenserequest_change", args=[request.pk])
        assert root.post(address, {"state": "fulfilled"}).status_code == 403
        assert b'name="state"' not in root.get(address).content


class TestUpkeep:
    def test_an_approval_is_published_again(self, root: Client, licences: Scene, monkeypatch: Any) -> None:
        request = licences.asked()
        licences.approve(request)
        act(root, LICENCES, "republish", request)
        assert outbox("request.approved") == 1, "what is not published yet is not doubled"
        monkeypatch.setattr("courses.eventbus.processor.run", lambda **_: None)
        from courses.eventbus import relay

        relay.run()
        act(root, LICENCES, "republish", request)
        assert outbox("request.approved") == 2
        assert (fresh(request).republish_count, request.attempt) == (1, 1)

    def test_only_what_is_stuck_is_given_up(self, root: Client, licences: Scene) -> None:
        request = licences.asked()
        licences.approve(request)
        act(root, LICENCES, "give_up", request)
        assert fresh(request).state == "approved"
        LicenseRequest.objects.update(republish_count=3)
        act(root, LICENCES, "give_up", request)
        assert (fresh(request).state, request.error_reason) == ("error", "given_up")

    def test_the_stuck_ones_are_found(self, root: Client, licences: Scene) -> None:
        stuck, other = licences.asked(), licences.asked(who=licences.another_learner())
        LicenseRequest.objects.filter(pk=stuck.pk).update(stuck_since=stuck.created_at)
        page = root.get(f"{LICENCES}?stuck=yes").content.decode()
        assert stuck.user.username in page
        assert other.user.username not in page


class TestLists:
    def test_filters_and_searches(self, root: Client, licences: Scene) -> None:
        own, other = licences.asked(), LicenseRequestFactory(state="declined")
        for query, seen, unseen in (
            (f"enterprise={licences.enterprise}", own, other),
            ("state=declined", other, own),
            (f"q={own.uuid}", own, other),
            (f"q={other.enterprise_customer_uuid}", other, own),
            (f"q={own.user.email}", own, other),
        ):
            page = root.get(f"{LICENCES}?{query}")
            assert [row.pk for row in page.context["cl"].result_list] == [seen.pk], query
            assert unseen.user.username not in page.content.decode()
        assert list(root.get(f"{LICENCES}?enterprise=x").context["cl"].result_list) == []

    def test_codes_are_masked(self, root: Client) -> None:
        request = CouponCodeRequestFactory(fulfilled=True)
        code = CouponCodeFactory(code="TOP-SECRET-9876")
        pages = [
            CODES,
            reverse("admin:subsidy_requests_couponcoderequest_change", args=[request.pk]),
            "/admin/subsidy_requests/couponcode/",
            reverse("admin:subsidy_requests_couponcode_change", args=[code.pk]),
        ]
        for address in pages:
            html = root.get(address).content.decode()
            assert request.coupon_code not in html
            assert code.code not in html
        assert "…1234" in root.get(pages[1]).content.decode()
        assert "…9876" in root.get(pages[3]).content.decode()

    def test_codes_are_found(self, root: Client) -> None:
        code = CouponCodeFactory(lms_user_id=4711, subsidy_request_uuid=uuid4(), status="assigned")
        CouponCodeFactory()
        for term in ("4711", str(code.subsidy_request_uuid), f"coupon={code.coupon_id}"):
            page = root.get(f"/admin/subsidy_requests/couponcode/?q={term}")
            assert [row.pk for row in page.context["cl"].result_list] == [code.pk], term
        assert list(root.get("/admin/subsidy_requests/couponcode/?q=zz").context["cl"].result_list) == []


class TestUpload:
    def test_lines_that_are_left_out_are_named(self, root: Client, boss: Any, codes: Scene) -> None:
        known = codes.coupon.codes.first()
        assert known is not None
        address = reverse("admin:subsidy_requests_coupon_upload", args=[codes.coupon.pk])
        text = f"NEW-1\r\n\r\n new-1 \r\nNEW-1\r\n{known.code}\r\nNEW-2"
        page = root.post(address, {"codes": text}, follow=True).content.decode()
        assert "3 codes were stored." in page
        assert "4 (repeats line 1), 5 (is known already)" in page
        assert set(codes.coupon.codes.values_list("code", flat=True)) >= {"NEW-1", "new-1", "NEW-2"}
        assert LogEntry.objects.get(object_id=str(codes.coupon.pk), user=boss)

    def test_it_has_a_permission_of_its_own(self, codes: Scene) -> None:
        address = reverse("admin:subsidy_requests_coupon_upload", args=[codes.coupon.pk])
        assert staff_with("view_coupon", "change_coupon").post(address, {"codes": "X"}).status_code == 403
        assert staff_with("view_coupon", "upload_couponcode").post(address, {"codes": "X"}).status_code == 302

    def test_taking_back_leaves_what_is_redeemed(self, root: Client, codes: Scene) -> None:
        free, redeemed = codes.coupon.codes.order_by("pk")[:2]
        CouponCode.objects.filter(pk=redeemed.pk).update(status="redeemed")
        act(root, "/admin/subsidy_requests/couponcode/", "void", free, redeemed)
        assert (fresh(free).status, fresh(redeemed).status) == ("void", "redeemed")


class TestConfiguration:
    def test_a_change_of_the_type_declines(self, root: Client, boss: Any, licences: Scene) -> None:
        request = licences.asked()
        address = reverse(
            "admin:subsidy_requests_subsidyrequestcustomerconfiguration_change", args=[licences.enterprise]
        )
        form = {
            "name": licences.customer.name,
            "slug": licences.customer.slug,
            "subsidy_requests_enabled": "on",
            "subsidy_type": "coupon",
            "contact_email": "",
        }
        assert root.post(address, form).status_code == 302
        customer = fresh(licences.customer)
        assert (customer.subsidy_type, customer.contact_email, customer.changed_by) == ("coupon", "", boss)
        assert (fresh(request).state, request.reviewer) == ("declined", boss)

    def test_a_new_one_is_stored_once(self, root: Client) -> None:
        enterprise = uuid4()
        form = {"enterprise_customer_uuid": str(enterprise), "name": "Harbour", "subsidy_type": ""}
        address = reverse("admin:subsidy_requests_subsidyrequestcustomerconfiguration_add")
        assert root.post(address, form).status_code == 302
        row = services.configure(enterprise, changed_by=UserFactory())
        assert (row.name, row.subsidy_type, row.attempt_auto_enrollment, row.history.count()) == (
            "Harbour",
            None,
            False,
            1,
        )

    def test_the_page_says_why_nobody_is_enrolled(self, root: Client, licences: Scene) -> None:
        address = reverse(
            "admin:subsidy_requests_subsidyrequestcustomerconfiguration_change", args=[licences.enterprise]
        )
        assert "the proposal to enrol learners upon approval was rejected" in root.get(address).content.decode()
