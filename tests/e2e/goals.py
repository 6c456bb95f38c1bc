"""What the browser tests of weekly goals begin with, and what they ask of the page."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from typing import Any
from urllib.parse import urljoin

import pytest
from django.utils import timezone
from playwright.sync_api import Page, Route, expect

from course_goals.models import CourseGoal
from courses.models import Course
from tests import factories
from tests.course_goals import scene

from .conftest import OpenPage

SAVE = "**/api/course_home/save_course_goal"
#: A file to begin with, so that a test can listen before the page itself is opened.
EMPTY = "/static/course_goals/home.css"

Visit = Callable[..., Page]
Goal = tuple[int, bool]


@pytest.fixture(name="at")
def at_fixture(monkeypatch: Any) -> Any:
    """Move the application's clock; the browser and this test keep theirs."""

    def moved(now: datetime) -> None:
        monkeypatch.setattr(timezone, "now", lambda: now)

    moved(scene.WEDNESDAY)
    return moved


@pytest.fixture(name="course")
def course_fixture(at: Any) -> Course:
    """A running course with weekly goals."""
    scene.goals_on()
    return scene.base_course(title="Basket weaving")


@pytest.fixture(name="ann")
def ann_fixture(course: Course) -> Any:
    """A learner in it."""
    return scene.learner(course)


@pytest.fixture(name="visit")
def visit_fixture(open_page: OpenPage, course: Course, ann: Any, client: Any) -> Visit:
    """Open the page as Ann; `page.saves` will hold what it asks the server to save."""

    def visited(
        query: str = "", *, user: Any = ann, before: Any = None, javascript: bool = True, **options: Any
    ) -> Page:
        client.force_login(user)
        page = open_page(EMPTY, javascript=javascript, cookies=client.cookies, **options)
        page.saves = []  # type: ignore[attr-defined]
        page.on("request", lambda asked: _note(page, asked))
        if before:
            before(page)
        page.goto(urljoin(page.url, f"/courses/{course.key}/home/{query}"))
        return page

    return visited


def _note(page: Any, asked: Any) -> None:
    if asked.method == "POST" and asked.url.endswith("/save_course_goal"):
        body = asked.post_data_json
        page.saves.append((body["days_per_week"], body["subscribed_to_reminders"]))


def saves(page: Any) -> list[Goal]:
    """What the page has asked the server to save so far."""
    found: list[Goal] = page.saves
    return found


def stored(user: Any) -> list[Goal]:
    """The goals that are stored."""
    return list(CourseGoal.objects.filter(user=user).values_list("days_per_week", "subscribed_to_reminders"))


def radio(page: Page, name: str) -> Any:
    """A choice by its name."""
    return page.get_by_role("radio", name=name)


def box(page: Page) -> Any:
    """The box for reminders."""
    return page.get_by_role("checkbox", name="Remind me by mail")


def note(page: Page) -> Any:
    """The note about the mails."""
    return page.get_by_text("A mail comes only when it gets tight")


def chosen(page: Page) -> str | None:
    """The radio that is selected, by its value."""
    found: str | None = page.evaluate("document.querySelector('[name=days_per_week]:checked')?.value ?? null")
    return found


def focus_in_card(page: Page) -> bool:
    """Whether something in the card has the focus."""
    return bool(page.evaluate("!!document.activeElement.closest('#weekly-goal')"))


def said(page: Page, text: str) -> None:
    """Wait until the card says something."""
    expect(page.locator("#goal-said")).to_contain_text(text)


def done(user: Any, course: Course, *days: date) -> None:
    """Let somebody have studied on some days."""
    for day in days:
        factories.UserActivityFactory(user=user, course=course, date=day)


class Held:
    """Answers that wait until the test lets them go."""

    def __init__(self, page: Page) -> None:
        self.routes: list[Route] = []
        self.page = page
        page.route(SAVE, lambda route: self.routes.append(route))

    def wait_for(self, number: int) -> Route:
        """Return the request with this number once it is there."""
        for _ in range(100):
            if len(self.routes) >= number:
                return self.routes[number - 1]
            self.page.wait_for_timeout(50)
        raise AssertionError(f"{len(self.routes)} requests instead of {number}")
