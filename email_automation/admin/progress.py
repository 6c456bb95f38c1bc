"""The weekly figures in the admin."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, timedelta
from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from courses.exact_search import ExactSearch

from ..models import WeeklyProgressReport
from ..weeks import DAYS, Week
from .log import as_day
from .paging import ReadOnlyAdmin
from .preferences import people

WEEKS_OFFERED = 8


class WeekFilter(admin.SimpleListFilter):
    """By the week reported; any Monday may stand in the address."""

    title = _("week")
    parameter_name = "week"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, Any]]:
        """Return the last weeks that have ended, and the one in the address if it is another."""
        last = Week.before(timezone.now().astimezone(UTC).date()).start
        weeks = [(last - timedelta(days=DAYS * back)).isoformat() for back in range(WEEKS_OFFERED)]
        asked = request.GET.get(self.parameter_name, "")
        if asked not in weeks and as_day(asked):
            weeks.append(asked)
        return [(week, week) for week in weeks]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Return the reports of the chosen week."""
        monday = as_day(self.value() or "")
        if monday is None:
            return queryset if self.value() is None else queryset.none()
        return queryset.filter(week_start=monday)


@admin.register(WeeklyProgressReport)
class WeeklyProgressReportAdmin(ExactSearch, ReadOnlyAdmin):
    """What each learner had done in each course by the end of each week."""

    list_display = ("id", "user", "week_start", "percentage", "email_sent", "course")
    list_filter = (WeekFilter, "email_sent")
    list_select_related = ("user", "course")
    search_fields = ("user__username",)
    search_help_text = _("An exact user name or e-mail address, or the number of a person.")
    fieldsets = (
        (None, {"fields": ("user", "course", "week_start", "week_end", "percentage")}),
        (_("Videos"), {"fields": ("videos_completed", "total_videos", "videos_this_week")}),
        (_("Quizzes"), {"fields": ("quizzes_completed", "total_quizzes", "quizzes_this_week")}),
        (_("Assignments"), {"fields": ("assignments_completed", "total_assignments", "assignments_this_week")}),
        (_("Time"), {"fields": ("time_spent",)}),
        (_("What became of it"), {"fields": ("report_generated", "email_sent", "created_at", "updated_at")}),
    )
    readonly_fields = ("percentage",)

    def find(self, term: str) -> Q:
        """Return one person's reports."""
        return Q(user_id__in=people(term))

    @admin.display(description=_("completed"))
    def percentage(self, row: WeeklyProgressReport) -> str:
        """Return the share of everything there was to do."""
        return f"{row.completion_percentage} %"
