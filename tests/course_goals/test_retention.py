"""`purge_user_activity` …"""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext

from course_goals import activity
from courses.models import UserActivity
from tests.factories import UserActivityFactory

from . import scene

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _wednesday(time_machine: Any) -> None:
    time_machine.move_to(scene.WEDNESDAY)


def kept() -> list[date]:
    return list(UserActivity.objects.order_by("date").values_list("date", flat=True))


def days(*found: date) -> None:
    for day in found:
        UserActivityFactory(date=day)


def test_case_067_keeps_eight_weeks_from_the_monday_on(capsys: Any) -> None:
    days(date(2021, 1, 3), date(2021, 1, 4), date(2021, 3, 3), date(2020, 1, 1))
    call_command("purge_user_activity")
    assert kept() == [date(2021, 1, 4), date(2021, 3, 3)]
    assert capsys.readouterr().out == "purge_user_activity before=2021-01-04 rows=2\n"


def test_keeps_as_many_weeks_as_are_asked_for() -> None:
    days(date(2021, 2, 14), date(2021, 2, 15))
    call_command("purge_user_activity", "--keep-weeks", "2")
    assert kept() == [date(2021, 2, 15)]


def test_only_counts_on_a_dry_run(capsys: Any) -> None:
    days(date(2020, 1, 1))
    call_command("purge_user_activity", "--dry-run")
    assert kept() == [date(2020, 1, 1)]
    assert capsys.readouterr().out == "DRY RUN purge_user_activity before=2021-01-04 rows=1\n"


@pytest.mark.parametrize("weeks", ["1", "0", "-3", "two", "2.5", "", "9" * 5000])
def test_case_067_is_refused_for_fewer_than_two_weeks(weeks: str) -> None:
    days(date(2020, 1, 1))
    with pytest.raises(CommandError) as refused:
        call_command("purge_user_activity", f"--keep-weeks={weeks}")
    assert refused.value.returncode == 2
    assert len(kept()) == 1


def test_goes_through_the_table_in_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(activity, "BATCH", 2)
    for _ in range(3):
        days(date(2020, 1, 1), date(2021, 3, 1))
    with CaptureQueriesContext(connection) as queries:
        assert activity.purge(date(2021, 1, 1), dry_run=False) == 3
    deleted = [query["sql"] for query in queries if query["sql"].startswith("DELETE")]
    assert len(deleted) == 2
    assert kept() == [date(2021, 3, 1)] * 3
