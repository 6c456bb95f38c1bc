"""What a course consists of, what learners have completed of it, and the days on which they were there."""

from typing import Any, ClassVar

from django.conf import settings
from django.db import models
from django.utils import timezone

from courses import signals
from courses.models.catalogue import Course
from courses.models.fields import ReferenceField
from courses.models.observed import ObservedModel
from courses.validators import validate_web_address


class ContentItem(ObservedModel):
    """One thing to watch or to do in a course.

    `published_at` remembers the first time and is never emptied again, so withdrawing an item and publishing it again
    is no news.
    """

    class Kind(models.TextChoices):
        """What can be counted in a learner's progress."""

        VIDEO = "video", "Video"
        QUIZ = "quiz", "Quiz"
        ASSIGNMENT = "assignment", "Assignment"

    OBSERVED = ("is_published", "published_at")

    course = models.ForeignKey(Course, on_delete=models.CASCADE, related_name="content_items")
    kind = models.CharField(max_length=16, choices=Kind.choices)
    title = models.CharField(max_length=255)
    url = models.CharField(
        max_length=2000,
        blank=True,
        validators=[validate_web_address],
        verbose_name="address",
        help_text="Where the item is found. Empty: on the pages of its course.",
    )
    key = ReferenceField(
        max_length=191,
        null=True,
        blank=True,
        unique=True,
        help_text="Name of the item in the system it comes from.",
    )
    is_published = models.BooleanField(default=True, help_text="Off: learners do not see it.")
    published_at = models.DateTimeField(
        null=True, blank=True, help_text="When it was first published (UTC). Empty: not yet."
    )

    class Meta:
        indexes: ClassVar = [models.Index(fields=["course", "published_at"], name="courses_content_published")]

    def __str__(self) -> str:
        return self.title

    def save(self, *args: Any, announce: bool = True, **kwargs: Any) -> None:
        """Save; a first publication is told to others, with `announce` False as one no learner shall hear of."""
        self._announce = announce
        super().save(*args, **kwargs)

    def filled(self, before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
        """Set the time of the first publication, or keep it."""
        if after.get("published_at") is not None:
            return {}
        first = before.get("published_at")
        if first is None and (after.get("is_published") or before.get("is_published")):
            first = self.published_at or timezone.now()
        return {} if first is None else {"published_at": first}

    def inserted(self) -> None:
        """Tell of an item that is published at once."""
        if self.is_published:
            self._tell()

    def changed(self, before: dict[str, Any], changed: frozenset[str]) -> None:
        """Tell of an item that is published for the first time."""
        if "is_published" in changed and not before["is_published"] and before["published_at"] is None:
            self._tell()

    def _tell(self) -> None:
        signals.content_published.send(sender=ContentItem, items=[self], announce=self._announce)


class Completion(models.Model):
    """That a learner has completed an item, and when for the first time."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="completions")
    item = models.ForeignKey(ContentItem, on_delete=models.CASCADE, related_name="completions")
    completed_at = models.DateTimeField(default=timezone.now, help_text="When the learner first completed it (UTC).")

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["user", "item"],
                name="courses_completion_user_item",
                violation_error_message="This learner has already completed this item.",
            ),
        ]
        indexes: ClassVar = [models.Index(fields=["item", "user", "completed_at"], name="courses_completion_until")]

    def __str__(self) -> str:
        return f"completion {self.pk}"


class UserActivity(models.Model):
    """One day on which a learner was in a course; the date is that of the learner's own clock."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="activities")
    course = models.ForeignKey(Course, on_delete=models.CASCADE, related_name="activities")
    date = models.DateField()
    seconds = models.PositiveIntegerField(default=0, help_text="Time spent that day, as far as it is known.")

    class Meta:
        verbose_name_plural = "user activities"
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["user", "course", "date"],
                name="courses_useractivity_user_course_date",
                violation_error_message="date: this learner already has activity in this course on this day.",
            ),
        ]

    def __str__(self) -> str:
        return f"activity {self.pk}"
