"""Courses, their sections and the modes in which they are offered."""

from typing import Any, ClassVar

from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import Q
from django.db.models.signals import post_delete
from django.dispatch import receiver
from opaque_keys import InvalidKeyError
from opaque_keys.edx.keys import CourseKey

from courses import signals
from courses.models.fields import StructureField
from courses.models.observed import ObservedModel
from courses.validators import validate_course_key, validate_highlights, validate_mode_slug


class Course(ObservedModel):
    """One run of a course."""

    OBSERVED = (
        "key",
        "title",
        "org",
        "start",
        "end",
        "self_paced",
        "is_active",
        "language",
        "weeks_to_complete",
        "price",
        "currency",
        "highlights_enabled_for_messaging",
    )

    key = models.CharField(
        max_length=255,
        unique=True,
        validators=[validate_course_key],
        help_text="Course key, for example course-v1:edX+DemoX+2026.",
    )
    title = models.CharField(max_length=255, blank=True, help_text="Empty: the course key is shown instead.")
    org = models.CharField(
        max_length=255,
        blank=True,
        db_index=True,
        verbose_name="organisation",
        help_text="Decides which site mails the learners. Empty: taken from the course key.",
    )
    start = models.DateTimeField(null=True, blank=True, help_text="First instant of the course (UTC).")
    end = models.DateTimeField(null=True, blank=True, help_text="Last instant of the course (UTC).")
    enrollment_start = models.DateTimeField(
        null=True, blank=True, verbose_name="start of enrolment", help_text="Nobody enrols before it. Empty: no limit."
    )
    enrollment_end = models.DateTimeField(
        null=True, blank=True, verbose_name="end of enrolment", help_text="Nobody enrols after it. Empty: no limit."
    )
    self_paced = models.BooleanField(
        default=False,
        verbose_name="self-paced",
        help_text="Learners go at their own pace. Can be switched on only before the course starts and while the "
        "self-paced configuration is enabled.",
    )
    is_active = models.BooleanField(default=True, help_text="Off: the course is no longer offered.")
    # The database knows the default too: the version before this one goes on inserting while this one is migrated to.
    is_visible = models.BooleanField(default=True, db_default=True, help_text="Off: hidden from the catalogue.")
    language = models.CharField(max_length=16, blank=True, help_text="Language code of the course, for example es-419.")
    weeks_to_complete = models.PositiveSmallIntegerField(
        null=True, blank=True, help_text="How many weeks the course takes at the expected pace."
    )
    price = models.DecimalField(
        max_digits=12, decimal_places=2, null=True, blank=True, validators=[MinValueValidator(0)]
    )
    currency = models.CharField(max_length=8, blank=True, help_text="ISO 4217 code, for example usd.")
    highlights_enabled_for_messaging = models.BooleanField(
        default=False, help_text="Mail the weekly section highlights to the learners."
    )
    reported_at = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="Time of the newest event about this course."
    )
    created = models.DateTimeField(auto_now_add=True)
    modified = models.DateTimeField(auto_now=True)

    class Meta:
        ordering: ClassVar = ["key"]
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(price__isnull=True) | Q(price__gte=0),
                name="courses_course_price_not_negative",
                violation_error_message="price: must not be negative.",
            ),
            models.CheckConstraint(
                condition=Q(weeks_to_complete__isnull=True) | Q(weeks_to_complete__gte=0),
                name="courses_course_weeks_not_negative",
                violation_error_message="weeks_to_complete: must not be negative.",
            ),
        ]

    def __str__(self) -> str:
        return self.key

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Save with organisation and title filled from the key where they are blank."""
        filled = self.fill_from_key()
        if kwargs.get("update_fields") is not None:
            kwargs["update_fields"] = {*kwargs["update_fields"], *filled}
        super().save(*args, **kwargs)

    def fill_from_key(self) -> list[str]:
        """Put the key's organisation and the key as title where these are blank; return the fields filled."""
        filled = []
        if not self.org:
            try:
                self.org = CourseKey.from_string(self.key).org or ""
            except InvalidKeyError:
                self.org = ""
            filled.append("org")
        if not self.title:
            self.title = self.key
            filled.append("title")
        return filled

    def changed(self, before: dict[str, Any], changed: frozenset[str]) -> None:
        """Tell that the course has other facts now."""
        signals.course_changed.send(sender=Course, course=self, changed=changed)


class Section(ObservedModel):
    """One section (chapter) of a course with the highlights its author wrote."""

    OBSERVED = ("course_id", "index", "title", "visible_to_staff_only", "hide_from_toc", "highlights")

    course = models.ForeignKey(Course, on_delete=models.CASCADE, related_name="sections")
    index = models.PositiveIntegerField(help_text="Position in the course.")
    title = models.CharField(max_length=255, blank=True)
    visible_to_staff_only = models.BooleanField(default=False)
    hide_from_toc = models.BooleanField(default=False, verbose_name="hidden from the table of contents")
    highlights = StructureField(
        default=list,
        blank=True,
        validators=[validate_highlights],
        help_text="What a learner may look forward to: a list of texts of at most 250 characters.",
    )

    class Meta:
        ordering: ClassVar = ["course", "index"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["course", "index"],
                name="courses_section_course_index",
                violation_error_message="index: this course already has a section at this position.",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.index}. {self.title}"

    def inserted(self) -> None:
        """Tell that the course has one more section."""
        signals.sections_changed.send(sender=Section, course=self.course)

    def changed(self, before: dict[str, Any], changed: frozenset[str]) -> None:
        """Tell every course that the section belongs or belonged to."""
        for course in courses_touched(self.course, before):
            signals.sections_changed.send(sender=Section, course=course)


class CourseMode(ObservedModel):
    """One way to take a course, with its price and the last instant to choose it."""

    OBSERVED = ("course_id", "slug", "price", "currency", "expires_at", "sku")

    course = models.ForeignKey(Course, on_delete=models.CASCADE, related_name="modes")
    slug = models.CharField(
        max_length=64,
        validators=[validate_mode_slug],
        verbose_name="mode",
        help_text="audit, honor, verified or professional.",
    )
    price = models.DecimalField(max_digits=12, decimal_places=2, default=0, validators=[MinValueValidator(0)])
    currency = models.CharField(max_length=8, blank=True, default="usd", help_text="ISO 4217 code.")
    expires_at = models.DateTimeField(
        null=True, blank=True, help_text="After this instant nobody can choose the mode. Empty: no limit."
    )
    sku = models.CharField(
        max_length=255, blank=True, verbose_name="SKU", help_text="Number of the article in the shop."
    )

    class Meta:
        ordering: ClassVar = ["course", "slug"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["course", "slug"],
                name="courses_coursemode_course_slug",
                violation_error_message="slug: this course already has this mode.",
            ),
            models.CheckConstraint(
                condition=Q(price__gte=0),
                name="courses_coursemode_price_not_negative",
                violation_error_message="price: must not be negative.",
            ),
        ]

    def __str__(self) -> str:
        return self.slug

    def inserted(self) -> None:
        """Tell that the course is offered in one more mode."""
        signals.course_modes_changed.send(sender=CourseMode, course=self.course, slugs=frozenset([self.slug]))

    def changed(self, before: dict[str, Any], changed: frozenset[str]) -> None:
        """Tell every course that the mode belongs or belonged to."""
        slugs = frozenset([before["slug"], self.slug])
        for course in courses_touched(self.course, before):
            signals.course_modes_changed.send(sender=CourseMode, course=course, slugs=slugs)


def courses_touched(course: Course, before: dict[str, Any]) -> list[Course]:
    """Return the course of a part and, when the part has moved, the course it came from."""
    if before["course_id"] == course.pk:
        return [course]
    return [course, *Course.objects.filter(pk=before["course_id"])]


@receiver(post_delete, sender=Section)
def section_removed(instance: Section, origin: Any = None, **kwargs: Any) -> None:
    """Tell that a course has lost a section, unless the course itself goes. Django deletes inside a transaction."""
    if not goes_with_course(origin):
        signals.sections_changed.send(sender=Section, course=instance.course)


@receiver(post_delete, sender=CourseMode)
def mode_removed(instance: CourseMode, origin: Any = None, **kwargs: Any) -> None:
    """Tell that a course is no longer offered in a mode, unless the course itself goes."""
    if not goes_with_course(origin):
        signals.course_modes_changed.send(sender=CourseMode, course=instance.course, slugs=frozenset([instance.slug]))


def goes_with_course(origin: Any) -> bool:
    """Tell whether a deletion began at the course (an instance or a queryset)."""
    return isinstance(origin, Course) or getattr(origin, "model", None) is Course
