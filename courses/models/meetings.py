"""Meetings and who was there."""

from typing import Any, ClassVar

from django.conf import settings
from django.db import models

from courses import signals
from courses.models.catalogue import Course
from courses.models.fields import ReferenceField
from courses.models.observed import ObservedModel


class Meeting(models.Model):
    """One lesson that people attend together."""

    course = models.ForeignKey(Course, null=True, blank=True, on_delete=models.SET_NULL, related_name="meetings")
    title = models.CharField(max_length=255, blank=True)
    is_demo = models.BooleanField(
        default=False, verbose_name="demo class", help_text="A lesson to get to know the course by."
    )
    starts_at = models.DateTimeField(null=True, blank=True, help_text="When it begins (UTC).")
    key = ReferenceField(
        max_length=191,
        null=True,
        blank=True,
        unique=True,
        help_text="Name of the meeting in the system where it takes place.",
    )

    def __str__(self) -> str:
        return f"meeting {self.pk}"


class Participant(ObservedModel):
    """One person's attendance of a meeting."""

    OBSERVED = ("left_at",)

    meeting = models.ForeignKey(Meeting, on_delete=models.CASCADE, related_name="participants")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="attendances")
    joined_at = models.DateTimeField(null=True, blank=True, help_text="When the person came (UTC).")
    left_at = models.DateTimeField(null=True, blank=True, help_text="When the person left (UTC).")

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["meeting", "user"],
                name="courses_participant_meeting_user",
                violation_error_message="This person is already a participant of this meeting.",
            ),
        ]
        indexes: ClassVar = [models.Index(fields=["left_at"], name="courses_participant_left")]

    def __str__(self) -> str:
        return f"participant {self.pk}"

    def save(self, *args: Any, announce: bool = True, **kwargs: Any) -> None:
        """Save; leaving is told to others, with `announce` False as one that the person shall not hear of."""
        self._announce = announce
        super().save(*args, **kwargs)

    def inserted(self) -> None:
        """Tell of somebody who has left already."""
        if self.left_at is not None:
            self._tell()

    def changed(self, before: dict[str, Any], changed: frozenset[str]) -> None:
        """Tell that somebody has left; another time for it is no news."""
        if before["left_at"] is None:
            self._tell()

    def _tell(self) -> None:
        signals.participants_left.send(sender=Participant, participants=[self], announce=self._announce)
