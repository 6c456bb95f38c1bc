"""Weekly goals in the admin …"""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from course_goals import services
from course_goals.models import CourseGoal
from tests.factories import CourseFactory, CourseGoalFactory, UserFactory

pytestmark = pytest.mark.django_db

LIST = "/admin/course_goals/coursegoal/"


@pytest.fixture
def boss() -> Any:
    return UserFactory(admin=True)


@pytest.fixture
def root(boss: Any) -> Client:
    client = Client()
    client.force_login(boss)
    return client


def edit(goal: CourseGoal) -> str:
    return reverse("admin:course_goals_coursegoal_change", args=[goal.pk])


def sent_back(html: str, **changes: Any) -> dict[str, Any]:
    """Return what a browser posts from a form, with these changes; None leaves a box empty."""
    inputs = re.findall(r"<input [^>]*>", html)
    form: dict[str, Any] = {}
    for tag in inputs:
        found = dict(re.findall(r'(\w+)="([^"]*)"', tag))
        if found.get("type") == "checkbox" and " checked" not in tag:
            continue
        if "name" in found and found["name"] != "_addanother" and found.get("type") != "submit":
            form[found["name"]] = found.get("value", "on")
    form |= changes
    return {name: value for name, value in form.items() if value is not None}


class TestList:
    def test_shows_the_tokens_first_characters_only(self, root: Client) -> None:
        goal = CourseGoalFactory()
        for address in (LIST, edit(goal), f"{edit(goal).removesuffix('change/')}history/"):
            html = root.get(address).content.decode()
            assert str(goal.unsubscribe_token) not in html
            assert goal.unsubscribe_token.hex not in html
        assert f"{str(goal.unsubscribe_token)[:8]}…" in root.get(LIST).content.decode()

    def test_takes_the_same_statements_at_any_length_and_counts_nothing(self, root: Client) -> None:
        taken = []
        for number in (1, 59):
            CourseGoalFactory.create_batch(number)
            with CaptureQueriesContext(connection) as queries:
                html = root.get(LIST).content.decode()
            taken.append(len(queries))
            assert not [query for query in queries if "COUNT(" in query["sql"]]
        assert taken[0] == taken[1] <= 5
        assert "Older" in html
        older = re.search(r'href="(\?before=\d+)"', html)
        assert older
        assert len(re.findall(r'class="field-id"', root.get(LIST + older[1]).content.decode())) == 10

    @pytest.mark.parametrize("by", ["name", "key"])
    def test_finds_an_exact_name_or_key(self, root: Client, by: str) -> None:
        goal, _ = CourseGoalFactory(), CourseGoalFactory()
        term = goal.user.username if by == "name" else goal.course.key
        for asked, found in ((term, [goal.pk]), (term[:-1], []), ("", [goal.pk + 1, goal.pk])):
            html = root.get(LIST, {"q": asked}).content.decode()
            assert [int(pk) for pk in re.findall(r"coursegoal/(\d+)/change", html)] == found

    def test_is_filtered_by_days_and_reminders(self, root: Client) -> None:
        goals = [CourseGoalFactory(days_per_week=3), CourseGoalFactory(days_per_week=5, subscribed_to_reminders=False)]
        for query, goal in (("days_per_week=3", goals[0]), ("subscribed_to_reminders__exact=0", goals[1])):
            html = root.get(f"{LIST}?{query}").content.decode()
            assert re.findall(r"coursegoal/(\d+)/change", html) == [str(goal.pk)]


class TestEditing:
    def test_writes_through_the_service(self, root: Client, boss: Any, heard: Any) -> None:
        goal = CourseGoalFactory()
        form = sent_back(root.get(edit(goal)).content.decode(), days_per_week="5")
        with heard() as calls:
            assert root.post(edit(goal), form).status_code == 302
        assert [(call["changed"], call["source"]) for call in calls] == [({"days_per_week"}, "admin")]
        row = goal.history.latest()
        assert (row.days_per_week, row.history_change_reason, row.history_user) == (5, "admin", boss)
        assert CourseGoal.objects.get().unsubscribe_token == goal.unsubscribe_token

    def test_what_the_learner_has_changed_meanwhile_stays(self, root: Client) -> None:
        goal = CourseGoalFactory()
        form = sent_back(root.get(edit(goal)).content.decode(), days_per_week="5")
        services.unsubscribe(goal.unsubscribe_token, source="one-click")
        assert root.post(edit(goal), form).status_code == 302
        goal.refresh_from_db()
        assert (goal.days_per_week, goal.subscribed_to_reminders) == (5, False)

    def test_a_goal_that_is_cleared_meanwhile_is_no_error(self, root: Client) -> None:
        goal = CourseGoalFactory(subscribed_to_reminders=False)
        form = sent_back(root.get(edit(goal)).content.decode(), subscribed_to_reminders="on")
        services.set_goal(goal.user, goal.course, days_per_week=0, subscribed=False, source="api")
        assert root.post(edit(goal), form).status_code == 302
        goal.refresh_from_db()
        assert (goal.days_per_week, goal.subscribed_to_reminders) == (0, False)

    @pytest.mark.parametrize("days", ["8", "-1", "x", ""])
    def test_impossible_days_are_refused(self, root: Client, days: str) -> None:
        goal = CourseGoalFactory()
        form = sent_back(root.get(edit(goal)).content.decode(), days_per_week=days)
        assert root.post(edit(goal), form).status_code == 200
        assert CourseGoal.objects.get().days_per_week == 3

    def test_reminders_without_a_goal_are_refused_in_words(self, root: Client) -> None:
        goal = CourseGoalFactory()
        form = sent_back(root.get(edit(goal)).content.decode(), days_per_week="0")
        assert "there are no reminders without a goal" in root.post(edit(goal), form).content.decode()

    def test_a_goal_can_be_made(self, root: Client) -> None:
        user, course = UserFactory(), CourseFactory()
        page = root.get(f"{LIST}add/").content.decode()
        form = sent_back(page, user=user.pk, course=course.pk, days_per_week="2", subscribed_to_reminders="on")
        assert root.post(f"{LIST}add/", form | {"days_per_week": "0", "subscribed_to_reminders": ""}).status_code == 200
        assert root.post(f"{LIST}add/", form).status_code == 302
        goal = CourseGoal.objects.get()
        assert (goal.user, goal.course, goal.days_per_week, goal.subscribed_to_reminders) == (user, course, 2, True)
        assert "already has a goal" in root.post(f"{LIST}add/", form).content.decode()

    def test_whose_goal_it_is_never_changes(self, root: Client) -> None:
        goal = CourseGoalFactory()
        form = sent_back(root.get(edit(goal)).content.decode(), user=UserFactory().pk, days_per_week="5")
        root.post(edit(goal), form)
        assert CourseGoal.objects.get().user == goal.user

    def test_nothing_is_deleted_but_with_its_learner(self, root: Client) -> None:
        goal = CourseGoalFactory()
        assert root.post(f"{LIST}{goal.pk}/delete/", {"post": "yes"}).status_code == 403
        address = reverse("admin:accounts_user_delete", args=[goal.user_id])
        assert root.post(address, {"post": "yes"}).status_code == 302
        assert not CourseGoal.objects.exists()
        assert not CourseGoal.history.exists()


class TestHistory:
    def test_shows_the_source_and_brings_nothing_back(self, root: Client) -> None:
        goal = CourseGoalFactory()
        services.unsubscribe(goal.unsubscribe_token, source="one-click")
        assert "one-click" in root.get(f"{LIST}{goal.pk}/history/").content.decode()
        version = f"{LIST}{goal.pk}/history/{goal.history.earliest().history_id}/"
        assert root.get(version).status_code == 200
        assert root.post(version, {"days_per_week": 3, "subscribed_to_reminders": "on"}).status_code == 403
        assert not CourseGoal.objects.get().subscribed_to_reminders
