"""The demo's weekly goals: one reminder is due whatever day it is, and once."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.core.management import call_command
from django.test import Client

from lms.demo import goals, stage

MONDAY = datetime(2026, 11, 16, 6, tzinfo=UTC)


@pytest.mark.parametrize("day", range(7))
def test_one_learner_is_reminded_once_on_any_day_of_the_week(db: None, day: int, capsys: Any) -> None:
    now = MONDAY + timedelta(days=day)
    with time_machine.travel(now, tick=False):
        stage.set_up(now.date())
        for sent in (1, 0):
            call_command(goals.COMMAND, date=now.date(), verbosity=1)
            assert f" sent={sent} " in capsys.readouterr().out
        (told,) = goals.reminded()
    assert told[0] == goals.REMINDED
    assert told[1] == f"{7 - day} a week"
    assert "Coastal Navigation for Beginners" in told[2]


def test_whoever_is_let_in_finds_the_card(db: None, client: Client) -> None:
    with time_machine.travel(MONDAY, tick=False):
        stage.set_up(MONDAY.date())
        user = stage.create_staff("demo", "demo")
        goals.welcome(user)
        client.force_login(user)
        assert 'id="weekly-goal"' in client.get(goals.home_address()).content.decode()
