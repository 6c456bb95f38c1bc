"""The demo's stage holds every state that decides about a mail, and the report tells each one truly."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
import time_machine
from django.contrib.auth import get_user_model
from django.contrib.sites.models import Site
from django.core.management import call_command

from courses.models import Course, Enrollment, LearnerProfile
from email_automation.models import EmailLog, EmailPreference
from lms.demo import report, stage
from lms.demo.cast import LEARNERS, NOT_DUE, NOT_WANTED
from lms.demo.management.commands.demo import COMMANDS
from schedules.models import Schedule, ScheduleExperience

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)

WHY_NOT = {
    "freya": "in_window",
    "bea": "experience",
    "lorenzo": "in_window",
    "uma": "experience",
    "liam": "active_enrollment",
    "ines": "active_user",
    "noor": "usable_password",
    "tom": "self_paced",
    "tara": "course_not_ended",
    "theo": "course_started",
    "hugo": "held_back",
    "viggo": "upgradeable_mode",
    "xavi": "live_verified_mode",
    "wendy": "no_highlights",
    "zoe": "updates_allowed",
    "nora": "opted_out:reminder",
    "nestor": "unsubscribed",
    "bruno": "suppressed",
    "nils": "no_email_address",
    "basia": "no_email_address",
    "arlo": "opted_out:course",
    "bo": "already_sent",
}


@pytest.fixture
def sites(db: None) -> Iterator[list[Site]]:
    """The demo's sites, filled and not run yet."""
    with time_machine.travel(NOON, tick=False):
        yield stage.set_up(NOON.date())


@pytest.fixture
def ran(sites: list[Site]) -> list[Site]:
    """The same after the day's commands of each."""
    for site in sites:
        for name in COMMANDS:
            call_command(name, site.domain)
    return sites


def test_it_has_enough_people_and_places_to_look_at(sites: list[Site]) -> None:
    assert get_user_model()._default_manager.count() >= 40
    assert Course.objects.count() >= 5
    assert LearnerProfile.objects.exclude(time_zone="").values("time_zone").distinct().count() == 6
    assert set(LearnerProfile.objects.exclude(language="").values_list("language", flat=True)) == {"en", "es"}
    assert all(site.configuration.primary_color for site in sites)
    assert len({site.configuration.contact_mailing_address for site in sites}) == 2
    assert all(site.configuration.org_filter for site in sites)


def test_its_schedules_come_from_the_enrolments_themselves(sites: list[Site]) -> None:
    # One is held back; everybody else's enrolment led to a schedule.
    assert Schedule.objects.count() == Enrollment.objects.count() - 1
    assert ScheduleExperience.objects.count() == Schedule.objects.count() - 1
    for schedule in Schedule.objects.select_related("enrollment__course"):
        assert schedule.start_date == schedule.enrollment.created_at


def test_it_sends_to_everybody_who_is_due(ran: list[Site]) -> None:
    mailed = {row.learner for site in ran for row in report.sent(site, NOON.date())}
    unmailed = {learner.username for learner in (*NOT_DUE, *NOT_WANTED)} | {"arlo"}
    assert mailed == {learner.username for learner in LEARNERS} - unmailed


@pytest.mark.parametrize("username", WHY_NOT)
def test_it_says_why_somebody_got_no_mail(ran: list[Site], username: str) -> None:
    told = {row.learner: row.reason for site in ran for row in report.unsent(site, NOON.date())}
    assert told[username] == WHY_NOT[username]


def test_it_leaves_nobody_unexplained(ran: list[Site]) -> None:
    assert {row.learner for site in ran for row in report.unsent(site, NOON.date())} == set(WHY_NOT)


def test_its_mails_show_every_form(ran: list[Site]) -> None:
    mails = [row for site in ran for row in report.sent(site, NOON.date())]
    by_learner = {(row.learner, row.message): row for row in mails}
    assert {row.language for row in mails} == {"en", "es"}
    assert by_learner["ada", "day 3"].remark == "upgrade offer"
    assert by_learner["hana", "day 3"].remark == ""  # verified already
    assert by_learner["petra", "day 10"].remark == ""  # the deadline has passed
    assert by_learner["esme", "day 3"].remark == ""  # nothing to buy
    assert by_learner["olive", "day 3"].about == "Reading the Weather"
    assert by_learner["vera", "day 3"].about.count(" + ") == 2
    assert by_learner["lara", "day 3"].remark == "was due 2026-11-20"
    assert by_learner["leo", "day 10"].remark == "upgrade offer, was due 2026-11-19"
    assert {message for learner, message in by_learner if learner == "tess"} == {"day 3", "day 10"}
    assert by_learner["rhys", "reminder"].remark == "days left: 2"
    assert by_learner["rufus", "reminder"].remark == "days left: 1, was due 2026-11-20"
    assert by_learner["sofia", "reminder"].about.count(" + ") == 2
    assert by_learner["silas", "reminder"].about == "Coastal Navigation for Beginners"  # verified in the other
    assert by_learner["willa", "week 1"].remark == "upgrade offer"
    assert by_learner["xenia", "week 1"].remark == "upgrade offer, was due 2026-11-18"


def test_its_updates_bring_the_highlights_of_their_week(ran: list[Site]) -> None:
    rows = EmailLog.objects.filter(email_type="courseupdate")
    texts = {row.recipient.get_username(): text_of(row) for row in rows}
    assert "Reading a seed packet" in texts["willa"] and "Compost" not in texts["willa"]
    # The second section has no highlights and counts for no week.
    assert "Compost" in texts["wim"] and "Reading a seed packet" not in texts["wim"]
    assert "Qué sembrar" in texts["yago"]
    assert "El riego" in texts["yara"]


def text_of(row: EmailLog) -> str:
    """The text part that was kept of a mail; nothing of one that did not go out."""
    content = row.stored_content()
    return content["text"] if content else ""


@pytest.mark.parametrize("name", COMMANDS)
def test_a_second_run_sends_nothing(ran: list[Site], name: str, capsys: pytest.CaptureFixture[str]) -> None:
    for site in ran:
        call_command(name, site.domain)
        assert " sent=0 " in capsys.readouterr().out


def test_its_outbox_keeps_what_was_sent(ran: list[Site]) -> None:
    for row in EmailLog.objects.filter(status="sent"):
        content = row.stored_content()
        assert content is not None
        assert content["subject"] and content["html"] and content["text"]


def test_it_shows_every_way_to_say_no(sites: list[Site]) -> None:
    assert EmailPreference.objects.filter(reminder_emails=False).exists()
    assert EmailPreference.objects.filter(is_subscribed=False).exists()
    assert EmailPreference.objects.filter(suppressed_at__isnull=False).exists()
