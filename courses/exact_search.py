"""Searching large tables in the admin: for one exact thing, which an index finds."""

from __future__ import annotations

from typing import Any, Final
from uuid import UUID

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest

LARGEST_ID: Final = 2**63 - 1
NOTHING: Final = Q(pk__in=[])


class ExactSearch(admin.ModelAdmin):
    """A list in which `find` says what a term means; an empty one finds everything."""

    def find(self, term: str) -> Q:
        """Return which rows a term means."""
        # ModelAdmin has a metaclass of its own, so no ABC can ask for it.
        raise NotImplementedError

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Return the rows that are meant; none of them comes twice."""
        term = search_term.strip()
        return (queryset.filter(self.find(term)) if term else queryset), False


def uuid_of(text: str) -> UUID | None:
    """Return what somebody searches for as a uuid, None for a text that is none."""
    try:
        return UUID(text)
    except ValueError:
        return None


def number_of(text: str) -> int | None:
    """Return what somebody searches for as the number of a row, None for a text that is none."""
    return int(text) if text.isascii() and text.isdigit() and int(text) <= LARGEST_ID else None


def by_uuid(text: str, *fields: str) -> Q:
    """Return the rows that have what somebody searches for as a uuid in one of some fields."""
    uuid = uuid_of(text)
    if uuid is None:
        return NOTHING
    found = Q()
    for field in fields:
        found |= Q(**{field: uuid})
    return found
