"""The memory of runs in the admin."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.contrib import admin
from django.db.models import Q
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from courses.exact_search import ExactSearch

from ..models import MessageRun
from .paging import ReadOnlyAdmin, WordFilter


class RunStatusFilter(WordFilter):
    """By status."""

    title = _("status")
    parameter_name = "status"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, str]]:
        """Return the closed list of statuses."""
        return [(word, word) for word in (MessageRun.RUNNING, MessageRun.PLANNED, MessageRun.DONE, MessageRun.PARTIAL)]


@admin.register(MessageRun)
class MessageRunAdmin(ExactSearch, ReadOnlyAdmin):
    """Which message ran when, and what came of it."""

    list_display = (
        "id", "message", "site", "slot", "status", "audience", "sent", "skipped_by_reason", "stopped", "failed",
        "retry", "finished_at",
    )  # fmt: skip
    list_filter = (RunStatusFilter, "site")
    list_select_related = ("site",)
    search_fields = ("message",)
    search_help_text = _("The exact name of a message (app.name), or a day (YYYY-MM-DD).")
    readonly_fields = ("skipped_by_reason",)

    def find(self, term: str) -> Q:
        """Return the runs of one message or one day."""
        return Q(**{"message" if "." in term else "slot": term})

    @admin.display(description=_("skipped"))
    def skipped_by_reason(self, row: MessageRun) -> str:
        """Return the numbers of people skipped, by reason."""
        return ", ".join(f"{reason} {number}" for reason, number in row.skipped.items()) or "0"
