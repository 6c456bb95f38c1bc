"""The course outline on which authors write highlights, in a real browser."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.test import override_settings
from django.urls import reverse
from playwright.sync_api import Page, expect
from waffle import get_waffle_switch_model

from courses.models import Course, Section
from schedules.views import SWITCH
from tests import factories

from .conftest import OpenPage
from .look import faults, sideways

pytestmark = pytest.mark.django_db(transaction=True)

LONG = "Introducción a la microbiología-de-los-suelos-y-de-las-plantas (Supercalifragilisticexpialidocious)"
EMOJI = "\N{GRINNING FACE}"


@pytest.fixture(autouse=True)
def _site() -> None:
    """Emptied tables take the default site with them."""
    factories.platform_site()


@pytest.fixture
def course() -> Course:
    get_waffle_switch_model().objects.create(name=SWITCH, active=True)
    course: Course = factories.CourseFactory(title=LONG)
    for index, texts in enumerate((["How soil lives", "Your first sample"], [], ["x" * 250])):
        factories.SectionFactory(course=course, index=index, title=f"Part {index} {LONG}", highlights=texts)
    return course


@pytest.fixture
def cookies(course: Course, client: Any) -> Any:
    author = factories.UserFactory(is_staff=True)
    author.user_permissions.add(Permission.objects.get(codename="change_section", content_type__app_label="courses"))
    client.force_login(author)
    return client.cookies


def outline_path(course: Course) -> str:
    return reverse("schedules:outline", args=[course.key])


def part(course: Course, index: int) -> Section:
    return Section.objects.get(course=course, index=index)


def edit_path(course: Course, index: int) -> str:
    return reverse("schedules:highlights", args=[course.key, part(course, index).pk])


def tab_to(page: Page, name: str) -> None:
    """Press Tab until what has the focus is called `name`."""
    for _ in range(40):
        page.keyboard.press("Tab")
        found = page.evaluate("(document.activeElement.labels?.[0] ?? document.activeElement).textContent")
        if " ".join(found.split()).startswith(name):
            return
    raise AssertionError(f"no {name} within reach")


def focused(page: Page) -> str:
    return str(page.evaluate("document.activeElement.id"))


def open_editor(page: Page, section: Section) -> None:
    page.locator(f"#edit-{section.pk}").click()
    page.wait_for_selector("dialog[open]")


class TestKeyboard:
    def test_texts_are_written_and_saved_and_the_focus_comes_back(
        self, open_page: OpenPage, course: Course, cookies: Any
    ) -> None:
        page = open_page(outline_path(course), javascript=True, cookies=cookies)
        section = part(course, 1)
        tab_to(page, "Highlights: Part 1")
        page.keyboard.press("Enter")
        page.wait_for_selector("dialog[open]")
        assert focused(page) == "text-1"
        page.keyboard.type("A walk in the field")
        tab_to(page, "Add a highlight")
        page.keyboard.press("Space")
        assert focused(page) == "text-2"
        page.keyboard.type("A look from above")
        tab_to(page, "Save")
        page.keyboard.press("Enter")
        page.wait_for_selector("dialog", state="hidden")
        expect(page.locator("#said")).to_have_text("The highlights are saved.")
        assert focused(page) == f"edit-{section.pk}"
        assert part(course, 1).highlights == ["A walk in the field", "A look from above"]
        card = page.locator(f"#section-{section.pk}")
        expect(card).to_contain_text("Week 2:")
        expect(card.locator("li")).to_have_text(["A walk in the field", "A look from above"])

    @pytest.mark.parametrize("way", ["Escape", "Cancel"])
    def test_cancelling_writes_nothing_and_the_focus_comes_back(
        self, open_page: OpenPage, course: Course, cookies: Any, way: str
    ) -> None:
        page = open_page(outline_path(course), javascript=True, cookies=cookies)
        section = part(course, 0)
        for _ in range(2):
            page.locator(f"#edit-{section.pk}").focus()
            page.keyboard.press("Space")
            page.wait_for_selector("dialog[open]")
            # What was typed before is forgotten.
            assert page.locator("#text-1").input_value() == "How soil lives"
            page.keyboard.type("typed")
            if way == "Cancel":
                tab_to(page, "Cancel")
            page.keyboard.press("Escape" if way == "Escape" else "Enter")
            page.wait_for_selector("dialog", state="hidden")
            page.wait_for_function(f"document.activeElement.id === 'edit-{section.pk}'")
        assert part(course, 0).highlights == ["How soil lives", "Your first sample"]

    def test_the_focus_stays_in_the_dialog(self, open_page: OpenPage, course: Course, cookies: Any) -> None:
        page = open_page(outline_path(course), javascript=True, cookies=cookies)
        open_editor(page, part(course, 0))
        for _ in range(15):
            page.keyboard.press("Tab")
            inside = "document.activeElement === document.body || !!document.activeElement.closest('dialog')"
            assert page.evaluate(inside)

    def test_messaging_is_turned_on_after_a_question(self, open_page: OpenPage, course: Course, cookies: Any) -> None:
        page = open_page(outline_path(course), javascript=True, cookies=cookies)
        tab_to(page, "Turn on")
        page.keyboard.press("Enter")
        page.wait_for_selector("dialog[open]")
        assert focused(page) == "editor-title"
        course.refresh_from_db()
        assert not course.highlights_enabled_for_messaging
        tab_to(page, "Turn on")
        page.keyboard.press("Enter")
        page.wait_for_selector("dialog", state="hidden")
        expect(page.locator("#said")).to_have_text("The weekly highlights mail is on.")
        assert focused(page) == "turn"
        expect(page.locator("#turn")).to_contain_text("Turn off")
        course.refresh_from_db()
        assert course.highlights_enabled_for_messaging


class TestDialog:
    def test_it_is_a_dialog_with_a_name_and_its_fields_have_labels(
        self, open_page: OpenPage, course: Course, cookies: Any
    ) -> None:
        page = open_page(outline_path(course), javascript=True, cookies=cookies)
        section = part(course, 0)
        expect(page.locator(f"#edit-{section.pk}")).to_have_attribute("aria-haspopup", "dialog")
        open_editor(page, section)
        expect(page.get_by_role("dialog", name=f"Highlights: {section.title}")).to_be_visible()
        expect(page.get_by_label("Highlight 1", exact=True)).to_have_value("How soil lives")
        expect(page.get_by_label("Highlight 3", exact=True)).to_be_visible()
        expect(page.get_by_label("Highlight 4", exact=True)).to_be_hidden()

    def test_it_counts_what_is_typed_as_the_server_does(
        self, open_page: OpenPage, course: Course, cookies: Any
    ) -> None:
        page = open_page(outline_path(course), javascript=True, cookies=cookies)
        open_editor(page, part(course, 0))
        count = page.locator("#count-1")
        expect(count).to_have_text("Characters: 14 of 250")
        for text, said in (
            ("", "Characters: 0 of 250"),
            ("  a\n  b  ", "Characters: 3 of 250"),
            (EMOJI * 250, "Characters: 250 of 250"),
            (EMOJI * 251, "Characters: 251 of 250, too long"),
            ("e\N{COMBINING ACUTE ACCENT}", "Characters: 2 of 250"),
        ):
            page.locator("#text-1").fill(text)
            expect(count).to_have_text(said)
        expect(page.locator("#text-1")).to_have_attribute("aria-describedby", "count-1")

    def test_a_refusal_is_shown_focused_and_tied_to_its_field(
        self, open_page: OpenPage, course: Course, cookies: Any
    ) -> None:
        page = open_page(outline_path(course), javascript=True, cookies=cookies)
        open_editor(page, part(course, 0))
        page.locator("#text-2").fill("y" * 251)
        page.get_by_role("button", name="Save").click()
        expect(page.locator("#problem")).to_be_focused()
        said = f"Highlight 2, “{'y' * 30}…”, has 251 characters. At most 250 are allowed."
        expect(page.get_by_role("alert")).to_contain_text(said)
        field = page.locator("#text-2")
        expect(field).to_have_attribute("aria-invalid", "true")
        expect(field).to_have_accessible_description(f"{said} Characters: 251 of 250, too long")
        assert part(course, 0).highlights == ["How soil lives", "Your first sample"]
        page.get_by_role("link", name=said).click()
        expect(field).to_be_focused()
        field.fill("mended")
        page.get_by_role("button", name="Save").click()
        page.wait_for_selector("dialog", state="hidden")
        assert part(course, 0).highlights == ["How soil lives", "mended"]

    def test_somebody_elses_newer_texts_are_shown_before_they_are_replaced(
        self, open_page: OpenPage, course: Course, cookies: Any
    ) -> None:
        page = open_page(outline_path(course), javascript=True, cookies=cookies)
        open_editor(page, part(course, 0))
        Section.objects.filter(course=course, index=0).update(highlights=["<i>theirs</i>"])
        page.locator("#text-1").fill("mine")
        page.get_by_role("button", name="Save").click()
        expect(page.locator("#problem")).to_be_focused()
        expect(page.locator("#stored li")).to_have_text(["<i>theirs</i>"])
        assert part(course, 0).highlights == ["<i>theirs</i>"]
        page.get_by_role("button", name="Save").click()
        page.wait_for_selector("dialog", state="hidden")
        assert part(course, 0).highlights == ["mine", "Your first sample"]

    def test_it_opens_with_what_is_stored_by_then(self, open_page: OpenPage, course: Course, cookies: Any) -> None:
        page = open_page(outline_path(course), javascript=True, cookies=cookies)
        Section.objects.filter(course=course, index=0).update(highlights=["newer"])
        open_editor(page, part(course, 0))
        expect(page.locator("#text-1")).to_have_value("newer")

    @pytest.mark.parametrize(("status", "kind"), [(500, "text/html"), (502, "text/plain"), (403, "text/html")])
    def test_an_answer_that_is_none_keeps_the_texts(
        self, open_page: OpenPage, course: Course, cookies: Any, status: int, kind: str
    ) -> None:
        page = open_page(outline_path(course), javascript=True, cookies=cookies)
        open_editor(page, part(course, 0))
        page.route(f"**{edit_path(course, 0)}", lambda route: route.fulfill(status=status, content_type=kind, body="-"))
        page.locator("#text-1").fill("precious")
        page.get_by_role("button", name="Save").click()
        expect(page.locator("#problem")).to_be_focused()
        expect(page.locator("#problem")).to_contain_text("Nothing is saved: the server did not answer as expected.")
        expect(page.locator("#text-1")).to_have_value("precious")

    def test_who_is_logged_out_meanwhile_is_told(
        self, open_page: OpenPage, course: Course, cookies: Any, client: Any
    ) -> None:
        page = open_page(outline_path(course), javascript=True, cookies=cookies)
        open_editor(page, part(course, 0))
        client.session.flush()
        page.get_by_role("button", name="Save").click()
        expect(page.locator("#problem")).to_contain_text("You are logged out.")

    def test_who_opens_it_logged_out_is_led_to_log_in(
        self, open_page: OpenPage, course: Course, cookies: Any, client: Any
    ) -> None:
        page = open_page(outline_path(course), javascript=True, cookies=cookies)
        client.session.flush()
        page.locator(f"#edit-{part(course, 0).pk}").click()
        page.wait_for_url("**/accounts/login/**")

    def test_all_ten_fields_can_be_added_and_no_more(self, open_page: OpenPage, course: Course, cookies: Any) -> None:
        page = open_page(outline_path(course), javascript=True, cookies=cookies)
        open_editor(page, part(course, 1))
        add = page.get_by_role("button", name="Add a highlight")
        for number in range(2, 11):
            add.click()
            assert focused(page) == f"text-{number}"
        expect(add).to_be_hidden()


class TestWithoutJavaScript:
    def test_highlights_are_written_on_a_page_of_their_own(
        self, open_page: OpenPage, course: Course, cookies: Any
    ) -> None:
        page = open_page(outline_path(course), cookies=cookies)
        section = part(course, 1)
        page.locator(f"#edit-{section.pk}").click()
        page.wait_for_url(f"**{edit_path(course, 1)}*")
        page.get_by_label("Highlight 2", exact=True).fill("y" * 251)
        page.get_by_role("button", name="Save").click()
        expect(page.locator("#problem")).to_contain_text("has 251 characters")
        expect(page.get_by_label("Highlight 2", exact=True)).to_have_value("y" * 251)
        page.get_by_label("Highlight 2", exact=True).fill("short")
        page.get_by_role("button", name="Save").click()
        expect(page.locator(f"#section-{section.pk} [role=status]")).to_have_text("Saved.")
        assert part(course, 1).highlights == ["short"]

    def test_cancel_leads_back_and_writes_nothing(self, open_page: OpenPage, course: Course, cookies: Any) -> None:
        page = open_page(edit_path(course, 0), cookies=cookies)
        page.get_by_label("Highlight 1", exact=True).fill("typed")
        page.get_by_role("button", name="Cancel").click()
        page.wait_for_url(f"**{outline_path(course)}*")
        assert part(course, 0).highlights == ["How soil lives", "Your first sample"]

    def test_messaging_is_turned_on_on_a_page_of_its_own(
        self, open_page: OpenPage, course: Course, cookies: Any
    ) -> None:
        page = open_page(outline_path(course), cookies=cookies)
        page.get_by_role("button", name="Turn on").click()
        expect(page.get_by_role("heading")).to_have_text("Turn the weekly highlights mail on?")
        page.get_by_role("button", name="Turn on").click()
        expect(page.locator("#outline")).to_contain_text("On.")
        course.refresh_from_db()
        assert course.highlights_enabled_for_messaging


def refused(page: Page) -> None:
    """Bring an open editor into its fullest state: a fault, a conflict and all fields."""
    page.locator("#text-1").fill("y" * 251)
    page.get_by_role("button", name="Save").click()
    expect(page.locator("#problem")).to_be_visible()


class TestLook:
    def states(self, open_page: OpenPage, course: Course, cookies: Any, **options: Any) -> dict[str, Page]:
        """Every page, and the dialogs, in their fullest states."""
        opened = {
            path: open_page(path, javascript=True, cookies=cookies, **options)
            for path in (
                outline_path(course),
                f"{outline_path(course)}?saved=messaging",
                edit_path(course, 0),
                reverse("schedules:messaging", args=[course.key]),
                "/courses/none/outline/",
            )
        }
        editor = open_page(outline_path(course), javascript=True, cookies=cookies, **options)
        open_editor(editor, part(course, 2))
        refused(editor)
        question = open_page(outline_path(course), javascript=True, cookies=cookies, **options)
        question.locator("#turn").click()
        question.wait_for_selector("dialog[open]")
        plain = open_page(edit_path(course, 0), cookies=cookies, **options)
        refused(plain)
        return opened | {"editor": editor, "question": question, "plain": plain}

    def test_every_state_can_be_read_and_touched(self, open_page: OpenPage, course: Course, cookies: Any) -> None:
        for name, page in self.states(open_page, course, cookies, width=320).items():
            inner = "[...document.querySelectorAll('dialog')].map(box => box.scrollWidth - box.clientWidth)"
            assert all(pixels <= 0 for pixels in page.evaluate(inner)), name
            assert faults(page) == {}, name
            assert all(pixels <= 0 for pixels in page.evaluate(inner)), name

    @pytest.mark.parametrize("language", ["es", "fr"])
    def test_longer_words_fit_too(self, open_page: OpenPage, course: Course, cookies: Any, language: str) -> None:
        for path in (edit_path(course, 2), outline_path(course)):
            page = open_page(path, width=320, language=language, cookies=cookies, javascript=True)
            assert faults(page) == {}, path

    def test_every_field_has_a_name_and_every_page_one_heading(
        self, open_page: OpenPage, course: Course, cookies: Any
    ) -> None:
        for path in (outline_path(course), edit_path(course, 0), reverse("schedules:messaging", args=[course.key])):
            page = open_page(path, javascript=True, cookies=cookies)
            assert page.locator("h1").count() == page.locator("main").count() == 1, path
            nameless = "[...document.querySelectorAll('textarea')].filter(field => !field.labels[0]).length"
            assert page.evaluate(nameless) == 0, path

    def test_nothing_moves(self, open_page: OpenPage, course: Course, cookies: Any) -> None:
        page = open_page(outline_path(course), javascript=True, cookies=cookies)
        open_editor(page, part(course, 0))
        moving = (
            "[...document.querySelectorAll('*')].map(element => getComputedStyle(element))"
            ".filter(style => style.animationName !== 'none' || style.transitionDuration !== '0s').length"
        )
        assert page.evaluate(moving) == 0

    def test_a_page_from_the_right_is_a_mirror(self, open_page: OpenPage, course: Course, cookies: Any) -> None:
        with override_settings(LANGUAGES=[("en", "English"), ("ar", "Arabic")]):
            page = open_page(outline_path(course), width=320, language="ar", javascript=True, cookies=cookies)
            assert page.locator("html").get_attribute("dir") == "rtl"
            open_editor(page, part(course, 0))
            assert sideways(page) <= 0
            save, cancel = (page.locator(f"dialog .actions button >> nth={place}").bounding_box() for place in (0, 1))
            assert save
            assert cancel
            assert save["x"] > cancel["x"]
            # A text stands in its own direction.
            direction = "getComputedStyle(document.getElementById('text-1')).direction"
            assert page.evaluate(direction) == "ltr"
