"""The weekly figures in the admin."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.test import Client

from email_automation.models import WeeklyProgressReport
from tests import factories

pytestmark = pytest.mark.django_db

REPORTS = "/admin/email_automation/weeklyprogressreport/"
MONDAY = date(2026, 2, 23)


@pytest.fixture
def root(client: Client) -> Client:
    client.force_login(factories.UserFactory(admin=True))
    return client


def report(**fields: Any) -> WeeklyProgressReport:
    start = fields.setdefault("week_start", MONDAY)
    people = {name: fields.pop(name, None) or make() for name, make in MADE.items()}
    return WeeklyProgressReport.objects.create(week_end=start + timedelta(days=6), **people, **fields)


MADE = {"user": factories.UserFactory, "course": factories.CourseFactory}


def found(client: Client, **query: str) -> set[int]:
    return {row.pk for row in client.get(REPORTS, query).context["cl"].result_list}


def test_it_shows_who_did_how_much_of_which_course(root: Client) -> None:
    row = report(videos_completed=2, total_videos=4, quizzes_completed=1, total_quizzes=1, email_sent=True)
    page = root.get(REPORTS).content.decode()
    for text in (row.user.username, row.course.key, "60.00 %", 'alt="True"'):
        assert text in page
    assert root.get(f"{REPORTS}{row.pk}/change/").status_code == 200


def test_nobody_changes_it(root: Client) -> None:
    row = report()
    assert 'name="action"' not in root.get(REPORTS).content.decode()
    for last in (f"{row.pk}/change/", f"{row.pk}/delete/", "add/"):
        assert root.post(REPORTS + last, {"post": "yes"}).status_code == 403


def test_search_finds_one_person(root: Client) -> None:
    hers = report(user=factories.UserFactory(username="ann"))
    report(user=factories.UserFactory(username="joann"))
    for term in ("ann", "ann@example.com", str(hers.user_id)):
        assert found(root, q=term) == {hers.pk}
    assert found(root, q="an") == set()


def test_filters_find_by_week_and_whether_it_was_mailed(root: Client) -> None:
    mailed, other = report(email_sent=True), report(week_start=MONDAY - timedelta(days=7))
    assert found(root, week="2026-02-23") == {mailed.pk}
    assert found(root, week="2026-02-16") == {other.pk}
    assert found(root, week="nonsense") == set()
    assert found(root, email_sent__exact="1") == {mailed.pk}
    assert found(root, email_sent__exact="0") == {other.pk}


def test_the_last_eight_weeks_that_have_ended_are_offered(root: Client) -> None:
    with time_machine.travel(datetime(2026, 3, 4, 12, tzinfo=UTC)):
        root.force_login(factories.UserFactory(admin=True))
        offered = root.get(REPORTS).context["cl"].filter_specs[0].lookup_choices
    assert [week for week, _ in offered] == [(MONDAY - timedelta(days=7 * back)).isoformat() for back in range(8)]
