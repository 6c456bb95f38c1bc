"""Who is left out of the reminder although every remaining day is needed …"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
import time_machine

from course_goals.access import FLAG
from course_goals.conditions import DUE
from course_goals.models import CourseGoal
from courses.models import Certificate, Course, CourseFlag, CourseMode, Enrollment, Flag
from email_automation import consent
from email_automation.channels.mail import DjangoMailChannel
from email_automation.models import CourseOptOut, EmailLog
from email_automation.pipeline import sweep
from tests.factories import CertificateFactory

from .reminding import at, goal_of, mailed, remind, studied, why

pytestmark = pytest.mark.django_db


@pytest.fixture
def goal(course: Course) -> CourseGoal:
    """The goal of the base case: six days a week, on Tuesday."""
    return goal_of(course)


def enrolment(goal: CourseGoal, **fields: Any) -> None:
    Enrollment.objects.filter(user=goal.user).update(**fields)


def audit(goal: CourseGoal, moment: str) -> None:
    enrolment(goal, mode="audit", created_at=datetime.fromisoformat(moment).replace(tzinfo=UTC))


def left_out(goal: CourseGoal, reason: str, moment: str = "Tue") -> None:
    """Check that explain and the run name the same reason."""
    assert why(goal, moment) == reason
    summary = remind(moment)
    assert (summary.sent, mailed(goal)) == (0, [])
    due_but_for = {reason: 1} if reason not in {rule.name for rule in DUE} else {}
    assert summary.left_out.reasons == due_but_for


class TestConditions:
    def test_case_018_without_goal_reminders_flag_or_enrolment(self, course: Course) -> None:
        cleared = goal_of(course, 0, subscribed_to_reminders=False)
        left_out(cleared, "goal_set")
        left_out(goal_of(course, subscribed_to_reminders=False), "reminders_on")
        gone = goal_of(course)
        Enrollment.objects.filter(user=gone.user).delete()
        left_out(gone, "enrolled_before_this_week")
        gone.delete()
        inactive = goal_of(course)
        enrolment(inactive, is_active=False)
        left_out(inactive, "enrolled_before_this_week")
        Flag.objects.update(everyone=False)
        left_out(inactive, "goals_enabled")

    def test_case_019_enrolled_this_week(self, goal: CourseGoal) -> None:
        enrolment(goal, created_at=datetime(2021, 3, 1, tzinfo=UTC))
        left_out(goal, "enrolled_before_this_week")
        enrolment(goal, created_at=datetime(2021, 2, 28, 23, 59, 59, tzinfo=UTC))
        assert why(goal, "Tue") == "due"

    def test_case_020_audit_access_that_ends_on_the_last_minute_of_the_week(
        self, goal: CourseGoal, settings: Any
    ) -> None:
        audit(goal, "2021-02-07T23:59")
        left_out(goal, "access_outlasts_week")
        for limits in ({"enabled": False}, {"enabled_as_of": datetime(2021, 2, 20, tzinfo=UTC)}):
            settings.AUDIT_ACCESS_LIMITS = limits
            assert why(goal, "Tue") == "due"
        settings.AUDIT_ACCESS_LIMITS = {"enabled_as_of": "2021-02-07"}
        assert why(goal, "Tue") == "access_outlasts_week"
        CourseMode.objects.filter(slug="verified").delete()
        assert remind("Tue").sent == 1

    @pytest.mark.parametrize(
        ("enrolled", "facts", "due"),
        [
            ("2021-01-23T00:00", {}, False),
            ("2021-02-01T10:00", {"weeks_to_complete": 7}, True),
            ("2021-02-01T10:00", {"weeks_to_complete": 3}, False),
            ("2021-01-04T00:00", {"start": datetime(2021, 2, 8, tzinfo=UTC), "weeks_to_complete": 4}, True),
            ("2021-01-04T00:00", {"start": datetime(2021, 2, 7, 23, 59, tzinfo=UTC)}, False),
            ("2020-10-26T00:00", {"start": None, "weeks_to_complete": 99}, False),
            ("2020-11-02T00:00", {"start": None, "weeks_to_complete": 99}, True),
        ],
    )
    def test_case_021_audit_access_by_the_courses_weeks(
        self, goal: CourseGoal, enrolled: str, facts: dict[str, Any], due: bool
    ) -> None:
        Course.objects.update(**facts)
        audit(goal, enrolled)
        assert why(goal, "Tue") == ("due" if due else "access_outlasts_week")
        assert remind("Tue").sent == due

    def test_case_022_a_certificate_stops_it_while_it_can_be_downloaded(self, goal: CourseGoal) -> None:
        CertificateFactory(user=goal.user, course=goal.course)
        left_out(goal, "not_completed")
        Certificate.objects.update(status="unavailable")
        studied(goal, "Tue")
        assert remind("Wed").sent == 1

    @pytest.mark.parametrize(
        ("dates", "due"),
        [
            ({"end": datetime(2021, 2, 1, tzinfo=UTC)}, False),
            ({"end": datetime(2021, 3, 7, 23, 59, tzinfo=UTC)}, False),
            ({"end": datetime(2021, 3, 8, tzinfo=UTC)}, True),
            ({"end": None}, True),
            ({"start": datetime(2021, 3, 10, tzinfo=UTC)}, False),
            ({"start": None}, True),
        ],
    )
    def test_case_023_the_course_has_begun_and_does_not_end_this_week(
        self, goal: CourseGoal, dates: dict[str, Any], due: bool
    ) -> None:
        Course.objects.update(**dates)
        assert why(goal, "Tue") == ("due" if due else "course_running")
        assert remind("Tue").sent == due

    def test_case_025_the_flags_rows(self, goal: CourseGoal, django_user_model: Any) -> None:
        from django.contrib.auth.models import Group

        flag = Flag.objects.get(name=FLAG)
        row = CourseFlag.objects.create(flag=flag, course=goal.course, on=False)
        assert why(goal, "Tue") == "goals_enabled"
        Flag.objects.update(everyone=None)
        CourseFlag.objects.update(on=True)
        assert why(goal, "Tue") == "due"
        row.delete()
        Flag.objects.update(percent=99.9)
        assert why(goal, "Tue") == "goals_enabled"
        group = Group.objects.create(name="pilots")
        flag.groups.add(group)
        goal.user.groups.add(group)
        assert remind("Tue").sent == 1

    def test_another_sites_courses_are_that_sites(self, goal: CourseGoal) -> None:
        from tests.factories import SiteConfigurationFactory

        other = SiteConfigurationFactory(org_filter=["edX"])
        assert remind("Tue").audience == 0
        assert remind("Tue", site_id=other.site_id).sent == 1
        assert EmailLog.objects.get().site_id == other.site_id


class TestPolicy:
    @pytest.mark.parametrize(
        ("change", "reason"),
        [
            ({"is_active": False}, "inactive_user"),
            ({"password": "!unusable"}, "inactive_user"),
            ({"email": ""}, "no_email_address"),
        ],
    )
    def test_case_024_an_account_that_cannot_be_mailed(
        self, goal: CourseGoal, change: dict[str, Any], reason: str
    ) -> None:
        type(goal.user).objects.update(**change)
        summary = remind("Tue")
        assert (summary.audience, summary.skipped, EmailLog.objects.count()) == (1, {reason: 1}, 0)

    def test_case_024_a_host_without_passwords_mails_them(self, goal: CourseGoal, settings: Any) -> None:
        settings.COURSE_GOALS_SKIP_UNUSABLE_PASSWORD = False
        type(goal.user).objects.update(password="!unusable")
        assert remind("Tue").sent == 1

    def test_case_024_who_wants_none(self, goal: CourseGoal) -> None:
        other = goal_of(goal.course)
        consent.opt_out(goal.user_id, "goal", source="test")
        CourseOptOut.objects.create(user=other.user, course=goal.course)
        summary = remind("Tue")
        assert (summary.audience, summary.skipped, EmailLog.objects.count()) == (2, {"opted_out": 2}, 0)
        assert remind("Tue", dry_run=True).skipped == {"opted_out": 2}


class TestFailure:
    def test_case_026_one_lost_connection_of_three(
        self, course: Course, mailoutbox: list[Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        goals = [goal_of(course) for _ in range(3)]
        real, tries = DjangoMailChannel.deliver, []

        def deliver(channel: Any, message: Any, rendered: Any) -> Any:
            tries.append(message)
            if len(tries) == 2:
                raise OSError("connection lost")
            return real(channel, message, rendered)

        monkeypatch.setattr(DjangoMailChannel, "deliver", deliver)
        summary = remind("Tue")
        assert (summary.audience, summary.sent, summary.retry, summary.ok) == (3, 2, 1, True)
        waiting = EmailLog.objects.get(status="pending")
        assert waiting.next_attempt_at < at("Tue 18:00")
        with time_machine.travel(waiting.next_attempt_at, tick=False):
            assert sweep.sweep()["sent"] == 1
        assert sorted(sent.to[0] for sent in mailoutbox) == sorted(goal.user.email for goal in goals)
