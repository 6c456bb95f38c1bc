"""The home page of a course …"""

from __future__ import annotations

import json
import re
from datetime import date
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils.html import escape

from course_goals.models import CourseGoal
from courses.models import Course, Enrollment, Flag, UserActivity
from tests.factories import CourseFactory, CourseGoalFactory, LearnerProfileFactory, UserActivityFactory, UserFactory

from . import scene

pytestmark = pytest.mark.django_db

TUESDAY = date(2021, 3, 2)


@pytest.fixture(autouse=True)
def _wednesday(time_machine: Any) -> None:
    time_machine.move_to(scene.WEDNESDAY, tick=False)


@pytest.fixture
def browser(ann: Any, client: Client) -> Client:
    client.force_login(ann)
    return client


@pytest.fixture
def staff(course: Course, client: Client) -> Client:
    client.force_login(UserFactory(is_staff=True))
    return client


def home(course: Course, query: str = "") -> str:
    return f"/courses/{course.key}/home/{query}"


def html_of(response: Any) -> str:
    return " ".join(response.content.decode().split())


def card_of(response: Any) -> Any:
    """What the script is told, or None without a card."""
    found = re.search(r'<script id="goal-card" type="application/json">(.*?)</script>', response.content.decode())
    return json.loads(found[1]) if found else None


def chosen(response: Any) -> list[str]:
    return re.findall(r'name="days_per_week" value="(\d)" checked', response.content.decode())


def stored(user: Any) -> list[tuple[int, bool]]:
    return list(CourseGoal.objects.filter(user=user).values_list("days_per_week", "subscribed_to_reminders"))


def box_of(response: Any) -> str:
    found = re.search(r'<input type="checkbox" name="subscribed_to_reminders"[^>]*>', response.content.decode())
    assert found
    return found[0]


class TestWho:
    def test_has_to_sign_in(self, client: Client, course: Course) -> None:
        for answer in (client.get(home(course, "?weekly_goal=3")), client.post(home(course, "?weekly_goal=3"))):
            assert answer.status_code == 302
            assert answer["Location"].startswith("/accounts/login/?next=/courses/")
            assert answer["Location"].endswith("%3Fweekly_goal%3D3")

    @pytest.mark.parametrize("key", ["course-v1:No+Such+Course", "nonsense", "%00", "a/b/c"])
    def test_is_told_that_there_is_no_such_course(self, browser: Client, key: str) -> None:
        for answer in (browser.get(f"/courses/{key}/home/"), browser.post(f"/courses/{key}/home/")):
            assert answer.status_code == 404
            assert "There is no such course" in html_of(answer)

    def test_finds_a_course_with_an_old_key(self, browser: Client) -> None:
        course = CourseFactory(key="Org/Course/Run")
        assert escape(course.title) in html_of(browser.get("/courses/Org/Course/Run/home/"))

    @pytest.mark.parametrize("why", ["flag", "enrolment", "inactive"])
    def test_sees_no_card_and_no_script_without_goals(
        self, browser: Client, ann: Any, course: Course, why: str
    ) -> None:
        if why == "flag":
            Flag.objects.all().delete()
        elif why == "enrolment":
            Enrollment.objects.all().delete()
        else:
            Enrollment.objects.update(is_active=False)
        for answer in (browser.get(home(course)), browser.get(home(course, "?weekly_goal=3"))):
            assert answer.status_code == 200
            assert escape(course.title) in html_of(answer)
            assert "weekly-goal" not in html_of(answer)
            assert "<script" not in html_of(answer)
        assert not UserActivity.objects.exists()
        posted = browser.post(home(course), {"days_per_week": "3", "action": "save"})
        assert posted.status_code == (404 if why == "flag" else 403)
        assert 'role="alert"' in html_of(posted)
        assert stored(ann) == []

    def test_reads_it_in_their_own_language_or_the_browsers(self, browser: Client, ann: Any, course: Course) -> None:
        answer = browser.get(home(course), headers={"Accept-Language": "fr"})
        assert "Votre objectif hebdomadaire" in html_of(answer)
        LearnerProfileFactory(user=ann, language="es")
        answer = browser.get(home(course), headers={"Accept-Language": "fr"})
        assert "Tu objetivo semanal" in html_of(answer)
        assert answer["Content-Language"] == "es"
        assert card_of(answer)["texts"]["done"][:3] == [
            "1 día hecho esta semana",
            "1 de 1 día hecho",
            "1 de 2 días hechos",
        ]


class TestStates:
    def test_nothing_is_chosen_without_a_goal_or_with_a_cleared_one(
        self, browser: Client, ann: Any, course: Course
    ) -> None:
        for _ in range(2):
            answer = browser.get(home(course))
            assert chosen(answer) == []
            assert "disabled" in box_of(answer)
            assert "checked" not in box_of(answer)
            assert re.search(r'id="goal-note" hidden', html_of(answer))
            assert re.search(r'id="goal-clear" hidden', html_of(answer))
            assert "1 day done this week" in html_of(answer)
            CourseGoal.objects.get_or_create(user=ann, course=course, defaults={"days_per_week": 0})

    @pytest.mark.parametrize("subscribed", [True, False])
    def test_a_goal_is_chosen_with_its_box(self, browser: Client, ann: Any, course: Course, subscribed: bool) -> None:
        CourseGoalFactory(user=ann, course=course, days_per_week=3, subscribed_to_reminders=subscribed)
        answer = browser.get(home(course))
        assert chosen(answer) == ["3"]
        assert ("checked" in box_of(answer)) == subscribed
        assert "disabled" not in box_of(answer)
        assert ('id="goal-note" hidden' in html_of(answer)) != subscribed
        assert "Custom" not in html_of(answer)
        assert "1 of 3 days done" in html_of(answer)

    def test_case_070_what_is_no_choice_is_custom(self, browser: Client, ann: Any, course: Course) -> None:
        CourseGoalFactory(user=ann, course=course, days_per_week=4)
        answer = browser.get(home(course))
        assert chosen(answer) == ["4"]
        assert "Custom: 4 days a week" in html_of(answer)

    def test_choices_are_the_settings(self, browser: Client, course: Course, settings: Any) -> None:
        settings.COURSE_GOALS_CHOICES = [(2, "Now & then"), (7, "Daily")]
        answer = browser.get(home(course, "?weekly_goal=7"))
        assert re.findall(r'name="days_per_week" value="(\d)"', html_of(answer)) == ["2", "7"]
        assert "Now &amp; then" in html_of(answer)
        assert card_of(answer)["offered"] == 7

    def test_the_week_shows_seven_days_and_names_those_done(self, browser: Client, ann: Any, course: Course) -> None:
        for day in (date(2021, 2, 28), date(2021, 3, 1), date(2021, 3, 4)):
            UserActivityFactory(user=ann, course=course, date=day)
        html = html_of(browser.get(home(course)))
        assert html.count('aria-hidden="true">✓') == 2
        assert re.findall(r'<span class="unseen">(\w+day[^<]*)</span>', html) == [
            "Monday: done", "Tuesday", "Wednesday, today: done", "Thursday", "Friday", "Saturday", "Sunday",
        ]  # fmt: skip

    @pytest.mark.parametrize(("days", "reached"), [(1, True), (2, True), (3, False)])
    def test_case_076_a_goal_reached_or_passed_is_celebrated(
        self, browser: Client, ann: Any, course: Course, days: int, reached: bool, time_machine: Any
    ) -> None:
        CourseGoalFactory(user=ann, course=course, days_per_week=days)
        UserActivityFactory(user=ann, course=course, date=TUESDAY)
        html = html_of(browser.get(home(course)))
        assert ('id="goal-reached" hidden' not in html) == reached
        time_machine.move_to("2021-03-08T10:00Z", tick=False)
        assert ('id="goal-reached" hidden' not in html_of(browser.get(home(course)))) == (days == 1)

    def test_an_ended_course_keeps_its_card(self, browser: Client, ann: Any, course: Course) -> None:
        Course.objects.update(end="2021-02-01T00:00Z")
        assert card_of(browser.get(home(course)))
        assert browser.post(home(course), {"days_per_week": "3", "action": "save"}).status_code == 303
        assert stored(ann) == [(3, True)]


class TestForm:
    def test_case_074_the_first_choice_turns_reminders_on_and_leads_back(
        self, browser: Client, ann: Any, course: Course
    ) -> None:
        answer = browser.post(home(course, "?weekly_goal=5"), {"days_per_week": "3", "action": "save"})
        assert (answer.status_code, answer["Location"]) == (303, f"{home(course)}#weekly-goal")
        assert stored(ann) == [(3, True)]
        assert CourseGoal.history.get().history_change_reason == "page"
        html = html_of(browser.get(home(course)))
        assert '<p class="note" role="status" data-said>Your goal is saved.</p>' in html
        assert "data-said" not in html_of(browser.get(home(course)))

    def test_a_later_one_saves_the_box_as_it_is(self, browser: Client, ann: Any, course: Course) -> None:
        CourseGoalFactory(user=ann, course=course, days_per_week=3)
        box = {"subscribed_to_reminders": "on"}
        browser.post(home(course), {"days_per_week": "5", "action": "save"} | box)
        assert stored(ann) == [(5, True)]
        browser.post(home(course), {"days_per_week": "1", "action": "save"})
        assert stored(ann) == [(1, False)]

    def test_a_form_from_before_the_goal_turns_reminders_on_too(
        self, browser: Client, ann: Any, course: Course
    ) -> None:
        assert 'name="first"' in html_of(browser.get(home(course)))
        CourseGoalFactory(user=ann, course=course, days_per_week=3)
        assert 'name="first"' not in html_of(browser.get(home(course)))
        browser.post(home(course), {"days_per_week": "5", "action": "save", "first": "1"})
        assert stored(ann) == [(5, True)]

    def test_case_074_clear_empties_it(self, browser: Client, ann: Any, course: Course) -> None:
        CourseGoalFactory(user=ann, course=course, days_per_week=3)
        answer = browser.post(
            home(course), {"days_per_week": "3", "subscribed_to_reminders": "on", "action": "clear"}, follow=True
        )
        assert stored(ann) == [(0, False)]
        assert chosen(answer) == []
        assert "Your goal is cleared." in html_of(answer)
        browser.post(home(course), {"days_per_week": "3", "action": "save"})
        assert stored(ann) == [(3, True)]

    @pytest.mark.parametrize("days", ["", "0", "8", "-1", "2.5", "x", "٣", "33"])
    def test_what_is_no_goal_is_refused(self, browser: Client, ann: Any, course: Course, days: str) -> None:
        answer = browser.post(home(course), {"days_per_week": days, "action": "save"})
        assert answer.status_code == 422
        assert '<p role="alert" id="goal-reason">Nothing is saved yet: choose one of the goals.</p>' in html_of(answer)
        assert stored(ann) == []

    def test_needs_a_token_against_forgery(self, ann: Any, course: Course) -> None:
        client = Client(enforce_csrf_checks=True)
        client.force_login(ann)
        assert client.post(home(course), {"days_per_week": "3", "action": "save"}).status_code == 403
        found = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', client.get(home(course)).content.decode())
        assert found
        form = {"days_per_week": "3", "action": "save", "csrfmiddlewaretoken": found[1]}
        assert client.post(home(course), form).status_code == 303

    def test_counts_as_a_save_of_the_api(self, browser: Client, course: Course, settings: Any) -> None:
        settings.COURSE_GOALS_SAVES_PER_MINUTE = 2
        form = {"days_per_week": "3", "action": "save"}
        answers = [browser.post(home(course), form) for _ in range(3)]
        assert [answer.status_code for answer in answers] == [303, 303, 429]
        assert answers[2]["Retry-After"] == "60"

    @pytest.mark.parametrize("method", ["put", "patch", "delete", "options"])
    def test_other_methods_are_refused(self, browser: Client, course: Course, method: str) -> None:
        assert getattr(browser, method)(home(course)).status_code == 405


class TestLink:
    def test_case_074_preselects_and_saves_nothing(self, browser: Client, ann: Any, course: Course) -> None:
        CourseGoalFactory(user=ann, course=course, days_per_week=5, subscribed_to_reminders=False)
        answer = browser.get(home(course, "?weekly_goal=3"))
        assert chosen(answer) == ["3"]
        assert {name: card_of(answer)[name] for name in ("days", "subscribed", "offered")} == {
            "days": 5,
            "subscribed": False,
            "offered": 3,
        }
        assert f'action="{home(course)}"' in html_of(answer)
        assert stored(ann) == [(5, False)]

    @pytest.mark.parametrize("wish", ["2", "0", "", "03", "3.0", " 3", "x", "<b>"])
    def test_is_passed_over_unless_it_is_a_choice(self, browser: Client, course: Course, wish: str) -> None:
        answer = browser.get(home(course), {"weekly_goal": wish})
        assert (answer.status_code, chosen(answer), card_of(answer)["offered"]) == (200, [], None)


class TestActivity:
    def days(self) -> list[date]:
        return list(UserActivity.objects.values_list("date", flat=True))

    def test_a_visit_is_recorded_and_shown_at_once(self, browser: Client, course: Course) -> None:
        answer = browser.get(home(course))
        assert self.days() == [date(2021, 3, 3)]
        assert card_of(answer)["done"] == 1

    @pytest.mark.parametrize("headers", [{"Sec-Purpose": "prefetch;prerender"}, {"Purpose": "prefetch"}])
    def test_what_is_fetched_ahead_is_not(self, browser: Client, course: Course, headers: Any) -> None:
        assert browser.get(home(course), headers=headers).status_code == 200
        assert browser.head(home(course)).status_code == 200
        browser.post(home(course), {"days_per_week": "3", "action": "save"})
        assert self.days() == []

    def test_the_day_is_the_learners_own(self, browser: Client, ann: Any, course: Course, time_machine: Any) -> None:
        LearnerProfileFactory(user=ann, time_zone="Asia/Tokyo")
        time_machine.move_to("2021-03-07T15:30Z", tick=False)
        answer = browser.get(home(course))
        assert self.days() == [date(2021, 3, 8)]
        assert card_of(answer)["week"] == "2021-03-08"


class TestPreview:
    def test_case_077_staff_see_a_new_learners_card_and_leave_no_trace(
        self, staff: Client, course: Course, ann: Any
    ) -> None:
        answer = staff.get(home(course, "?preview=learner"))
        assert (chosen(answer), card_of(answer)["preview"], card_of(answer)["done"]) == ([], True, 1)
        assert "Nothing is saved." in html_of(answer)
        address = home(course, "?preview=learner")
        assert f'action="{address}"' in html_of(answer)
        posted = staff.post(address, {"days_per_week": "3", "action": "save"})
        assert (posted.status_code, posted["Location"]) == (303, f"{address}#weekly-goal")
        assert "This is a preview: nothing is saved." in html_of(staff.get(address))
        assert not CourseGoal.objects.exists()
        assert not UserActivity.objects.exists()

    def test_shows_no_goal_of_their_own(self, staff: Client, course: Course) -> None:
        answer = staff.get(home(course))
        assert card_of(answer) is None
        user = answer.wsgi_request.user
        CourseGoalFactory(user=user, course=course, days_per_week=5)
        assert chosen(staff.get(home(course, "?preview=learner"))) == []

    def test_shows_nothing_where_learners_see_nothing(self, staff: Client, course: Course) -> None:
        Flag.objects.all().delete()
        assert card_of(staff.get(home(course, "?preview=learner"))) is None

    def test_is_for_staff_alone(self, browser: Client, ann: Any, course: Course) -> None:
        answer = browser.get(home(course, "?preview=learner"))
        assert card_of(answer)["preview"] is False
        browser.post(home(course, "?preview=learner"), {"days_per_week": "3", "action": "save"})
        assert stored(ann) == [(3, True)]


class TestPage:
    def test_keeps_to_itself(self, browser: Client, course: Course) -> None:
        answer = browser.get(home(course))
        policy = answer["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "script-src 'self';" in policy
        assert answer["Cache-Control"] == "no-store"
        assert answer["Referrer-Policy"] == "same-origin"
        assert {"Accept-Language", "Cookie"} <= {name.strip() for name in answer["Vary"].split(",")}
        html = html_of(answer)
        assert html.count("<h1") == 1
        assert not re.search(r"""(?:src|href|url\()=?["']?(?:https?:)?//""", html)
        assert not re.search(r"\son\w+=", html)

    def test_is_where_links_lead(self, course: Course) -> None:
        assert reverse("course_goals:home", args=[course.key]) == home(course)

    def test_escapes_what_others_wrote(self, browser: Client, course: Course) -> None:
        Course.objects.update(title="Basket <b>weaving</b> & </script>")
        html = html_of(browser.get(home(course)))
        assert "Basket &lt;b&gt;weaving&lt;/b&gt; &amp; &lt;/script&gt;" in html

    def test_every_word_for_the_script_is_translated(self, browser: Client, course: Course) -> None:
        def texts(language: str) -> list[str]:
            found = card_of(browser.get(home(course), headers={"Accept-Language": language}))["texts"]
            return [*found.pop("done"), *found.pop("problems").values(), *found.values()]

        english = texts("en")
        for language in ("es", "fr"):
            assert not set(english) & set(texts(language))

    def test_takes_as_many_statements_for_any_week(
        self, browser: Client, ann: Any, course: Course, django_capture_on_commit_callbacks: Any
    ) -> None:
        with django_capture_on_commit_callbacks(execute=True):
            # From then on it is remembered that today is recorded.
            browser.get(home(course))

        def statements() -> int:
            with CaptureQueriesContext(connection) as captured:
                assert browser.get(home(course)).status_code == 200
            return len(captured)

        empty = statements()
        CourseGoalFactory(user=ann, course=course, days_per_week=4)
        for day in range(1, 4):
            UserActivity.objects.get_or_create(user=ann, course=course, date=date(2021, 3, day))
        CourseGoalFactory(user=ann)
        assert statements() == empty <= 15
