"""The log in the admin: what was sent to whom, and what became of it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import F, Max, Min, Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from courses.exact_search import ExactSearch, number_of

from .. import words
from ..models import EmailLog
from ..models.log import OPEN
from ..pipeline import message as messages
from ..views.outbox import explain_url, title_of
from . import again
from .explain import may_explain, page_context
from .paging import ReadOnlyAdmin, WordFilter

DAYS_OFFERED = 14


class StatusFilter(WordFilter):
    """By status."""

    title = _("status")
    parameter_name = "status"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, Any]]:
        """Return the closed list of statuses."""
        return [(word, word) for word in words.STATUSES]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Return the rows with the chosen status, by the columns that have an index."""
        value = self.value()
        if value in OPEN:
            return queryset.filter(open_priority__isnull=False, status=value)
        return queryset if value is None else queryset.filter(ended_as=value)


class MessageFilter(WordFilter):
    """By message."""

    title = _("message")
    parameter_name = "email_type"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, Any]]:
        """Return the registered messages."""
        return [(kind.NAME, kind.title) for kind in messages.all_messages()]


class DayFilter(admin.SimpleListFilter):
    """By the UTC day on which the row was made; any day may stand in the address."""

    title = _("day")
    parameter_name = "day"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, Any]]:
        """Return the last two weeks, and the day in the address if it lies before them."""
        today = timezone.now().astimezone(UTC).date()
        days = [(today - timedelta(days=back)).isoformat() for back in range(DAYS_OFFERED)]
        asked = request.GET.get(self.parameter_name, "")
        if asked not in days and as_day(asked):
            days.append(asked)
        return [(day, day) for day in days]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Return the rows of the chosen day."""
        day = as_day(self.value() or "")
        if day is None:
            return queryset if self.value() is None else queryset.none()
        first = datetime.combine(day, time(), tzinfo=UTC)
        of_day = Q(created_at__gte=first, created_at__lt=first + timedelta(days=1))
        # Without its ends a database may go from the newest row down to an old day one by one; the addition keeps it
        # from looking for the ends in the same way.
        ends = EmailLog.objects.filter(of_day).aggregate(low=Min(F("pk") + 0), high=Max(F("pk") + 0))
        if ends["low"] is None:
            return queryset.none()
        return queryset.filter(of_day, pk__gte=ends["low"], pk__lte=ends["high"])


def as_day(text: str) -> date | None:
    """Return a day written as in an address, None for anything else."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


@admin.register(EmailLog)
class EmailLogAdmin(ExactSearch, ReadOnlyAdmin):
    """The log. Its rows are read here and written by the engine alone."""

    list_display = ("id", "outcome", "message", "person", "to_address", "day", "run", "created_at")
    list_display_links = ("id", "outcome")
    list_filter = (StatusFilter, MessageFilter, DayFilter)
    list_select_related = ("recipient", "run")
    search_fields = ("to_address",)
    search_help_text = _("An exact e-mail address, or the number of a row.")
    fieldsets = (
        (None, {"fields": ("message", "status", "reason", "reason_in_words", "error_message", "links")}),
        (_("Recipient"), {"fields": ("person", "to_address", "is_test")}),
        (
            _("About"),
            {
                "fields": (
                    "category", "course", "enrollment", "payment", "target_id", "queued_entry", "occasion", "site",
                    "run", "day", "instant",
                )
            },
        ),
        (
            _("Hand-off"),
            {"fields": ("channel", "attempts", "doubts", "priority", "message_id", "provider_message_id")},
        ),
        (
            _("Times"),
            {
                "fields": (
                    "created_at", "next_attempt_at", "expires_at", "sent_at", "delivered_at", "opened_at", "clicked_at",
                    "updated_at",
                )
            },
        ),
        (_("Content"), {"fields": ("subject", "preview", "text", "headers")}),
    )  # fmt: skip
    readonly_fields = ("message", "person", "reason_in_words", "links", "queued_entry", "preview", "text", "headers")
    change_form_template = "admin/email_automation/emaillog/change_form.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[EmailLog]:
        """Leave the contents in the database until one is looked at."""
        return super().get_queryset(request).defer("content")

    def find(self, term: str) -> Q:
        """Return an exact address, as it was written or in small letters, or a row by its number."""
        if (number := number_of(term)) is not None:
            return Q(pk=number)
        return Q(to_address=term) | Q(to_address=term.lower())

    def get_urls(self) -> list[URLPattern]:
        """Add the page that explains, and what sends a mail again."""
        guarded, names = self.admin_site.admin_view, "email_automation_emaillog"
        own = [
            path("explain/", guarded(self.explain_view), name=f"{names}_explain"),
            path("<int:log_id>/again/", guarded(self.again_view), name=f"{names}_again"),
        ]
        return [*own, *super().get_urls()]

    def explain_view(self, request: HttpRequest) -> HttpResponse:
        """Say why a person got a message, gets it, or does not."""
        may_explain(request)
        context = {**self.admin_site.each_context(request), "opts": self.opts, **page_context(request)}
        return TemplateResponse(request, "admin/email_automation/emaillog/explain.html", context)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show a row and, to who may use it, the form that sends its mail again."""
        row = self.get_object(request, object_id)
        offer = again.offer(row) if row is not None and again.may_send(request) else {}
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), **offer})

    def again_view(self, request: HttpRequest, log_id: int) -> HttpResponse:
        """Send the mail of a row again, and lead to the row of the new mail."""
        if not (again.may_send(request) and self.has_view_permission(request)):
            raise PermissionDenied
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        row = get_object_or_404(self.get_queryset(request), pk=log_id)
        answer = again.send(row, request.POST)
        if answer.row.pk != row.pk and answer.is_new:
            self.log_change(request, row, f"Sent again as row {answer.row.pk}: {answer.row.status}.")
        self.message_user(request, answer.text, answer.level)
        return HttpResponseRedirect(reverse("admin:email_automation_emaillog_change", args=[answer.row.pk]))

    @admin.display(description=_("status"))
    def outcome(self, row: EmailLog) -> str:
        """Return the status and, where there is one, its reason."""
        return f"{row.status} ({row.reason})" if row.reason else row.status

    @admin.display(description=_("message"))
    def message(self, row: EmailLog) -> str:
        """Return what people call the message."""
        return title_of(row.email_type)

    @admin.display(description=_("recipient"))
    def person(self, row: EmailLog) -> str:
        """Return the person's id and user name."""
        return f"{row.recipient_id} {row.recipient.get_username()}"

    @admin.display(description=_("reason in words"))
    def reason_in_words(self, row: EmailLog) -> str:
        """Return the reason as a sentence."""
        return str(again.in_words(row)) or "-"

    @admin.display(description=_("outbox entry"))
    def queued_entry(self, row: EmailLog) -> str:
        """Return the way to the entry of the outbox that the row was made of."""
        entry = getattr(row, "queued", None)
        if entry is None:
            return "-"
        address = reverse("admin:email_automation_emailqueue_change", args=[entry.pk])
        return format_html('<a href="{}">#{}</a>', address, entry.pk)

    @admin.display(description=_("see also"))
    def links(self, row: EmailLog) -> SafeString:
        """Return the ways to the outbox and to the explanation."""
        targets = [(reverse("email_automation:outbox-mail", args=[row.pk]), _("Look at it in the outbox"))]
        if address := explain_url(row):
            targets.append((address, _("Why did this person get it?")))
        return format_html_join(" · ", '<a href="{}">{}</a>', targets)

    @admin.display(description=_("as it was sent"))
    def preview(self, row: EmailLog) -> str:
        """Return the mail in a frame that can run and fetch nothing."""
        if row.content is None:
            return str(_("The content is not kept."))
        return format_html(
            '<iframe sandbox title="{}" src="{}" style="width:45rem;max-width:100%;height:32rem;'
            'border:1px solid #767676;background:#fff"></iframe>',
            _("The mail"),
            reverse("email_automation:outbox-html", args=[row.pk]),
        )

    @admin.display(description=_("text"))
    def text(self, row: EmailLog) -> str:
        """Return the plain text part."""
        content = row.stored_content()
        return (
            format_html('<pre style="white-space:pre-wrap;overflow-wrap:anywhere">{}</pre>', content["text"])
            if content
            else "-"
        )

    @admin.display(description=_("headers"))
    def headers(self, row: EmailLog) -> str:
        """Return the headers, one on a line."""
        content = row.stored_content()
        if content is None:
            return "-"
        return format_html_join(
            "", '<div style="overflow-wrap:anywhere"><strong>{}:</strong> {}</div>', content["headers"].items()
        )
