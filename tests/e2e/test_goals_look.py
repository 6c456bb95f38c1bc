"""How the weekly goal looks and what it is called, in a real browser. With `GOAL_PICTURES=docs/images` the tests named
`picture` also take the pictures of the documentation, `goal-widget.png` and `goal-celebration.png`."""

from __future__ import annotations

import os
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from django.test import override_settings
from playwright.sync_api import Page, expect

from courses.models import Course
from tests import factories

from .goals import (  # noqa: F401 - fixtures
    SAVE,
    Visit,
    ann_fixture,
    at_fixture,
    box,
    chosen,
    course_fixture,
    done,
    radio,
    said,
    visit_fixture,
)
from .look import faults, sideways

pytestmark = pytest.mark.django_db(transaction=True)

LONG = "Introducción a la microbiología-de-los-suelos-y-de-las-plantas (Supercalifragilisticexpialidocious)"
PICTURES = os.environ.get("GOAL_PICTURES")
MONDAY, TUESDAY = date(2021, 3, 1), date(2021, 3, 2)


def refused(page: Page) -> None:
    page.route(SAVE, lambda route: route.fulfill(status=500))
    page.get_by_role("radio").first.click()
    expect(page.locator("#goal-problem")).to_be_visible()


class TestLook:
    def states(self, visit: Visit, course: Course, ann: Any, **options: Any) -> dict[str, Page]:
        """The card in its fullest states."""
        Course.objects.update(title=LONG)
        opened = {"empty": visit(**options), "plain": visit(javascript=False, **options)}
        goal = factories.CourseGoalFactory(user=ann, course=course, days_per_week=4)
        opened["refused"] = visit(**options)
        refused(opened["refused"])
        opened["offered"] = visit("?weekly_goal=3", **options)
        expect(opened["offered"].locator("#goal-undo")).to_be_visible()
        opened["offered"].wait_for_selector("#goal-form:not([aria-busy])")
        goal.days_per_week = 1
        goal.save()
        done(ann, course, MONDAY)
        opened["reached"] = visit(**options)
        expect(opened["reached"].locator("#goal-reached")).to_be_visible()
        opened["missing"] = visit("../../none/home/", **options)
        opened["preview"] = visit("?preview=learner", user=factories.UserFactory(is_staff=True), **options)
        return opened

    @pytest.mark.parametrize("language", ["en", "es", "fr"])
    def test_case_078_every_state_can_be_read_and_touched(
        self, visit: Visit, course: Course, ann: Any, language: str
    ) -> None:
        for name, page in self.states(visit, course, ann, width=320, language=language).items():
            assert faults(page) == {}, name
            assert page.locator("h1").count() == page.locator("main").count() == 1, name
            # Who needs large letters has them twice as large.
            page.evaluate("document.documentElement.style.fontSize = '200%'")
            for width in (640, 320):
                page.set_viewport_size({"width": width, "height": 800})
                assert sideways(page) <= 0, (name, width)

    def test_a_page_from_the_right_is_a_mirror(self, visit: Visit, course: Course, ann: Any) -> None:
        with override_settings(LANGUAGES=[("en", "English"), ("ar", "Arabic")]):
            page = visit(width=320, language="ar")
            assert page.locator("html").get_attribute("dir") == "rtl"
            assert sideways(page) <= 0
            first, last = (page.locator(f".week li >> nth={place}").bounding_box() for place in (0, 6))
            assert first
            assert last
            assert first["x"] > last["x"]
            reminders = page.locator("#goal-reminders").bounding_box()
            assert reminders
            assert reminders["x"] > 160

    def test_nothing_moves_but_a_celebration(self, visit: Visit, ann: Any) -> None:
        page = visit()
        moving = (
            "[...document.querySelectorAll('*')].map(element => getComputedStyle(element))"
            ".filter(style => style.animationName !== 'none' || style.transitionDuration !== '0s').length"
        )
        assert page.evaluate(moving) == 0


class TestNames:
    def test_everything_has_its_name_and_its_role(self, visit: Visit, ann: Any, course: Course) -> None:
        done(ann, course, TUESDAY)
        page = visit()
        card = page.get_by_role("region", name="Your weekly goal")
        group = card.get_by_role("group", name="How many days a week do you want to study?")
        for name in ("Casual 1 day a week", "Regular 3 days a week", "Intense 5 days a week"):
            expect(group.get_by_role("radio", name=name, exact=True)).to_be_visible()
        expect(box(page)).to_have_accessible_description(
            "Choosing a goal turns reminders on. You can turn them off again."
        )
        expect(card.get_by_role("list", name="This week").get_by_role("listitem")).to_have_text(
            ["MonMonday", "Tue✓Tuesday: done", "Wed✓Wednesday, today: done"]
            + ["ThuThursday", "FriFriday", "SatSaturday", "SunSunday"]
        )
        expect(card.get_by_role("button")).to_have_count(0)
        expect(page.locator("#goal-said")).to_have_attribute("role", "status")

    @pytest.mark.parametrize(
        ("language", "goal", "told"),
        [("es", "Constante 3 días a la semana", "Tu objetivo: 3 días"), ("fr", "Régulier 3 jours", "Votre objectif")],
    )
    def test_speaks_other_languages(self, visit: Visit, ann: Any, language: str, goal: str, told: str) -> None:
        page = visit(language=language)
        radio(page, goal).check()
        said(page, told)
        assert chosen(page) == "3"


@pytest.mark.skipif(not PICTURES, reason="GOAL_PICTURES names no folder")
class TestPictures:
    @pytest.mark.parametrize(("width", "dark"), [(760, False), (320, False), (760, True)], ids=str)
    def test_picture(self, visit: Visit, ann: Any, course: Course, width: int, dark: bool) -> None:
        folder, suffix = Path(PICTURES or ""), "" if (width, dark) == (760, False) else f"-{width}{'-dark' * dark}"
        if suffix and folder.name == "images":
            pytest.skip("the documentation shows one size")
        done(ann, course, MONDAY)
        factories.CourseGoalFactory(user=ann, course=course, days_per_week=3)
        page = visit(width=width, dark=dark)
        page.locator("main").screenshot(path=folder / f"goal-widget{suffix}.png")
        done(ann, course, TUESDAY)
        page.emulate_media(reduced_motion="no-preference")
        page.reload()
        page.wait_for_timeout(900)
        page.locator("main").screenshot(path=folder / f"goal-celebration{suffix}.png")
