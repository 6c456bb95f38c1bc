"""What people agreed to receive, in the admin."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.auth import get_user_model
from django.db import models, transaction
from django.db.models import Q
from django.forms import Field
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from courses.exact_search import ExactSearch
from courses.models import Course

from .. import consent, words
from ..forms import EmailPreferenceForm
from ..models import CourseOptOut, EmailPreference
from .history import LookOnlyHistory
from .paging import LargeTableAdmin

SOURCE = "admin"
PEOPLE_FOUND = 100
SUPPRESSION = ("suppressed_at", "suppression_reason")


def people(term: str) -> list[int]:
    """Return the ids of who has exactly this number, user name or address."""
    found = Q(**{get_user_model().USERNAME_FIELD: term}) | Q(email=term)
    if term.isascii() and term.isdigit():
        found |= Q(pk=int(term))
    return list(get_user_model()._default_manager.filter(found).values_list("pk", flat=True)[:PEOPLE_FOUND])


@admin.register(EmailPreference)
class EmailPreferenceAdmin(ExactSearch, LargeTableAdmin, LookOnlyHistory):
    """Preferences, with their history; a change takes effect at once."""

    form = EmailPreferenceForm
    list_display = ("id", "user", "is_subscribed", "categories_off", "suppressed_at", "suppression_reason")
    list_select_related = ("user",)
    search_fields = ("user__username",)
    search_help_text = _("An exact user name or e-mail address, or the number of a person.")
    raw_id_fields = ("user",)
    actions = None

    def find(self, term: str) -> Q:
        """Return one person's row."""
        return Q(user_id__in=people(term))

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """Return the fields; suppression shows where there is one."""
        categories = tuple(f"{category}_emails" for category in words.CATEGORIES)
        wanted = [
            (None, {"fields": ("user", "is_subscribed", "unsubscribed_at")}),
            (_("Mails"), {"fields": categories}),
        ]
        if obj is not None and obj.suppressed_at is not None:
            may_clear = ("clear_suppression",) if self.has_change_permission(request, obj) else ()
            wanted.append((_("Suppression"), {"fields": (*SUPPRESSION, *may_clear)}))
        return wanted

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """Return what is never edited; whose row it is, only when it is made."""
        fixed = ("unsubscribed_at", *SUPPRESSION)
        return fixed if obj is None else ("user", *fixed)

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Field | None:
        """Let the switches carry what the page showed, so that only what was changed on it is written."""
        if isinstance(db_field, models.BooleanField):
            kwargs["show_hidden_initial"] = True
        return super().formfield_for_dbfield(db_field, request, **kwargs)

    def save_model(self, request: HttpRequest, obj: EmailPreference, form: Any, change: bool) -> None:
        """Write what was changed on this page; what the person has changed meanwhile stays."""
        with transaction.atomic():
            if form.cleaned_data.get("clear_suppression"):
                consent.release(obj.user_id, source=SOURCE, by=request.user)
            row = EmailPreference.objects.select_for_update().get(pk=obj.pk) if change else obj
            switched = [name for name in form.changed_data if name in consent.SWITCHES & set(form.cleaned_data)]
            if change and not switched:
                return
            for name in switched:
                setattr(row, name, form.cleaned_data[name])
            row._history_user = request.user  # type: ignore[attr-defined]  # read by simple_history
            row.save(source=SOURCE)

    @admin.display(description=_("off"))
    def categories_off(self, row: EmailPreference) -> str:
        """Return the categories that are off one by one."""
        return ", ".join(category for category in words.CATEGORIES if not getattr(row, f"{category}_emails"))


@admin.register(CourseOptOut)
class CourseOptOutAdmin(ExactSearch, LargeTableAdmin):
    """Who wants no mail about which course."""

    list_display = ("id", "user", "course", "created_at")
    list_select_related = ("user", "course")
    raw_id_fields = ("user", "course")
    readonly_fields = ("created_at",)
    search_fields = ("course__key",)
    search_help_text = _("An exact user name, e-mail address or course key, or the number of a person.")

    def find(self, term: str) -> Q:
        """Return one person's or one course's rows."""
        courses = list(Course.objects.filter(key=term).values_list("pk", flat=True))
        return Q(user_id__in=people(term)) | Q(course_id__in=courses)
