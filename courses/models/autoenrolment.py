"""Enrolments that follow a granted subsidy by themselves."""

from __future__ import annotations

from typing import ClassVar

from django.db import models


class AutoEnrolment(models.Model):
    """What was decided about enrolling a learner after a grant, once for each request, and how it went."""

    PENDING, ENROLLED, FAILED, SKIPPED = "pending", "enrolled", "failed", "skipped"
    STATES: ClassVar = (PENDING, ENROLLED, FAILED, SKIPPED)

    subsidy_request_uuid = models.UUIDField(unique=True)
    enterprise_customer_uuid = models.UUIDField()
    lms_user_id = models.BigIntegerField(verbose_name="user id on the platform")
    license_uuid = models.UUIDField(null=True, blank=True, verbose_name="licence")
    course = models.CharField(max_length=255, blank=True, help_text="Key of the course, for example edX+DemoX.")
    run = models.CharField(max_length=255, blank=True, help_text="Key of the run. Empty: not decided yet, or skipped.")
    mode = models.CharField(max_length=100, blank=True)
    state = models.CharField(max_length=16, default=PENDING)
    reason = models.CharField(max_length=64, blank=True)
    attempts = models.PositiveIntegerField(default=0)
    next_attempt_at = models.DateTimeField(null=True, blank=True, db_index=True)
    created_at = models.DateTimeField()
    decided_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = "automatic enrolment"
        indexes: ClassVar = [
            models.Index(fields=["lms_user_id", "created_at"], name="courses_autoenrolment_learner"),
            models.Index(fields=["state", "-id"], name="courses_autoenrolment_state"),
        ]

    def __str__(self) -> str:
        return f"automatic enrolment {self.pk}"
