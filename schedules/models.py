"""Schedules' own tables: each learner's clock in a course, the switches that decide who gets one, and batch jobs."""

from __future__ import annotations

from typing import Any

from django.contrib.sites.models import Site
from django.core.exceptions import ValidationError
from django.core.validators import MinValueValidator
from django.db import models, router, transaction
from django.utils.translation import gettext_lazy as _

from courses.models import Enrollment, FreshConfigurationModel
from courses.validators import validate_course_key

DEFAULT_DEADLINE_DAYS = 21


def validate_ratio(value: float) -> None:
    """Accept a number from 0 to 1; NaN, which no comparison finds too small or too large, is refused too."""
    if not 0 <= value <= 1:
        raise ValidationError(
            _("hold_back_ratio: %(value)s is not a number from 0 to 1."), code="ratio", params={"value": value}
        )


class Schedule(models.Model):
    """When a learner's clock starts in one course, and until when that learner may upgrade."""

    enrollment = models.OneToOneField(Enrollment, on_delete=models.CASCADE, related_name="schedule")
    start_date = models.DateTimeField(help_text=_("The later of the enrolment and the start of the course."))
    upgrade_deadline = models.DateTimeField(
        null=True, blank=True, help_text=_("The last moment to buy the verified certificate.")
    )
    active = models.BooleanField(default=True, help_text=_("For filtering in this admin only; no mail depends on it."))
    created = models.DateTimeField(auto_now_add=True)
    modified = models.DateTimeField(auto_now=True)

    class Meta:
        indexes = [
            models.Index(fields=["start_date", "id"], name="schedule_start"),
            models.Index(fields=["upgrade_deadline", "id"], name="schedule_deadline"),
            models.Index(fields=["active", "id"], name="schedule_active"),
        ]

    def __str__(self) -> str:
        return f"schedule {self.pk} of enrolment {self.enrollment_id}"

    @property
    def experience_type(self) -> int:
        """The number of its experience, also where there is no row."""
        row: ScheduleExperience | None = getattr(self, "experience", None)
        return row.experience_type if row is not None else ScheduleExperience.NUDGES


class ScheduleExperience(models.Model):
    """Which family of mails a schedule receives; a missing row reads as nudges and reminder."""

    NUDGES = 0
    COURSE_UPDATES = 1
    EXPERIENCES = ((NUDGES, _("Recurring Nudge and Upgrade Reminder")), (COURSE_UPDATES, _("Course Updates")))

    schedule = models.OneToOneField(Schedule, on_delete=models.CASCADE, related_name="experience")
    experience_type = models.PositiveSmallIntegerField(choices=EXPERIENCES, default=NUDGES)

    class Meta:
        indexes = [models.Index(fields=["experience_type", "schedule"], name="schedule_experience_type")]

    def __str__(self) -> str:
        return str(self.get_experience_type_display())


class ScheduleConfig(FreshConfigurationModel):
    """The switches of one site; its newest row counts, older ones stay as history. `enabled` is not consulted."""

    KEY_FIELDS = ("site",)

    site = models.ForeignKey(Site, on_delete=models.CASCADE)
    create_schedules = models.BooleanField(default=False)
    enqueue_recurring_nudge = models.BooleanField(default=False)
    deliver_recurring_nudge = models.BooleanField(default=False)
    enqueue_upgrade_reminder = models.BooleanField(default=False)
    deliver_upgrade_reminder = models.BooleanField(default=False)
    enqueue_course_update = models.BooleanField(default=False)
    deliver_course_update = models.BooleanField(default=False)
    hold_back_ratio = models.FloatField(
        default=0,
        validators=[validate_ratio],
        help_text=_("The share of enrolments, 0 to 1, that get no schedule."),
    )

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(hold_back_ratio__gte=0) & models.Q(hold_back_ratio__lte=1),
                name="schedule_config_ratio_0_to_1",
            ),
        ]
        indexes = [models.Index(fields=["site", "change_date"], name="schedule_config_newest")]

    def __str__(self) -> str:
        return f"schedule configuration of site {self.site_id}"


class _DeadlineConfiguration(FreshConfigurationModel):
    """A setting of upgrade deadlines; saved in one transaction with whatever its handlers write."""

    deadline_days = models.PositiveSmallIntegerField(
        default=DEFAULT_DEADLINE_DAYS, validators=[MinValueValidator(1)], help_text=_("Days, at least 1.")
    )

    class Meta:
        abstract = True

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Add the row; Django alone would send post_save after the row has been committed."""
        with transaction.atomic(using=kwargs.get("using") or router.db_for_write(type(self), instance=self)):
            super().save(*args, **kwargs)


class DynamicUpgradeDeadlineConfiguration(_DeadlineConfiguration):
    """Upgrade deadlines for every course, so many days after a learner's start."""

    class Meta:
        constraints = [
            models.CheckConstraint(condition=models.Q(deadline_days__gte=1), name="deadline_days_at_least_1"),
        ]

    def __str__(self) -> str:
        return f"{self.deadline_days} days"


class _ScopedDeadlineConfiguration(_DeadlineConfiguration):
    """What organisations and courses can say about deadlines: a number of days, or none at all."""

    opt_out = models.BooleanField(default=False, help_text=_("No deadline here, whatever a wider setting says."))

    class Meta:
        abstract = True


class OrgDynamicUpgradeDeadlineConfiguration(_ScopedDeadlineConfiguration):
    """Upgrade deadlines for the courses of one organisation; goes before the global setting."""

    KEY_FIELDS = ("org_id",)

    org_id = models.CharField(max_length=255, help_text=_("The organisation, exactly as in the course key."))

    class Meta:
        constraints = [
            models.CheckConstraint(condition=models.Q(deadline_days__gte=1), name="org_deadline_days_at_least_1"),
        ]
        indexes = [models.Index(fields=["org_id", "change_date"], name="org_deadline_newest")]

    def __str__(self) -> str:
        return f"{self.org_id}: {self.deadline_days} days"


class CourseDynamicUpgradeDeadlineConfiguration(_ScopedDeadlineConfiguration):
    """Upgrade deadlines for one course; goes before those of its organisation."""

    KEY_FIELDS = ("course_id",)

    course_id = models.CharField(
        max_length=255,
        validators=[validate_course_key],
        help_text=_("The course key, for example course-v1:Org+Course+Run."),
    )

    class Meta:
        constraints = [
            models.CheckConstraint(condition=models.Q(deadline_days__gte=1), name="course_deadline_days_at_least_1"),
        ]
        indexes = [models.Index(fields=["course_id", "change_date"], name="course_deadline_newest")]

    def __str__(self) -> str:
        return f"{self.course_id}: {self.deadline_days} days"


class ScheduleCreationRecord(models.Model):
    """Why an enrolment was left without a schedule, where that is not simply what the switches say."""

    HELD_BACK = "held_back"
    FAILED = "failed"

    enrollment = models.OneToOneField(Enrollment, on_delete=models.CASCADE, related_name="schedule_creation_record")
    outcome = models.CharField(max_length=10, help_text=_("held_back or failed"))
    ratio = models.FloatField(null=True, blank=True)
    fraction = models.FloatField(null=True, blank=True)
    error = models.TextField(blank=True)
    attempts = models.PositiveIntegerField(default=1)
    created = models.DateTimeField(auto_now_add=True)
    modified = models.DateTimeField(auto_now=True)

    class Meta:
        indexes = [models.Index(fields=["outcome", "id"], name="schedule_creation_outcome")]

    def __str__(self) -> str:
        return f"enrolment {self.enrollment_id}: {self.outcome}"


class ScheduleRecompute(models.Model):
    """One batch job that puts the values of existing schedules right, and how far it is."""

    DATES = "dates"
    EXPERIENCE = "experience"

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    STATES = ((WAITING, _("waiting")), (RUNNING, _("running")), (DONE, _("done")), (FAILED, _("failed")))

    scope = models.CharField(max_length=270, help_text=_("all, org:<organisation> or course:<course key>"))
    kind = models.CharField(max_length=16, help_text=_("dates or experience"))
    state = models.CharField(max_length=10, choices=STATES, default=WAITING)
    total = models.PositiveIntegerField(default=0, help_text=_("Schedules in scope when the job began."))
    done = models.PositiveIntegerField(default=0, help_text=_("Schedules looked at so far."))
    changed = models.PositiveIntegerField(default=0, help_text=_("Schedules that had other values."))
    last_schedule_id = models.BigIntegerField(default=0, help_text=_("The job goes on after this schedule."))
    error = models.TextField(blank=True, help_text=_("What broke the latest try that broke."))
    attempts = models.PositiveSmallIntegerField(default=0, help_text=_("Tries that broke."))
    requested_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    next_attempt_at = models.DateTimeField(null=True, blank=True, help_text=_("No try before this instant."))
    claim_token = models.UUIDField(null=True, blank=True, editable=False)
    lease_expires_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        indexes = [models.Index(fields=["state", "id"], name="schedule_recompute_state")]

    def __str__(self) -> str:
        return f"{self.kind} of {self.scope}"
