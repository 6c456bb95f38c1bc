"""Lists of tables that are too large to be counted, and pages on which nothing can be changed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import ChangeList
from django.db.models import Q, QuerySet
from django.db.models.expressions import Combinable
from django.http import HttpRequest

BEFORE = "before"
SEPARATOR = "~"
LARGEST_ID = 2**63 - 1


class KeysetChangeList(ChangeList):
    """The newest rows first; a further page is "the rows below this id", so that no page costs more than another.

    What an admin has to look up about the rows that are shown, its `look_up` does for all of them at once.
    """

    model_admin: LargeTableAdmin
    older_url = ""
    newest_url = ""

    def get_queryset(self, request: HttpRequest, exclude_parameters: Any = None) -> QuerySet[Any]:
        """Return what the filters and the search leave, below the mark in the address."""
        self.params.pop(BEFORE, None)
        self.filter_params.pop(BEFORE, None)
        found = super().get_queryset(request, exclude_parameters)
        before = request.GET.get(BEFORE, "")
        if not before:
            return found
        below = self.below(found, before)
        self.newest_url = self.get_query_string()
        return below

    def below(self, queryset: QuerySet[Any], mark: str) -> QuerySet[Any]:
        """Return the rows that follow the one with a mark."""
        if not (mark.isascii() and mark.isdigit()):
            raise IncorrectLookupParameters
        return queryset.filter(pk__lt=min(int(mark), LARGEST_ID))

    def mark_of(self, row: Any) -> Any:
        """Return what stands for a row in the address of the page after it."""
        return row.pk

    def get_ordering(self, request: HttpRequest, queryset: QuerySet[Any]) -> list[str | Combinable]:
        """Return the one order there is."""
        return ["-pk"]

    def get_results(self, request: HttpRequest) -> None:
        """Read one page and look whether another follows, in one statement."""
        found = list(self.queryset[: self.list_per_page + 1])
        self.result_list = found[: self.list_per_page]
        if len(found) > self.list_per_page:
            self.older_url = self.get_query_string({BEFORE: self.mark_of(self.result_list[-1])})
        # Equal, so that the page does not offer to show all.
        self.result_count = self.full_result_count = len(self.result_list)
        self.can_show_all = self.multi_page = self.show_all = False
        self.paginator = None
        self.model_admin.look_up(self.result_list)


class ActionChangeList(KeysetChangeList):
    """The same with what can be done to the rows on the page."""

    show_admin_actions = True


class CreatedChangeList(KeysetChangeList):
    """The same for rows whose ids are random: in the order in which they were created, which needs an index."""

    def below(self, queryset: QuerySet[Any], mark: str) -> QuerySet[Any]:
        """Return the rows that follow the one with a mark."""
        moment, _, pk = mark.partition(SEPARATOR)
        try:
            created, uuid = datetime.fromisoformat(moment).astimezone(UTC), UUID(pk)
        except (ValueError, OverflowError):
            raise IncorrectLookupParameters from None
        # The first term is for the index, which none of the databases finds in the second.
        older = Q(created__lt=created) | Q(pk__lt=uuid)
        return queryset.filter(Q(created__lte=created) & older)

    def mark_of(self, row: Any) -> str:
        """Return what stands for a row in the address of the page after it."""
        return f"{row.created.isoformat()}{SEPARATOR}{row.pk}"

    def get_ordering(self, request: HttpRequest, queryset: QuerySet[Any]) -> list[str | Combinable]:
        """Return the one order there is."""
        return ["-created", "-pk"]


class LargeTableAdmin(admin.ModelAdmin):
    """An admin of such a table. What can be searched for is one exact thing, which an index finds."""

    list_per_page = 50
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    sortable_by = ()

    changelist: type[KeysetChangeList] = KeysetChangeList

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        """Return the list that is paged by id, or by what the class says."""
        return self.changelist

    def look_up(self, rows: Sequence[Any]) -> None:
        """Read, in few statements, what columns show of other tables."""


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
