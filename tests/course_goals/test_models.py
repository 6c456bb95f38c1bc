"""A weekly goal's row …"""

import uuid
from datetime import UTC, date, datetime
from typing import Any

import pytest
from django.db import DataError, IntegrityError, transaction
from django.utils import timezone

from course_goals.models import CourseGoal, CourseGoalReminderStatus
from email_automation import words
from email_automation.models import EmailLog
from tests.factories import CourseGoalFactory, LearnerProfileFactory, UserActivityFactory, UserFactory, platform_site

pytestmark = pytest.mark.django_db

TUESDAY = datetime(2021, 3, 2, 10, tzinfo=UTC)


def mailed(goal: CourseGoal, monday: str, status: str = words.SENT, **fields: Any) -> EmailLog:
    """Write the log's row of a goal's reminder."""
    return EmailLog.objects.create(
        recipient=goal.user,
        email_type="goal_reminder",
        to_address=goal.user.email,
        category="goal",
        status=status,
        dedupe_key=f"goal_reminder:{goal.pk}:{monday}",
        site=platform_site(),
        instant=TUESDAY,
        expires_at=TUESDAY,
        sent_at=TUESDAY,
        **fields,
    )


@pytest.mark.parametrize(
    "fields",
    [{"days_per_week": 9}, {"days_per_week": -1}, {"days_per_week": 0, "subscribed_to_reminders": True}],
)
def test_case_012_refuses_impossible_days_and_reminders_without_a_goal(fields: dict[str, Any]) -> None:
    goal = CourseGoalFactory()
    # MariaDB's columns know their smallest number themselves.
    with pytest.raises((IntegrityError, DataError)), transaction.atomic():
        CourseGoal.objects.filter(pk=goal.pk).update(**fields)


def test_is_one_per_learner_and_course() -> None:
    goal = CourseGoalFactory()
    with pytest.raises(IntegrityError), transaction.atomic():
        CourseGoalFactory(user=goal.user, course=goal.course)


def test_has_a_token_of_its_own_that_the_history_does_not_hold() -> None:
    goals = CourseGoalFactory.create_batch(2)
    assert len({goal.unsubscribe_token for goal in goals}) == 2
    assert all(isinstance(goal.unsubscribe_token, uuid.UUID) for goal in goals)
    assert not hasattr(goals[0].history.get(), "unsubscribe_token")


def test_goes_with_its_learner_and_so_does_its_history() -> None:
    goal, other = CourseGoalFactory(), CourseGoalFactory()
    UserActivityFactory(user=goal.user, course=goal.course)
    goal.user.delete()
    assert list(CourseGoal.objects.all()) == [other]
    assert list(CourseGoal.history.values_list("id", flat=True)) == [other.pk]


class TestReminderStatus:
    @pytest.mark.parametrize("status", words.STATUSES)
    def test_is_sent_once_the_mail_was_handed_off(self, status: str) -> None:
        goal = CourseGoalFactory()
        mailed(goal, "2021-03-01", status)
        found = CourseGoalReminderStatus.for_goals([goal], TUESDAY)[goal.pk]
        handed_off = status in words.HANDED_OFF
        assert (found.email_reminder_sent, found.sent_at) == (handed_off, TUESDAY if handed_off else None)
        assert found.week_start == date(2021, 3, 1)

    def test_case_003_is_not_sent_from_monday_on_by_the_learners_clock(self) -> None:
        goal = CourseGoalFactory()
        LearnerProfileFactory(user=goal.user, time_zone="Asia/Tokyo")
        mailed(goal, "2021-02-22")
        before, after = (datetime(2021, 2, 28, hour, tzinfo=UTC) for hour in (14, 15))
        assert CourseGoalReminderStatus.for_goals([goal], before)[goal.pk].email_reminder_sent
        found = CourseGoalReminderStatus.for_goals([goal], after)[goal.pk]
        assert (found.week_start, found.email_reminder_sent, found.sent_at) == (date(2021, 3, 1), False, None)

    def test_is_what_a_goal_says_of_now(self) -> None:
        goal = CourseGoalFactory()
        monday = CourseGoalReminderStatus.for_goals([goal], timezone.now())[goal.pk].week_start
        assert not goal.reminder_status.email_reminder_sent
        mailed(goal, monday.isoformat())
        assert goal.reminder_status.email_reminder_sent

    def test_takes_no_notice_of_other_goals_and_of_test_mails(self) -> None:
        goal = CourseGoalFactory()
        mailed(CourseGoalFactory(user=goal.user), "2021-03-01")
        row = mailed(goal, "2021-03-01", is_test=True)
        EmailLog.objects.filter(pk=row.pk).update(dedupe_key=f"{row.dedupe_key}:override:1")
        assert not CourseGoalReminderStatus.for_goals([goal], TUESDAY)[goal.pk].email_reminder_sent

    @pytest.mark.parametrize("number", [1, 50])
    def test_takes_the_same_statements_for_many(self, number: int, django_assert_num_queries: Any) -> None:
        goals = CourseGoalFactory.create_batch(number)
        LearnerProfileFactory(user=UserFactory(), time_zone="Asia/Tokyo")
        platform_site()
        goals = list(CourseGoal.objects.all())
        with django_assert_num_queries(6):
            assert len(CourseGoalReminderStatus.for_goals(goals, TUESDAY)) == number

    def test_cannot_be_written_to(self) -> None:
        found = CourseGoalFactory().reminder_status
        with pytest.raises(AttributeError):
            found.email_reminder_sent = True
        assert not hasattr(found, "save")
