"""The pages about messages that go out as campaigns, in a real browser: ours and the stand-in's own."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import requests
from django.contrib.sites.models import Site
from django.utils import timezone
from playwright.sync_api import Browser, Page

from email_automation.braze_standin import defaults
from email_automation.braze_standin.server import BrazeStandIn
from email_automation.channels import CAMPAIGN_CHANNEL
from email_automation.models import EmailLog, pack_content
from tests import factories

from .conftest import TIMEOUT, OpenPage
from .look import faults, looks

pytestmark = pytest.mark.django_db(transaction=True)

LONG = "Supercalifragilisticexpialidocious-" * 4

Look = Callable[..., Page]


@pytest.fixture
def delivered(braze: BrazeStandIn, settings: Any) -> EmailLog:
    """One message that arrived, of which the log has a mail, and one that did not arrive."""
    # The outbox is open to anybody while developing.
    settings.DEBUG = True
    factories.platform_site()
    person = factories.UserFactory(email="a-rather-long-address-of-somebody@department.university.example.com")
    answer = requests.post(
        f"{braze.url}/campaigns/trigger/send",
        json={
            "campaign_id": defaults.CAMPAIGNS["license_utilization_75"],
            "trigger_properties": {
                "enterprise_customer_name": LONG,
                "allocated_license_count": 75,
                "total_license_count": 100,
            },
            "recipients": [
                {
                    "external_user_id": str(person.pk),
                    "trigger_properties": {"user_name": person.username},
                    "send_to_existing_only": False,
                    "attributes": {"email": person.email},
                },
                {"external_user_id": "nobody-knows-this-one"},
            ],
        },
        headers={"Authorization": f"Bearer {defaults.KEY}"},
        timeout=5,
    )
    now = timezone.now()
    return EmailLog.objects.create(
        recipient=person,
        email_type="recurringnudge_day3",
        to_address=person.email,
        category="admin",
        subject="75 % of your licences are in use",
        status="sent",
        site=Site.objects.get(pk=settings.SITE_ID),
        instant=now,
        expires_at=now + timedelta(days=1),
        channel=CAMPAIGN_CHANNEL,
        provider_message_id=answer.json()["dispatch_id"],
        content=pack_content({"subject": "s", "html": "<p id='n'>75 of 100</p>", "text": "75 of 100", "headers": {}}),
    )


def judge(page: Page, name: str) -> None:
    """Fail where the page scrolls sideways, is hard to read or to touch; keep pictures of it where some are wanted."""
    if folder := os.environ.get("CADENCE_TEST_PICTURES"):
        for look in looks(page):
            page.screenshot(path=f"{folder}/{name}-{look}.png", full_page=True)
    assert faults(page) == {}


@pytest.mark.parametrize("path", ["/email/outbox/braze/", "/email/outbox/{}/"])
def test_our_pages_can_be_read_and_touched(open_page: OpenPage, delivered: EmailLog, path: str) -> None:
    judge(open_page(path.format(delivered.pk)), "list" if "braze" in path else "mail")


def test_the_stand_ins_page_can_be_read_and_touched(browser: Browser, braze: BrazeStandIn, delivered: EmailLog) -> None:
    context = browser.new_context(java_script_enabled=False)
    context.set_default_timeout(TIMEOUT)
    page = context.new_page()
    page.goto(braze.page_url)
    page.get_by_text("POST /campaigns/trigger/send").click()
    judge(page, "standin")
    page.get_by_role("button", name="Forget everything").click()
    page.wait_for_selector("text=No message yet.")
    assert braze.requests == []
    context.close()


def test_the_preview_opens_without_javascript(open_page: OpenPage, delivered: EmailLog) -> None:
    page = open_page("/email/outbox/braze/")
    assert not page.locator("iframe").is_visible()
    page.locator("summary").click()
    assert page.frame_locator("iframe").locator("#n").inner_text() == "75 of 100"
