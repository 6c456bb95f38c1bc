"""The command of the reminder, what it costs, and that explain says the same …"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from io import StringIO
from typing import Any

import pytest
import time_machine
from django.core.checks import run_checks
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection
from django.test.utils import CaptureQueriesContext, override_settings

from course_goals.checks import NO_CHANNEL
from course_goals.messages.goal_reminder import GoalReminder
from course_goals.models import CourseGoal
from courses.models import Course, Enrollment
from email_automation.models import EmailLog, EmailPreference, MessageRun
from tests.factories import CertificateFactory, CourseFlagFactory, UserFactory

from . import scene
from .reminding import at, goal_of, mailed, plan, remind, run_of, why

pytestmark = pytest.mark.django_db


def command(*arguments: str, status: int = 0) -> dict[str, str]:
    """Type the command, and return the figures of its last line."""
    out = StringIO()
    found = 0
    try:
        call_command("goal_reminder_email", *arguments, stdout=out)
    except SystemExit as end:
        found = int(end.code or 0)
    assert found == status
    line = (out.getvalue().splitlines() or [""])[-1]
    return dict(part.split("=") for part in line.split() if "=" in part)


def sums_hold(figures: dict[str, str]) -> bool:
    skipped = sum(int(number) for name, number in figures.items() if name.startswith("skipped."))
    ended = sum(int(figures[name]) for name in ("sent", "failed", "pending", "unknown", "stopped"))
    return int(figures["due"]) == int(figures["planned"]) + skipped and int(figures["planned"]) == ended


@pytest.fixture
def many(course: Course) -> dict[str, CourseGoal]:
    """One goal for each condition that fails, by its name, and one that is due."""
    goals = {
        "goal_set": goal_of(course, 0, subscribed_to_reminders=False),
        "reminders_on": goal_of(course, subscribed_to_reminders=False),
        "local_morning": goal_of(course, account="Asia/Tokyo"),
        "days_left_match": goal_of(course, 3),
        "goals_enabled": goal_of(scene.base_course()),
        "enrolled_before_this_week": goal_of(course),
        "course_running": goal_of(scene.base_course(end=datetime(2021, 2, 1, tzinfo=UTC))),
        "access_outlasts_week": goal_of(course),
        "not_completed": goal_of(course),
        "not_reminded_this_week": goal_of(course),
        "due": goal_of(course),
    }
    CourseFlagFactory(flag=scene.goals_on(), course=goals["goals_enabled"].course, on=False)
    late = Enrollment.objects.filter(user=goals["enrolled_before_this_week"].user)
    late.update(created_at=datetime(2021, 3, 1, tzinfo=UTC))
    audit = Enrollment.objects.filter(user=goals["access_outlasts_week"].user)
    audit.update(mode="audit", created_at=datetime(2021, 2, 7, tzinfo=UTC))
    CertificateFactory(user=goals["not_completed"].user, course=course)
    reminded = goals["not_reminded_this_week"]
    EmailLog.objects.create(
        recipient=reminded.user, email_type="goal_reminder", to_address="x@example.com", category="goal", site_id=1,
        dedupe_key=f"goal_reminder:{reminded.pk}:2021-03-01", status="unknown", instant=at("Mon"),
        expires_at=at("Mon 18:00"),
    )  # fmt: skip
    return goals


class TestSummary:
    def test_case_082_each_reason_once_and_the_sums_hold(self, many: dict[str, CourseGoal]) -> None:
        found = command("--now", "2021-03-02T10:00Z")
        assert sums_hold(found)
        assert {name: int(number) for name, number in found.items() if name.startswith("skipped.")} == {
            f"skipped.{name}": 1 for name in list(many)[4:-1]
        }
        assert (found["due"], found["planned"], found["sent"]) == ("7", "1", "1")
        assert found["instant"] == MessageRun.objects.get().slot == "2021-03-02T10:00Z"
        assert mailed(many["due"]) == ["sent"]

    def test_case_086_explain_names_the_same_condition(self, many: dict[str, CourseGoal]) -> None:
        for name, goal in many.items():
            assert why(goal, "Tue") == name
            out = StringIO()
            with time_machine.travel(at("Tue"), tick=False):
                call_command("explain_message", "course_goals.goal_reminder", goal.user.username, stdout=out)
            text = out.getvalue()
            refused = re.findall(r"NO  (\w+): ", text)
            assert refused[:1] == ([name] if name != "due" else []), text
            assert f"{goal.course.key} (goal {goal.pk})" in text
            assert f"{goal.days_per_week} days a week, 0 done" in text

    def test_with_workers_elsewhere_what_is_planned_is_pending(self, course: Course, monkeypatch: Any) -> None:
        goal_of(course)
        monkeypatch.setattr("email_automation.pipeline.wake.current_app.send_task", lambda *args, **kwargs: None)
        with override_settings(CELERY_BROKER_URL="memory://"):
            found = command("--now", "2021-03-02T10:00Z")
        assert (found["planned"], found["sent"], found["pending"], sums_hold(found)) == ("1", "0", "1", True)

    def test_it_names_nobody(self, course: Course, capfd: Any) -> None:
        goal = goal_of(course)
        call_command("goal_reminder_email", "--now", "2021-03-02T10:00Z", verbosity=2)
        said = "".join(capfd.readouterr())
        assert not any(text in said for text in (goal.user.email, goal.user.last_name, str(goal.unsubscribe_token)))


class TestOptions:
    def test_without_any_it_is_now(self, course: Course) -> None:
        goal_of(course)
        with time_machine.travel(at("Tue"), tick=False):
            assert command()["sent"] == "1"
        assert EmailLog.objects.get().expires_at == at("Tue 18:00")

    def test_case_079_a_dry_run_writes_nothing(self, many: dict[str, CourseGoal]) -> None:
        rows = EmailLog.objects.count()
        out = StringIO()
        call_command("goal_reminder_email", "--now", "2021-03-02T10:00Z", "--dry-run", verbosity=2, stdout=out)
        assert f"goal {many['due'].pk}\n" in out.getvalue()
        dry = command("--now", "2021-03-02T10:00Z", "--dry-run")
        assert (EmailLog.objects.count(), MessageRun.objects.count(), sums_hold(dry)) == (rows, 0, True)
        real = command("--now", "2021-03-02T10:00Z")
        assert (real["due"], real["planned"], real["sent"]) == (dry["due"], dry["planned"], "1")

    def test_case_080_on_a_given_date_everybody_reads_nine(self, course: Course) -> None:
        goals = [goal_of(course, account=zone) for zone in ("Asia/Tokyo", "UTC", "America/Los_Angeles")]
        found = command("--date", "2021-03-02")
        assert (found["sent"], found["instant"]) == ("3", "2021-03-02T09:00")
        assert [mailed(goal) for goal in goals] == [["sent"]] * 3
        assert not MessageRun.objects.exists()
        row = EmailLog.objects.first()
        assert row is not None and (row.expires_at - row.created_at).total_seconds() == 9 * 3600

    @pytest.mark.parametrize(
        "arguments",
        [
            ("--date", "2021-03-02", "--now", "2021-03-02T10:00Z"),
            ("--now", "2021-03-02T10:00"),
            ("--now", "yesterday"),
            ("--date", "2021-02-30"),
            ("--override-recipient-email", "nobody"),
            ("--site", "unknown.example.org"),
        ],
    )
    def test_case_080_bad_options(self, course: Course, arguments: tuple[str, ...]) -> None:
        with pytest.raises(CommandError) as refused:
            call_command("goal_reminder_email", *arguments)
        assert refused.value.returncode == 2
        assert not MessageRun.objects.exists()

    def test_case_081_a_test_goes_to_one_address_and_uses_up_no_week(
        self, course: Course, mailoutbox: list[Any]
    ) -> None:
        goals = [goal_of(course) for _ in range(2)]
        run = ("--now", "2021-03-02T10:00Z")
        assert command(*run, "--override-recipient-email", "qa@example.com")["sent"] == "2"
        assert {sent.to[0] for sent in mailoutbox} == {"qa@example.com"}
        for sent in mailoutbox:
            assert not [name for name in sent.extra_headers if name.startswith("List-Unsubscribe")]
            whole = sent.body + sent.alternatives[0][0]
            assert "/email/test-mail/" in sent.body
            assert not any(str(goal.unsubscribe_token) in whole for goal in goals)
        assert all(":override:" in key for key in EmailLog.objects.values_list("dedupe_key", flat=True))
        assert command(*run)["sent"] == "2"

    def test_case_085_without_a_channel_nothing_is_planned(self, course: Course, capsys: Any) -> None:
        goal_of(course)
        with override_settings(ACE_ENABLED_CHANNELS=[]):
            assert "course_goals.W001" in {found.id for found in run_checks()}
            command("--now", "2021-03-02T10:00Z", status=1)
            assert NO_CHANNEL in capsys.readouterr().err
            assert not EmailLog.objects.exists()
            assert not MessageRun.objects.exists()
            assert command("--now", "2021-03-02T10:00Z", "--dry-run")["due"] == "1"
            # Beat's run comes by another way, and counts for no morning.
            assert remind("Tue").errors
        assert MessageRun.objects.get().status == MessageRun.PARTIAL
        assert "course_goals.W001" not in {found.id for found in run_checks()}


def crowd(course: Course, number: int, days: int) -> None:
    """Make learners with a goal in a few statements."""
    people = UserFactory.build_batch(number)
    type(people[0]).objects.bulk_create(people)
    began = datetime(2021, 2, 1, 10, tzinfo=UTC)
    Enrollment.objects.bulk_create(
        [Enrollment(user=person, course=course, mode="verified", created_at=began) for person in people]
    )
    CourseGoal.objects.bulk_create(
        [CourseGoal(user=person, course=course, days_per_week=days, subscribed_to_reminders=True) for person in people]
    )


def positions(statements: list[str]) -> tuple[int, int]:
    """Return where the audience is read, and where its first page is claimed."""
    numbered = list(enumerate(statements))
    closes = connection.ops.quote_name("closes")
    audience = next(at for at, sql in numbered if sql.startswith("SELECT DISTINCT") and closes in sql)
    claim = next(at for at, sql in numbered if sql.startswith("INSERT") and "emaillog" in sql)
    return audience, claim


class TestCost:
    def statements(self, moment: str) -> list[str]:
        with CaptureQueriesContext(connection) as queries:
            plan(moment)
        return [query["sql"] for query in queries.captured_queries]

    @pytest.mark.slow
    def test_case_083_the_same_statements_for_one_fifty_and_two_thousand(self, course: Course) -> None:
        counts, batches = [], []
        # SQLite takes at most so many parameters in a statement, so there one is cut into several.
        sizes = (1, 50, 2000) if connection.vendor != "sqlite" else (1, 50, 200)
        for week, number in enumerate(sizes):
            EmailLog.objects.all().delete()
            crowd(course, number - CourseGoal.objects.count(), 6)
            moment = f"2021-03-{2 + 7 * week:02}T10:00Z"
            statements = self.statements(moment)
            assert EmailLog.objects.count() == number
            # From the audience's own statement to its claims, and everything until then.
            audience, claim = positions(statements)
            counts.append(claim)
            batches.append(claim - audience)
        assert len({*counts}) == 1, counts
        assert len({*batches}) == 1
        assert batches[0] <= 8
        crowd(course, 10_000, 1)
        EmailLog.objects.all().delete()
        again = self.statements("2021-03-23T10:00Z")
        assert positions(again)[1] == counts[0]
        assert EmailLog.objects.count() == sizes[-1]

    def test_nothing_is_asked_of_the_goals_where_it_is_nowhere_morning(self, course: Course) -> None:
        goal_of(course)
        assert not [sql for sql in self.statements("Tue 20:00") if "coursegoal" in sql]

    def test_zones_are_read_once_a_run(self, course: Course) -> None:
        goal_of(course)
        read = [sql for sql in self.statements("Tue") if sql.startswith("SELECT DISTINCT") and "learnerprofile" in sql]
        assert len([sql for sql in read if "coursegoal" not in sql]) == 1

    def test_case_084_of_two_runs_that_both_find_a_goal_one_claims_it(self, course: Course) -> None:
        goals = [goal_of(course) for _ in range(3)]
        resolver = GoalReminder.resolver()
        pages = resolver.audience(run_of("Tue"))
        rows = next(pages)
        assert len(rows) == 3
        assert remind("Tue").sent == 3
        with pytest.MonkeyPatch.context() as patched:
            # As a run that had looked before the other one claimed.
            patched.setattr(GoalReminder.resolver, "audience", lambda self, run: iter([rows]))
            patched.setattr(GoalReminder.resolver, "left_out", lambda self, run: {})
            summary = remind("Tue 10:05")
        assert (summary.sent, summary.already_sent) == (0, 3)
        assert [mailed(goal) for goal in goals] == [["sent"]] * 3


def test_preferences_that_go_off_withdraw_what_is_planned(course: Course) -> None:
    goal = goal_of(course)
    plan("Tue")
    EmailPreference(user=goal.user, goal_emails=False).save()
    assert mailed(goal) == ["skipped"]
