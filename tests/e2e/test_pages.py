"""The pages behind the links of a mail, in a real browser."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.sites.models import Site
from django.test import override_settings
from django.urls import reverse
from django.utils import timezone

from email_automation import consent
from email_automation.models import CourseOptOut, EmailLog, EmailPreference, pack_content
from tests import factories

from .conftest import OpenPage
from .look import faults, sideways

pytestmark = pytest.mark.django_db(transaction=True)

LONG = "Introducción a la microbiología-de-los-suelos-y-de-las-plantas (Supercalifragilisticexpialidocious)"
MAIL = (
    '<!DOCTYPE html><html lang="en"><body style="margin:0"><p id="hello">Dear Ada</p><script>document.body.id="ran"'
    '</script><img src="https://tracker.example.com/pixel.gif" alt=""><a href="/admin/">go</a></body></html>'
)


@pytest.fixture(autouse=True)
def _site() -> None:
    """Emptied tables take the default site with them."""
    factories.platform_site()


@pytest.fixture
def ann() -> Any:
    user = factories.UserFactory()
    for title in ("Basket weaving", LONG):
        factories.EnrollmentFactory(user=user, course__title=title)
    return user


def stop_path(user: Any) -> str:
    return reverse("email_automation:unsubscribe", args=[consent.unsubscribe_token(user.pk, "reminder", {})])


def choice_path(user: Any) -> str:
    return reverse("email_automation:preferences", args=[consent.preferences_token(user.pk)])


@pytest.fixture
def sent(ann: Any, settings: Any) -> EmailLog:
    # The outbox is open to anybody while developing.
    settings.DEBUG = True
    now = timezone.now()
    return EmailLog.objects.create(
        recipient=ann,
        email_type="recurringnudge_day3",
        to_address="a-rather-long-address-of-somebody@department.university.example.com",
        category="reminder",
        subject="Keep going: " + LONG,
        status="sent",
        site=Site.objects.get(pk=settings.SITE_ID),
        instant=now,
        expires_at=now + timedelta(days=1),
        content=pack_content(
            {"subject": "s", "html": MAIL, "text": "Dear Ada " + "x" * 300, "headers": {"X": "y" * 300}}
        ),
    )


@pytest.fixture
def paths(ann: Any, sent: EmailLog) -> list[str]:
    stopped = factories.UserFactory()
    consent.opt_out(stopped.pk, "reminder", source="one-click")
    suppressed = factories.UserFactory()
    EmailPreference.objects.create(user=suppressed, suppressed_at=timezone.now())
    return [
        stop_path(ann),
        stop_path(stopped),
        choice_path(ann),
        choice_path(suppressed),
        "/email/unsubscribe/garbage/",
        "/email/test-mail/",
        "/email/outbox/",
        f"/email/outbox/{sent.pk}/",
    ]


class TestKeyboard:
    def test_unsubscribing_takes_one_tab_and_one_key(self, open_page: OpenPage, ann: Any) -> None:
        page = open_page(stop_path(ann))
        assert EmailPreference.of(ann.pk).reminder_emails
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        page.wait_for_selector("[role=status]")
        assert "You are unsubscribed" in page.title()
        assert not EmailPreference.of(ann.pk).reminder_emails
        assert page.context.cookies() == []

    def test_preferences_are_chosen_and_saved_with_the_keyboard_alone(self, open_page: OpenPage, ann: Any) -> None:
        page = open_page(choice_path(ann), javascript=True)
        for _ in range(40):
            page.keyboard.press("Tab")
            name = page.evaluate("document.activeElement.name || document.activeElement.type")
            if name == "goal_emails":
                page.keyboard.press("Space")
            elif name == "submit":
                break
        page.keyboard.press("Enter")
        page.wait_for_selector("[role=status]")
        assert page.evaluate("document.activeElement.getAttribute('role')") == "status"
        preference = EmailPreference.of(ann.pk)
        assert (preference.goal_emails, preference.reminder_emails) == (False, True)

    def test_what_has_the_focus_shows_it(self, open_page: OpenPage, ann: Any) -> None:
        page = open_page(choice_path(ann), javascript=True)
        page.keyboard.press("Tab")
        width = page.evaluate("getComputedStyle(document.activeElement).outlineWidth")
        assert width == "3px"


class TestWithoutJavaScript:
    def test_a_course_is_stopped_and_everything_off_and_on_again(self, open_page: OpenPage, ann: Any) -> None:
        page = open_page(choice_path(ann))
        page.get_by_label("No mail about this course: Basket weaving").check()
        page.get_by_label("No mail at all").check()
        page.get_by_role("button", name="Save").click()
        page.wait_for_selector("[role=status]")
        assert CourseOptOut.objects.get().course.title == "Basket weaving"
        assert not EmailPreference.of(ann.pk).is_subscribed
        assert page.get_by_label("No mail at all").is_checked()
        page.get_by_label("No mail at all").uncheck()
        page.get_by_role("button", name="Save").click()
        page.wait_for_selector("[role=status]")
        assert EmailPreference.of(ann.pk).is_subscribed

    def test_the_logged_in_variant_saves_and_comes_back(self, open_page: OpenPage, ann: Any, client: Any) -> None:
        client.force_login(ann)
        page = open_page("/email/preferences/", cookies=client.cookies)
        page.get_by_label("Weekly goal reminders").uncheck()
        page.get_by_role("button", name="Save").click()
        page.wait_for_selector("[role=status]")
        assert not EmailPreference.of(ann.pk).goal_emails

    def test_the_outbox_shows_a_mail_narrow_and_wide(self, open_page: OpenPage, sent: EmailLog) -> None:
        page = open_page(f"/email/outbox/{sent.pk}/")
        frame = page.locator("iframe")
        wide = frame.bounding_box()
        page.get_by_label("narrow, as on a phone").check()
        narrow = frame.bounding_box()
        assert wide
        assert narrow
        assert narrow["width"] <= 376 < wide["width"]


def test_a_mail_in_the_outbox_runs_and_fetches_nothing(open_page: OpenPage, sent: EmailLog) -> None:
    page = open_page(f"/email/outbox/{sent.pk}/", javascript=True)
    body = page.frame_locator("iframe")
    assert body.locator("#hello").inner_text() == "Dear Ada"
    assert body.locator("#ran").count() == 0


@pytest.mark.parametrize("path", ["/email/outbox/{}/", "/admin/email_automation/emaillog/{}/change/"])
def test_staff_see_the_mail_in_its_frame(
    open_page: OpenPage, sent: EmailLog, settings: Any, client: Any, path: str
) -> None:
    settings.DEBUG = False
    client.force_login(factories.UserFactory(admin=True))
    page = open_page(path.format(sent.pk), cookies=client.cookies)
    assert page.frame_locator("iframe").locator("#hello").inner_text() == "Dear Ada"
    box = page.locator("iframe").bounding_box()
    assert box
    assert box["width"] > 500


class TestLook:
    @pytest.mark.parametrize("language", ["en", "es", "fr"])
    def test_every_page_can_be_read_and_touched(self, open_page: OpenPage, paths: list[str], language: str) -> None:
        for path in paths:
            page = open_page(path, width=320, language=language, javascript=True)
            assert faults(page) == {}, path
            assert page.locator("h1").count() == page.locator("main").count() == 1, path
            nameless = page.evaluate(
                "[...document.querySelectorAll('input:not([type=hidden]), iframe')]"
                ".filter(field => !(field.labels?.[0]?.textContent || field.title).trim()).length"
            )
            assert nameless == 0, path

    def test_dark_mode_is_dark(self, open_page: OpenPage, ann: Any) -> None:
        backgrounds = [
            open_page(stop_path(ann), dark=dark, javascript=True).evaluate(
                "getComputedStyle(document.body).backgroundColor"
            )
            for dark in (False, True)
        ]
        assert backgrounds[0] != backgrounds[1]

    def test_a_page_from_the_right_is_a_mirror(self, open_page: OpenPage, ann: Any) -> None:
        with override_settings(LANGUAGES=[("en", "English"), ("ar", "Arabic")]):
            page = open_page(choice_path(ann), width=320, language="ar", javascript=True)
            assert page.locator("html").get_attribute("dir") == "rtl"
            assert sideways(page) == 0
            box, text = (page.locator(f".choice {tag}").first.bounding_box() for tag in ("input", "span"))
            assert box
            assert text
            assert box["x"] > text["x"]
