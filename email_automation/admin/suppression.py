"""The addresses that get no mail, in the admin: digests, which no one can read an address from."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from .. import consent
from ..models import SuppressedAddress
from .paging import LargeTableAdmin


@admin.register(SuppressedAddress)
class SuppressedAddressAdmin(LargeTableAdmin):
    """Suppressed addresses: to find one and to take it away, nothing else."""

    list_display = ("id", "digest_start", "reason", "created_at")
    # Without it there would be no search at all.
    search_fields = ("digest",)
    search_help_text = _("An exact e-mail address.")
    fields = ("digest_start", "reason", "created_at")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Find the one address."""
        term = search_term.strip()
        return (queryset.filter(digest__in=consent.address_digests(term)) if term else queryset), False

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Return that nobody adds one here."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return that nobody edits one."""
        return False

    @admin.display(description=_("digest"))
    def digest_start(self, row: SuppressedAddress) -> str:
        """Return as much of the digest as tells rows apart."""
        return str(row)
