"""docs/licences.md says what the code does."""

from __future__ import annotations

import pytest

from license_notifications import tasks
from license_notifications.conditions import DIGEST, UTILIZATION
from license_notifications.job import MESSAGES
from license_notifications.messages import PAUSE
from license_notifications.models import NotificationTimestamp
from tests import test_architecture as house

PAGE = (house.ROOT / "docs" / "licences.md").read_text(encoding="utf-8")
BEGIN, END = "<!-- conditions: begin -->\n", "<!-- conditions: end -->\n"


def test_its_table_of_conditions_is_the_codes() -> None:
    lines = ["| Condition | Messages | What holds |", "|---|---|---|"]
    for rule in dict.fromkeys((*UTILIZATION, *DIGEST)):
        of_both = rule in UTILIZATION and rule in DIGEST
        whose = "both" if of_both else "utilization" if rule in UTILIZATION else "digest"
        lines.append(f"| {rule.name} | {whose} | {rule.sentence} |")
    table = "\n".join([*lines, ""])
    if PAGE.partition(BEGIN)[2].partition(END)[0] != table:
        pytest.fail(f"Put this between the two marks in docs/licences.md:\n\n{table}", pytrace=False)


def test_it_names_messages_switches_states_and_the_beat_entry() -> None:
    states = [value for name, value in vars(NotificationTimestamp).items() if name.isupper() and isinstance(value, str)]
    assert len(states) == 5
    names = [kind.NAME for kind in MESSAGES]
    for name in (*names, *map(PAUSE.format, names), *states, tasks.ENTRY.name):
        assert f"`{name}`" in PAGE
