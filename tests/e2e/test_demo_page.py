"""The demo's page in a real browser: its buttons, the mails that follow, and how it looks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection
from playwright.sync_api import Page, expect

from courses.models import Course
from email_automation.models import EmailLog
from lms.demo import fence, ground
from tests import factories

from .conftest import OpenPage
from .look import faults

pytestmark = pytest.mark.django_db(transaction=True)

PATH = "/demo/"
LONG = "Introducción a la microbiología-de-los-suelos-y-de-las-plantas (Supercalifragilisticexpialidocious)"
#: What each button is called, and how the subject of its mail begins.
BUTTONS = {
    "Enrol in a course": "You are enrolled",
    "Pay for a course": "Payment received",
    "Attend a demo class": "After your demo class",
    "Publish new content": "New in",
}


@pytest.fixture(autouse=True)
def demo(settings: Any) -> Iterator[None]:
    """The test's own database as a demo's, with a learner, and the settings that it is served with."""
    if connection.vendor != "sqlite":
        pytest.skip("the demo's database is SQLite")
    settings.DEBUG = True
    for name, value in fence.STAY_HERE.items():
        setattr(settings, name, value)
    factories.SiteConfigurationFactory(site=factories.platform_site(), org_filter=["HarbourX"])
    for number in ("NAV101", "WTR110"):
        factories.CourseFactory(org="HarbourX", number=number, title=f"{number} {LONG}")
    person = factories.UserFactory(first_name="Ada", last_name="Whitcombe")
    factories.EnrollmentFactory(user=person, course=Course.objects.earliest("pk"))
    mark(ground.OWNER)
    yield
    mark(0)


def mark(number: int) -> None:
    """Write into the database whose it is."""
    with connection.cursor() as cursor:
        cursor.execute(f"PRAGMA application_id = {number}")


def press(page: Page, button: str) -> None:
    """Press a button and wait for what the page says."""
    page.get_by_role("button", name=button).click()
    page.wait_for_selector("[role=status]")


@pytest.mark.parametrize("button", BUTTONS)
def test_each_button_leads_to_its_mail_in_the_outbox_without_javascript(open_page: OpenPage, button: str) -> None:
    page = open_page(PATH)
    for number in (1, 2):
        press(page, button)
        note = page.get_by_role("status")
        expect(note).to_contain_text("One mail went out.")
        expect(note.get_by_role("listitem")).to_contain_text(re.compile(r"to \S+@example\.com: ✓ sent"))
        expect(page.locator(".rows tbody tr")).to_have_count(number)
    page.get_by_role("status").get_by_role("link").click()
    expect(page.get_by_role("heading", level=1)).to_have_text(re.compile(f"^{BUTTONS[button]}"))
    page.get_by_role("link", name="Outbox").click()
    rows = page.locator(".rows tbody tr")
    expect(rows).to_have_count(2)
    expect(rows.first).to_contain_text(BUTTONS[button])
    page.get_by_role("link", name="Let something happen").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Let something happen")


def test_it_is_used_with_the_keyboard_alone(open_page: OpenPage) -> None:
    page = open_page(PATH, javascript=True)
    for _ in range(20):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.textContent") == "Pay for a course":
            break
    assert page.evaluate("getComputedStyle(document.activeElement).outlineWidth") == "3px"
    page.keyboard.press("Enter")
    page.wait_for_selector("[role=status]")
    assert page.evaluate("document.activeElement.getAttribute('role')") == "status"
    assert EmailLog.objects.get().email_type == "payment_confirmation"
    # The mail is what comes next.
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent").startswith("Payment received")


def test_reloading_presses_nothing_again(open_page: OpenPage) -> None:
    page = open_page(PATH)
    press(page, "Enrol in a course")
    page.reload()
    expect(page.get_by_role("status")).to_have_count(0)
    assert EmailLog.objects.count() == 1


class TestLook:
    @pytest.fixture
    def pressed(self, open_page: OpenPage) -> Page:
        """The page after a button was pressed on it."""
        page = open_page(PATH, javascript=True)
        press(page, "Enrol in a course")
        return page

    def test_it_can_be_read_and_touched(self, pressed: Page) -> None:
        assert faults(pressed) == {}

    def test_it_has_one_heading_and_every_button_is_described(self, pressed: Page) -> None:
        page = pressed
        assert page.locator("h1").count() == page.locator("main").count() == 1
        for button in BUTTONS:
            described = page.get_by_role("button", name=button).get_attribute("aria-describedby")
            expect(page.locator(f"#{described}")).to_be_visible()
        assert page.title().startswith("Done – ")
