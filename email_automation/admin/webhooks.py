"""What providers report, in the admin."""

from __future__ import annotations

from django.contrib import admin

from ..models import ProviderEventCount
from .paging import ReadOnlyAdmin


@admin.register(ProviderEventCount)
class ProviderEventCountAdmin(ReadOnlyAdmin):
    """How many events of which kind came on which day."""

    list_display = ("id", "day", "provider", "event", "known", "number")
    list_filter = ("known",)
