"""An operator decides about requests and uploads codes, in a real browser …"""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from tests.e2e.conftest import OpenPage
from tests.e2e.look import sideways
from tests.factories import UserFactory
from tests.subsidy_requests.scene import Scene, fresh

pytestmark = pytest.mark.django_db(transaction=True)

LIST = "/admin/subsidy_requests/couponcoderequest/"


@pytest.fixture
def cookies() -> Any:
    """The session of somebody who may everything."""
    client = Client()
    client.force_login(UserFactory(admin=True))
    return client.cookies


def test_approves_from_a_coupon(open_page: OpenPage, cookies: Any) -> None:
    scene = Scene("coupon")
    request = scene.asked()
    page = open_page(LIST, cookies=cookies, width=1300, javascript=True)
    page.check(f"input[name=_selected_action][value='{request.pk}']")
    page.select_option("select[name=action]", "approve")
    page.click("button[name=index]")
    assert page.text_content("h1") == "Approve these requests?"
    page.fill("input[name=coupon_id]", str(scene.coupon.pk))
    page.click("text=Approve >> nth=-1")
    assert "1 request was changed." in (page.text_content(".messagelist") or "")
    assert fresh(request).state == "fulfilled"
    shown = page.text_content("#result_list") or ""
    assert request.course_id in shown


def test_uploads_codes_and_reads_which_were_left_out(open_page: OpenPage, cookies: Any) -> None:
    scene = Scene("coupon", codes=0)
    address = reverse("admin:subsidy_requests_coupon_change", args=[scene.coupon.pk])
    page = open_page(address, cookies=cookies, width=1300)
    page.click("text=Upload codes")
    page.fill("textarea[name=codes]", "AAA-1\nAAA-2\nAAA-1")
    page.click("input[value=Upload]")
    told = page.text_content(".messagelist") or ""
    assert "2 codes were stored." in told
    assert "3 (repeats line 1)" in told
    assert scene.coupon.codes.count() == 2
    assert sideways(page) == 0
