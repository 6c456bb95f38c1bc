"""Filters of the admin lists that need no list of all courses and no look at all rows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from .models import ScheduleCreationRecord, ScheduleExperience


class CourseKeyFilter(admin.SimpleListFilter):
    """A field for one exact course key."""

    title = _("course")
    parameter_name = "course"
    template = "schedules/admin/course_key_filter.html"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Return nothing to choose from: the key is typed."""
        return []

    def has_output(self) -> bool:
        """Show the field, although there is nothing to choose from."""
        return True

    def choices(self, changelist: ChangeList) -> Iterator[Any]:
        """Yield what the template needs: the key typed last, and the list's other parameters to keep."""
        others = changelist.get_filters_params()
        yield {
            "key": self.value() or "",
            "parameter": self.parameter_name,
            "kept": [
                (name, value) for name, values in others.items() if name != self.parameter_name for value in values
            ],
            "query": changelist.query,
            "without": changelist.get_query_string(remove=[self.parameter_name]),
        }

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Return the rows of the course."""
        key = (self.value() or "").strip()
        return queryset.filter(enrollment__course__key=key) if key else queryset


class ExperienceFilter(admin.SimpleListFilter):
    """The two experiences; a missing row reads as 0."""

    title = _("experience")
    parameter_name = "experience"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """Return the experiences."""
        return [(str(number), name) for number, name in ScheduleExperience.EXPERIENCES]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Return the rows of the experience."""
        if self.value() == str(ScheduleExperience.NUDGES):
            own = Q(experience__experience_type=ScheduleExperience.NUDGES)
            return queryset.filter(own | Q(experience__isnull=True))
        if self.value() == str(ScheduleExperience.COURSE_UPDATES):
            return queryset.filter(experience__experience_type=ScheduleExperience.COURSE_UPDATES)
        return queryset


class OutcomeFilter(admin.SimpleListFilter):
    """Why there is no schedule."""

    title = _("outcome")
    parameter_name = "outcome"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """Return the outcomes."""
        return [(ScheduleCreationRecord.HELD_BACK, _("held back")), (ScheduleCreationRecord.FAILED, _("failed"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Return the rows with the outcome."""
        return queryset.filter(outcome=self.value()) if self.value() else queryset
