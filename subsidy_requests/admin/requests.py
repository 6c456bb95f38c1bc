"""Both kinds of requests in the admin: to look at, to decide about, and to look after."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, ClassVar

from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from courses.eventbus.envelope import masked
from email_automation.admin.paging import ActionChangeList, ReadOnlyAdmin, WordFilter

from .. import services
from ..models import CouponCodeRequest, LicenseRequest
from ..roles import roles_of
from ..services import Broken
from ..states import STATES
from .filters import EnterpriseFilter, PersonOrUuidSearch
from .forms import ApproveForm, DeclineForm


class StateFilter(WordFilter):
    """By state."""

    title = _("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, Any]]:
        """Return the states."""
        return [(state, state) for state in STATES]


class StuckFilter(admin.SimpleListFilter):
    """Approvals of which nothing was heard, although they were published again as often as is done."""

    title = _("stuck")
    parameter_name = "stuck"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, Any]]:
        """Return the one choice there is."""
        return [("yes", _("Stuck"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Return what is stuck."""
        return queryset.filter(stuck_since__isnull=False) if self.value() == "yes" else queryset


class RequestAdmin(ReadOnlyAdmin, PersonOrUuidSearch):
    """Base of both lists. Learners make requests; here they are decided about, published again, and given up."""

    changelist = ActionChangeList
    list_display = (
        "id", "user", "enterprise", "course_id", "state", "error_reason", "attempt", "created_at", "reviewed_at",
        "stuck_since",
    )  # fmt: skip
    list_filter = (StateFilter, StuckFilter, EnterpriseFilter)
    list_select_related = ("user",)
    uuid_fields = ("uuid", "enterprise_customer_uuid")
    subsidy: ClassVar[tuple[str, ...]] = ()
    actions = ("approve", "decline", "republish", "give_up")  # type: ignore[assignment]  # the base class has none

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Return every request, with the reviewer."""
        return super().get_queryset(request).select_related("user", "reviewer")

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """Return the fields in the order in which they come to be filled."""
        wish = ("uuid", "user", "lms_user_id", "enterprise_customer_uuid", "course_id", "course_title", "created_at")
        snapshot = ("approval_action", "learner_requests_in_action", "send_notification", "attempt_auto_enrollment")
        return [
            (None, {"fields": ("state", "error_reason", *wish)}),
            (_("Decision"), {"fields": ("reviewer", "reviewed_at", "decline_reason", "attempt", *snapshot)}),
            (_("Subsidy"), {"fields": (*self.subsidy, "fulfilled_at")}),
            (_("Publishing"), {"fields": ("last_event_id", "republish_count", "republished_at", "stuck_since")}),
        ]

    def has_approve_permission(self, request: HttpRequest) -> bool:
        """Return whether whoever asks may approve."""
        return self._may(request, "approve")

    def has_decline_permission(self, request: HttpRequest) -> bool:
        """Return whether whoever asks may decline."""
        return self._may(request, "decline")

    def has_republish_permission(self, request: HttpRequest) -> bool:
        """Return whether whoever asks may have an approval published again."""
        return self._may(request, "republish")

    def has_give_up_permission(self, request: HttpRequest) -> bool:
        """Return whether whoever asks may give an approval up."""
        return self._may(request, "give_up")

    def _may(self, request: HttpRequest, what: str) -> bool:
        return request.user.has_perm(f"{self.opts.app_label}.{what}_{self.opts.model_name}")

    @admin.action(description=_("Approve the selected requests"), permissions=["approve"])
    def approve(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
        """Ask from what to grant, and approve."""
        service = partial(services.approve, linked=roles_of(request).linked)
        return self._decide(request, queryset, action="approve", form_class=ApproveForm, service=service)

    @admin.action(description=_("Decline the selected requests"), permissions=["decline"])
    def decline(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
        """Ask why, and decline."""
        return self._decide(request, queryset, action="decline", form_class=DeclineForm, service=services.decline)

    def _decide(
        self,
        request: HttpRequest,
        queryset: QuerySet[Any],
        *,
        action: str,
        form_class: type[ApproveForm] | type[DeclineForm],
        service: Callable[..., Any],
    ) -> HttpResponse | None:
        chosen = list(queryset[: self.list_per_page])
        enterprises = {row.enterprise_customer_uuid for row in chosen}
        if len(enterprises) != 1:
            self.message_user(request, _("Choose requests of one enterprise."), messages.ERROR)
            return None
        form = form_class(request.POST if "confirmed" in request.POST else None, kind=self.model.kind)
        if not form.is_valid():
            return self._asked(request, chosen, action=action, form=form)
        try:
            decision = service(
                self.model.kind,
                [row.uuid for row in chosen],
                enterprise_customer_uuid=enterprises.pop(),
                reviewer=request.user,
                **form.decided(),
            )
        except Broken as broken:
            text = f"{broken} ({', '.join(map(str, broken.uuids))})"
            self.message_user(request, text, messages.ERROR)
            return None
        self._say(request, chosen, decision.decided, done=_("Decided: %s.") % action)
        return None

    def _asked(self, request: HttpRequest, chosen: Sequence[Any], *, action: str, form: Any) -> HttpResponse:
        titles = {"approve": _("Approve these requests?"), "decline": _("Decline these requests?")}
        context = {
            **self.admin_site.each_context(request),
            "title": titles[action],
            "opts": self.opts,
            "requests": chosen,
            "action": action,
            "form": form,
            "action_checkbox_name": ACTION_CHECKBOX_NAME,
        }
        return TemplateResponse(request, "admin/subsidy_requests/decide.html", context)

    @admin.action(description=_("Publish the approval again"), permissions=["republish"])
    def republish(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        """Publish again what is approved and has no outcome."""
        self._look_after(request, queryset, service=services.republish, done=_("Published again."))

    @admin.action(description=_("Give up"), permissions=["give_up"])
    def give_up(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        """Make an error of what was published again as often as is done."""
        self._look_after(request, queryset, service=services.give_up, done=_("Given up."))

    def _look_after(
        self, request: HttpRequest, queryset: QuerySet[Any], *, service: Callable[..., Any], done: Any
    ) -> None:
        chosen = list(queryset[: self.list_per_page])
        uuids = service(self.model.kind, [row.uuid for row in chosen], by=request.user)
        self._say(request, chosen, uuids, done=done)

    def _say(self, request: HttpRequest, chosen: Sequence[Any], uuids: Sequence[Any], *, done: Any) -> None:
        for row in chosen:
            if row.uuid in uuids:
                self.log_change(request, row, str(done))
        number, rest = len(uuids), len(chosen) - len(uuids)
        text = ngettext("%(number)d request was changed.", "%(number)d requests were changed.", number)
        self.message_user(request, text % {"number": number}, messages.SUCCESS if number else messages.WARNING)
        if rest:
            text = ngettext(
                "%(number)d request is not in a state for it.", "%(number)d requests are not in a state for it.", rest
            )
            self.message_user(request, text % {"number": rest}, messages.WARNING)


@admin.register(LicenseRequest)
class LicenseRequestAdmin(RequestAdmin):
    """Requests for licences."""

    subsidy = ("subscription_plan_uuid", "license_uuid")


@admin.register(CouponCodeRequest)
class CouponCodeRequestAdmin(RequestAdmin):
    """Requests for coupon codes, of which the last four characters are shown."""

    subsidy = ("coupon_id", "code")
    readonly_fields = ("code",)

    @admin.display(description=_("code"))
    def code(self, row: CouponCodeRequest) -> str:
        """Return how the code ends."""
        return masked(row.coupon_code)
