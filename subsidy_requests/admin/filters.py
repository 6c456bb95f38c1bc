"""Filters that the lists share: by enterprise, by the words of a column, and exact searches."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from courses.exact_search import ExactSearch, by_uuid, uuid_of
from email_automation.admin.paging import LargeTableAdmin
from email_automation.admin.preferences import people

from ..models import SubsidyRequestCustomerConfiguration

#: So many enterprises are offered; the others are found by their uuid.
MOST: int = 100


class EnterpriseFilter(admin.SimpleListFilter):
    """Rows of one enterprise."""

    title = _("enterprise")
    parameter_name = "enterprise"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, Any]]:
        """Return the first enterprises by their names."""
        rows = SubsidyRequestCustomerConfiguration.objects.order_by("name", "pk")
        return [(str(pk), name) for pk, name in rows.values_list("pk", "name")[:MOST]]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Return the rows of the chosen one."""
        value = self.value()
        if not value:
            return queryset
        found = uuid_of(value)
        return queryset.none() if found is None else queryset.filter(enterprise_customer_uuid=found)


class PersonOrUuidSearch(ExactSearch, LargeTableAdmin):
    """A list of rows of people at enterprises, searched for one person, or by the exact uuid in some columns."""

    search_fields = ("user__username",)
    search_help_text = _("An exact user name or e-mail address, the number of a person, or a UUID.")
    #: The columns in which a uuid is looked for.
    uuid_fields: tuple[str, ...] = ("enterprise_customer_uuid",)

    def look_up(self, rows: Sequence[Any]) -> None:
        """Read the names of the enterprises on a page."""
        known = SubsidyRequestCustomerConfiguration.objects.in_bulk({row.enterprise_customer_uuid for row in rows})
        for row in rows:
            row.enterprise_name = getattr(known.get(row.enterprise_customer_uuid), "name", "")

    @admin.display(description=_("enterprise"))
    def enterprise(self, row: Any) -> str:
        """Return the name of the enterprise, or its uuid where nobody has configured it."""
        return row.enterprise_name or str(row.enterprise_customer_uuid)

    def find(self, term: str) -> Q:
        """Return one person's rows, or those with a uuid."""
        if uuid_of(term) is not None:
            return by_uuid(term, *self.uuid_fields)
        return Q(user_id__in=people(term))
