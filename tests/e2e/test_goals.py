"""A weekly goal that is saved as soon as it is chosen, in a real browser."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import urljoin

import pytest
from playwright.sync_api import Page, Route, expect

from courses.models import Course
from tests import factories

from .goals import (  # noqa: F401 - fixtures
    EMPTY,
    SAVE,
    Held,
    Visit,
    ann_fixture,
    at_fixture,
    box,
    chosen,
    course_fixture,
    focus_in_card,
    note,
    radio,
    said,
    saves,
    stored,
    visit_fixture,
)

pytestmark = pytest.mark.django_db(transaction=True)

CHOICES = ("Casual", "Regular", "Intense")


class TestSaving:
    @pytest.mark.parametrize(("name", "days"), [("Casual", 1), ("Regular", 3), ("Intense", 5)])
    def test_case_068_the_first_choice_is_saved_with_reminders(
        self, visit: Visit, ann: Any, name: str, days: int
    ) -> None:
        page = visit()
        assert chosen(page) is None
        expect(box(page)).to_be_disabled()
        expect(note(page)).to_be_hidden()
        expect(page.get_by_role("button", name="Save")).to_be_hidden()
        expect(page.get_by_role("button", name="Clear goal")).to_be_hidden()
        radio(page, name).check()
        said(page, f"Your goal: {days} day{'s' if days > 1 else ''} a week.")
        assert (saves(page), stored(ann)) == ([(days, True)], [(days, True)])
        expect(box(page)).to_be_enabled()
        expect(box(page)).to_be_checked()
        expect(note(page)).to_be_visible()
        expect(page.locator("#goal-progress")).to_have_text(f"1 of {days} day{'s' if days > 1 else ''} done")
        page.reload()
        assert chosen(page) == str(days)
        expect(box(page)).to_be_checked()

    def test_case_069_the_box_is_saved_and_kept_by_later_choices(self, visit: Visit, ann: Any, course: Course) -> None:
        factories.CourseGoalFactory(user=ann, course=course, days_per_week=3)
        page = visit()
        expect(box(page)).to_have_accessible_description(
            "A mail comes only when it gets tight: when you need every day that is left of the week. "
            "One a week at most."
        )
        box(page).uncheck()
        said(page, "You get no reminders for this course.")
        expect(note(page)).to_be_hidden()
        assert (saves(page), stored(ann)) == ([(3, False)], [(3, False)])
        radio(page, "Intense").check()
        said(page, "Your goal: 5 days a week.")
        assert (saves(page)[1:], stored(ann)) == ([(5, False)], [(5, False)])
        box(page).check()
        said(page, "We send you a mail")
        assert stored(ann) == [(5, True)]

    @pytest.mark.parametrize(("days", "name"), [(3, "Regular 3 days a week"), (4, "Custom: 4 days a week")])
    def test_case_070_what_is_stored_is_selected(
        self, visit: Visit, ann: Any, course: Course, days: int, name: str
    ) -> None:
        factories.CourseGoalFactory(user=ann, course=course, days_per_week=days)
        page = visit()
        expect(page.get_by_role("radio", name=name, exact=True)).to_be_checked()
        assert page.get_by_role("radio").count() == (4 if days == 4 else 3)
        radio(page, "Casual").check()
        said(page, "Your goal: 1 day a week.")
        radio(page, name).check()
        said(page, f"Your goal: {days} days a week.")
        assert stored(ann) == [(days, True)]

    def test_clearing_goes_back_to_empty_and_keeps_the_focus_in_the_card(
        self, visit: Visit, ann: Any, course: Course
    ) -> None:
        factories.CourseGoalFactory(user=ann, course=course, days_per_week=3)
        page = visit()
        page.get_by_role("button", name="Clear goal").click()
        said(page, "You have no weekly goal.")
        assert (saves(page), stored(ann), chosen(page)) == ([(0, False)], [(0, False)], None)
        expect(box(page)).to_be_disabled()
        expect(note(page)).to_be_hidden()
        expect(page.locator("#goal-progress")).to_have_text("1 day done this week")
        assert focus_in_card(page)
        radio(page, "Intense").check()
        said(page, "Your goal: 5 days a week.")
        assert stored(ann) == [(5, True)]

    def test_choosing_what_is_chosen_sends_nothing(self, visit: Visit, ann: Any, course: Course) -> None:
        factories.CourseGoalFactory(user=ann, course=course, days_per_week=3)
        page = visit()
        radio(page, "Regular").click()
        page.keyboard.press("Enter")
        page.wait_for_timeout(300)
        assert saves(page) == []

    def test_the_choice_shows_before_the_answer_is_there(self, visit: Visit, ann: Any) -> None:
        page = visit()
        held = Held(page)
        radio(page, "Regular").click()
        held.wait_for(1)
        assert chosen(page) == "3"
        expect(box(page)).to_be_checked()
        expect(page.locator("#goal-form")).to_have_attribute("aria-busy", "true")
        said(page, "Saving")
        held.routes[0].continue_()
        said(page, "Your goal: 3 days a week.")
        expect(page.locator("#goal-form")).not_to_have_attribute("aria-busy", "true")

    def test_case_072_one_request_at_a_time_and_the_last_choice_wins(self, visit: Visit, ann: Any) -> None:
        page = visit()
        held = Held(page)
        for name in CHOICES:
            radio(page, name).click()
        held.wait_for(1)
        page.wait_for_timeout(200)
        assert len(held.routes) == 1
        held.routes[0].continue_()
        held.wait_for(2).continue_()
        said(page, "Your goal: 5 days a week.")
        assert saves(page) == [(1, True), (5, True)]
        assert (chosen(page), stored(ann)) == ("5", [(5, True)])

    def test_a_choice_that_is_taken_back_meanwhile_is_taken_back_at_the_server_too(
        self, visit: Visit, ann: Any, course: Course
    ) -> None:
        factories.CourseGoalFactory(user=ann, course=course, days_per_week=3)
        page = visit()
        held = Held(page)
        radio(page, "Intense").click()
        held.wait_for(1)
        radio(page, "Regular").click()
        held.routes[0].continue_()
        held.wait_for(2).continue_()
        said(page, "Your goal: 3 days a week.")
        assert (saves(page), stored(ann)) == ([(5, True), (3, True)], [(3, True)])

    def test_leaving_in_the_middle_saves_the_last_choice(self, visit: Visit, ann: Any) -> None:
        page = visit()
        held = Held(page)
        radio(page, "Casual").click()
        held.wait_for(1).continue_()
        # Before the second choice, whose request may follow at once and would be held for ever.
        page.unroute(SAVE)
        radio(page, "Intense").click()
        page.goto(urljoin(page.url, EMPTY))
        for _ in range(60):
            if stored(ann) == [(5, True)]:
                break
            page.wait_for_timeout(50)
        assert stored(ann) == [(5, True)]


class TestFailing:
    def failing(self, visit: Visit, ann: Any, course: Course, answer: Callable[[Route], None]) -> Page:
        """The page after a choice that the server did not take."""
        factories.CourseGoalFactory(user=ann, course=course, days_per_week=3)
        page = visit()
        page.route(SAVE, answer)
        radio(page, "Intense").click()
        expect(page.get_by_role("alert")).to_be_visible()
        return page

    def rolled_back(self, page: Page, reason: str) -> None:
        expect(page.get_by_role("alert")).to_have_text(f"Your change is not saved. {reason}")
        assert chosen(page) == "3"
        expect(box(page)).to_be_checked()
        expect(page.locator("#goal-said")).to_be_empty()

    @pytest.mark.parametrize(
        ("status", "body", "reason"),
        [
            (500, "<h1>Server Error</h1>", "The server did not answer as expected."),
            (502, "", "The server did not answer as expected."),
            (200, "<p>Log in</p>", "The server did not answer as expected."),
            (200, "{}", "The server did not answer as expected."),
            (400, '{"detail": "x", "code": "out_of_range"}', "The server did not answer as expected."),
            (401, '{"code": "not_authenticated"}', "You are not signed in any more. Open this page again."),
            (403, '{"code": "not_enrolled"}', "You are not enrolled in this course."),
            (429, '{"code": "throttled"}', "You have changed it too often in a short time. Wait a minute."),
        ],
    )
    def test_case_071_a_refusal_is_rolled_back_and_told(
        self, visit: Visit, ann: Any, course: Course, status: int, body: str, reason: str
    ) -> None:
        page = self.failing(visit, ann, course, lambda route: route.fulfill(status=status, body=body))
        self.rolled_back(page, reason)
        page.unroute(SAVE)
        page.get_by_role("button", name="Try again").click()
        said(page, "Your goal: 5 days a week.")
        expect(page.get_by_role("alert")).to_be_hidden()
        assert focus_in_card(page)
        assert (chosen(page), stored(ann)) == ("5", [(5, True)])

    def test_case_071_so_is_being_offline(self, visit: Visit, ann: Any, course: Course) -> None:
        page = self.failing(visit, ann, course, lambda route: route.abort("internetdisconnected"))
        self.rolled_back(page, "There is no connection.")
        page.unroute(SAVE)
        page.get_by_role("button", name="Try again").click()
        said(page, "Your goal: 5 days a week.")
        assert stored(ann) == [(5, True)]

    def test_case_071_so_is_no_answer_for_ten_seconds(self, visit: Visit, ann: Any, course: Course) -> None:
        factories.CourseGoalFactory(user=ann, course=course, days_per_week=3)
        page = visit(before=lambda page: page.clock.install())
        held = Held(page)
        radio(page, "Intense").click()
        held.wait_for(1)
        page.clock.fast_forward(9_000)
        expect(page.get_by_role("alert")).to_be_hidden()
        page.clock.fast_forward(1_500)
        self.rolled_back(page, "There was no answer for ten seconds.")
        assert stored(ann) == [(3, True)]
        page.unroute(SAVE)
        page.get_by_role("button", name="Try again").click()
        said(page, "Your goal: 5 days a week.")

    def test_a_failure_of_an_older_choice_does_not_matter(self, visit: Visit, ann: Any) -> None:
        page = visit()
        held = Held(page)
        radio(page, "Casual").click()
        held.wait_for(1)
        radio(page, "Intense").click()
        held.routes[0].fulfill(status=500, body="")
        held.wait_for(2).continue_()
        said(page, "Your goal: 5 days a week.")
        expect(page.get_by_role("alert")).to_be_hidden()
        assert stored(ann) == [(5, True)]

    def test_what_may_have_been_saved_without_an_answer_is_put_right(
        self, visit: Visit, ann: Any, course: Course
    ) -> None:
        factories.CourseGoalFactory(user=ann, course=course, days_per_week=3)
        page = visit()
        held = Held(page)
        radio(page, "Intense").click()
        held.wait_for(1)
        radio(page, "Regular").click()
        held.routes[0].abort("connectionreset")
        held.wait_for(2).continue_()
        said(page, "Your goal: 3 days a week.")
        assert saves(page) == [(5, True), (3, True)]

    def test_a_first_choice_goes_back_to_empty(self, visit: Visit, ann: Any) -> None:
        page = visit(before=lambda page: page.route(SAVE, lambda route: route.fulfill(status=500)))
        radio(page, "Intense").click()
        expect(page.get_by_role("alert")).to_be_visible()
        assert chosen(page) is None
        expect(box(page)).to_be_disabled()
        expect(page.get_by_role("button", name="Clear goal")).to_be_hidden()

    def test_the_servers_own_refusal_is_told(self, visit: Visit, ann: Any, client: Any) -> None:
        page = visit()
        client.session.flush()
        radio(page, "Intense").click()
        expect(page.get_by_role("alert")).to_contain_text("You are not signed in any more.")
        assert stored(ann) == []
