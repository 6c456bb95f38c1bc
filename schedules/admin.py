"""Admin pages of schedules: the switches, the deadline settings, the schedules, who has none, and batch jobs."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.text import Truncator
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from courses.history_admin import HistoryAdmin, KeyedHistoryAdmin
from courses.paginator import BoundedPaginator

from . import services
from .filters import CourseKeyFilter, ExperienceFilter, OutcomeFilter
from .forms import ScheduleForm
from .models import (
    CourseDynamicUpgradeDeadlineConfiguration,
    DynamicUpgradeDeadlineConfiguration,
    OrgDynamicUpgradeDeadlineConfiguration,
    Schedule,
    ScheduleConfig,
    ScheduleCreationRecord,
    ScheduleExperience,
    ScheduleRecompute,
)


@admin.register(ScheduleConfig)
class ScheduleConfigAdmin(KeyedHistoryAdmin):
    """The switches and the hold-back ratio of each site."""

    exclude = ("enabled",)
    list_select_related: ClassVar[tuple[str, ...]] = ("changed_by", "site")


@admin.register(DynamicUpgradeDeadlineConfiguration)
class DynamicUpgradeDeadlineConfigurationAdmin(HistoryAdmin):
    """Days to the upgrade deadline, everywhere."""


@admin.register(OrgDynamicUpgradeDeadlineConfiguration)
class OrgDynamicUpgradeDeadlineConfigurationAdmin(KeyedHistoryAdmin):
    """Days to the upgrade deadline, for one organisation."""

    search_fields = ("org_id__exact",)
    search_help_text = _("Exact organisation.")


@admin.register(CourseDynamicUpgradeDeadlineConfiguration)
class CourseDynamicUpgradeDeadlineConfigurationAdmin(KeyedHistoryAdmin):
    """Days to the upgrade deadline, for one course."""

    search_fields = ("course_id__exact",)
    search_help_text = _("Exact course key.")


class EnrollmentRowAdmin(admin.ModelAdmin):
    """One row per enrolment, in a table of any size."""

    list_per_page = 50
    list_select_related: ClassVar[tuple[str, ...]] = ("enrollment__user", "enrollment__course")
    ordering = ("-id",)
    paginator = BoundedPaginator
    search_fields = ("enrollment__user__username__startswith",)
    search_help_text = _("User name, or how it begins.")
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Say no: only an enrolment makes these rows."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Say no on these pages; elsewhere a row may go together with its learner."""
        match = request.resolver_match
        own = f"{self.opts.app_label}_{self.opts.model_name}_"
        if match is not None and (match.url_name or "").startswith(own):
            return False
        return super().has_delete_permission(request, obj)

    @admin.display(description=_("user name"))
    def user_name(self, row: Any) -> str:
        """Return the learner's user name."""
        return str(row.enrollment.user.get_username())

    @admin.display(description=_("course"))
    def course_key(self, row: Any) -> str:
        """Return the course's key."""
        return str(row.enrollment.course.key)


@admin.register(Schedule)
class ScheduleAdmin(EnrollmentRowAdmin):
    """The schedules; dates and experience can be edited to prepare a test mail."""

    form = ScheduleForm
    list_display = (
        "id", "user_name", "course_key", "active", "start_date", "upgrade_deadline", "experience_type",
    )  # fmt: skip
    list_filter = (CourseKeyFilter, ExperienceFilter, "active")
    list_select_related: ClassVar[tuple[str, ...]] = ("enrollment__user", "enrollment__course", "experience")
    sortable_by = ("id", "start_date", "upgrade_deadline")
    readonly_fields = ("user_name", "course_key", "created", "modified")
    fieldsets: ClassVar = (
        (None, {"fields": ("user_name", "course_key")}),
        (
            None,
            {
                "description": _(
                    "Meant for test mails: the next recompute of the course overwrites the dates and the experience."
                ),
                "fields": ("start_date", "upgrade_deadline", "experience_type"),
            },
        ),
        (None, {"fields": ("active", "created", "modified")}),
    )
    actions = ("activate", "deactivate", "switch_to_experience_0", "switch_to_experience_1")

    @admin.display(description=_("experience"))
    def experience_type(self, schedule: Schedule) -> int:
        """Return the experience; a missing row shows 0."""
        return schedule.experience_type

    def save_model(self, request: HttpRequest, obj: Schedule, form: Any, change: bool) -> None:
        """Save the schedule and, where it was edited, its experience."""
        super().save_model(request, obj, form, change)
        if "experience_type" in form.changed_data:
            services.set_experience([obj.pk], form.cleaned_data["experience_type"])

    @admin.action(description=_("Activate"), permissions=["change"])
    def activate(self, request: HttpRequest, queryset: QuerySet[Schedule]) -> None:
        """Set `active`."""
        self._told(request, services.set_active(_ids(queryset), True))

    @admin.action(description=_("Deactivate"), permissions=["change"])
    def deactivate(self, request: HttpRequest, queryset: QuerySet[Schedule]) -> None:
        """Take `active` away."""
        self._told(request, services.set_active(_ids(queryset), False))

    @admin.action(description=_("Switch to experience 0 (nudges and reminder)"), permissions=["change"])
    def switch_to_experience_0(self, request: HttpRequest, queryset: QuerySet[Schedule]) -> None:
        """Give the schedules nudges and reminder."""
        self._told(request, services.set_experience(_ids(queryset), ScheduleExperience.NUDGES))

    @admin.action(description=_("Switch to experience 1 (course updates)"), permissions=["change"])
    def switch_to_experience_1(self, request: HttpRequest, queryset: QuerySet[Schedule]) -> None:
        """Give the schedules course updates."""
        self._told(request, services.set_experience(_ids(queryset), ScheduleExperience.COURSE_UPDATES))

    def _told(self, request: HttpRequest, number: int) -> None:
        text = ngettext("%(number)d schedule changed.", "%(number)d schedules changed.", number)
        self.message_user(request, text % {"number": number}, messages.SUCCESS)


def _ids(queryset: QuerySet[Schedule]) -> list[int]:
    return list(queryset.order_by().values_list("pk", flat=True))


@admin.register(ScheduleCreationRecord)
class ScheduleCreationRecordAdmin(EnrollmentRowAdmin):
    """Enrolments left without a schedule; to be read only."""

    list_display = ("id", "user_name", "course_key", "outcome", "ratio", "fraction", "attempts", "created")
    list_filter = (CourseKeyFilter, OutcomeFilter)
    sortable_by = ("id",)
    fields = (
        "user_name", "course_key", "outcome", "ratio", "fraction", "error", "attempts", "created", "modified",
    )  # fmt: skip
    readonly_fields = fields

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Say no: only creating and repairing schedules writes these rows."""
        return False


@admin.register(ScheduleRecompute)
class ScheduleRecomputeAdmin(admin.ModelAdmin):
    """The batch jobs and how far they are; to be read only."""

    actions = None
    list_display = ("id", "state", "kind", "scope", "progress", "changed", "reason", "requested_at", "finished_at")
    list_filter = ("state",)
    list_per_page = 50
    ordering = ("-id",)
    paginator = BoundedPaginator
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    sortable_by = ("id",)
    fields = (
        "scope", "kind", "state", "progress", "changed", "last_schedule_id", "error", "attempts", "next_attempt_at",
        "requested_at", "started_at", "finished_at",
    )  # fmt: skip
    readonly_fields = fields

    @admin.display(description=_("progress"))
    def progress(self, job: ScheduleRecompute) -> str:
        """Return how many of its schedules have been looked at."""
        return _("%(done)d of %(total)d") % {"done": job.done, "total": job.total}

    @admin.display(description=_("error"))
    def reason(self, job: ScheduleRecompute) -> str:
        """Return how the error begins."""
        return Truncator(job.error).chars(120)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Say no: only events ask for jobs."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Say no: only who does a job writes its row."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Say no: a job that has not ended would be lost."""
        return False
