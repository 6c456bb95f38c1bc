"""Licences in the admin."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from courses.exact_search import ExactSearch, by_uuid, number_of, uuid_of
from email_automation.admin.paging import CreatedChangeList, ReadOnlyAdmin, WordFilter

from ..models import License, SubscriptionPlan

PLAN = "plan"


class PlanFilter(admin.SimpleListFilter):
    """Licences of the plan in the address; its own page leads here."""

    title = _("plan")
    parameter_name = PLAN

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, Any]]:
        """Return the plan that is chosen: there may be too many others to be offered."""
        asked = request.GET.get(PLAN, "")
        if not asked:
            return []
        uuid = uuid_of(asked)
        found = None if uuid is None else SubscriptionPlan.objects.filter(pk=uuid).first()
        return [(asked, asked if found is None else found.title)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Return the licences of the chosen plan."""
        if self.value() is None:
            return queryset
        uuid = uuid_of(self.value() or "")
        return queryset.none() if uuid is None else queryset.filter(subscription_plan=uuid)


class StatusFilter(WordFilter):
    """By status, within a plan: among all licences the index does not find the few of a rare one."""

    title = _("status")
    parameter_name = "status"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, Any]]:
        """Return the statuses."""
        return [(status, status) for status in License.STATUSES] if request.GET.get(PLAN) else []


@admin.register(License)
class LicenseAdmin(ExactSearch, ReadOnlyAdmin):
    """Licences. They are made, given and taken back by `services` alone, or the numbers of a plan would be wrong."""

    list_display = (
        "uuid", "subscription_plan", "status", "lms_user_id", "user_email", "assigned_at", "activated_at", "created",
    )  # fmt: skip
    list_filter = (PlanFilter, StatusFilter)
    list_select_related = ("subscription_plan",)
    search_fields = ("uuid",)
    search_help_text = _("An exact e-mail address, the number of a user on the platform, or the UUID of a licence.")
    fields = (
        "uuid", "subscription_plan", "status", "lms_user_id", "user_email", "assigned_at", "activated_at",
        "revoked_at", "auto_applied", "created",
    )  # fmt: skip
    changelist = CreatedChangeList

    def find(self, term: str) -> Q:
        """Return the licences of a person, or one licence."""
        if (number := number_of(term)) is not None:
            return Q(lms_user_id=number)
        return Q(user_email=term) if uuid_of(term) is None else by_uuid(term, "pk")
