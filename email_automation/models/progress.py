"""The weekly figures of each learner in each course."""

from __future__ import annotations

from decimal import Decimal

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from courses.models import Course


class WeeklyProgressReport(models.Model):
    """What one learner had done in one course by the end of a week, Monday to Sunday in the site's zone.

    `…_completed` and `total_…` count everything up to `week_end`, `…_this_week` what was done in the week itself;
    `time_spent` is in minutes, of the week.
    """

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="weekly_progress_reports")
    course = models.ForeignKey(Course, on_delete=models.CASCADE, related_name="+")
    week_start = models.DateField(help_text=_("A Monday."))
    week_end = models.DateField(help_text=_("The Sunday after it."))
    videos_completed = models.PositiveIntegerField(default=0)
    total_videos = models.PositiveIntegerField(default=0)
    videos_this_week = models.PositiveIntegerField(default=0)
    quizzes_completed = models.PositiveIntegerField(default=0)
    total_quizzes = models.PositiveIntegerField(default=0)
    quizzes_this_week = models.PositiveIntegerField(default=0)
    assignments_completed = models.PositiveIntegerField(default=0)
    total_assignments = models.PositiveIntegerField(default=0)
    assignments_this_week = models.PositiveIntegerField(default=0)
    time_spent = models.PositiveIntegerField(default=0, help_text=_("Minutes."))
    report_generated = models.BooleanField(default=False, help_text=_("The figures have been counted."))
    email_sent = models.BooleanField(default=False, help_text=_("The provider has accepted the mail about it."))
    created_at = models.DateTimeField(default=timezone.now)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        verbose_name = _("weekly progress report")
        constraints = [
            models.UniqueConstraint(fields=["user", "course", "week_start"], name="email_progress_once_a_week"),
        ]

    def __str__(self) -> str:
        return f"user {self.user_id}, course {self.course_id}, week of {self.week_start}"

    @property
    def completed(self) -> int:
        """Everything done up to the end of the week."""
        return self.videos_completed + self.quizzes_completed + self.assignments_completed

    @property
    def total(self) -> int:
        """Everything there was to do by the end of the week."""
        return self.total_videos + self.total_quizzes + self.total_assignments

    @property
    def completion_percentage(self) -> Decimal:
        """The share of `total` that is completed, 0 to 100 with two decimals; 0 where there is nothing to do."""
        share = Decimal(100 * self.completed) / self.total if self.total else Decimal(0)
        return share.quantize(Decimal("0.01"))
