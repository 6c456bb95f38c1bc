"""Admin pages of the ground floor. Every list needs the same few queries whatever its length."""

from typing import Any, ClassVar

from django.contrib import admin
from django.contrib.admin.widgets import ForeignKeyRawIdWidget
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse
from waffle.admin import FlagAdmin

from courses import event_admin  # noqa: F401  (registers the pages of events)
from courses.forms import CourseForm, SiteConfigurationForm
from courses.history_admin import HistoryAdmin
from courses.models import (
    Certificate,
    Completion,
    ContentItem,
    Course,
    CourseFlag,
    CourseMode,
    Enrollment,
    Flag,
    LearnerProfile,
    Meeting,
    Participant,
    Payment,
    Section,
    SelfPacedConfiguration,
    SiteConfiguration,
    UserActivity,
)
from courses.paginator import BoundedPaginator
from courses.table_admin import LargeTableAdmin


@admin.register(Course)
class CourseAdmin(admin.ModelAdmin):
    """Courses; a search finds an exact key, organisation or title."""

    form = CourseForm
    list_display = ("key", "title", "org", "self_paced", "is_active", "start", "end")
    list_filter = ("self_paced", "is_active")
    search_fields = ("key__exact", "org__exact", "title__exact")
    search_help_text = "Exact course key, organisation or title."
    readonly_fields = ("reported_at", "created", "modified")
    show_full_result_count = False
    paginator = BoundedPaginator

    def view_on_site(self, course: Course) -> str | None:
        """Return the address of the course's outline, on which authors write highlights."""
        try:
            return reverse("schedules:outline", args=[course.key])
        except NoReverseMatch:
            # A host may leave those pages out.
            return None


class CoursePartAdmin(LargeTableAdmin):
    """What hangs on a course."""

    autocomplete_fields = ("course",)
    list_select_related = ("course",)
    search_fields: ClassVar[tuple[str, ...]] = ("course__key__exact",)
    search_help_text = "Exact course key."


@admin.register(Section)
class SectionAdmin(CoursePartAdmin):
    """Sections and their highlights."""

    list_display = ("course", "index", "title", "visible_to_staff_only", "hide_from_toc")
    list_filter = ("visible_to_staff_only", "hide_from_toc")


@admin.register(CourseMode)
class CourseModeAdmin(CoursePartAdmin):
    """Modes in which courses are offered."""

    list_display = ("course", "slug", "price", "currency", "expires_at", "sku")


@admin.register(ContentItem)
class ContentItemAdmin(CoursePartAdmin):
    """Videos, quizzes and assignments."""

    list_display = ("id", "title", "kind", "course", "is_published", "published_at")
    list_filter = ("kind", "is_published")
    search_fields = ("key__exact", "course__key__exact")
    search_help_text = "Exact key of the item or of its course."
    readonly_fields = ("published_at",)


@admin.register(Meeting)
class MeetingAdmin(CoursePartAdmin):
    """Meetings."""

    list_display = ("id", "title", "course", "is_demo", "starts_at")
    list_filter = ("is_demo",)
    search_fields = ("key__exact", "course__key__exact")
    search_help_text = "Exact key of the meeting or of its course."


class LearnerInCourseAdmin(LargeTableAdmin):
    """What a learner has in a course."""

    raw_id_fields: ClassVar[tuple[str, ...]] = ("user", "course")
    list_select_related = ("user", "course")
    search_fields: ClassVar[tuple[str, ...]] = ("user__username__exact", "course__key__exact")
    search_help_text = "Exact user name or course key."
    readonly_fields: ClassVar[tuple[str, ...]] = ("reported_at",)


@admin.register(Enrollment)
class EnrollmentAdmin(LearnerInCourseAdmin):
    """Enrolments."""

    list_display = ("id", "user", "course", "mode", "is_active", "created_at")
    list_filter = ("is_active",)


@admin.register(Certificate)
class CertificateAdmin(LearnerInCourseAdmin):
    """Certificates."""

    list_display = ("id", "user", "course", "status", "modified")
    readonly_fields = ("reported_at", "modified")


@admin.register(Payment)
class PaymentAdmin(LearnerInCourseAdmin):
    """Payments. Who has paid what is written once; whether the money has arrived can be corrected."""

    WRITTEN_ONCE = ("user", "amount", "currency", "txn_ref", "created_at")

    list_display = ("id", "user", "course", "amount", "currency", "method", "is_successful", "paid_at")
    raw_id_fields = ("user", "course", "enrollment")
    search_fields = ("txn_ref__exact", "user__username__exact", "course__key__exact")
    search_help_text = "Exact transaction, user name or course key."

    def get_readonly_fields(self, request: HttpRequest, obj: Payment | None = None) -> tuple[str, ...]:
        """Add, to what is always shown only, what a stored payment says of the money."""
        return self.readonly_fields if obj is None else (*self.WRITTEN_ONCE, *self.readonly_fields)


@admin.register(Participant)
class ParticipantAdmin(LargeTableAdmin):
    """Who was in which meeting."""

    list_display = ("id", "user", "meeting__title", "joined_at", "left_at")
    raw_id_fields = ("user", "meeting")
    list_select_related = ("user", "meeting")
    search_fields = ("user__username__exact", "meeting__key__exact")
    search_help_text = "Exact user name or key of the meeting."


@admin.register(Completion)
class CompletionAdmin(LargeTableAdmin):
    """What learners have completed."""

    list_display = ("id", "user", "item", "completed_at")
    raw_id_fields = ("user", "item")
    list_select_related = ("user", "item")
    search_fields = ("user__username__exact", "item__key__exact")
    search_help_text = "Exact user name or key of the item."


@admin.register(UserActivity)
class UserActivityAdmin(LearnerInCourseAdmin):
    """Days on which learners were in a course."""

    list_display = ("id", "user", "course", "date", "seconds")
    readonly_fields = ()


@admin.register(LearnerProfile)
class LearnerProfileAdmin(LargeTableAdmin):
    """Profiles of learners."""

    list_display = ("id", "user", "lms_user_id", "language", "time_zone", "last_seen_time_zone")
    raw_id_fields = ("user",)
    list_select_related = ("user",)
    search_fields = ("user__username__exact",)
    search_help_text = "Exact user name."
    readonly_fields = ("reported_at",)


@admin.register(SiteConfiguration)
class SiteConfigurationAdmin(admin.ModelAdmin):
    """Branding and organisations of the sites."""

    form = SiteConfigurationForm
    list_display = ("site", "platform_name", "from_address", "time_zone", "language")
    list_select_related = ("site",)
    search_fields = ("site__domain__exact",)
    search_help_text = "Exact domain."


class UnlabelledRawIdWidget(ForeignKeyRawIdWidget):
    """A raw id without the name behind it, which would cost a query for each row."""

    def label_and_url_for_value(self, value: object) -> tuple[str, str]:
        """Return no label and no link."""
        return "", ""


class CourseFlagInline(admin.TabularInline):
    """The courses for which a flag is on or off."""

    model = CourseFlag
    raw_id_fields = ("course",)
    extra = 1

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Offer the course's id; its key stands above the row."""
        kwargs["widget"] = UnlabelledRawIdWidget(db_field.remote_field, self.admin_site)
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def get_queryset(self, request: HttpRequest) -> QuerySet[CourseFlag]:
        """Read the courses with the rows."""
        return super().get_queryset(request).select_related("course")


@admin.register(CourseFlag)
class CourseFlagRowAdmin(LargeTableAdmin):
    """The rows of all flags, for flags with more courses than one page can hold."""

    list_display = ("id", "flag", "course", "on")
    list_filter = ("on",)
    list_select_related = ("flag", "course")
    autocomplete_fields = ("flag", "course")
    search_fields = ("flag__name__exact", "course__key__exact")
    search_help_text = "Exact name of the flag or exact course key."


@admin.register(Flag)
class CourseFlagAdmin(FlagAdmin):
    """Flags with their courses; for course flags only `everyone` and the courses count."""

    inlines = (CourseFlagInline,)
    search_fields = ("name__exact", "note")
    search_help_text = "Exact name, or words of the note."


@admin.register(SelfPacedConfiguration)
class SelfPacedConfigurationAdmin(HistoryAdmin):
    """Whether courses may become self-paced."""
