"""What learners were told, in the admin: windows of approvals, and refusals. Nothing is changed here."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from email_automation.admin.paging import ReadOnlyAdmin, WordFilter

from ..models import ApprovalWindow, DeclineNotice
from ..models import notices as stored
from .filters import PersonOrUuidSearch

MOST_NAMED = 100


class StateFilter(WordFilter):
    """By what became of the mail."""

    title = _("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, Any]]:
        """Return the states."""
        return [(state, state) for state in stored.STATES]


class NoticeAdmin(ReadOnlyAdmin, PersonOrUuidSearch):
    """Base of both lists."""

    list_filter = (StateFilter, "waiting")
    list_select_related = ("user",)
    readonly_fields = ("requests",)


@admin.register(ApprovalWindow)
class ApprovalWindowAdmin(NoticeAdmin):
    """Windows, and the requests in each."""

    list_display = ("id", "user", "enterprise", "opened_at", "closes_at", "state", "waiting", "reason")

    @admin.display(description=_("requests"))
    def requests(self, window: ApprovalWindow) -> str:
        """Return the kinds and uuids of its requests, in the order in which they were fulfilled."""
        items = window.items.order_by("fulfilled_at", "pk")[:MOST_NAMED]
        return "\n".join(map(str, items)) or "-"


@admin.register(DeclineNotice)
class DeclineNoticeAdmin(NoticeAdmin):
    """Refusals, and the requests in each."""

    list_display = (
        "id", "user", "enterprise", "declined_at", "auto_declined", "state", "waiting", "reason",
    )  # fmt: skip
    exclude = ("subsidy_request_uuids", "action")

    @admin.display(description=_("requests"))
    def requests(self, notice: DeclineNotice) -> str:
        """Return the uuids of its requests."""
        return "\n".join(notice.subsidy_request_uuids[:MOST_NAMED]) or "-"
