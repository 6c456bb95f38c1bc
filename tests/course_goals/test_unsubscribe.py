"""Stopping the reminders of one goal by the token of its mail …"""

from __future__ import annotations

import re
import uuid
from pathlib import Path
from typing import Any

import pytest
from django.template import engines
from django.test import Client
from django.utils.html import escape

import course_goals
from course_goals.models import CourseGoal
from courses.models import Course, Flag
from tests.factories import CourseGoalFactory, LearnerProfileFactory, UserFactory
from tests.mail.catalogue import entries, msgids

from . import scene

# Written down: the workers that share the tests must call them the same.
NOBODYS = uuid.UUID("3f0c7a52-6a4e-4c39-9d0b-5b8f2f1c7e11")

pytestmark = pytest.mark.django_db

ONE_CLICK = "List-Unsubscribe=One-Click"
FORM = "application/x-www-form-urlencoded"
APP = Path(course_goals.__file__).parent
GUARDS = {"Referrer-Policy": "no-referrer", "Cache-Control": "no-store", "X-Robots-Tag": "noindex"}


@pytest.fixture
def goal(course: Course, ann: Any) -> CourseGoal:
    """Ann's goal of three days with reminders."""
    return CourseGoalFactory(user=ann, course=course)


@pytest.fixture
def visitor() -> Client:
    """A browser or a provider: no cookies, and CSRF is checked as in life."""
    return Client(enforce_csrf_checks=True)


def api(token: Any) -> str:
    return f"/api/course_home/unsubscribe_from_course_goal/{token}"


def page(token: Any) -> str:
    return f"/goal-unsubscribe/{token}"


def is_on(goal: CourseGoal) -> bool:
    return CourseGoal.objects.get(pk=goal.pk).subscribed_to_reminders


def reasons(goal: CourseGoal) -> list[str | None]:
    return list(goal.history.order_by("history_id").values_list("history_change_reason", flat=True))[1:]


class TestAPI:
    def test_case_057_stops_this_goals_reminders_and_nothing_else(self, visitor: Client, goal: CourseGoal) -> None:
        other = CourseGoalFactory(user=goal.user)
        for _ in range(2):
            response = visitor.post(api(goal.unsubscribe_token))
            assert (response.status_code, response.json()) == (200, {"course_title": goal.course.title})
        assert (is_on(goal), CourseGoal.objects.get(pk=goal.pk).days_per_week, is_on(other)) == (False, 3, True)
        assert reasons(goal) == ["one-click"]

    @pytest.mark.parametrize("token", [NOBODYS, "nonsense", "%00", "{}", NOBODYS.hex, "x" * 999])
    def test_case_058_another_token_is_not_valid(self, visitor: Client, goal: CourseGoal, token: Any) -> None:
        response = visitor.post(api(token))
        assert response.status_code == 404
        assert response.json() == {"detail": "This link is not valid.", "code": "token_not_found", "field": None}

    def test_a_token_is_known_in_capitals_but_in_no_other_spelling(self, visitor: Client, goal: CourseGoal) -> None:
        assert visitor.post(api(f"{{{goal.unsubscribe_token}}}")).status_code == 404
        assert visitor.post(api(goal.unsubscribe_token.hex)).status_code == 404
        assert is_on(goal)
        assert visitor.post(api(str(goal.unsubscribe_token).upper())).status_code == 200

    def test_case_060_one_click_as_a_provider_does_it(self, visitor: Client, goal: CourseGoal) -> None:
        response = visitor.post(api(goal.unsubscribe_token), ONE_CLICK, content_type=FORM)
        assert (response.status_code, response.cookies) == (200, {})
        assert not is_on(goal)

    def test_case_060_a_browser_that_is_signed_in_needs_no_csrf_token(self, visitor: Client, goal: CourseGoal) -> None:
        visitor.force_login(UserFactory())
        assert visitor.post(api(goal.unsubscribe_token), ONE_CLICK, content_type=FORM).status_code == 200
        assert not is_on(goal)

    @pytest.mark.parametrize("content_type", ["", "text/plain", "application/json", "multipart/form-data", "x"])
    @pytest.mark.parametrize("body", ["", "{", ONE_CLICK, '{"subscribed_to_reminders": true}'])
    def test_the_body_does_not_matter(self, visitor: Client, goal: CourseGoal, content_type: str, body: str) -> None:
        response = visitor.generic("POST", api(goal.unsubscribe_token), body, content_type=content_type)
        assert response.status_code == 200
        assert not is_on(goal)

    def test_looking_leads_to_the_page_and_changes_nothing(self, visitor: Client, goal: CourseGoal) -> None:
        for method in ("get", "head"):
            response = getattr(visitor, method)(api(goal.unsubscribe_token))
            assert (response.status_code, response["Location"]) == (302, page(goal.unsubscribe_token))
        assert is_on(goal)

    def test_case_053_does_not_depend_on_the_flag(self, visitor: Client, goal: CourseGoal) -> None:
        Flag.objects.all().delete()
        assert visitor.post(api(goal.unsubscribe_token)).status_code == 200
        assert not is_on(goal)

    def test_case_061_the_twenty_first_in_a_minute_has_to_wait(
        self, visitor: Client, goal: CourseGoal, time_machine: Any
    ) -> None:
        time_machine.move_to(scene.WEDNESDAY, tick=False)
        answers = [visitor.post(api(goal.unsubscribe_token)) for _ in range(20)]
        # However it is spelled, and on the page too.
        answers += [visitor.post(api(str(goal.unsubscribe_token).upper())), visitor.post(page(goal.unsubscribe_token))]
        assert [answer.status_code for answer in answers] == [200] * 20 + [429] * 2
        assert {answer["Retry-After"] for answer in answers[20:]} == {"60"}
        assert answers[20].json()["code"] == "throttled"
        assert visitor.get(page(goal.unsubscribe_token)).status_code == 200

    def test_case_061_many_tokens_from_one_address_go_through(self, visitor: Client, course: Course) -> None:
        goals = [
            CourseGoal(user=user, course=course, days_per_week=1, subscribed_to_reminders=True)
            for user in UserFactory.create_batch(500)
        ]
        CourseGoal.objects.bulk_create(goals)
        answers = [visitor.post(api(goal.unsubscribe_token), ONE_CLICK, content_type=FORM) for goal in goals]
        assert {answer.status_code for answer in answers} == {200}
        assert not CourseGoal.objects.filter(subscribed_to_reminders=True).exists()

    @pytest.mark.parametrize("method", ["put", "patch", "delete", "options"])
    def test_other_methods_are_refused(self, visitor: Client, goal: CourseGoal, method: str) -> None:
        for address in (api(goal.unsubscribe_token), page(goal.unsubscribe_token)):
            assert getattr(visitor, method)(address).status_code == 405
        assert is_on(goal)


class TestPage:
    def test_case_059_asks_first(self, visitor: Client, goal: CourseGoal) -> None:
        for method in ("head", "get"):
            response = getattr(visitor, method)(page(goal.unsubscribe_token))
            assert (response.status_code, response.cookies) == (200, {})
        html = response.content.decode()
        assert escape(goal.course.title) in html
        assert (html.count("<button"), html.count("<form")) == (1, 1)
        assert goal.user.username not in html
        assert goal.user.email not in html
        assert is_on(goal)
        assert reasons(goal) == []

    def test_case_059_then_says_that_it_is_done(self, visitor: Client, goal: CourseGoal) -> None:
        response = visitor.post(page(goal.unsubscribe_token))
        html = response.content.decode()
        assert response.status_code == 200
        assert 'role="status"' in html
        assert "<button" not in html
        assert f'href="/courses/{goal.course.key}/home/"' in html
        assert 'href="/email/preferences/"' in html
        assert not is_on(goal)
        assert reasons(goal) == ["unsubscribe page"]
        again = visitor.get(page(goal.unsubscribe_token)).content.decode()
        assert "<button" not in again
        assert 'role="status"' not in again

    def test_escapes_the_title(self, visitor: Client, goal: CourseGoal) -> None:
        Course.objects.filter(pk=goal.course_id).update(title="Basket <weaving> & more")
        assert "Basket &lt;weaving&gt; &amp; more" in visitor.get(page(goal.unsubscribe_token)).content.decode()

    def test_is_named_by_its_key_without_a_title(self, visitor: Client, goal: CourseGoal) -> None:
        Course.objects.filter(pk=goal.course_id).update(title="")
        assert escape(goal.course.key) in visitor.get(page(goal.unsubscribe_token)).content.decode()
        assert visitor.post(api(goal.unsubscribe_token)).json() == {"course_title": goal.course.key}

    @pytest.mark.parametrize("token", [NOBODYS, "nonsense", "%00"])
    @pytest.mark.parametrize("method", ["get", "post"])
    def test_case_058_another_token_is_not_valid(self, visitor: Client, method: str, token: Any) -> None:
        response = getattr(visitor, method)(page(token))
        assert response.status_code == 404
        assert "<form" not in response.content.decode()

    def test_speaks_the_learners_language_or_the_browsers(self, visitor: Client, goal: CourseGoal) -> None:
        address = page(goal.unsubscribe_token)
        for language in ("es", "fr"):
            response = visitor.get(address, headers={"Accept-Language": language})
            assert f'<html lang="{language}"' in response.content.decode()
            assert response["Content-Language"] == language
        LearnerProfileFactory(user=goal.user, language="es")
        html = visitor.get(address, headers={"Accept-Language": "fr"}).content.decode()
        assert "Dejar de recibir" in html

    def test_has_one_heading_a_title_and_no_script(self, visitor: Client, goal: CourseGoal) -> None:
        for response in (
            visitor.get(page(goal.unsubscribe_token)),
            visitor.post(page(goal.unsubscribe_token)),
            visitor.get(page("nonsense")),
        ):
            html = response.content.decode()
            assert html.count("<h1") == 1
            assert re.search(r"<title>\S.* – Cadence</title>", html)
            assert "<script" not in html
            assert not re.search(r"""(?:src|href|url\()=?["']?(?:https?:)?//""", html)


class TestToken:
    def answers(self, visitor: Client, goal: CourseGoal) -> list[Any]:
        token = goal.unsubscribe_token
        found = [visitor.get(page(token)), visitor.put(page(token)), visitor.get(api(token)), visitor.put(api(token))]
        found += [visitor.post(page(token)) for _ in range(21)]
        return [*found, visitor.post(api(token)), visitor.post(api(uuid.uuid4())), visitor.get(page(uuid.uuid4()))]

    def test_does_not_travel_on(self, visitor: Client, goal: CourseGoal) -> None:
        answers = self.answers(visitor, goal)
        assert {answer.status_code for answer in answers} == {200, 302, 404, 405, 429}
        for answer in answers:
            assert {name: answer[name] for name in GUARDS} == GUARDS

    def test_is_logged_by_its_first_characters_only(self, visitor: Client, goal: CourseGoal, caplog: Any) -> None:
        caplog.set_level("DEBUG")
        self.answers(visitor, goal)
        token = str(goal.unsubscribe_token)
        assert f"goal token {token[:8]}…: 429" in caplog.text
        assert f"goal token {token[:8]}…: 405" in caplog.text
        logged = [record for record in caplog.records if not record.name.startswith("django.db")]
        assert not [
            record for record in logged if token in record.getMessage() or token.replace("-", "") in str(record)
        ]


@pytest.mark.parametrize("language", ["es", "fr"])
def test_every_sentence_is_translated(language: str) -> None:
    known: set[str] = set()
    for app in ("course_goals", "email_automation"):
        catalogue = APP.parent / app / "locale" / language / "LC_MESSAGES" / "django.po"
        for entry in entries(catalogue):
            assert not entry.fuzzy
            assert all(entry.texts.values())
            known |= {entry.msgid, entry.plural}
    for path in sorted((APP / "templates" / "course_goals" / "pages").glob("*.html")):
        template = engines["django"].get_template(f"course_goals/pages/{path.name}")
        assert not msgids(template.template) - known, path.name
