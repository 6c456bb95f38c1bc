"""Admin pages of events on their way, and of the enrolments that follow grants."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, ClassVar

from django.contrib import admin, messages
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from courses.eventbus import envelope, inbox
from courses.events import CONSUMERS
from courses.exact_search import ExactSearch, by_uuid, number_of
from courses.models import AutoEnrolment, EventInbox, EventOutbox
from courses.table_admin import WrittenTableAdmin


class StateFilter(admin.SimpleListFilter):
    """By state; the words are known without asking the table."""

    title = _("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, Any]]:
        """Return every state of the table."""
        return [(word, word) for word in model_admin.model.STATES]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Return the rows in the chosen state."""
        return queryset if self.value() is None else queryset.filter(state=self.value())


class PublishedFilter(admin.SimpleListFilter):
    """By whether an event has gone out."""

    title = _("published")
    parameter_name = "published"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, Any]]:
        """Return both."""
        return [("no", _("No")), ("yes", _("Yes"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Return the events that have gone out, or the others."""
        if self.value() not in ("no", "yes"):
            return queryset
        return queryset.filter(is_published=self.value() == "yes")


class EventAdmin(WrittenTableAdmin):
    """What the pages of both boxes share."""

    @admin.display(description=_("data"))
    def data(self, row: EventOutbox | EventInbox) -> str:
        """Return what the event says, coupon codes cut to their last four characters."""
        return _pretty(envelope.shown(row.headers, bytes(row.payload)))

    @admin.display(description=_("headers"))
    def shown_headers(self, row: EventOutbox | EventInbox) -> str:
        """Return what stood beside the data."""
        return _pretty(row.headers)

    @admin.display(description=_("event"))
    def kind(self, row: EventOutbox | EventInbox) -> str:
        """Return the part of the type that tells types apart."""
        return row.event_type.removeprefix("org.openedx.") or "-"


def _pretty(values: Any) -> str:
    text = json.dumps(values, ensure_ascii=False, indent=2, default=str)
    return format_html('<pre style="white-space:pre-wrap;overflow-wrap:anywhere">{}</pre>', text)


@admin.register(EventOutbox)
class EventOutboxAdmin(ExactSearch, EventAdmin):
    """Events that go out, unpublished ones first."""

    list_display = ("id", "kind", "event_id", "created_at", "published_at")
    list_filter = (PublishedFilter,)
    ordering = ("is_published", "-id")
    fields = ("event_id", "event_type", "topic", "created_at", "published_at", "shown_headers", "data")
    search_fields = ("event_id",)
    search_help_text = _("Exact id of an event.")

    def find(self, term: str) -> Q:
        """Return the event with the id."""
        return by_uuid(term, "event_id")


@admin.register(EventInbox)
class EventInboxAdmin(ExactSearch, EventAdmin):
    """Events that came in, dead ones first; these can be handled again once the cause is mended."""

    list_display = ("id", "kind", "consumer", "state", "reason", "attempts", "received_at", "due_at")
    list_filter = (StateFilter,)
    # By alphabet: dead, deferred, done, received.
    ordering = ("state", "-id")
    actions = ("requeue",)
    fields = (
        "consumer", "event_id", "event_type", "entry", "state", "reason", "attempts", "deferrals", "created_at",
        "received_at", "due_at", "done_at", "shown_headers", "data",
    )  # fmt: skip
    search_fields = ("event_id",)
    search_help_text = _("Exact id of an event, or stream: and the id of its entry.")

    def find(self, term: str) -> Q:
        """Return the rows of the event; naming every consumer lets the index be used."""
        return Q(consumer__in=CONSUMERS, event_id=term)

    def has_requeue_permission(self, request: HttpRequest) -> bool:
        """Return whether whoever asks may have dead events handled again."""
        return request.user.has_perm("courses.requeue_eventinbox")

    @admin.action(description=_("Handle the selected dead events again"), permissions=["requeue"])
    def requeue(self, request: HttpRequest, queryset: QuerySet[EventInbox]) -> None:
        """Make what is chosen and dead due again."""
        chosen = list(queryset.filter(state=EventInbox.DEAD)[: self.list_per_page])
        requeued = set(inbox.requeue([row.pk for row in chosen]))
        for row in chosen:
            if row.pk in requeued:
                self.log_change(request, row, _("Made due again."))
        number = len(requeued)
        if number:
            text = ngettext("%(number)d event is due again.", "%(number)d events are due again.", number)
            self.message_user(request, text % {"number": number}, messages.SUCCESS)
        else:
            self.message_user(request, _("None of these events is dead."), messages.WARNING)


@admin.register(AutoEnrolment)
class AutoEnrolmentAdmin(ExactSearch, WrittenTableAdmin):
    """Automatic enrolments, with the reasons of those that were not made."""

    list_display = ("id", "lms_user_id", "course", "run", "state", "reason", "attempts", "created_at", "ended_at")
    list_filter = (StateFilter,)
    search_fields = ("subsidy_request_uuid",)
    search_help_text = _("Exact id of a request, or number of a learner on the platform.")
    fields: ClassVar[Any] = (
        "subsidy_request_uuid", "enterprise_customer_uuid", "lms_user_id", "license_uuid", "course", "run", "mode",
        "state", "reason", "attempts", "next_attempt_at", "created_at", "decided_at", "ended_at",
    )  # fmt: skip

    def find(self, term: str) -> Q:
        """Return the enrolment of the request, or those of the learner."""
        if (number := number_of(term)) is not None:
            return Q(lms_user_id=number)
        return by_uuid(term, "subsidy_request_uuid")
