"""What learners do: enrolments, certificates, and the profile behind an account."""

from typing import Any, ClassVar

from django.conf import settings
from django.db import models
from django.utils import timezone

from courses import signals
from courses.models.catalogue import Course
from courses.models.observed import ObservedModel


class Enrollment(ObservedModel):
    """A learner's place in a course. Ending it switches `is_active` off; the row stays."""

    OBSERVED = ("is_active", "mode", "created_at")

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="enrollments")
    course = models.ForeignKey(Course, on_delete=models.CASCADE, related_name="enrollments")
    mode = models.CharField(max_length=100, default="audit", help_text="Track of the learner, for example audit.")
    is_active = models.BooleanField(default=True, help_text="Off: the learner has left the course.")
    created_at = models.DateTimeField(default=timezone.now, help_text="When the learner first enrolled (UTC).")
    reported_at = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="Time of the newest event about this enrolment."
    )

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["user", "course"],
                name="courses_enrollment_user_course",
                violation_error_message="This learner already has an enrolment in this course.",
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["course", "is_active"], name="courses_enrollment_active"),
            models.Index(fields=["created_at"], name="courses_enrollment_created"),
        ]

    def __str__(self) -> str:
        return f"enrollment {self.pk}"

    def save(self, *args: Any, announce: bool = True, **kwargs: Any) -> None:
        """Save; a new enrolment is told to others, with `announce` False as one the learner shall not hear of."""
        self._announce = announce
        super().save(*args, **kwargs)

    def inserted(self) -> None:
        """Tell that a learner has a new place."""
        signals.enrollments_created.send(sender=Enrollment, enrollments=[self], announce=self._announce)

    def changed(self, before: dict[str, Any], changed: frozenset[str]) -> None:
        """Tell that the learner left, came back or changed track."""
        signals.enrollments_changed.send(sender=Enrollment, enrollments=[self], changed={self.pk: changed})


class Certificate(ObservedModel):
    """The state of a learner's certificate in a course, in the words of the platform."""

    OBSERVED = ("status",)

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="certificates")
    course = models.ForeignKey(Course, on_delete=models.CASCADE, related_name="certificates")
    status = models.CharField(max_length=32, help_text="For example downloadable, notpassing or unavailable.")
    modified = models.DateTimeField(auto_now=True, help_text="When the state was last written (UTC).")
    reported_at = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="Time of the newest event about this certificate."
    )

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["user", "course"],
                name="courses_certificate_user_course",
                violation_error_message="This learner already has a certificate in this course.",
            ),
        ]

    def __str__(self) -> str:
        return f"certificate {self.pk}"

    def inserted(self) -> None:
        """Tell that there is a first state."""
        signals.certificates_changed.send(sender=Certificate, certificates=[self])

    def changed(self, before: dict[str, Any], changed: frozenset[str]) -> None:
        """Tell that the state is another one."""
        signals.certificates_changed.send(sender=Certificate, certificates=[self])


class LearnerProfile(models.Model):
    """What we know of a person beside the account: number on the platform, language and time zones.

    Zone names are kept as they were reported; who reads them passes over an unusable one.
    """

    user = models.OneToOneField(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="learner_profile")
    lms_user_id = models.BigIntegerField(
        null=True,
        blank=True,
        unique=True,
        verbose_name="user id on the platform",
        help_text="Number of the same account on the learning platform.",
    )
    language = models.CharField(max_length=16, blank=True, help_text="Preferred language code.")
    time_zone = models.CharField(max_length=64, blank=True, help_text="Zone chosen in the account.")
    last_seen_time_zone = models.CharField(max_length=64, blank=True, help_text="Zone the browser reported last.")
    reported_at = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="Time of the newest event about this account."
    )

    def __str__(self) -> str:
        return f"profile {self.pk}"
