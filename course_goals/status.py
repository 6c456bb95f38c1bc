"""Whether a learner was reminded this week, for people who know the ancestor's table of that name."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING

from email_automation import words
from email_automation.models import EmailLog

from .clocks import zones_for
from .week import Clock, occasion

if TYPE_CHECKING:
    from .models import CourseGoal


@dataclass(frozen=True)
class CourseGoalReminderStatus:
    """A view of the ledger, no table: whether the reminder of the learner's current local week was handed off.

    `week_start` is that week's Monday, `sent_at` the time of the hand-off. To write to it is an error; nothing has to
    be reset on Mondays, because the next week has a key of its own.
    """

    week_start: date
    email_reminder_sent: bool
    sent_at: datetime | None

    @classmethod
    def for_goals(cls, goals: Collection[CourseGoal], now: datetime) -> dict[int, CourseGoalReminderStatus]:
        """Return {goal id: status} at an aware instant, in at most six statements."""
        zones = zones_for([(goal.user_id, goal.course_id) for goal in goals])
        mondays = {goal.pk: Clock.at(now, zones[goal.user_id, goal.course_id]).monday for goal in goals}
        keys = [occasion(goal_id, monday) for goal_id, monday in mondays.items()]
        rows = EmailLog.objects.filter(dedupe_key__in=keys, status__in=words.HANDED_OFF)
        sent = dict(rows.values_list("dedupe_key", "sent_at"))
        return {
            goal_id: cls(monday, occasion(goal_id, monday) in sent, sent.get(occasion(goal_id, monday)))
            for goal_id, monday in mondays.items()
        }
