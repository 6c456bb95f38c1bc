"""`send_recurring_nudge` …"""

from __future__ import annotations

import logging
from datetime import date, timedelta
from typing import Any
from unittest import mock

import pytest
from django.contrib.sites.models import Site
from django.core import mail
from django.core.management.base import CommandError
from django.test.utils import override_settings

from courses.models import Course
from email_automation.consent import opt_out
from email_automation.models import EmailLog, MessageRun
from email_automation.pipeline import dispatch, message, wake
from email_automation.pipeline.delivery import deliver
from schedules.models import Schedule
from tests import factories

from .scene import DAY3, DAY10, Report, at, command, configure, nudge, offered, started

pytestmark = [pytest.mark.django_db, pytest.mark.every_database, pytest.mark.usefixtures("site")]


def daily(*words: str, **options: Any) -> Report:
    return nudge(*words, date=None, **options)


def closed() -> set[tuple[str, str]]:
    done = MessageRun.objects.filter(status=MessageRun.DONE).values_list("message", "slot")
    return {(name.partition(".")[2], slot) for name, slot in done}


@pytest.fixture
def three(c: Course) -> list[Schedule]:
    return [started(c, "07-29") for _ in range(3)]


def test_sums_both_nudges_up_on_one_line(c: Course) -> None:
    started(c, "07-29")
    started(c, "07-22")
    report = nudge()
    assert report.out.startswith(
        "send_recurring_nudge example.com days=2017-08-01 audience=2 sent=2 skipped=0 failed=0 retry=0 seconds="
    )
    assert report.out.count("\n") == 1
    assert (report.err, report.status) == ("", 0)


def test_case_074_plans_nothing_while_planning_is_off(site: Site, three: Any, caplog: pytest.LogCaptureFixture) -> None:
    configure(site, enqueue_recurring_nudge=False)
    caplog.set_level(logging.INFO)
    report = nudge()
    assert (report.figures["audience"], report.figures["sent"], report.status) == (0, 0, 0)
    lines = [entry.getMessage() for entry in caplog.records if "switched off" in entry.getMessage()]
    assert len(lines) == 2
    assert all(f"site={site.pk}" in line for line in lines)
    assert not EmailLog.objects.exists()


def test_obeys_the_switches_of_its_own_site_only(site: Site, three: Any) -> None:
    other = factories.SiteFactory()
    configure(other, enqueue_recurring_nudge=False, deliver_recurring_nudge=False)
    assert nudge().figures["sent"] == 3


@pytest.mark.parametrize("switch", ["enqueue_upgrade_reminder", "deliver_course_update", "create_schedules"])
def test_does_not_obey_other_switches(site: Site, three: Any, switch: str) -> None:
    configure(site, **{switch: False})
    assert nudge().figures["sent"] == 3


def test_sends_nothing_for_a_site_without_configuration(three: Any) -> None:
    bare = factories.SiteFactory()
    report = nudge(site=bare.domain)
    assert (report.figures["audience"], report.figures["sent"], report.status) == (0, 0, 0)


def test_case_075_stops_what_is_queued_when_hand_off_goes_off(site: Site, c: Course) -> None:
    for _ in range(5):
        started(c, "07-29")
    with override_settings(CELERY_BROKER_URL="memory://"), mock.patch.object(wake, "current_app"):
        queued = dispatch.run_daily(message.get(DAY3), site.pk, day=date(2017, 8, 1))
    assert (queued.sent, queued.retry) == (0, 5)
    configure(site, deliver_recurring_nudge=False)
    tally = deliver(EmailLog.objects.values_list("pk", flat=True))
    assert (tally["sent"], tally["skipped:stopped"]) == (0, 5)
    assert not mail.outbox
    configure(site)
    # A stopped mail has given its key back: an operator can run the day again.
    assert nudge().figures["sent"] == 5


def test_case_075_stops_what_it_has_planned_itself(site: Site, c: Course) -> None:
    for _ in range(5):
        started(c, "07-29")
    configure(site, deliver_recurring_nudge=False)
    figures = nudge().figures
    assert (figures["audience"], figures["sent"], figures["skipped"], figures["stopped"]) == (5, 0, 5, 5)


def test_case_076_knows_a_site_in_any_letter_case(three: Any) -> None:
    report = nudge(site="EXAMPLE.com")
    assert report.out.startswith("send_recurring_nudge example.com ")
    assert report.figures["sent"] == 3


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["nosuch.example.com"], "nosuch.example.com"),
        (["example.com", "--date", "2017-13-01"], "2017-13-01"),
        (["example.com", "--date", "2017-02-29"], "2017-02-29"),
        (["example.com", "--date", "01/08/2017"], "01/08/2017"),
        (["example.com", "--date", "2017-8-1"], "2017-8-1"),
        (["example.com", "--date", "20170801"], "20170801"),
        (["example.com", "--date", "٢٠١٧-٠٨-٠١"], "٢٠١٧"),
        (["example.com", "--date", ""], "''"),
        (["example.com", "--override-recipient-email", "not-an-address"], "not-an-address"),
        (["example.com", "--override-recipient-email", "a@example.com,b@example.com"], "a@example.com,b"),
        (["example.com", "--override-recipient-email", "a@example.com\nBcc: b@example.com"], "Bcc"),
        (["example.com", "--nonsense"], "--nonsense"),
    ],
)
@pytest.mark.parametrize("name", [["send_recurring_nudge"], ["send_message", "schedules.recurringnudge_day3"]])
def test_cases_076_and_077_refuses_what_it_cannot_use(
    three: Any, name: list[str], words: list[str], named: str
) -> None:
    with pytest.raises(CommandError) as caught:
        command(*name, *words)
    assert caught.value.returncode == 2
    assert named in str(caught.value)
    assert not mail.outbox
    assert not EmailLog.objects.exists()
    assert not MessageRun.objects.exists()


def test_names_the_allowed_messages() -> None:
    with pytest.raises(
        CommandError, match=r"schedules\.recurringnudge_day10.*schedules\.recurringnudge_day3"
    ) as caught:
        command("send_message", "schedules.nosuch", "example.com")
    assert caught.value.returncode == 2


def test_can_be_run_for_one_message(c: Course) -> None:
    started(c, "07-29")
    started(c, "07-22")
    report = command("send_message", "schedules.recurringnudge_day10", "example.com", "--date", "2017-08-01")
    assert report.out.startswith("send_message schedules.recurringnudge_day10 example.com days=2017-08-01 audience=1 ")
    assert report.figures["sent"] == 1
    assert [row.email_type for row in EmailLog.objects.all()] == [DAY10]


def test_case_078_judges_a_given_day_by_that_day(three: Any, c: Course, clock: Any) -> None:
    Course.objects.filter(pk=c.pk).update(end=at("09-01"))
    clock.move_to(at("12-24"))
    assert nudge().figures["sent"] == 3


def test_runs_today_when_no_day_is_given(three: Any, clock: Any) -> None:
    clock.move_to(at("08-01 23:59:59"))
    report = daily("--no-catch-up")
    assert (report.days, report.figures["sent"]) == ("2017-08-01", 3)


def test_case_080_sends_everything_to_one_address_when_told_to(three: Any) -> None:
    report = nudge("--override-recipient-email", "developer@example.com")
    assert report.figures["sent"] == 3
    assert [sent.to for sent in mail.outbox] == [["developer@example.com"]] * 3
    rows = EmailLog.objects.all()
    assert {row.recipient_id for row in rows} == {schedule.enrollment.user_id for schedule in three}
    assert {(row.to_address, row.is_test) for row in rows} == {("developer@example.com", True)}
    assert not closed()
    # A test uses up nobody's mail, and can be repeated.
    assert nudge("--override-recipient-email", "developer@example.com").figures["sent"] == 3
    assert nudge().figures["sent"] == 3
    assert len(mail.outbox) == 9


def test_catches_up_nothing_in_a_test(three: Any, clock: Any) -> None:
    clock.move_to(at("08-02"))
    report = daily("--override-recipient-email", "developer@example.com")
    assert (report.days, report.figures["audience"]) == ("2017-08-02", 0)


def test_tests_no_learner_who_opted_out(three: Any) -> None:
    opt_out(three[0].enrollment.user_id, "reminder", source="test")
    report = nudge("--override-recipient-email", "developer@example.com")
    assert (report.figures["sent"], report.figures["opted_out"]) == (2, 1)


def test_case_081_says_in_a_dry_run_what_it_would_send(three: Any) -> None:
    report = nudge("--dry-run")
    assert report.out.startswith(
        "DRY RUN send_recurring_nudge example.com days=2017-08-01 audience=3 sent=3 skipped=0 failed=0 retry=0 seconds="
    )
    assert not mail.outbox
    assert not EmailLog.objects.exists()
    assert not MessageRun.objects.exists()
    nudge()
    again = nudge("--dry-run").figures
    assert (again["audience"], again["sent"], again["already_sent"]) == (3, 0, 3)


def test_case_083_sends_nothing_twice_on_one_day(three: Any) -> None:
    first, second = nudge().figures, nudge().figures
    assert (first["sent"], second["sent"], second["already_sent"]) == (3, 0, 3)
    assert len(mail.outbox) == 3


def test_case_088_sends_nothing_twice_daily_and_by_date(three: Any) -> None:
    assert daily("--no-catch-up").figures["sent"] == 3
    assert nudge().figures["already_sent"] == 3
    assert daily().figures["sent"] == 0
    assert len(mail.outbox) == 3


def test_mails_whoever_joined_between_two_runs(three: Any, c: Course) -> None:
    nudge()
    started(c, "07-29")
    figures = nudge().figures
    assert (figures["audience"], figures["sent"], figures["already_sent"]) == (4, 1, 3)


def test_case_084_makes_up_for_missed_days_oldest_first(c: Course, clock: Any) -> None:
    for when in ("07-28", "07-29", "07-30"):
        started(c, when)
    clock.move_to(at("07-31"))
    assert daily("--no-catch-up").days == "2017-07-31"
    clock.move_to(at("08-02"))
    report = daily()
    assert (report.days, report.figures["sent"]) == ("2017-08-01,2017-08-02", 2)
    assert EmailLog.objects.filter(email_type=DAY3).count() == 3
    order = list(EmailLog.objects.filter(email_type=DAY3).order_by("pk").values_list("day", flat=True))
    assert order == sorted(order)


def test_case_084_begins_two_days_back_when_there_was_no_run_before(c: Course, clock: Any) -> None:
    for when in ("07-27", "07-28", "07-29", "07-30"):
        started(c, when)
    clock.move_to(at("08-02"))
    report = daily()
    assert (report.days, report.figures["sent"]) == ("2017-07-31,2017-08-01,2017-08-02", 3)


def test_case_085_makes_up_for_two_days_at_most(c: Course, clock: Any) -> None:
    clock.move_to(at("07-31"))
    daily()
    late = started(c, "07-29")
    for when in ("07-30", "07-31", "08-01"):
        started(c, when)
    for day in ("08-04", "08-05"):
        clock.move_to(at(day))
        report = daily()
    assert report.figures["sent"] == 0
    days = list(EmailLog.objects.filter(email_type=DAY3).order_by("pk").values_list("day", flat=True))
    assert days == [date(2017, 8, 1) + timedelta(days=step) for step in (1, 2, 3)]
    assert not EmailLog.objects.filter(recipient=late.enrollment.user).exists()


def test_case_087_makes_up_for_nothing_when_told_so(three: Any, clock: Any) -> None:
    clock.move_to(at("08-02"))
    report = daily("--no-catch-up")
    assert (report.days, report.figures["sent"]) == ("2017-08-02", 0)


def test_does_not_call_a_pause_a_missed_day(site: Site, three: Any, clock: Any) -> None:
    configure(site, enqueue_recurring_nudge=False)
    daily()
    configure(site)
    clock.move_to(at("08-02"))
    report = daily()
    assert (report.days, report.figures["sent"]) == ("2017-08-02", 0)
    # An operator can still run the day.
    assert nudge().figures["sent"] == 3


def test_judges_a_missed_day_by_todays_clock(days: Any, clock: Any) -> None:
    started(offered("C", end=at("08-02 10:00")), "07-29")
    clock.move_to(at("08-02 12:00"))
    assert daily().figures["audience"] == 0
    assert nudge().figures["sent"] == 1


def test_closes_the_days_it_has_run(three: Any, clock: Any) -> None:
    clock.move_to(at("08-02"))
    daily()
    days = ("2017-07-31", "2017-08-01", "2017-08-02")
    assert closed() == {(name, day) for name in (DAY3, DAY10) for day in days}
    assert daily().days == "2017-08-02"


def test_counts_who_cannot_be_mailed(c: Course) -> None:
    started(c, "07-29", user=factories.UserFactory(email=""))
    started(c, "07-29", user=factories.UserFactory(email="no address"))
    started(c, "07-29")
    report = nudge()
    assert "audience=3 sent=1 skipped=2 (no_email_address=2) failed=0" in report.out


def test_logs_ids_and_no_address(three: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    nudge()
    assert "course_ids=course-v1:edX+C+2017" in caplog.text
    for schedule in three:
        assert schedule.enrollment.user.email not in caplog.text
        assert schedule.enrollment.user.username not in caplog.text
