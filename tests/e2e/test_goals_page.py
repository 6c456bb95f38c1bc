"""The rest of what a course's home page does with a weekly goal, in a real browser."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from course_goals.models import CourseGoal
from courses.models import Course, LearnerProfile, UserActivity
from tests import factories
from tests.course_goals import scene

from .goals import (  # noqa: F401 - fixtures
    SAVE,
    Visit,
    ann_fixture,
    at_fixture,
    box,
    chosen,
    course_fixture,
    done,
    focus_in_card,
    note,
    radio,
    said,
    saves,
    stored,
    visit_fixture,
)

pytestmark = pytest.mark.django_db(transaction=True)

MONDAY, TUESDAY = date(2021, 3, 1), date(2021, 3, 2)


class TestLink:
    def test_case_073_is_as_one_click_and_can_be_undone(self, visit: Visit, ann: Any) -> None:
        page = visit("?a=1&weekly_goal=3&b=2")
        said(page, "The link has set your goal. Your goal: 3 days a week.")
        assert (saves(page), stored(ann), chosen(page)) == ([(3, True)], [(3, True)], "3")
        assert page.url.endswith("/home/?a=1&b=2")
        # The empty tab, the file the tests begin with, and this page.
        assert page.evaluate("history.length") <= 3
        page.get_by_role("button", name="Undo").click()
        said(page, "Your goal is as it was before.")
        assert (saves(page)[1:], stored(ann), chosen(page)) == ([(0, False)], [(0, False)], None)
        expect(page.get_by_role("button", name="Undo")).to_be_hidden()
        assert focus_in_card(page)

    def test_case_073_a_reload_sends_nothing(self, visit: Visit, ann: Any) -> None:
        page = visit("?weekly_goal=3#weekly-goal")
        said(page, "Your goal: 3 days a week.")
        assert page.url.endswith("/home/#weekly-goal")
        page.reload()
        page.wait_for_timeout(300)
        assert saves(page) == [(3, True)]
        expect(page.get_by_role("button", name="Undo")).to_be_hidden()

    def test_undo_restores_a_goal_with_its_box(self, visit: Visit, ann: Any, course: Course) -> None:
        factories.CourseGoalFactory(user=ann, course=course, days_per_week=4, subscribed_to_reminders=False)
        page = visit("?weekly_goal=3")
        said(page, "Your goal: 3 days a week.")
        assert stored(ann) == [(3, False)]
        page.get_by_role("button", name="Undo").click()
        said(page, "Your goal: 4 days a week.")
        assert (chosen(page), stored(ann)) == ("4", [(4, False)])

    @pytest.mark.parametrize("wish", ["3", "2", "", "x"])
    def test_sends_nothing_where_there_is_nothing_to_change(
        self, visit: Visit, ann: Any, course: Course, wish: str
    ) -> None:
        factories.CourseGoalFactory(user=ann, course=course, days_per_week=3, subscribed_to_reminders=False)
        page = visit(f"?weekly_goal={wish}")
        assert page.url.endswith("/home/")
        page.wait_for_timeout(300)
        assert (saves(page), chosen(page)) == ([], "3")
        expect(page.get_by_role("button", name="Undo")).to_be_hidden()

    def test_a_failure_can_be_tried_again(self, visit: Visit, ann: Any) -> None:
        page = visit("?weekly_goal=3", before=lambda page: page.route(SAVE, lambda route: route.fulfill(status=500)))
        expect(page.get_by_role("alert")).to_be_visible()
        expect(page.get_by_role("button", name="Undo")).to_be_hidden()
        assert chosen(page) is None
        page.unroute(SAVE)
        page.get_by_role("button", name="Try again").click()
        said(page, "Your goal: 3 days a week.")
        assert stored(ann) == [(3, True)]


class TestWithoutJavaScript:
    def test_case_074_choose_save_and_clear(self, visit: Visit, ann: Any) -> None:
        page = visit(javascript=False)
        expect(box(page)).to_be_disabled()
        radio(page, "Regular").check()
        page.get_by_role("button", name="Save").click()
        page.wait_for_url("**/home/#weekly-goal")
        expect(page.get_by_text("Your goal is saved.")).to_be_visible()
        assert stored(ann) == [(3, True)]
        expect(box(page)).to_be_checked()
        box(page).uncheck()
        page.get_by_role("button", name="Save").click()
        expect(note(page)).to_be_hidden()
        assert stored(ann) == [(3, False)]
        page.get_by_role("button", name="Clear goal").click()
        expect(page.get_by_text("Your goal is cleared.")).to_be_visible()
        assert stored(ann) == [(0, False)]
        expect(radio(page, "Regular")).not_to_be_checked()

    def test_case_074_a_link_preselects_only(self, visit: Visit, ann: Any) -> None:
        page = visit("?weekly_goal=5", javascript=False)
        expect(radio(page, "Intense")).to_be_checked()
        assert stored(ann) == []
        page.get_by_role("button", name="Save").click()
        page.wait_for_url("**/home/#weekly-goal")
        assert stored(ann) == [(5, True)]

    def test_saving_nothing_is_told(self, visit: Visit, ann: Any) -> None:
        page = visit(javascript=False)
        page.get_by_role("button", name="Save").click()
        expect(page.get_by_role("alert")).to_have_text("Nothing is saved yet: choose one of the goals.")
        assert stored(ann) == []


class TestKeyboard:
    def tab_to(self, page: Page, text: str) -> None:
        """Press Tab until what has the focus is called `text`."""
        for _ in range(20):
            page.keyboard.press("Tab")
            name = page.evaluate("(document.activeElement.labels?.[0] ?? document.activeElement).textContent")
            if " ".join(name.split()).startswith(text):
                assert page.evaluate("getComputedStyle(document.activeElement).outlineWidth") == "3px"
                return
        raise AssertionError(f"no {text} within reach")

    def test_case_075_choose_toggle_and_clear(self, visit: Visit, ann: Any) -> None:
        page = visit()
        self.tab_to(page, "Casual")
        page.keyboard.press("Space")
        said(page, "Your goal: 1 day a week.")
        page.keyboard.press("ArrowDown")
        said(page, "Your goal: 3 days a week.")
        self.tab_to(page, "Remind me by mail")
        page.keyboard.press("Space")
        said(page, "You get no reminders")
        assert stored(ann) == [(3, False)]
        self.tab_to(page, "Clear goal")
        page.keyboard.press("Enter")
        said(page, "You have no weekly goal.")
        assert stored(ann) == [(0, False)]
        assert page.evaluate("document.activeElement.name") == "days_per_week"


class TestCelebration:
    MOVING = "document.querySelectorAll('.confetti i').length > 0"

    def reached(self, visit: Visit, **options: Any) -> Page:
        return visit(before=lambda page: page.emulate_media(reduced_motion="no-preference"), **options)

    @pytest.mark.parametrize("before", [(MONDAY, TUESDAY), (MONDAY, TUESDAY, date(2021, 3, 4))])
    def test_case_076_stays_through_a_reload_and_moves_once(
        self, visit: Visit, ann: Any, course: Course, at: Any, before: tuple[date, ...]
    ) -> None:
        factories.CourseGoalFactory(user=ann, course=course, days_per_week=3)
        done(ann, course, *before)
        at(datetime(2021, 3, 2 + len(before) - 1, 10, tzinfo=scene.WEDNESDAY.tzinfo))
        page = self.reached(visit)
        expect(page.locator("#goal-reached")).to_be_visible()
        assert page.evaluate(self.MOVING)
        expect(page.locator("#goal-cheer")).to_have_text("You have reached your goal for this week!")
        page.reload()
        expect(page.locator("#goal-reached")).to_be_visible()
        assert not page.evaluate(self.MOVING)
        page.wait_for_timeout(700)
        expect(page.locator("#goal-cheer")).to_be_empty()

    def test_case_076_none_before_and_none_next_monday(self, visit: Visit, ann: Any, course: Course, at: Any) -> None:
        factories.CourseGoalFactory(user=ann, course=course, days_per_week=3)
        done(ann, course, MONDAY)
        page = self.reached(visit)
        expect(page.locator("#goal-progress")).to_have_text("2 of 3 days done")
        expect(page.locator("#goal-reached")).to_be_hidden()
        assert not page.evaluate(self.MOVING)
        done(ann, course, TUESDAY)
        page.reload()
        expect(page.locator("#goal-reached")).to_be_visible()
        at(datetime(2021, 3, 8, 10, tzinfo=scene.WEDNESDAY.tzinfo))
        # Somebody comes back to the open page.
        page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
        expect(page.locator("#goal-progress")).to_have_text("1 of 3 days done")
        expect(page.locator("#goal-reached")).to_be_hidden()

    def test_nothing_moves_for_who_wants_less_motion(self, visit: Visit, ann: Any, course: Course) -> None:
        factories.CourseGoalFactory(user=ann, course=course, days_per_week=1)
        page = visit(before=lambda page: page.emulate_media(reduced_motion="reduce"))
        expect(page.locator("#goal-reached")).to_be_visible()
        expect(page.locator("#goal-cheer")).not_to_be_empty()
        assert not page.evaluate(self.MOVING)

    def test_a_goal_that_comes_within_reach_by_a_choice_is_celebrated(
        self, visit: Visit, ann: Any, course: Course
    ) -> None:
        factories.CourseGoalFactory(user=ann, course=course, days_per_week=5)
        page = self.reached(visit)
        radio(page, "Casual").check()
        expect(page.locator("#goal-reached")).to_be_visible()
        expect(page.locator(".confetti")).to_have_count(1)
        radio(page, "Regular").check()
        expect(page.locator("#goal-reached")).to_be_hidden()
        # What fell is swept up.
        expect(page.locator(".confetti")).to_have_count(0)


class TestPreview:
    def test_case_077_reacts_and_leaves_no_trace(self, visit: Visit, course: Course, ann: Any) -> None:
        page = visit("?preview=learner&weekly_goal=3", user=factories.UserFactory(is_staff=True))
        expect(page.get_by_text("Preview: this is what a new learner sees.")).to_be_visible()
        assert chosen(page) == "3"
        assert page.url.endswith("?preview=learner")
        radio(page, "Intense").check()
        said(page, "This is a preview: nothing is saved.")
        expect(box(page)).to_be_checked()
        box(page).uncheck()
        page.get_by_role("button", name="Clear goal").click()
        page.wait_for_timeout(300)
        assert saves(page) == []
        assert not CourseGoal.objects.exists()
        assert not UserActivity.objects.exists()
        assert not LearnerProfile.objects.exists()


class TestTimeZone:
    def test_is_reported_once_in_24_hours(self, visit: Visit, ann: Any) -> None:
        told: list[Any] = []

        def listen(page: Page) -> None:
            page.clock.install()
            page.on("request", lambda asked: "last_seen" in asked.url and told.append(asked.post_data_json))

        page = visit(before=listen)
        zone = page.evaluate("Intl.DateTimeFormat().resolvedOptions().timeZone")
        page.reload()
        page.clock.fast_forward("23:00:00")
        page.reload()
        page.wait_for_timeout(300)
        assert told == [{"time_zone": zone}]
        assert LearnerProfile.objects.get(user=ann).last_seen_time_zone == zone
        page.clock.fast_forward("01:01:00")
        page.reload()
        page.wait_for_timeout(300)
        assert told == [{"time_zone": zone}] * 2
