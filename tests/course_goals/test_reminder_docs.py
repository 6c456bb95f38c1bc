"""docs/goals.md says what the code does."""

from __future__ import annotations

import pytest

from course_goals.conditions import CONDITIONS
from course_goals.messages.goal_reminder import GoalReminder
from email_automation.events import HOLD, STOP
from tests import test_architecture as house

PAGE = (house.ROOT / "docs" / "goals.md").read_text(encoding="utf-8")
BEGIN, END = "<!-- conditions: begin -->\n", "<!-- conditions: end -->\n"


def test_its_table_of_conditions_is_the_codes() -> None:
    rows = [f"| {rule.name} | {rule.sentence} |" for rule in CONDITIONS]
    table = "\n".join(["| Condition | What holds |", "|---|---|", *rows, ""])
    if PAGE.partition(BEGIN)[2].partition(END)[0] != table:
        pytest.fail(f"Put this between the two marks in docs/goals.md:\n\n{table}", pytrace=False)


def test_it_names_message_and_switches() -> None:
    for name in (GoalReminder.label(), HOLD.format(GoalReminder.NAME), STOP.format(GoalReminder.NAME)):
        assert name in PAGE
