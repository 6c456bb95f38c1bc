"""The outbox table in the admin: what is to be mailed and not claimed yet, and what became of the rest."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from courses.exact_search import NOTHING, ExactSearch, number_of

from .. import words
from ..models import EmailQueue
from ..pipeline import entries, outbox
from ..views.outbox import title_of
from .log import MessageFilter
from .paging import ActionChangeList, ReadOnlyAdmin, WordFilter
from .preferences import people

BOTH = (True, False)
STATES = {"no": False, "yes": True}


class ProcessedFilter(admin.SimpleListFilter):
    """By whether an entry has been claimed."""

    title = _("processed")
    parameter_name = "processed"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, Any]]:
        """Return both states."""
        return [("no", _("No")), ("yes", _("Yes"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Return the entries in the chosen state."""
        state = STATES.get(self.value() or "")
        return queryset if state is None else queryset.filter(is_processed=state)


class PriorityFilter(WordFilter):
    """By priority."""

    title = _("priority")
    parameter_name = "priority"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, Any]]:
        """Return the four priorities."""
        return [(str(number), word) for word, number in words.PRIORITIES.items()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Return the entries of the chosen priority."""
        value = self.value()
        if value is None:
            return queryset
        if value not in map(str, words.PRIORITIES.values()):
            return queryset.none()
        # The index begins with the state; naming both of them lets it be used all the same.
        return queryset.filter(is_processed__in=BOTH, priority=int(value))


@admin.register(EmailQueue)
class EmailQueueAdmin(ExactSearch, ReadOnlyAdmin):
    """The outbox. Its entries are written by events and calls; here one can be sent at once, or withdrawn."""

    list_display = (
        "id", "message", "person", "scheduled_at", "is_processed", "mail", "priority", "target_id", "processed_at",
    )  # fmt: skip
    list_filter = (ProcessedFilter, MessageFilter, PriorityFilter)
    list_select_related = ("recipient",)
    search_fields = ("recipient__username",)
    search_help_text = _("An exact user name or e-mail address, the number of a person, or that of an entry.")
    fieldsets = (
        (None, {"fields": ("message", "person", "target_id", "site", "key")}),
        (_("When"), {"fields": ("priority", "scheduled_at", "expires_at", "created_at")}),
        (_("What became of it"), {"fields": ("is_processed", "processed_at", "mail")}),
        (_("Content"), {"fields": ("context",)}),
    )
    readonly_fields = ("message", "person", "key", "mail", "context")
    changelist = ActionChangeList
    actions = ("send_now", "withdraw")  # type: ignore[assignment]  # the base class has none

    def find(self, term: str) -> Q:
        """Return one person's entries, or an entry by its number."""
        number = number_of(term)
        return Q(recipient_id__in=people(term)) | (NOTHING if number is None else Q(pk=number))

    def has_hasten_permission(self, request: HttpRequest) -> bool:
        """Return whether whoever asks may have an entry sent before its time."""
        return request.user.has_perm("email_automation.change_emailqueue")

    def has_withdraw_permission(self, request: HttpRequest) -> bool:
        """Return whether whoever asks may delete an entry."""
        return request.user.has_perm("email_automation.delete_emailqueue")

    @admin.action(description=_("Send the selected entries now"), permissions=["hasten"])
    def send_now(self, request: HttpRequest, queryset: QuerySet[EmailQueue]) -> None:
        """Make what is chosen and waits due at once."""
        chosen = self._waiting(queryset)
        number = outbox.hasten([entry.pk for entry in chosen])
        for entry in chosen:
            self.log_change(request, entry, _("Sent at once."))
        text = ngettext("%(number)d entry was due at once.", "%(number)d entries were due at once.", number)
        self._say(request, text, number)

    @admin.action(description=_("Withdraw the selected entries"), permissions=["withdraw"])
    def withdraw(self, request: HttpRequest, queryset: QuerySet[EmailQueue]) -> HttpResponse | None:
        """Ask, and then delete what is chosen and waits."""
        chosen = self._waiting(queryset)
        if chosen and not request.POST.get("confirmed"):
            context = {
                **self.admin_site.each_context(request),
                "title": _("Withdraw these entries?"),
                "opts": self.opts,
                "entries": [(entry, title_of(entry.email_type)) for entry in chosen],
                "action_checkbox_name": ACTION_CHECKBOX_NAME,
            }
            return TemplateResponse(request, "admin/email_automation/emailqueue/withdraw.html", context)
        gone = set(entries.withdraw([entry.pk for entry in chosen]))
        deleted = [entry for entry in chosen if entry.pk in gone]
        self.log_deletions(request, deleted)  # type: ignore[arg-type]  # it is only gone through
        text = ngettext("%(number)d entry was withdrawn.", "%(number)d entries were withdrawn.", len(gone))
        self._say(request, text, len(gone))
        return None

    def _waiting(self, queryset: QuerySet[EmailQueue]) -> list[EmailQueue]:
        """Return what of a choice nobody has claimed; a page of it, whatever the request asks for."""
        return list(queryset.filter(is_processed=False)[: self.list_per_page])

    def _say(self, request: HttpRequest, text: str, number: int) -> None:
        if number:
            self.message_user(request, text % {"number": number}, messages.SUCCESS)
        else:
            self.message_user(request, _("None of these entries is waiting any more."), messages.WARNING)

    @admin.display(description=_("message"))
    def message(self, row: EmailQueue) -> str:
        """Return what people call the message."""
        return title_of(row.email_type)

    @admin.display(description=_("recipient"))
    def person(self, row: EmailQueue) -> str:
        """Return the person's id and user name; an entry without one is for everybody it concerns."""
        return f"{row.recipient_id} {row.recipient.get_username()}" if row.recipient else str(_("everybody concerned"))

    @admin.display(description=_("key"))
    def key(self, row: EmailQueue) -> str:
        """Return what the entry is once-only about."""
        return entries.occasion_of(row)

    @admin.display(description=_("mail"))
    def mail(self, row: EmailQueue) -> str:
        """Return the way to the row of the log it became."""
        if row.log_id is None:
            return "-"
        address = reverse("admin:email_automation_emaillog_change", args=[row.log_id])
        return format_html('<a href="{}">#{}</a>', address, row.log_id)

    @admin.display(description=_("context"))
    def context(self, row: EmailQueue) -> str:
        """Return what the caller handed over, as JSON."""
        text = json.dumps(row.context_data, ensure_ascii=False, indent=2, sort_keys=True)
        return format_html('<pre style="white-space:pre-wrap;overflow-wrap:anywhere">{}</pre>', text)
