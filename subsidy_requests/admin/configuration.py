"""What enterprises have chosen, in the admin, with who changed it."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from courses.paginator import BoundedPaginator
from email_automation.admin.history import LookOnlyHistory

from .. import services
from ..models import SubsidyRequestCustomerConfiguration
from ..services.configuring import FIELDS


@admin.register(SubsidyRequestCustomerConfiguration)
class ConfigurationAdmin(LookOnlyHistory):
    """Configurations of customers; a change takes effect at once, and a change of type declines what waits."""

    list_display = ("name", "slug", "subsidy_requests_enabled", "subsidy_type", "attempt_auto_enrollment", "pk")
    list_filter = ("subsidy_requests_enabled", "subsidy_type", "attempt_auto_enrollment")
    search_fields = ("name__startswith", "slug__exact", "enterprise_customer_uuid__exact")
    search_help_text = _("How a name begins, an exact slug, or a UUID.")
    fields = ("enterprise_customer_uuid", *FIELDS)
    actions = None
    list_per_page = 50
    ordering = ("name", "pk")
    paginator = BoundedPaginator
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    sortable_by = ()

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """Return the key of a row that is there already."""
        return () if obj is None else ("enterprise_customer_uuid",)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return that nobody deletes one: mails to its learners would wait for ever."""
        return False

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Write what was changed on this page, with what follows from it."""
        names = form.changed_data if change else FIELDS
        fields = {name: getattr(obj, name) for name in names if name in FIELDS}
        services.configure(obj.enterprise_customer_uuid, changed_by=request.user, **fields)
