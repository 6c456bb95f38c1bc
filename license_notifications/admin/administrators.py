"""Administrators of enterprises in the admin: the embedded directory, or our copy of the platform's."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from django.contrib import admin
from django.contrib.admin.utils import display_for_value
from django.db.models import Max, Q
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from courses.exact_search import ExactSearch, by_uuid, number_of
from email_automation.admin.paging import LargeTableAdmin

from ..conf import LMS, setting
from ..models import WEEKLY, CustomerAgreement, EnterpriseAdmin, LastMails, NotificationTimestamp


@admin.register(EnterpriseAdmin)
class EnterpriseAdminAdmin(ExactSearch, LargeTableAdmin):
    """Administrators, and when each was last told."""

    list_display = (
        "ecu_id", "enterprise", "lms_user_id", "user_name", "account_active", "listed", "anchor_at",
        "last_utilization", "last_weekly",
    )  # fmt: skip
    search_fields = ("ecu_id",)
    search_help_text = _("The number of a user on the platform or of an ECU, or the UUID of an enterprise.")
    fieldsets = (
        (None, {"fields": ("enterprise_customer_uuid", "enterprise", "ecu_id", "lms_user_id", "user_name", "email")}),
        (_("State"), {"fields": ("account_active", "listed", "refreshed_at")}),
        (_("Since when"), {"fields": ("joined_date", "ecu_created", "anchor_at", "anchor_source")}),
        (_("Notices"), {"fields": ("last_utilization", "last_weekly")}),
    )
    actions = None
    shown = ("enterprise", "refreshed_at", "anchor_at", "anchor_source", "last_utilization", "last_weekly")
    #: Whom a row links with which enterprise; another link is another row.
    link = ("enterprise_customer_uuid", "ecu_id", "lms_user_id")
    #: What the platform's directory overwrites.
    copied = ("user_name", "email", "account_active", "joined_date", "ecu_created")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """Return what is never edited; of a copy of the platform's directory only who is listed is."""
        if obj is None:
            return self.shown
        return (*self.shown, *self.link, *(self.copied if _is_copy() else ()))

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Return who may add one; nobody adds to a copy."""
        return not _is_copy() and super().has_add_permission(request)

    def find(self, term: str) -> Q:
        """Return one person, one link or one enterprise."""
        if (number := number_of(term)) is not None:
            return Q(lms_user_id=number) | Q(ecu_id=number)
        return by_uuid(term, "enterprise_customer_uuid")

    def look_up(self, rows: Sequence[Any]) -> None:
        """Read the names of the enterprises on the page, and when its people were last told, in two statements."""
        enterprises = {row.enterprise_customer_uuid for row in rows}
        agreements = CustomerAgreement.objects.filter(enterprise_customer_uuid__in=enterprises)
        names = dict(agreements.values_list("enterprise_customer_uuid", "enterprise_customer_name"))
        told = _last_mails(rows)
        for row in rows:
            key = (row.enterprise_customer_uuid, row.ecu_id)
            row.looked_up = (names.get(row.enterprise_customer_uuid, ""), told[key])

    def _looked_up(self, row: Any) -> tuple[str, LastMails]:
        if row._state.adding:
            return "", LastMails(None, None)
        if not hasattr(row, "looked_up"):
            self.look_up([row])
        looked_up: tuple[str, LastMails] = row.looked_up
        return looked_up

    @admin.display(description=_("name of the enterprise"))
    def enterprise(self, row: EnterpriseAdmin) -> str:
        """Return the enterprise's name, or what there is instead."""
        return self._looked_up(row)[0] or str(row.enterprise_customer_uuid or "-")

    @admin.display(description=_("last utilization mail"))
    def last_utilization(self, row: EnterpriseAdmin) -> str:
        """Return when the person was last told that a threshold is reached."""
        return display_for_value(self._looked_up(row)[1].utilization, "-")

    @admin.display(description=_("last weekly mail"))
    def last_weekly(self, row: EnterpriseAdmin) -> str:
        """Return when the person last got the weekly figures."""
        return display_for_value(self._looked_up(row)[1].weekly, "-")


def _is_copy() -> bool:
    return bool(setting("LICENSE_ADMIN_DIRECTORY") == LMS)


def _last_mails(rows: Sequence[EnterpriseAdmin]) -> defaultdict[tuple[Any, int], LastMails]:
    """Return when the people of some rows were last told, by enterprise and ECU."""
    stamps = NotificationTimestamp.objects.filter(ecu_id__in=[row.ecu_id for row in rows])
    grouped = (
        stamps.order_by()
        .values_list("enterprise_customer_uuid", "ecu_id")
        .annotate(
            utilization=Max("last_sent_at", filter=~Q(kind=WEEKLY)), weekly=Max("last_sent_at", filter=Q(kind=WEEKLY))
        )
    )
    found: defaultdict[tuple[Any, int], LastMails] = defaultdict(lambda: LastMails(None, None))
    found.update({(enterprise, ecu_id): LastMails(*told) for enterprise, ecu_id, *told in grouped})
    return found
