"""What administrators were told, in the admin: the memory of notices, and the runs of the daily job."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import Any

from django.contrib import admin, messages
from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from courses.bulk import locked
from courses.exact_search import ExactSearch, by_uuid, number_of
from email_automation.admin.paging import ActionChangeList, ReadOnlyAdmin, WordFilter
from email_automation.admin.runs import RunStatusFilter

from .. import memory
from ..models import THRESHOLD_75, THRESHOLD_100, WEEKLY, NotificationRun, NotificationTimestamp

PERMISSION = "license_notifications.send_again"
#: Of the enterprises and the entries of a run so many are shown.
MOST_SHOWN = 200


class StateFilter(WordFilter):
    """By state."""

    title = _("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, Any]]:
        """Return the closed list of states."""
        stamp = NotificationTimestamp
        return [(word, word) for word in (stamp.CLAIMED, stamp.SENT, stamp.FAILED, stamp.UNKNOWN, stamp.SUPERSEDED)]


class KindFilter(WordFilter):
    """By what was to be told."""

    title = _("kind")
    parameter_name = "kind"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, Any]]:
        """Return the closed list of kinds."""
        return [(word, word) for word in (THRESHOLD_75, THRESHOLD_100, WEEKLY)]


@admin.register(NotificationTimestamp)
class NotificationTimestampAdmin(ExactSearch, ReadOnlyAdmin):
    """The memory of notices. Only what is in doubt can be told again, by a decision of somebody who may."""

    list_display = (
        "id", "kind", "slot", "state", "enterprise_customer_uuid", "ecu_id", "allocated", "total", "attempts",
        "resends", "last_sent_at",
    )  # fmt: skip
    list_filter = (StateFilter, KindFilter)
    search_fields = ("ecu_id",)
    search_help_text = _("The number of an ECU, or the UUID of an enterprise.")
    fields = (
        "enterprise_customer_uuid", "ecu_id", "lms_user_id", "kind", "plan_uuid", "slot", "state", "attempts",
        "resends", "claimed_at", "last_sent_at", "allocated", "total", "reported_plan_uuid", "channel", "dispatch_id",
        "last_error", "run",
    )  # fmt: skip
    changelist = ActionChangeList
    actions = ("send_again",)  # type: ignore[assignment]  # the base class has none

    def find(self, term: str) -> Q:
        """Return what one link or one enterprise was told."""
        number = number_of(term)
        return by_uuid(term, "enterprise_customer_uuid") if number is None else Q(ecu_id=number)

    def has_send_again_permission(self, request: HttpRequest) -> bool:
        """Return whether whoever asks may have a notice told again."""
        return request.user.has_perm(PERMISSION)

    @admin.action(description=_("Send again what is in doubt"), permissions=["send_again"])
    def send_again(self, request: HttpRequest, queryset: QuerySet[NotificationTimestamp]) -> None:
        """Let the next run tell again what may or may not have gone out."""
        with transaction.atomic():
            doubtful = list(locked(queryset.filter(state=NotificationTimestamp.UNKNOWN)))
            number = memory.reopen([row.pk for row in doubtful])
            for row in doubtful:
                self.log_change(request, row, "To be sent again: from unknown to failed.")
        if not number:
            self.message_user(request, _("None of these is in doubt, so none is sent again."), messages.WARNING)
            return
        words = ngettext(
            "%(number)d notice goes out again in the next run, if there is still reason for it.",
            "%(number)d notices go out again in the next run, if there is still reason for them.",
            number,
        )
        self.message_user(request, words % {"number": number}, messages.SUCCESS)


@admin.register(NotificationRun)
class NotificationRunAdmin(ReadOnlyAdmin):
    """Runs of the daily job, with what each has frozen and what was wrong."""

    list_display = ("id", "instant", "started_at", "finished_at", "status", "counted", "exit_status")
    list_filter = (RunStatusFilter,)
    fields = ("instant", "started_at", "finished_at", "status", "exit_status", "counted", "told", "wrong")
    readonly_fields = ("instant", "exit_status", "counted", "told", "wrong")

    list_per_page = 20

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Leave the enterprises of each run in the database until a run is looked at."""
        parts = {f"of_{name}": F(f"details__{name}") for name in ("as_of", "counters", "exit_code")}
        return super().get_queryset(request).defer("details").annotate(**parts)

    @admin.display(description=_("as of"))
    def instant(self, run: Any) -> str:
        """Return the instant by which plans and weeks were judged."""
        return run.of_as_of or "-"

    @admin.display(description=_("exit status"))
    def exit_status(self, run: Any) -> str:
        """Return 0 or 1, and nothing while the run is not closed."""
        return "-" if run.of_exit_code is None else str(run.of_exit_code)

    @admin.display(description=_("counts"))
    def counted(self, run: Any) -> str:
        """Return the requests, the mails, and who was left out."""
        counters = run.of_counters or {}
        skipped = counters.get("skipped") or {}
        parts = [f"requests {counters.get('requests', 0)}", f"sent {run.sent}", f"failed {run.failed}"]
        return ", ".join([*parts, *(f"{reason} {number}" for reason, number in sorted(skipped.items()))])

    @admin.display(description=_("enterprises"))
    def told(self, run: NotificationRun) -> SafeString:
        """Return the plan and the numbers of each enterprise, as the run has frozen them."""
        enterprises = run.enterprises
        rows = [
            (
                enterprise,
                frozen.get("plan", ""),
                frozen.get("allocated", 0),
                frozen.get("total", 0),
                frozen.get("administrators", 0),
            )
            for enterprise, frozen in islice(sorted(enterprises.items()), MOST_SHOWN)
        ]
        lines = format_html_join("", "<li>{}: plan {}, {} of {} licences, {} administrators</li>", rows)
        return _list(lines, len(enterprises))

    @admin.display(description=_("what was wrong"))
    def wrong(self, run: NotificationRun) -> SafeString:
        """Return the entries of the run's alert; they name ids and nobody."""
        failures = run.failures
        rows = (
            (
                entry.get("severity", ""),
                entry.get("step", ""),
                entry.get("text", ""),
                ", ".join(f"{name} {value}" for name, value in (entry.get("ids") or {}).items()),
            )
            for entry in failures[:MOST_SHOWN]
        )
        return _list(format_html_join("", "<li><strong>{}</strong> {}: {} {}</li>", rows), len(failures))


def _list(lines: SafeString, number: int) -> SafeString:
    """Return a list of at most as many lines as are shown, and how many there are besides."""
    if not number:
        return mark_safe("-")
    more = ngettext("and %(number)d more", "and %(number)d more", number) % {"number": number - MOST_SHOWN}
    return format_html('<ul style="margin-left:0">{}</ul>{}', lines, more if number > MOST_SHOWN else "")
