"""Histories that are only to be looked at."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from simple_history.admin import SimpleHistoryAdmin


class LookOnlyHistory(SimpleHistoryAdmin):
    """An admin whose old versions cannot be restored: consent that was withdrawn does not come back with one."""

    def revert_disabled(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return that no version is restored."""
        return True

    def history_form_view(
        self, request: HttpRequest, object_id: str, version_id: str, extra_context: Any = None
    ) -> HttpResponse:
        """Show an old version."""
        if request.method == "POST":
            raise PermissionDenied
        return super().history_form_view(request, object_id, version_id, extra_context)
