"""docs/schedules.md says what the code does."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.apps import apps
from django.contrib import admin
from django.urls import reverse

from courses.models.fresh import FreshConfigurationModel
from email_automation.pipeline import message
from schedules import services
from schedules.messages import course_update
from schedules.models import ScheduleConfig

from .test_command_lines import DAILY, OF_A_DAY

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "schedules.md").read_text()
BEGIN, END = "<!-- conditions: begin -->\n", "<!-- conditions: end -->\n"
MESSAGES = [kind for kind in message.all_messages() if kind.owner() == "schedules"]


def conditions_table() -> str:
    """The table of who is due, made from the messages' own conditions."""
    rules: dict[tuple[str, str], list[str]] = {}
    for kind in MESSAGES:
        for condition in kind.resolver.conditions:
            rules.setdefault((condition.name, condition.sentence), []).append(kind.NAME)
    order = list(dict.fromkeys(name for name, _ in rules))
    lines = ["| Condition | Messages | What holds |", "|---|---|---|"]
    for (name, sentence), kinds in sorted(rules.items(), key=lambda rule: order.index(rule[0][0])):
        whose = "all" if len(kinds) == len(MESSAGES) else ", ".join(kinds)
        lines.append(f"| {name} | {whose} | {sentence} |")
    return "\n".join(lines) + "\n"


def test_its_table_of_conditions_is_the_codes() -> None:
    written = PAGE.partition(BEGIN)[2].partition(END)[0]
    if written != conditions_table():
        pytest.fail(f"Put this between the two marks in docs/schedules.md:\n\n{conditions_table()}", pytrace=False)


@pytest.mark.parametrize("line", [DAILY, OF_A_DAY])
def test_it_shows_the_lines_that_the_tests_type(line: str) -> None:
    assert f"{line}\n" in PAGE


def test_it_names_every_message() -> None:
    assert [kind.label() for kind in MESSAGES if kind.label() not in PAGE] == []


@pytest.mark.parametrize("name", ["send_recurring_nudge", "send_upgrade_reminder", "send_course_update"])
def test_it_shows_every_daily_command(name: str) -> None:
    assert f"./manage.py lms {name} example.com\n" in PAGE


def test_it_says_how_far_back_each_message_is_caught_up() -> None:
    days = {kind.NAME: kind.max_lateness for kind in MESSAGES}
    assert "nudges at most two days back,\nreminders one, updates three" in PAGE
    assert days == {"recurringnudge_day3": 2, "recurringnudge_day10": 2, "upgradereminder": 1, "courseupdate": 3}


def test_it_names_every_switch() -> None:
    own = {field.name for field in ScheduleConfig._meta.fields}
    inherited = {field.name for field in FreshConfigurationModel._meta.get_fields()} | {"id", "site"}
    assert [name for name in sorted(own - inherited) if f"`{name}`" not in PAGE] == []
    assert f"`{services.CREATION_FLAG}`" in PAGE
    assert f"`{course_update.FLAG}`" in PAGE
    assert f"`{services.DEFAULT_HOLD_BACK_KEY}`" in PAGE


def test_it_names_every_admin_page() -> None:
    models = [model for model in apps.get_app_config("schedules").get_models() if admin.site.is_registered(model)]
    addresses = [reverse(f"admin:schedules_{model._meta.model_name}_changelist") for model in models]
    assert [address for address in addresses if f"`{address}`" not in PAGE] == []
