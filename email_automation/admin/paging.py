"""Lists of tables that are too large to be counted, and pages on which nothing can be changed."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import ChangeList
from django.db.models import QuerySet
from django.db.models.expressions import Combinable
from django.http import HttpRequest

BEFORE = "before"
LARGEST_ID = 2**63 - 1


class KeysetChangeList(ChangeList):
    """The newest rows first; a further page is "the rows below this id", so that no page costs more than another."""

    older_url = ""
    newest_url = ""

    def get_queryset(self, request: HttpRequest, exclude_parameters: Any = None) -> QuerySet[Any]:
        """Return what the filters and the search leave, below the id in the address."""
        self.params.pop(BEFORE, None)
        self.filter_params.pop(BEFORE, None)
        found = super().get_queryset(request, exclude_parameters)
        before = request.GET.get(BEFORE, "")
        if not before:
            return found
        if not (before.isascii() and before.isdigit()):
            raise IncorrectLookupParameters
        self.newest_url = self.get_query_string()
        return found.filter(pk__lt=min(int(before), LARGEST_ID))

    def get_ordering(self, request: HttpRequest, queryset: QuerySet[Any]) -> list[str | Combinable]:
        """Return the one order there is."""
        return ["-pk"]

    def get_results(self, request: HttpRequest) -> None:
        """Read one page and look whether another follows, in one statement."""
        found = list(self.queryset[: self.list_per_page + 1])
        self.result_list = found[: self.list_per_page]
        if len(found) > self.list_per_page:
            self.older_url = self.get_query_string({BEFORE: self.result_list[-1].pk})
        # Equal, so that the page does not offer to show all.
        self.result_count = self.full_result_count = len(self.result_list)
        self.can_show_all = self.multi_page = self.show_all = False
        self.paginator = None


class LargeTableAdmin(admin.ModelAdmin):
    """An admin of such a table. What can be searched for is one exact thing, which an index finds."""

    list_per_page = 50
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    sortable_by = ()

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        """Return the list that is paged by id."""
        return KeysetChangeList


class WordFilter(admin.SimpleListFilter):
    """A filter by a column of words; subclasses know them without asking the table."""

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Return the rows with the chosen word."""
        value = self.value()
        return queryset if value is None else queryset.filter(**{str(self.parameter_name): value})


class ReadOnlyAdmin(LargeTableAdmin):
    """An admin of rows that only the engine writes."""

    actions = None

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Return that nobody adds one."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return that nobody edits one."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return that nobody deletes one here; together with the person it belongs to, who may do that may."""
        match = request.resolver_match
        own = f"{self.opts.app_label}_{self.opts.model_name}_"
        if match is None or (match.url_name or "").startswith(own):
            return False
        return super().has_delete_permission(request, obj)
