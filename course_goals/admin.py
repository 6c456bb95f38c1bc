"""Weekly goals in the admin."""

from __future__ import annotations

from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.contrib.auth import get_user_model
from django.db.models import Field, Q
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from courses.exact_search import ExactSearch
from courses.models import Course
from email_automation.admin.history import LookOnlyHistory
from email_automation.admin.paging import LargeTableAdmin, WordFilter

from . import services, tokens
from .models import MOST_DAYS, CourseGoal


class GoalForm(forms.ModelForm):
    """Edits a goal. A new one has days: what is cleared was once set."""

    class Meta:
        model = CourseGoal
        fields = ("user", "course", "days_per_week", "subscribed_to_reminders")

    def clean_days_per_week(self) -> int:
        """Refuse a new goal without days."""
        days: int = self.cleaned_data["days_per_week"]
        if not days and self.instance.pk is None:
            raise forms.ValidationError(_("days_per_week: a new goal has 1 to 7 days."))
        return days


class DaysFilter(WordFilter):
    """Goals of so many days."""

    title = _("days a week")
    parameter_name = "days_per_week"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """Return every number there can be."""
        return [(str(days), str(days) if days else _("0, cleared")) for days in range(MOST_DAYS + 1)]


@admin.register(CourseGoal)
class CourseGoalAdmin(ExactSearch, LargeTableAdmin, LookOnlyHistory):
    """Weekly goals with their history, which is only to look at."""

    form = GoalForm
    list_display = ("id", "user", "course", "days_per_week", "subscribed_to_reminders", "token")
    list_filter = (DaysFilter, "subscribed_to_reminders")
    list_select_related = ("user", "course")
    search_fields = ("user__username", "course__key")
    search_help_text = _("An exact user name or course key.")
    raw_id_fields = ("user", "course")
    fields: ClassVar = ("user", "course", "days_per_week", "subscribed_to_reminders", "token")
    actions = None

    def find(self, term: str) -> Q:
        """Return one person's or one course's goals."""
        people = get_user_model()._default_manager.filter(**{get_user_model().USERNAME_FIELD: term})
        courses = Course.objects.filter(key=term)
        # Their ids first: asked for within the statement, neither is found by an index.
        found = Q(user_id__in=list(people.values_list("pk", flat=True)))
        return found | Q(course_id__in=list(courses.values_list("pk", flat=True)))

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """Return what is never edited; whose goal it is, only when it is made."""
        return ("token",) if obj is None else ("user", "course", "token")

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Say no on these pages: the links of old mails have to work. A goal goes together with its learner."""
        match = request.resolver_match
        own = f"{self.opts.app_label}_{self.opts.model_name}_"
        if match is None or (match.url_name or "").startswith(own):
            return False
        return super().has_delete_permission(request, obj)

    def formfield_for_dbfield(
        self, db_field: Field[Any, Any], request: HttpRequest, **kwargs: Any
    ) -> forms.Field | None:
        """Let the fields carry what the page showed, so that only what was changed on it is written."""
        if db_field.name in ("days_per_week", "subscribed_to_reminders"):
            kwargs["show_hidden_initial"] = True
        return super().formfield_for_dbfield(db_field, request, **kwargs)

    def save_model(self, request: HttpRequest, obj: CourseGoal, form: Any, change: bool) -> None:
        """Write what was changed on this page; what the learner has changed meanwhile stays."""
        stored = CourseGoal.objects.get(pk=obj.pk) if change else obj
        days, subscribed = (
            getattr(obj if name in form.changed_data else stored, name)
            for name in ("days_per_week", "subscribed_to_reminders")
        )
        goal, _word = services.set_goal(
            obj.user, obj.course, days_per_week=days, subscribed=subscribed, source=services.ADMIN, by=request.user
        )
        if goal is not None:
            obj.pk, obj.unsubscribe_token = goal.pk, goal.unsubscribe_token

    @admin.display(description=_("token"))
    def token(self, goal: CourseGoal) -> str:
        """Return how the token begins; the whole of it is an authority."""
        return tokens.masked(goal.unsubscribe_token)
