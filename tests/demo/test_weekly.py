"""The demo's weekly reports: everybody with a course to go on with gets one, and the table tells the truth about it."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.contrib.sites.models import Site
from django.core.management import call_command

from courses.models import Completion, ContentItem, Enrollment, UserActivity
from email_automation.models import EmailLog, EmailQueue, WeeklyProgressReport
from email_automation.weeks import Week
from lms.demo import learning, stage, weekly
from lms.demo.cast import LEARNERS
from lms.demo.catalogue import COURSES

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
MONDAY = date(2026, 11, 16)

WHY_NOT = {
    ("arlo", "Coastal Navigation for Beginners"): "opted_out:course",
    ("arlo", "Reading the Weather"): "opted_out:course",
    ("basia", "Coastal Navigation for Beginners"): "no_email_address",
    ("bruno", "Reading the Weather"): "suppressed",
    ("freya", "Coastal Navigation for Beginners"): "opted_out:progress",
    ("ines", "Introducción a la fotografía"): "active_user",
    ("liam", "Coastal Navigation for Beginners"): "active_enrollment",
    ("lorenzo", "Introducción a la fotografía"): "not_completed",
    ("nestor", "Introducción a la fotografía"): "unsubscribed",
    ("nils", "Coastal Navigation for Beginners"): "no_email_address",
    ("olive", "Coastal Navigation for Beginners"): "opted_out:course",
}


@pytest.fixture
def sites(db: None) -> Iterator[list[Site]]:
    """The demo's sites, filled and not run yet."""
    with time_machine.travel(NOON, tick=False):
        yield stage.set_up(NOON.date())


@pytest.fixture
def ran(sites: list[Site]) -> list[Site]:
    """The same after the weekly run of each."""
    for site in sites:
        call_command("send_message", weekly.LABEL, site.domain, "--date", MONDAY.isoformat())
    return sites


def told(sites: list[Site]) -> dict[tuple[str, str], weekly.Reported]:
    return {(row.learner, row.about): row for site in sites for row in weekly.reported(site, MONDAY)}


def test_nothing_of_the_stage_is_announced(sites: list[Site]) -> None:
    assert ContentItem.objects.filter(is_published=True).count() >= 20
    assert not EmailQueue.objects.exists()
    assert not EmailLog.objects.exists()


def test_nobody_learns_before_enrolling_or_after_the_week(sites: list[Site]) -> None:
    enrolled = {(row.user_id, row.course_id): row.created_at for row in Enrollment.objects.all()}
    done = Completion.objects.select_related("item")
    assert len(done) >= 30
    after = Week.of(NOON.date()).first(UTC)
    for row in done:
        assert enrolled[row.user_id, row.item.course_id] < row.completed_at < after
        assert row.item.published_at is not None
        assert row.item.published_at < row.completed_at
    assert UserActivity.objects.filter(date__gte=MONDAY).count() == 0


@pytest.mark.parametrize("weekday", range(7))
def test_somebody_has_learned_on_whatever_day_it_is_played(weekday: int) -> None:
    today = MONDAY + timedelta(days=weekday)
    week = Week.before(today)
    users: dict[str, Any] = {learner.username: learner.username for learner in LEARNERS}
    items: dict[str, Any] = {number: list(course.items) for number, course in COURSES.items()}
    days = [day for _, _, day, _ in learning._done(users, items, today)]
    assert max(days) <= week.end
    assert sum(day >= week.start for day in days) >= 10


def test_each_enrolment_is_reported_or_says_why_not(ran: list[Site]) -> None:
    silent = {(row.learner, row.about): row.reason for site in ran for row in weekly.unreported(site, MONDAY)}
    assert silent == WHY_NOT
    assert len(told(ran)) + len(silent) == Enrollment.objects.count()


def test_the_table_says_what_the_figures_say(ran: list[Site]) -> None:
    rows = told(ran)
    assert {row.language for row in rows.values()} == {"en", "es"}
    assert rows["theo", "Night Sailing"].completed == "0 %, 0 of 0"
    reports = WeeklyProgressReport.objects.select_related("user", "course").filter(email_sent=True)
    assert len(reports) == len(rows)
    for report in reports:
        row = rows[report.user.get_username(), report.course.title]
        share, _, figures = row.completed.partition(" %, ")
        assert float(share) == float(report.completion_percentage)
        assert figures == f"{report.completed} of {report.total}"
        new = report.videos_this_week + report.quizzes_this_week + report.assignments_this_week
        assert row.that_week == (f"{new} in {report.time_spent} min" if report.time_spent else "-")
    assert {share.completed.partition(" ")[0] for share in rows.values()} >= {"0", "20", "40", "66.67", "100"}


def test_a_second_run_sends_nothing(ran: list[Site], capsys: pytest.CaptureFixture[str]) -> None:
    for site in ran:
        call_command("send_message", weekly.LABEL, site.domain, "--date", MONDAY.isoformat())
        assert " sent=0 " in capsys.readouterr().out
