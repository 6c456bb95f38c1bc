"""The addresses that get no mail, in the admin: digests, which no one can read an address from."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Q
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from courses.exact_search import ExactSearch

from .. import consent
from ..models import SuppressedAddress
from .paging import LargeTableAdmin


@admin.register(SuppressedAddress)
class SuppressedAddressAdmin(ExactSearch, LargeTableAdmin):
    """Suppressed addresses: to find one and to take it away, nothing else."""

    list_display = ("id", "digest_start", "reason", "created_at")
    # Without it there would be no search at all.
    search_fields = ("digest",)
    search_help_text = _("An exact e-mail address.")
    fields = ("digest_start", "reason", "created_at")

    def find(self, term: str) -> Q:
        """Return the one address."""
        return Q(digest__in=consent.address_digests(term))

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
