"""Who is a learner or an administrator of which enterprise, in the admin."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from email_automation.admin.paging import WordFilter

from ..models import EnterpriseRoleAssignment
from ..models.roles import ROLES
from .filters import EnterpriseFilter, PersonOrUuidSearch


class RoleFilter(WordFilter):
    """By role."""

    title = _("role")
    parameter_name = "role"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, Any]]:
        """Return the roles."""
        return [(role, role) for role in ROLES]


@admin.register(EnterpriseRoleAssignment)
class RoleAdmin(PersonOrUuidSearch):
    """Roles, given and taken here where the platform's own are not asked."""

    list_display = ("id", "user", "enterprise", "role")
    list_filter = (RoleFilter, EnterpriseFilter)
    list_select_related = ("user",)
    raw_id_fields = ("user",)
    actions = None
