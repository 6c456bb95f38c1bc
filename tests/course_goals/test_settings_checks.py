"""A setting of weekly goals …"""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest
from django.core.checks import run_checks
from django.test import override_settings

from course_goals import conf
from course_goals.week import AccessLimits

USABLE = [
    ("COURSE_GOALS_DAYS_RANGE", [1, 5]),
    ("COURSE_GOALS_DAYS_RANGE", (1, 7)),
    ("COURSE_GOALS_CHOICES", []),
    ("COURSE_GOALS_CHOICES", [(2, "Twice"), [7, "Daily"]]),
    ("AUDIT_ACCESS_LIMITS", {}),
    ("AUDIT_ACCESS_LIMITS", {"enabled": False}),
    ("AUDIT_ACCESS_LIMITS", {"enabled": True, "enabled_as_of": None, "min_weeks": 4, "max_weeks": 18}),
    ("AUDIT_ACCESS_LIMITS", {"enabled_as_of": "2021-02-20"}),
    ("AUDIT_ACCESS_LIMITS", {"enabled_as_of": datetime(2021, 2, 20, tzinfo=UTC)}),
    ("COURSE_GOALS_SAVES_PER_MINUTE", None),
    ("COURSE_GOALS_OUTLINES_PER_MINUTE", 0),
    ("COURSE_GOALS_UNSUBSCRIBES_PER_MINUTE", 20),
    ("COURSE_GOALS_SKIP_UNUSABLE_PASSWORD", False),
    ("COURSE_GOALS_AUTHENTICATION_CLASSES", ["rest_framework.authentication.BasicAuthentication"]),
]
UNUSABLE = [
    ("COURSE_GOALS_DAYS_RANGE", (0, 9), "E001"),
    ("COURSE_GOALS_DAYS_RANGE", (1, 8), "E001"),
    ("COURSE_GOALS_DAYS_RANGE", (5, 1), "E001"),
    ("COURSE_GOALS_DAYS_RANGE", (1, 2.5), "E001"),
    ("COURSE_GOALS_DAYS_RANGE", (True, 5), "E001"),
    ("COURSE_GOALS_DAYS_RANGE", 5, "E001"),
    ("COURSE_GOALS_DAYS_RANGE", None, "E001"),
    ("COURSE_GOALS_CHOICES", [(9, "Never rests")], "E002"),
    ("COURSE_GOALS_CHOICES", [(0, "None")], "E002"),
    ("COURSE_GOALS_CHOICES", [(1, "One"), (1, "Another")], "E002"),
    ("COURSE_GOALS_CHOICES", [("1", "One")], "E002"),
    ("COURSE_GOALS_CHOICES", {1: "One"}, "E002"),
    ("COURSE_GOALS_CHOICES", [1, 3], "E002"),
    ("COURSE_GOALS_CHOICES", None, "E002"),
    ("AUDIT_ACCESS_LIMITS", {"weeks": 4}, "E003"),
    ("AUDIT_ACCESS_LIMITS", {"enabled_as_of": "soon"}, "E003"),
    ("AUDIT_ACCESS_LIMITS", {"enabled_as_of": date(2021, 2, 20)}, "E003"),
    ("AUDIT_ACCESS_LIMITS", {"enabled_as_of": datetime(2021, 2, 20)}, "E003"),  # noqa: DTZ001
    ("AUDIT_ACCESS_LIMITS", {"min_weeks": 20}, "E003"),
    ("AUDIT_ACCESS_LIMITS", {"max_weeks": None}, "E003"),
    ("AUDIT_ACCESS_LIMITS", {"enabled": "yes"}, "E003"),
    ("AUDIT_ACCESS_LIMITS", None, "E003"),
    ("COURSE_GOALS_SAVES_PER_MINUTE", -1, "E004"),
    ("COURSE_GOALS_OUTLINES_PER_MINUTE", "120/min", "E004"),
    ("COURSE_GOALS_UNSUBSCRIBES_PER_MINUTE", True, "E004"),
    ("COURSE_GOALS_SKIP_UNUSABLE_PASSWORD", "no", "E005"),
    ("COURSE_GOALS_AUTHENTICATION_CLASSES", ["nowhere.Authentication"], "E006"),
    ("COURSE_GOALS_AUTHENTICATION_CLASSES", "rest_framework.authentication.BasicAuthentication", "E006"),
]


def ours() -> list[Any]:
    return [found for found in run_checks() if (found.id or "").startswith("course_goals.E")]


def test_is_usable_as_it_is() -> None:
    assert ours() == []


@pytest.mark.parametrize(("name", "value"), USABLE, ids=repr)
def test_can_be_another_one(name: str, value: Any) -> None:
    with override_settings(**{name: value}):
        assert ours() == []


@pytest.mark.parametrize(("name", "value", "number"), UNUSABLE, ids=repr)
def test_case_054_is_refused_at_start_up(name: str, value: Any, number: str) -> None:
    with override_settings(**{name: value}):
        [found] = ours()
    assert found.id == f"course_goals.{number}"
    assert name in found.msg
    assert found.hint.startswith("Set it to ")


@override_settings(COURSE_GOALS_DAYS_RANGE=(1, 4))
def test_case_054_offers_no_choice_outside_the_range() -> None:
    assert [found.id for found in ours()] == ["course_goals.E002"]


def test_of_access_is_completed() -> None:
    with override_settings(AUDIT_ACCESS_LIMITS={"enabled_as_of": "2021-02-20", "max_weeks": 9}):
        assert conf.access_limits() == AccessLimits(True, datetime(2021, 2, 20, tzinfo=UTC), 4, 9)
    with override_settings(AUDIT_ACCESS_LIMITS={"enabled_as_of": "2021-02-20T10:00+02:00"}):
        assert conf.access_limits().enabled_as_of == datetime(2021, 2, 20, 8, tzinfo=UTC)


def test_that_nobody_knows_is_an_error() -> None:
    with pytest.raises(KeyError):
        conf.setting("EMAIL_LOG_DAYS")
