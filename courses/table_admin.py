"""Admin pages of tables that are too large to be counted."""

from typing import Any, ClassVar

from django.contrib import admin
from django.http import HttpRequest

from courses.paginator import BoundedPaginator


class LargeTableAdmin(admin.ModelAdmin):
    """A list that does not count the whole table and is read by id."""

    show_full_result_count = False
    paginator = BoundedPaginator
    ordering: ClassVar[tuple[str, ...]] = ("-id",)
    list_per_page = 50


class WrittenTableAdmin(LargeTableAdmin):
    """A list of rows that only our own code writes; they can be looked at, in the order of an index."""

    actions: Any = None
    sortable_by = ()
    show_facets = admin.ShowFacets.NEVER

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Return that nobody adds one."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return that nobody edits one."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return that nobody deletes one."""
        return False
