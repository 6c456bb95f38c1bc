"""The API of weekly goals …"""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.db import connection
from django.test import Client, override_settings
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from rest_framework.authentication import BaseAuthentication

from course_goals.models import CourseGoal
from courses.models import Course, CourseFlag, Enrollment, Flag, LearnerProfile, UserActivity
from tests.factories import CourseGoalFactory, LearnerProfileFactory, UserActivityFactory, UserFactory

from . import scene

pytestmark = pytest.mark.django_db

SAVE = "/api/course_home/save_course_goal"
ZONE = "/api/course_home/last_seen_time_zone"
NOTHING = {"weekly_learning_goal_enabled": False, "selected_goal": None, "week": None}


@pytest.fixture
def client(ann: Any) -> Client:
    """Ann's browser."""
    client = Client()
    client.force_login(ann)
    return client


def outline(course: Course) -> str:
    return reverse("course_goals:outline", args=[course.key])


def post(client: Client, address: str, body: Any, **headers: Any) -> Any:
    content = body if isinstance(body, str | bytes) else json.dumps(body)
    return client.post(address, content, content_type="application/json", headers=headers)


def save(client: Client, course: Course, **fields: Any) -> Any:
    return post(client, SAVE, {"course_id": course.key, **fields})


def error(response: Any) -> tuple[int, str, Any, str]:
    body = response.json()
    assert set(body) == {"detail", "code", "field"}
    return response.status_code, body["code"], body["field"], body["detail"]


def stored() -> list[tuple[int, bool]]:
    return list(CourseGoal.objects.values_list("days_per_week", "subscribed_to_reminders"))


class TestSaving:
    def test_case_048_each_change_is_one_history_row(self, client: Client, course: Course) -> None:
        goal = {"days_per_week": 1, "subscribed_to_reminders": True}
        response = save(client, course, **goal)
        assert (response.status_code, response.json()["selected_goal"]) == (200, goal)
        assert response.json()["header"] == "Your goal: 1 day a week"
        for days, on, rows in ((3, True, 2), (5, False, 3), (5, False, 3)):
            answer = save(client, course, days_per_week=days, subscribed_to_reminders=on).json()
            assert answer["selected_goal"] == {"days_per_week": days, "subscribed_to_reminders": on}
            assert CourseGoal.history.count() == rows
        assert answer["header"] == "Your goal: 5 days a week"
        assert stored() == [(5, False)]
        assert set(CourseGoal.history.values_list("history_change_reason", flat=True)) == {"api"}

    @pytest.mark.parametrize(
        ("body", "expected"),
        [
            ({"course_id": 1}, (400, "invalid", "course_id", "course_id must be a string.")),
            ({"course_id": None}, (400, "required", "course_id", "course_id is required.")),
            ({"course_id": ""}, (400, "required", "course_id", "course_id is required.")),
            ({}, (400, "required", "course_id", "course_id is required.")),
            (
                {"course_id": "x"},
                (400, "required", "subscribed_to_reminders", "subscribed_to_reminders is required."),
            ),
            (
                {"course_id": "x", "subscribed_to_reminders": None},
                (400, "required", "subscribed_to_reminders", "subscribed_to_reminders is required."),
            ),
            *(
                (
                    {"course_id": "x", "subscribed_to_reminders": value},
                    (400, "invalid", "subscribed_to_reminders", "subscribed_to_reminders must be true or false."),
                )
                for value in (0, 1, "true", [], {})
            ),
            *(
                (
                    {"course_id": "x", "subscribed_to_reminders": True, "days_per_week": value},
                    (400, "invalid", "days_per_week", "days_per_week must be a whole number."),
                )
                for value in ("notnumber", "3", True, False, 2.5, 3.0, [], {})
            ),
            *(
                (
                    {"course_id": "x", "subscribed_to_reminders": True, "days_per_week": value},
                    (400, "out_of_range", "days_per_week", "days_per_week must be 0, or between 1 and 7."),
                )
                for value in (-1, 8, 10**30)
            ),
            (
                {"course_id": "x", "subscribed_to_reminders": True},
                (404, "course_not_found", "course_id", "There is no such course."),
            ),
        ],
        ids=repr,
    )
    def test_case_049_a_wrong_field_is_named_and_nothing_stored(
        self, client: Client, body: Any, expected: tuple[Any, ...]
    ) -> None:
        assert error(post(client, SAVE, body)) == expected
        assert stored() == []

    @pytest.mark.parametrize(
        "body",
        [
            "[1]", "{", " ", "null", '"x"', "NaN", '{"course_id": NaN}', b"\xff", "[" * 100_000, '{"a":' * 100_000,
            "\ufeff{}", "1" * 5000,
        ],
        ids=lambda body: repr(body[:9]),
    )  # fmt: skip
    def test_case_050_a_body_must_be_an_object(self, client: Client, body: Any) -> None:
        detail = "The request body is not a JSON object."
        assert error(post(client, SAVE, body)) == (400, "parse_error", None, detail)

    @override_settings(DATA_UPLOAD_MAX_MEMORY_SIZE=1000)
    def test_case_050_a_body_must_not_be_endless(self, client: Client) -> None:
        assert error(post(client, SAVE, {"course_id": "x" * 1001}))[:2] == (400, "parse_error")

    @pytest.mark.parametrize("charset", ["latin-1", "rot13", "utf-16", "nonsense"])
    def test_a_body_is_utf_8_whatever_its_header_says(self, client: Client, course: Course, charset: str) -> None:
        body = json.dumps({"course_id": course.key, "subscribed_to_reminders": False})
        response = client.generic("POST", SAVE, body, content_type=f"application/json; charset={charset}")
        assert response.status_code == 200

    @pytest.mark.parametrize(
        "content_type", ["application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/plain", ""]
    )
    def test_case_050_a_body_must_be_json(self, client: Client, content_type: str) -> None:
        for body in ("{}", ""):
            response = client.generic("POST", SAVE, body, content_type=content_type)
            assert error(response)[:3] == (415, "unsupported_media_type", None)

    def test_case_050_needs_a_login(self, course: Course) -> None:
        response = post(Client(), SAVE, "{")
        assert error(response) == (401, "not_authenticated", None, "You need to sign in.")
        assert response["WWW-Authenticate"] == "Session"

    def test_case_050_needs_a_csrf_token(self, ann: Any, course: Course) -> None:
        browser = Client(enforce_csrf_checks=True)
        browser.force_login(ann)
        assert error(post(browser, SAVE, "{")) == (403, "csrf_failed", None, "CSRF check failed.")
        assert stored() == []
        browser.cookies["csrftoken"] = token = "x" * 32
        goal = {"course_id": course.key, "subscribed_to_reminders": True, "days_per_week": 3}
        assert post(browser, SAVE, goal, **{"X-CSRFToken": token}).status_code == 200

    def test_case_051_cleared_is_no_goal(self, client: Client, course: Course) -> None:
        goal = CourseGoalFactory(user=Enrollment.objects.get().user, course=course)
        answer = save(client, course, days_per_week=0, subscribed_to_reminders=True).json()
        assert answer["selected_goal"] is None
        assert stored() == [(0, False)]
        save(client, course, days_per_week=5, subscribed_to_reminders=True)
        assert CourseGoal.objects.get().unsubscribe_token == goal.unsubscribe_token

    def test_case_052_reminders_need_days(self, client: Client, course: Course) -> None:
        response = save(client, course, subscribed_to_reminders=False)
        assert (response.status_code, response.json()["selected_goal"], stored()) == (200, None, [])
        assert error(save(client, course, subscribed_to_reminders=True)) == (
            400, "required", "days_per_week", "days_per_week is required to set a goal.",
        )  # fmt: skip

    @pytest.mark.parametrize("days", [{}, {"days_per_week": None}], ids=["left out", "null"])
    def test_days_that_are_left_out_stay(self, client: Client, course: Course, ann: Any, days: Any) -> None:
        CourseGoalFactory(user=ann, course=course, days_per_week=4)
        answer = save(client, course, subscribed_to_reminders=False, **days)
        assert answer.json()["selected_goal"] == {"days_per_week": 4, "subscribed_to_reminders": False}

    def test_case_053_is_not_there_with_the_flag_off(self, client: Client, course: Course) -> None:
        CourseFlag.objects.create(flag=Flag.objects.get(), course=course, on=False)
        Enrollment.objects.all().delete()
        assert error(save(client, course, days_per_week=3, subscribed_to_reminders=True)) == (
            404, "goals_not_enabled", "course_id", "Weekly goals are not available in this course.",
        )  # fmt: skip

    @pytest.mark.parametrize("end", [{"is_active": False}, None], ids=["inactive", "none"])
    def test_needs_an_active_enrolment(self, client: Client, course: Course, end: Any) -> None:
        Enrollment.objects.update(**end) if end else Enrollment.objects.all().delete()
        # Before what is wrong with the goal itself.
        assert error(save(client, course, subscribed_to_reminders=True)) == (
            403, "not_enrolled", "course_id", "You are not enrolled in this course.",
        )  # fmt: skip
        assert stored() == []

    def test_is_allowed_after_the_course_has_ended(self, client: Client, course: Course) -> None:
        Course.objects.update(end=datetime(2021, 1, 2, tzinfo=UTC))
        assert save(client, course, days_per_week=3, subscribed_to_reminders=True).status_code == 200

    @override_settings(COURSE_GOALS_DAYS_RANGE=(1, 5))
    def test_case_054_the_range_is_a_setting(self, client: Client, course: Course) -> None:
        assert error(save(client, course, days_per_week=6, subscribed_to_reminders=True))[3] == (
            "days_per_week must be 0, or between 1 and 5."
        )
        assert save(client, course, days_per_week=0, subscribed_to_reminders=True).status_code == 200

    def test_case_055_the_thirty_first_in_a_minute_has_to_wait(
        self, client: Client, course: Course, time_machine: Any
    ) -> None:
        time_machine.move_to(scene.WEDNESDAY, tick=False)
        answers = [save(client, course, days_per_week=3, subscribed_to_reminders=True) for _ in range(31)]
        assert [answer.status_code for answer in answers] == [200] * 30 + [429]
        assert error(answers[-1])[1:3] == ("throttled", None)
        assert answers[-1]["Retry-After"] == "60"
        other = Client()
        other.force_login(scene.learner(course))
        assert save(other, course, days_per_week=3, subscribed_to_reminders=True).status_code == 200
        time_machine.move_to(scene.WEDNESDAY + timedelta(seconds=61), tick=False)
        assert save(client, course, days_per_week=1, subscribed_to_reminders=True).status_code == 200

    def test_case_055_the_goal_is_always_the_callers(self, client: Client, course: Course, ann: Any) -> None:
        bob = scene.learner(course)
        save(client, course, days_per_week=3, subscribed_to_reminders=True, user=bob.pk, username=bob.username)
        assert CourseGoal.objects.get().user == ann

    @pytest.mark.parametrize(
        "key", ["nonsense", "\x00", "\ud800", "course-v1:a+b+c", "a/b/\x00", "course-v1:é+\u202e+c", "x" * 999]
    )
    def test_an_impossible_key_is_no_course(self, client: Client, key: str) -> None:
        body = json.dumps({"course_id": key, "subscribed_to_reminders": True})
        assert error(post(client, SAVE, body))[:2] == (404, "course_not_found")

    def test_speaks_the_learners_language(self, client: Client, course: Course, ann: Any) -> None:
        LearnerProfileFactory(user=ann, language="es-419")
        response = save(client, course, days_per_week=1, subscribed_to_reminders=True)
        assert (response.json()["header"], response["Content-Language"]) == ("Tu objetivo: 1 día a la semana", "es")

    @pytest.mark.parametrize("method", ["get", "put", "patch", "delete", "options", "head"])
    def test_other_methods_are_refused(self, client: Client, method: str) -> None:
        response = getattr(client, method)(SAVE)
        assert response.status_code == 405
        if method != "head":
            assert error(response)[1:3] == ("method_not_allowed", None)


class TestOutline:
    def test_case_056_shows_the_goal_and_the_week(
        self, client: Client, course: Course, ann: Any, time_machine: Any
    ) -> None:
        time_machine.move_to(scene.WEDNESDAY)
        CourseGoalFactory(user=ann, course=course)
        UserActivityFactory(user=ann, course=course, date=date(2021, 3, 1))
        answer = client.get(outline(course))
        assert answer.json() == {
            "course_goals": {
                "weekly_learning_goal_enabled": True,
                "selected_goal": {"days_per_week": 3, "subscribed_to_reminders": True},
                "choices": [
                    {"days": 1, "name": "Casual"},
                    {"days": 3, "name": "Regular"},
                    {"days": 5, "name": "Intense"},
                ],
                "week": {
                    "start": "2021-03-01",
                    "today": "2021-03-03",
                    "days_done": 2,
                    "days_left": 5,
                    "reached": False,
                },
            }
        }
        assert answer["Cache-Control"] == "no-store"

    def test_case_066_opening_it_is_a_day_of_study(self, client: Client, course: Course) -> None:
        client.head(outline(course))
        client.get(outline(course), headers={"Sec-Purpose": "prefetch"})
        assert not UserActivity.objects.exists()
        for _ in range(2):
            assert client.get(outline(course)).json()["course_goals"]["week"]["days_done"] == 1
        assert UserActivity.objects.count() == 1

    @pytest.mark.parametrize("end", ["logout", "unenrolled", "inactive", "flag"])
    def test_case_053_shows_nothing_to_whom_has_no_goals_here(
        self, client: Client, course: Course, ann: Any, end: str
    ) -> None:
        CourseGoalFactory(user=ann, course=course)
        if end == "logout":
            client.logout()
        elif end == "unenrolled":
            Enrollment.objects.all().delete()
        elif end == "inactive":
            Enrollment.objects.update(is_active=False)
        else:
            CourseFlag.objects.create(flag=Flag.objects.get(), course=course, on=False)
        answer = client.get(outline(course))
        shown = answer.json()["course_goals"]
        assert answer.status_code == 200
        assert shown == NOTHING | {"choices": shown["choices"]}
        assert not UserActivity.objects.exists()

    def test_a_cleared_goal_is_null(self, client: Client, course: Course, ann: Any) -> None:
        CourseGoalFactory(user=ann, course=course, days_per_week=0, subscribed_to_reminders=False)
        shown = client.get(outline(course)).json()["course_goals"]
        assert (shown["weekly_learning_goal_enabled"], shown["selected_goal"]) == (True, None)
        assert shown["week"]["reached"] is False

    @pytest.mark.parametrize("key", ["course-v1:a+b+c", "nonsense", "%00", "%ff", "a/b/c", "%ED%A0%80", "x" * 999])
    def test_there_are_no_other_courses(self, client: Client, key: str) -> None:
        assert error(client.get(f"/api/course_home/outline/{key}"))[:2] == (404, "course_not_found")

    def test_its_choices_are_a_setting_and_translated(self, client: Client, course: Course) -> None:
        answer = client.get(outline(course), headers={"Accept-Language": "fr"})
        names = [choice["name"] for choice in answer.json()["course_goals"]["choices"]]
        assert names == ["Tranquille", "Régulier", "Intensif"]
        with override_settings(COURSE_GOALS_CHOICES=[(2, "Twice")]):
            assert client.get(outline(course)).json()["course_goals"]["choices"] == [{"days": 2, "name": "Twice"}]

    @override_settings(COURSE_GOALS_OUTLINES_PER_MINUTE=2)
    def test_is_counted_by_learner_or_address(self, client: Client, course: Course) -> None:
        assert [client.get(outline(course)).status_code for _ in range(3)] == [200, 200, 429]
        nobody = Client()
        assert [nobody.get(outline(course)).status_code for _ in range(3)] == [200, 200, 429]
        assert nobody.get(outline(course), REMOTE_ADDR="203.0.113.9").status_code == 200
        # Whoever could name an address in a header could get by with a new one each time.
        assert nobody.get(outline(course), headers={"X-Forwarded-For": "203.0.113.10"}).status_code == 429

    def test_takes_few_statements(
        self, client: Client, course: Course, ann: Any, django_capture_on_commit_callbacks: Any
    ) -> None:
        CourseGoalFactory(user=ann, course=course)
        with django_capture_on_commit_callbacks(execute=True):
            client.get(outline(course))
        with CaptureQueriesContext(connection) as queries:
            client.get(outline(course))
        # Session, user, language, course, and what goal_state asks.
        assert len(queries) == 4 + 8

    @override_settings(COURSE_GOALS_OUTLINES_PER_MINUTE=1)
    def test_a_cache_that_fails_turns_nobody_away(
        self, client: Client, course: Course, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*args: Any, **kwargs: Any) -> None:
            raise ConnectionError

        monkeypatch.setattr("course_goals.throttles.Throttle.cache.get", fail)
        assert {client.get(outline(course)).status_code for _ in range(3)} == {200}


class TestTimeZone:
    def test_is_recorded_for_the_caller(self, client: Client, ann: Any) -> None:
        for name in ("Asia/Tokyo", "Mars/Base", 7, None, ["UTC"]):
            response = post(client, ZONE, {"time_zone": name})
            assert (response.status_code, response.content) == (204, b"")
        assert LearnerProfile.objects.get(user=ann).last_seen_time_zone == "Asia/Tokyo"

    def test_needs_a_login_and_a_csrf_token(self, ann: Any) -> None:
        browser = Client(enforce_csrf_checks=True)
        assert error(post(browser, ZONE, {"time_zone": "Asia/Tokyo"}))[:2] == (401, "not_authenticated")
        browser.force_login(ann)
        assert error(post(browser, ZONE, {"time_zone": "Asia/Tokyo"}))[:2] == (403, "csrf_failed")
        assert not LearnerProfile.objects.exists()

    def test_needs_an_object(self, client: Client) -> None:
        assert error(post(client, ZONE, "[]"))[:2] == (400, "parse_error")


class KeyHolder(BaseAuthentication):
    """What a project may add: whoever knows a user name and the key."""

    def authenticate(self, request: Any) -> Any:
        name = request.headers.get("X-Key", "").removeprefix("sesame ")
        user = get_user_model().objects.filter(username=name).first()
        return (user, None) if user else None


@override_settings(COURSE_GOALS_AUTHENTICATION_CLASSES=[f"{__name__}.KeyHolder"])
def test_further_ways_to_log_in_can_be_added(course: Course, ann: Any) -> None:
    goal = {"course_id": course.key, "subscribed_to_reminders": True, "days_per_week": 3}
    assert post(Client(enforce_csrf_checks=True), SAVE, goal, **{"X-Key": f"sesame {ann.username}"}).status_code == 200
    assert error(post(Client(), SAVE, goal))[0] == 401
    assert CourseGoal.objects.get().user == ann


@pytest.mark.parametrize("accept", ["text/html", "application/xml", "nonsense"])
def test_answers_in_json_whatever_is_asked_for(course: Course, accept: str) -> None:
    response = Client().get(outline(course), headers={"Accept": accept})
    assert (response.status_code, response["Content-Type"]) == (200, "application/json")


def test_an_account_that_is_closed_is_nobody(client: Client, course: Course, ann: Any) -> None:
    UserFactory._meta.model.objects.filter(pk=ann.pk).update(is_active=False)
    assert error(save(client, course, days_per_week=3, subscribed_to_reminders=True))[0] == 401
