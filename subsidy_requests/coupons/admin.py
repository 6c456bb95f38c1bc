"""Coupons and their codes in the admin."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from courses.eventbus.envelope import masked
from courses.exact_search import ExactSearch, by_uuid, number_of
from email_automation.admin.paging import ActionChangeList, LargeTableAdmin, ReadOnlyAdmin, WordFilter

from . import services
from .models import STATUSES, Coupon, CouponCode
from .upload import upload

MOST_NAMED = 20


class UploadForm(forms.Form):
    """Codes, one a line."""

    codes = forms.CharField(
        label=_("Codes"),
        strip=False,
        widget=forms.Textarea(attrs={"rows": 15, "class": "vLargeTextField"}),
        help_text=_("One a line. Known and repeated ones are left out, and named by their line."),
    )


@admin.register(Coupon)
class CouponAdmin(ExactSearch, LargeTableAdmin):
    """Coupons; their codes are uploaded on a page of their own."""

    list_display = ("id", "title", "enterprise_customer_uuid", "discount_percent", "starts_at", "ends_at", "is_active")
    list_filter = ("is_active",)
    search_fields = ("title",)
    search_help_text = _("The number of a coupon, or the UUID of an enterprise.")
    actions = None
    change_form_template = "admin/subsidy_requests/coupon/change_form.html"

    def find(self, term: str) -> Q:
        """Return a coupon by its number, or an enterprise's by its uuid."""
        return _number_or_uuid(term, "enterprise_customer_uuid")

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return that nobody deletes one: the codes given from it have to stay. It is switched off instead."""
        return False

    def has_upload_permission(self, request: HttpRequest) -> bool:
        """Return whether whoever asks may upload codes."""
        return request.user.has_perm("subsidy_requests.upload_couponcode")

    def get_urls(self) -> list[URLPattern]:
        """Return the usual pages, and that of the upload."""
        view = self.admin_site.admin_view(self.upload_view)
        return [
            path("<int:pk>/upload/", view, name="subsidy_requests_coupon_upload"),
            *super().get_urls(),
        ]

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any) -> HttpResponse:
        """Offer the upload to those who may."""
        context["may_upload"] = self.has_upload_permission(request)
        return super().render_change_form(request, context, *args, **kwargs)

    def upload_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Take codes in, and say which lines were left out."""
        if not (self.has_upload_permission(request) and self.has_view_permission(request)):
            raise PermissionDenied
        coupon = get_object_or_404(Coupon, pk=pk)
        form = UploadForm(request.POST or None)
        if request.method == "POST" and form.is_valid():
            self._take_in(request, coupon, form.cleaned_data["codes"])
            return HttpResponseRedirect(reverse("admin:subsidy_requests_coupon_upload", args=[coupon.pk]))
        context = {
            **self.admin_site.each_context(request),
            "title": _("Upload codes"),
            "opts": self.opts,
            "coupon": coupon,
            "form": form,
        }
        return TemplateResponse(request, "admin/subsidy_requests/coupon/upload.html", context)

    def _take_in(self, request: HttpRequest, coupon: Coupon, text: str) -> None:
        found = upload(coupon, text)
        words = ngettext("%(number)d code was stored.", "%(number)d codes were stored.", found.stored)
        self.message_user(
            request, words % {"number": found.stored}, messages.SUCCESS if found.stored else messages.WARNING
        )
        if found.left_out:
            named = [f"{number} ({why})" for number, why in list(found.left_out.items())[:MOST_NAMED]]
            more = len(found.left_out) - len(named)
            text = _("Left out, by line: %(lines)s.") % {"lines": ", ".join(named)}
            if more:
                text += " " + _("And %(number)d more lines.") % {"number": more}
            self.message_user(request, text, messages.WARNING)
        self.log_change(request, coupon, str(_("Codes uploaded: %(number)d.") % {"number": found.stored}))


class StatusFilter(WordFilter):
    """By status."""

    title = _("status")
    parameter_name = "status"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, Any]]:
        """Return the statuses."""
        return [(status, status) for status in STATUSES]


@admin.register(CouponCode)
class CouponCodeAdmin(ExactSearch, ReadOnlyAdmin):
    """Codes, of which only the last four characters are shown."""

    changelist = ActionChangeList
    list_display = ("id", "ending", "coupon", "status", "lms_user_id", "subsidy_request_uuid", "redeemed_course_run")
    list_filter = (StatusFilter,)
    list_select_related = ("coupon",)
    search_fields = ("code",)
    search_help_text = _("The number of a learner on the platform, the UUID of a request, or coupon=<number>.")
    exclude = ("code",)
    readonly_fields = ("ending",)
    actions = ("void",)  # type: ignore[assignment]  # the base class has none

    def find(self, term: str) -> Q:
        """Return the codes of a learner, of a request, or of a coupon."""
        name, _equals, number = term.partition("=")
        if name == "coupon" and (coupon := number_of(number)) is not None:
            return Q(coupon_id=coupon)
        return _number_or_uuid(term, "subsidy_request_uuid", "lms_user_id")

    def has_void_permission(self, request: HttpRequest) -> bool:
        """Return whether whoever asks may take codes back."""
        return request.user.has_perm("subsidy_requests.change_couponcode")

    @admin.action(description=_("Take the selected codes back"), permissions=["void"])
    def void(self, request: HttpRequest, queryset: QuerySet[CouponCode]) -> None:
        """Take codes back that are free or assigned."""
        chosen = list(queryset[: self.list_per_page])
        number = services.void([row.pk for row in chosen])
        for row in chosen:
            self.log_change(request, row, str(_("Taken back, unless redeemed.")))
        text = ngettext("%(number)d code was taken back.", "%(number)d codes were taken back.", number)
        self.message_user(request, text % {"number": number}, messages.SUCCESS if number else messages.WARNING)

    @admin.display(description=_("code"))
    def ending(self, row: CouponCode) -> str:
        """Return how the code ends."""
        return masked(row.code)


def _number_or_uuid(term: str, uuid_field: str, number_field: str = "pk") -> Q:
    """Return the rows with a number, or with a uuid; none for a term that is neither."""
    number = number_of(term)
    return by_uuid(term, uuid_field) if number is None else Q(**{number_field: number})
