"""The weekly figures of each learner in each course, and the mail that shows them."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from io import StringIO
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import time_machine
from django.core import mail
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from waffle.models import Switch

from courses.models import ContentItem, Course, Enrollment
from email_automation import consent, progress, setup, tasks, words
from email_automation.events import HOLD, STOP
from email_automation.models import EmailLog, EmailQueue, MessageRun, WeeklyProgressReport
from email_automation.pipeline import dispatch, ledger, message, receipts, sweep
from email_automation.weeks import Week
from tests import factories

pytestmark = pytest.mark.django_db

MONDAY = date(2026, 3, 2)
NINE = datetime(2026, 3, 2, 9, tzinfo=UTC)
WEEK = Week.before(MONDAY)
BEFORE = datetime(2026, 2, 10, tzinfo=UTC)
KIND = message.get("weekly_progress")


@pytest.fixture
def course() -> Any:
    return factories.CourseFactory(title="Tides")


@pytest.fixture
def ann(course: Any) -> Any:
    return enrolled(course)


def enrolled(course: Any, **fields: Any) -> Any:
    return factories.EnrollmentFactory(course=course, created_at=BEFORE, **fields).user


def items(course: Any, *, published_at: datetime = BEFORE, **numbers: int) -> list[Any]:
    return [
        factories.ContentItemFactory(course=course, kind=kind, published_at=published_at)
        for kind, number in numbers.items()
        for _ in range(number)
    ]


def completed(user: Any, item: Any, at: datetime = NINE - timedelta(days=3)) -> None:
    factories.CompletionFactory(user=user, item=item, completed_at=at)


def run(day: date = MONDAY, site_id: int = 1, **options: Any) -> dispatch.Summary:
    return dispatch.run_daily(KIND, site_id, day=day, **options)


def the_report() -> WeeklyProgressReport:
    return WeeklyProgressReport.objects.get()


def counted(user: Any, course: Any, zone: Any = UTC) -> WeeklyProgressReport:
    return progress.counted([(user.pk, course.pk)], WEEK, zone)[user.pk, course.pk]


def test_case_006_on_monday_the_week_before_is_reported_once(course: Any, ann: Any) -> None:
    first, second, *_, quiz = items(course, video=4, quiz=1)
    completed(ann, first, datetime(2026, 2, 16, tzinfo=UTC))
    completed(ann, second, datetime(2026, 2, 25, tzinfo=UTC))
    completed(ann, quiz, datetime(2026, 2, 20, tzinfo=UTC))
    factories.UserActivityFactory(user=ann, course=course, date=date(2026, 2, 24), seconds=3600)
    factories.UserActivityFactory(user=ann, course=course, date=date(2026, 3, 1), seconds=2100)
    factories.UserActivityFactory(user=ann, course=course, date=date(2026, 3, 2), seconds=5000)
    factories.UserActivityFactory(user=ann, course=course, date=date(2026, 2, 22), seconds=5000)
    with time_machine.travel(NINE, tick=False):
        assert tasks.generate_weekly_progress_reports()["sent"] == 1
        assert tasks.generate_weekly_progress_reports()["sent"] == 0
    report = the_report()
    assert (report.user, report.course) == (ann, course)
    assert (report.week_start, report.week_end) == (date(2026, 2, 23), date(2026, 3, 1))
    assert (report.videos_completed, report.total_videos, report.videos_this_week) == (2, 4, 1)
    assert (report.quizzes_completed, report.total_quizzes, report.quizzes_this_week) == (1, 1, 0)
    assert (report.assignments_completed, report.total_assignments, report.assignments_this_week) == (0, 0, 0)
    assert report.completion_percentage == Decimal("60.00")
    assert (report.time_spent, report.report_generated, report.email_sent) == (95, True, True)
    (sent,) = mail.outbox
    assert sent.to == [ann.email]
    assert "60%" in sent.body.replace(" %", "%")
    assert "95" in sent.body


def test_case_006_a_course_without_items_is_reported_with_nothing_to_divide(course: Any, ann: Any) -> None:
    assert run().sent == 1
    report = the_report()
    assert (report.total, report.completed, report.completion_percentage) == (0, 0, Decimal("0.00"))


@pytest.mark.parametrize(
    ("done", "total", "share"), [(0, 3, "0"), (1, 3, "33.33"), (2, 3, "66.67"), (3, 3, "100"), (1, 8, "12.5")]
)
def test_the_share_has_two_decimals(course: Any, ann: Any, done: int, total: int, share: str) -> None:
    made = items(course, video=total)
    for item in made[:done]:
        completed(ann, item)
    run()
    assert the_report().completion_percentage == Decimal(share)


class TestAWeek:
    @pytest.mark.parametrize("zone", ["UTC", "Pacific/Auckland", "America/Los_Angeles", "Asia/Kathmandu"])
    def test_begins_and_ends_with_the_sites_days(self, course: Any, ann: Any, zone: str) -> None:
        factories.SiteConfigurationFactory(site=factories.platform_site(), time_zone=zone)
        first, after = WEEK.first(ZoneInfo(zone)), WEEK.after(ZoneInfo(zone))
        moments = [first - timedelta(microseconds=1), first, after - timedelta(microseconds=1), after]
        for item, moment in zip(items(course, video=4), moments, strict=True):
            completed(ann, item, moment)
        with time_machine.travel(datetime(2026, 3, 2, 9, tzinfo=ZoneInfo(zone)), tick=False):
            assert tasks.generate_weekly_progress_reports()["sent"] == 1
        report = the_report()
        assert (report.week_start, report.videos_completed, report.videos_this_week) == (WEEK.start, 3, 2)

    @pytest.mark.parametrize("zone", ["Pacific/Auckland", "America/Los_Angeles"])
    @pytest.mark.parametrize("monday", [date(2026, 3, 9), date(2026, 4, 6), date(2026, 9, 28), date(2026, 11, 2)])
    def test_with_a_clock_change_counts_each_moment_once(self, course: Any, ann: Any, zone: str, monday: date) -> None:
        here = ZoneInfo(zone)
        start = Week.before(monday).first(here)
        moments = [start + timedelta(minutes=30 * number) for number in range(-4, 2 * 24 * 7 + 8)]
        made = ContentItem.objects.bulk_create(
            ContentItem(course=course, kind="video", title="V", is_published=True, published_at=BEFORE) for _ in moments
        )
        for item, moment in zip(made, moments, strict=True):
            completed(ann, item, moment)
        weeks = [Week.before(Week.before(monday).start), Week.before(monday), Week.of(monday)]
        found = [
            progress.counted([(ann.pk, course.pk)], week, here)[ann.pk, course.pk].videos_this_week for week in weeks
        ]
        assert sum(found) == len(moments)
        assert found[1] == 2 * (WEEK_HOURS[zone].get(monday, 168))

    def test_counts_what_was_published_by_its_end_and_completed_by_then(self, course: Any, ann: Any) -> None:
        after = WEEK.after(UTC)
        (old,) = items(course, video=1)
        (last,) = items(course, video=1, published_at=after - timedelta(microseconds=1))
        (later,) = items(course, video=1, published_at=after)
        completed(ann, old, after)
        completed(ann, last, after - timedelta(microseconds=1))
        completed(ann, later, after - timedelta(microseconds=1))
        report = counted(ann, course)
        assert (report.total_videos, report.videos_completed, report.videos_this_week) == (2, 1, 1)

    def test_leaves_out_what_was_withdrawn(self, course: Any, ann: Any) -> None:
        first, second = items(course, video=2)
        completed(ann, first)
        completed(ann, second)
        ContentItem.objects.filter(pk=first.pk).update(is_published=False)
        report = counted(ann, course)
        assert (report.total_videos, report.videos_completed, report.completion_percentage) == (1, 1, Decimal("100"))

    def test_counts_nobody_elses_work_and_no_other_course(self, course: Any, ann: Any) -> None:
        bob, other = enrolled(course), factories.CourseFactory()
        (item,), (elsewhere,) = items(course, video=1), items(other, video=1)
        completed(bob, item)
        completed(ann, elsewhere)
        factories.UserActivityFactory(user=bob, course=course, date=WEEK.start, seconds=600)
        factories.UserActivityFactory(user=ann, course=other, date=WEEK.start, seconds=600)
        report = counted(ann, course)
        assert (report.total_videos, report.videos_completed, report.time_spent) == (1, 0, 0)

    def test_of_a_zone_that_nobody_knows_is_utc(self) -> None:
        factories.SiteConfigurationFactory(site=factories.platform_site(), time_zone="Mars/Olympus")
        assert progress.zone_of(1) is UTC
        assert progress.zone_of(404) is UTC


WEEK_HOURS: dict[str, dict[date, int]] = {
    "Pacific/Auckland": {date(2026, 4, 6): 169, date(2026, 9, 28): 167},
    "America/Los_Angeles": {date(2026, 3, 9): 167, date(2026, 11, 2): 169},
}


class TestWhoIsReportedTo:
    def test_every_active_enrolment_that_is_not_completed_in_a_course_on_offer(self, course: Any) -> None:
        person = enrolled(course)
        enrolled(course, is_active=False)
        factories.CertificateFactory(user=enrolled(course), course=course)
        failed = enrolled(course)
        factories.CertificateFactory(user=failed, course=course, status="notpassing")
        enrolled(factories.CourseFactory(is_active=False))
        gone = enrolled(course)
        type(gone).objects.filter(pk=gone.pk).update(is_active=False)
        assert run().sent == 2
        assert sorted(sent.to[0] for sent in mail.outbox) == sorted([person.email, failed.email])
        assert WeeklyProgressReport.objects.count() == 2

    def test_each_course_by_itself(self, course: Any, ann: Any) -> None:
        other = factories.CourseFactory(title="Knots")
        factories.EnrollmentFactory(user=ann, course=other, created_at=BEFORE)
        assert run().sent == 2
        assert {sent.to[0] for sent in mail.outbox} == {ann.email}
        assert WeeklyProgressReport.objects.filter(user=ann, email_sent=True).count() == 2

    def test_a_mail_in_doubt_that_its_provider_reports_was_sent(self, course: Any, ann: Any) -> None:
        run()
        log = EmailLog.objects.get()
        EmailLog.objects.update(status=words.UNKNOWN, doubts=1)
        WeeklyProgressReport.objects.update(email_sent=False)
        ledger.report(receipts.Receipt(word=words.OPENED, at=timezone.now(), reference=receipts.reference(log)))
        assert the_report().email_sent

    def test_figures_are_kept_of_whoever_does_not_want_the_mail(self, course: Any, ann: Any) -> None:
        consent.opt_out(ann.pk, "progress", source="test")
        summary = run()
        assert (summary.sent, summary.skipped) == (0, {"opted_out": 1})
        assert (the_report().report_generated, the_report().email_sent) == (True, False)

    def test_a_course_opted_out_of_is_left_out(self, course: Any, ann: Any) -> None:
        consent.set_course_opt_out(ann.pk, course, True)
        assert run().sent == 0
        assert EmailLog.objects.get().reason == words.OPTED_OUT_COURSE

    def test_a_certificate_between_planning_and_sending_ends_it(self, course: Any, ann: Any, settings: Any) -> None:
        settings.CELERY_BROKER_URL = "memory://"
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr("email_automation.pipeline.wake.current_app.send_task", lambda *args, **kwargs: None)
            assert run().retry == 1
        factories.CertificateFactory(user=ann, course=course)
        sweep.sweep()
        assert mail.outbox == []
        assert EmailLog.objects.get().reason == "not_completed"
        assert not the_report().email_sent


class TestTwoSites:
    @pytest.fixture
    def harbour(self) -> Any:
        site = factories.SiteFactory(domain="harbour.example.org")
        factories.SiteConfigurationFactory(site=site, org_filter=["HarbourX"], time_zone="Pacific/Auckland")
        return site

    def test_each_reports_about_its_own_courses(self, course: Any, ann: Any, harbour: Any) -> None:
        theirs = enrolled(factories.CourseFactory(org="HarbourX"))
        with time_machine.travel(NINE, tick=False):
            assert tasks.generate_weekly_progress_reports()["sent"] == 2
        assert dict(EmailLog.objects.values_list("recipient_id", "site__domain")) == {
            ann.pk: "example.com",
            theirs.pk: "harbour.example.org",
        }
        assert MessageRun.objects.filter(message=KIND.label(), slot="2026-02-23").count() == 2

    def test_each_has_its_own_monday(self, course: Any, ann: Any, harbour: Any) -> None:
        enrolled(factories.CourseFactory(org="HarbourX"))
        # Monday morning in Auckland, Sunday evening in UTC.
        with time_machine.travel(datetime(2026, 3, 1, 20, tzinfo=UTC), tick=False):
            tasks.generate_weekly_progress_reports()
        weeks = dict(WeeklyProgressReport.objects.values_list("course__org", "week_start"))
        assert weeks == {"HarbourX": date(2026, 2, 23), "edX": date(2026, 2, 16)}

    def test_a_course_that_no_site_lists_is_the_default_sites(self, course: Any, ann: Any) -> None:
        idle = factories.SiteFactory(domain="idle.example.org")
        factories.SiteConfigurationFactory(site=idle, time_zone="Pacific/Auckland")
        assert run(site_id=idle.pk).audience == 0
        assert run().sent == 1

    def test_a_course_that_two_sites_list_is_the_first_ones(self, harbour: Any) -> None:
        second = factories.SiteFactory(domain="second.example.org")
        factories.SiteConfigurationFactory(site=second, org_filter=["HarbourX"])
        enrolled(factories.CourseFactory(org="HarbourX"))
        assert run(site_id=second.pk).audience == 0
        assert run(site_id=1).audience == 0
        assert run(site_id=harbour.pk).sent == 1

    def test_each_has_a_beat_entry_for_monday_at_nine_in_its_own_zone(self, harbour: Any) -> None:
        from django_celery_beat.models import PeriodicTask

        setup.create_beat_entries()
        entry = PeriodicTask.objects.get(name=f"{KIND.label()} for harbour.example.org")
        crontab = entry.crontab
        assert (crontab.minute, crontab.hour, crontab.day_of_week) == ("0", "9", "1")
        assert str(crontab.timezone) == "Pacific/Auckland"


class TestARun:
    def test_on_another_day_of_the_week_makes_up_for_monday(self, course: Any, ann: Any) -> None:
        with time_machine.travel(NINE + timedelta(days=2), tick=False):
            assert dispatch.run_daily(KIND, 1).sent == 1
        with time_machine.travel(NINE + timedelta(days=3), tick=False):
            assert dispatch.run_daily(KIND, 1).sent == 0
        assert the_report().week_start == WEEK.start
        assert MessageRun.objects.get().slot == "2026-02-23"

    def test_of_the_next_monday_does_not_bring_up_the_missed_week(self, course: Any, ann: Any) -> None:
        with time_machine.travel(NINE + timedelta(days=7), tick=False):
            assert dispatch.run_daily(KIND, 1).sent == 1
        assert the_report().week_start == date(2026, 3, 2)

    def test_that_broke_off_is_finished_by_the_next(self, course: Any, ann: Any) -> None:
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr("email_automation.pipeline.ledger.claim", lambda *args, **kwargs: 1 / 0)
            assert not run().ok
        assert MessageRun.objects.get().status == MessageRun.PARTIAL
        assert WeeklyProgressReport.objects.count() == 1
        assert run().sent == 1
        assert MessageRun.objects.get().status == MessageRun.DONE

    def test_keeps_figures_as_they_were_when_they_were_counted(self, course: Any, ann: Any) -> None:
        first, second = items(course, video=2)
        completed(ann, first)
        Switch.objects.create(name=STOP.format(KIND.NAME), active=True)
        assert run().sent == 0
        completed(ann, second)
        Switch.objects.update(active=False)
        assert run().sent == 1
        report = the_report()
        assert (report.videos_completed, report.completion_percentage, report.email_sent) == (1, Decimal("50"), True)
        assert "50%" in mail.outbox[0].body.replace(" %", "%")

    def test_that_is_held_keeps_no_figures(self, course: Any, ann: Any) -> None:
        Switch.objects.create(name=HOLD.format(KIND.NAME), active=True)
        assert run().audience == 0
        assert not WeeklyProgressReport.objects.exists()

    @pytest.mark.parametrize("options", [{"dry_run": True}, {"override": "qa@example.com"}])
    def test_for_show_keeps_no_figures(self, course: Any, ann: Any, options: dict[str, Any]) -> None:
        assert run(**options).sent == 1
        assert not WeeklyProgressReport.objects.exists()
        assert run().sent == 1
        assert the_report().email_sent

    def test_of_a_given_date_reports_the_week_before_it(self, course: Any, ann: Any) -> None:
        out = StringIO()
        call_command("send_message", KIND.label(), "example.com", "--date", "2026-03-04", stdout=out)
        assert "sent=1" in out.getvalue()
        assert the_report().week_start == WEEK.start
        call_command("send_message", KIND.label(), "example.com", "--date", "2026-03-08", stdout=StringIO())
        assert len(mail.outbox) == 1
        call_command("send_message", KIND.label(), "example.com", "--date", "2026-03-09", stdout=StringIO())
        assert len(mail.outbox) == 2

    def test_late_in_the_week_expires_with_it(self, course: Any, ann: Any, settings: Any) -> None:
        with time_machine.travel(NINE + timedelta(days=2), tick=False):
            with pytest.MonkeyPatch.context() as patched:
                patched.setattr("edx_ace.presentation.render", lambda *args: 1 / 0)
                dispatch.run_daily(KIND, 1)
            assert EmailLog.objects.get().expires_at == datetime(2026, 3, 9, tzinfo=UTC)
        with time_machine.travel(datetime(2026, 3, 9, tzinfo=UTC), tick=False):
            sweep.sweep()
        assert EmailLog.objects.get().reason == words.EXPIRED

    def test_costs_the_same_for_one_and_for_fifty(self) -> None:
        costs = []
        for number in (1, 50):
            course = factories.CourseFactory()
            for _ in range(number):
                enrolled(course)
            started = KIND.starting(1, day=MONDAY)
            with CaptureQueriesContext(connection) as queries:
                progress.keep_reports(KIND.resolver(), started)
            # SQLite takes at most so many parameters in a statement, so there one insert is cut into several.
            costs.append(len([query for query in queries if not query["sql"].startswith("INSERT")]))
        assert costs[0] == costs[1] <= 12

    def test_of_a_thousand_learners_in_a_thousand_courses_ends(self) -> None:
        courses = Course.objects.bulk_create(
            Course(key=f"course-v1:edX+Many{number}+2026", org="edX", title="Many") for number in range(1050)
        )
        users = factories.UserFactory.create_batch(1)[0].__class__.objects
        people = users.bulk_create([users.model(username=f"many{number}", is_active=True) for number in range(1050)])
        Enrollment.objects.bulk_create(
            Enrollment(user=person, course=course) for person, course in zip(people, courses, strict=True)
        )
        assert progress.keep_reports(KIND.resolver(), KIND.starting(1, day=MONDAY)) == 1050
        assert WeeklyProgressReport.objects.count() == 1050
        assert progress.keep_reports(KIND.resolver(), KIND.starting(1, day=MONDAY)) == 0


class TestATaskAboutAReport:
    @pytest.fixture
    def report(self, course: Any, ann: Any) -> WeeklyProgressReport:
        return WeeklyProgressReport.objects.create(
            user=ann,
            course=course,
            week_start=WEEK.start,
            week_end=WEEK.end,
            videos_completed=1,
            total_videos=3,
            report_generated=True,
        )

    def test_mails_it_as_it_was_kept_and_once(self, report: WeeklyProgressReport) -> None:
        for _ in range(3):
            tasks.send_weekly_progress_email.delay(report.pk)
        (sent,) = mail.outbox
        assert "1 of 3" in sent.body
        report.refresh_from_db()
        assert report.email_sent
        assert tasks.send_weekly_progress_email.name == "email_automation.tasks.send_weekly_progress_email"

    def test_mails_nothing_the_run_has_mailed(self, report: WeeklyProgressReport) -> None:
        assert run().sent == 1
        tasks.send_weekly_progress_email(report.pk)
        assert len(mail.outbox) == 1

    def test_leaves_the_run_nothing_to_mail(self, report: WeeklyProgressReport) -> None:
        tasks.send_weekly_progress_email(report.pk)
        summary = run()
        assert (summary.sent, summary.skipped) == (0, {"already_sent": 1})

    def test_respects_consent(self, report: WeeklyProgressReport, ann: Any) -> None:
        consent.opt_out(ann.pk, "progress", source="test")
        tasks.send_weekly_progress_email(report.pk)
        assert EmailLog.objects.get().reason == "opted_out:progress"
        report.refresh_from_db()
        assert not report.email_sent
        consent.set_preferences(ann.pk, {"progress_emails": True}, source="test")
        tasks.send_weekly_progress_email(report.pk)
        assert len(mail.outbox) == 1

    def test_that_is_not_there_logs_one_line(self, caplog: Any) -> None:
        assert tasks.send_weekly_progress_email.delay(404).get() == {"queued": 0}
        (line,) = [record for record in caplog.records if record.name == "email_automation.tasks"]
        assert "report_id=404" in line.getMessage()
        assert not EmailQueue.objects.exists()


def test_a_mail_that_waits_shows_the_figures_that_were_kept(course: Any, ann: Any) -> None:
    first, second = items(course, video=2)
    completed(ann, first)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("edx_ace.presentation.render", lambda *args: 1 / 0)
        run()
    completed(ann, second)
    EmailLog.objects.update(next_attempt_at=timezone.now())
    assert sweep.sweep()[words.SENT] == 1
    assert "50%" in mail.outbox[0].body.replace(" %", "%")
    assert the_report().email_sent
