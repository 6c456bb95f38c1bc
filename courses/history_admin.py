"""Admin pages of configuration rows, which are added and never changed."""

from collections.abc import Callable
from typing import Any, ClassVar

from config_models.admin import ConfigurationModelAdmin, KeyedConfigurationModelAdmin
from django.contrib import admin
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from courses.paginator import BoundedPaginator

Actions = dict[str, tuple[Callable[..., Any], str, str]]


class HistoryAdmin(ConfigurationModelAdmin):
    """Rows that are added and never changed, newest first; the newest of each key is in force."""

    date_hierarchy = None
    list_filter = ()
    list_select_related: ClassVar[tuple[str, ...]] = ("changed_by",)
    list_per_page = 50
    ordering = ("-change_date", "-id")
    paginator = BoundedPaginator
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    sortable_by = ()

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Say no: a change is a new row."""
        return False

    def get_actions(self, request: HttpRequest) -> Actions:
        """Return "revert", which adds a row, to those who may add one."""
        return super().get_actions(request) if self.has_add_permission(request) else {}

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Return the whole history, each row with whether it is in force."""
        same_key = {key: OuterRef(key) for key in self.model.KEY_FIELDS}
        newer = self.model._default_manager.filter(
            Q(change_date__gt=OuterRef("change_date")) | Q(change_date=OuterRef("change_date"), pk__gt=OuterRef("pk")),
            **same_key,
        )
        return self.model._default_manager.annotate(is_active=~Exists(newer)).order_by(*self.ordering)

    def get_list_display(self, request: HttpRequest) -> list[str]:
        """Return every column, and whether the row is in force."""
        return [*super().get_list_display(request), "in_force"]

    def get_displayable_field_names(self) -> list[str]:
        """Return the fields that mean something for this setting."""
        hidden = self.exclude or ()
        return [name for name in super().get_displayable_field_names() if name not in hidden]

    @admin.display(description=_("in force"), boolean=True)
    def in_force(self, row: Any) -> bool:
        """Return whether no newer row has taken its place."""
        return bool(row.is_active)


class KeyedHistoryAdmin(HistoryAdmin, KeyedConfigurationModelAdmin):
    """The same for settings with a key; a row in force has a link that adds the next one."""
