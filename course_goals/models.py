"""Weekly goals' own table. Who was reminded is no column: the ledger knows, and `reminder_status` reads it there."""

from __future__ import annotations

import uuid
from typing import Final

from django.conf import settings
from django.core.validators import MaxValueValidator
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from simple_history.models import HistoricalRecords

from courses.models import Course

from .status import CourseGoalReminderStatus

__all__ = ["CourseGoal", "CourseGoalReminderStatus"]

MOST_DAYS: Final = 7


class CourseGoal(models.Model):
    """On how many days a week a learner wants to study in one course; 0: the goal is cleared. Written by `services`.

    The token is the authority of the links in mails and never changes: those of old mails have to work.
    """

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="course_goals")
    course = models.ForeignKey(Course, on_delete=models.CASCADE, related_name="goals")
    days_per_week = models.PositiveSmallIntegerField(
        _("days a week"), default=0, validators=[MaxValueValidator(MOST_DAYS)], help_text=_("1 to 7, or 0: no goal.")
    )
    subscribed_to_reminders = models.BooleanField(
        _("reminders"), default=False, help_text=_("Mail the learner when every remaining day is needed.")
    )
    unsubscribe_token = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)

    # The token is left out: it never changes, and whoever reads the history could use it.
    history = HistoricalRecords(
        history_change_reason_field=models.CharField(max_length=100, null=True),
        excluded_fields=["unsubscribe_token"],
        cascade_delete_history=True,
    )

    class Meta:
        verbose_name = _("weekly goal")
        constraints = [
            models.UniqueConstraint(
                fields=["user", "course"],
                name="course_goal_once",
                violation_error_message=_("This learner already has a goal in this course."),
            ),
            models.CheckConstraint(
                condition=Q(days_per_week__gte=0) & Q(days_per_week__lte=MOST_DAYS),
                name="course_goal_days_0_to_7",
                violation_error_message=_("days_per_week: must be 0 to 7."),
            ),
            models.CheckConstraint(
                condition=Q(subscribed_to_reminders=False) | Q(days_per_week__gt=0),
                name="course_goal_reminders_need_days",
                violation_error_message=_("subscribed_to_reminders: there are no reminders without a goal."),
            ),
        ]
        indexes = [
            models.Index(fields=["days_per_week", "id"], name="course_goal_days"),
            models.Index(fields=["subscribed_to_reminders", "id"], name="course_goal_reminders"),
        ]

    def __str__(self) -> str:
        return f"goal {self.pk}"

    @property
    def reminder_status(self) -> CourseGoalReminderStatus:
        """What the ledger says of the learner's current week; for many goals ask `for_goals`."""
        return CourseGoalReminderStatus.for_goals([self], timezone.now())[self.pk]
