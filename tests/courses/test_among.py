"""Rows by many values of a column."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.db import connection
from django.test.utils import CaptureQueriesContext

from courses.among import among
from courses.models import Enrollment
from email_automation.models import EmailLog
from tests import factories

pytestmark = [pytest.mark.django_db, pytest.mark.every_database]


@pytest.fixture
def rows() -> list[Enrollment]:
    return [factories.EnrollmentFactory() for _ in range(4)]


@pytest.mark.parametrize(
    ("path", "of"),
    [
        ("pk", lambda row: row.pk),
        ("user_id", lambda row: row.user_id),
        ("user", lambda row: row.user_id),
        ("user__email", lambda row: row.user.email),
        ("course__key", lambda row: row.course.key),
    ],
)
def test_it_finds_what_in_finds(rows: list[Enrollment], path: str, of: Any) -> None:
    values = [of(rows[0]), of(rows[2]), of(rows[2])]
    found = Enrollment.objects.filter(among(path, values))
    assert set(found) == set(Enrollment.objects.filter(**{f"{path}__in": values})) == {rows[0], rows[2]}
    assert set(Enrollment.objects.exclude(among(path, values))) == {rows[1], rows[3]}
    assert Enrollment.objects.filter(among(path, values), user_id=rows[1].user_id).count() == 0


def test_it_finds_nothing_among_nothing_without_asking(django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(0):
        assert list(Enrollment.objects.filter(among("pk", []))) == []


def test_values_are_stored_ones_whatever_their_type() -> None:
    token = uuid.uuid4()
    assert list(EmailLog.objects.filter(among("claim_token", [token]))) == []
    odd = ["it's", "%s", "a{b,c}", '"', "\\"]
    users = [factories.UserFactory(username=f"odd{index}", first_name=name) for index, name in enumerate(odd)]
    assert set(get_user_model().objects.filter(among("first_name", odd))) == set(users)


@pytest.mark.skipif(connection.vendor != "postgresql", reason="others get a parameter for each value")
def test_postgresql_gets_one_statement_for_any_number() -> None:
    said = []
    for number in (1, 50):
        with CaptureQueriesContext(connection) as queries:
            list(Enrollment.objects.filter(among("pk", range(number))))
        said.append(queries[0]["sql"].partition("ANY(")[0])
    assert said[0] == said[1] != ""
