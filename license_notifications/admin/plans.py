"""Enterprises and their plans in the admin."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from django.contrib import admin, messages
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from courses.exact_search import NOTHING, ExactSearch, by_uuid, uuid_of
from courses.paginator import BoundedPaginator
from email_automation.admin.paging import CreatedChangeList, LargeTableAdmin

from .. import services
from ..models import CustomerAgreement, SubscriptionPlan
from ..plans import Counts, chosen, counts

#: So many licences are made while somebody waits for the page; more take `services.provision`.
MOST_AT_ONCE: Final = 20_000
#: Of so many enterprises of one name the plans are found.
MOST_NAMESAKES: Final = 100


class KeptAdmin(ExactSearch):
    """An admin of rows that others refer to by uuid for ever: they are ended, not deleted."""

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return that nobody deletes one."""
        return False


@admin.register(CustomerAgreement)
class CustomerAgreementAdmin(KeptAdmin):
    """Enterprises."""

    list_display = ("enterprise_customer_name", "enterprise_customer_slug", "enterprise_customer_uuid", "its_plans")
    list_per_page = 50
    ordering = ("enterprise_customer_name", "pk")
    paginator = BoundedPaginator
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    sortable_by = ()
    search_fields = ("enterprise_customer_name",)
    search_help_text = _("How a name begins, an exact slug, or a UUID.")
    fields = ("enterprise_customer_uuid", "enterprise_customer_name", "enterprise_customer_slug", "its_plans")
    actions = None

    def find(self, term: str) -> Q:
        """Return enterprises by name, slug or uuid."""
        if uuid_of(term) is not None:
            return by_uuid(term, "enterprise_customer_uuid", "pk")
        return Q(enterprise_customer_name__startswith=term) | Q(enterprise_customer_slug=term)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """Return what is never edited; which enterprise it is, only when it is made."""
        return ("its_plans",) if obj is None else ("enterprise_customer_uuid", "its_plans")

    @admin.display(description=_("plans"))
    def its_plans(self, agreement: CustomerAgreement) -> str:
        """Return the way to the plans."""
        if agreement._state.adding:
            return "-"
        address = reverse("admin:license_notifications_subscriptionplan_changelist")
        return format_html('<a href="{}?q={}">{}</a>', address, agreement.pk, _("Plans"))


class PlanList(CreatedChangeList):
    """The list, with what can be done to the plans on it."""

    show_admin_actions = True


@admin.register(SubscriptionPlan)
class SubscriptionPlanAdmin(KeptAdmin, LargeTableAdmin):
    """Plans, how far they are used up, and which of them counts for its enterprise today."""

    list_display = (
        "title", "customer_agreement", "expiration_date", "is_active", "should_auto_apply_licenses", "total",
        "allocated", "percentage", "decides_today",
    )  # fmt: skip
    list_select_related = ("customer_agreement",)
    search_fields = ("uuid",)
    search_help_text = _("The exact name or slug of an enterprise, or a UUID of the enterprise or the plan.")
    autocomplete_fields = ("customer_agreement",)
    fieldsets = (
        (None, {"fields": ("customer_agreement", "title", "start_date", "expiration_date")}),
        (
            _("Licences"),
            {
                "fields": (
                    "desired_num_licenses", "provisioning_since", "total", "allocated", "percentage", "its_licenses",
                )
            },
        ),
        (_("Notices"), {"fields": ("is_active", "should_auto_apply_licenses", "decides_today", "uuid", "created")}),
    )  # fmt: skip
    shown = (
        "provisioning_since", "total", "allocated", "percentage", "its_licenses", "decides_today", "uuid", "created",
    )  # fmt: skip
    changelist = PlanList
    actions = ("provision",)

    def find(self, term: str) -> Q:
        """Return the plans of an enterprise, or one plan."""
        named, itself = Q(enterprise_customer_name=term) | Q(enterprise_customer_slug=term), NOTHING
        if uuid_of(term) is not None:
            named, itself = by_uuid(term, "enterprise_customer_uuid", "pk"), by_uuid(term, "pk")
        # Their ids first: asked for within the statement, the plans are not found by an index.
        agreements = list(CustomerAgreement.objects.filter(named).values_list("pk", flat=True)[:MOST_NAMESAKES])
        return Q(customer_agreement__in=agreements) | itself

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """Return what is never edited; whose plan it is, only when it is made."""
        return self.shown if obj is None else ("customer_agreement", *self.shown)

    def look_up(self, rows: Sequence[Any]) -> None:
        """Read the numbers of the plans on the page, and which plan counts for each of their enterprises."""
        counted = counts([row.pk for row in rows])
        enterprises = {row.customer_agreement.enterprise_customer_uuid for row in rows}
        deciding = {choice.plan_uuid for choice in chosen(timezone.now(), enterprises=enterprises).values()}
        for row in rows:
            row.looked_up = (counted[row.pk], row.pk in deciding)

    def _looked_up(self, plan: Any) -> tuple[Counts, bool]:
        if plan._state.adding:
            return Counts(), False
        if not hasattr(plan, "looked_up"):
            self.look_up([plan])
        looked_up: tuple[Counts, bool] = plan.looked_up
        return looked_up

    @admin.display(description=_("total"))
    def total(self, plan: SubscriptionPlan) -> int:
        """Return how many licences are not revoked."""
        return self._looked_up(plan)[0].total

    @admin.display(description=_("allocated"))
    def allocated(self, plan: SubscriptionPlan) -> int:
        """Return how many are assigned or activated."""
        return self._looked_up(plan)[0].allocated

    @admin.display(description=_("used up"))
    def percentage(self, plan: SubscriptionPlan) -> str:
        """Return how much that is."""
        return f"{self._looked_up(plan)[0].percentage} %"

    @admin.display(description=_("decides today"), boolean=True)
    def decides_today(self, plan: SubscriptionPlan) -> bool:
        """Return whether this is the plan of its enterprise that notices would tell of now."""
        return self._looked_up(plan)[1]

    @admin.display(description=_("licences"))
    def its_licenses(self, plan: SubscriptionPlan) -> str:
        """Return the way to the licences."""
        if plan._state.adding:
            return "-"
        address = reverse("admin:license_notifications_license_changelist")
        return format_html('<a href="{}?plan={}">{}</a>', address, plan.pk, _("Licences"))

    @admin.action(description=_("Make the licences that are missing"), permissions=["change"])
    def provision(self, request: HttpRequest, queryset: QuerySet[SubscriptionPlan]) -> None:
        """Bring the chosen plans to the number of licences that they want."""
        chosen_ones = list(queryset)
        counted = counts([plan.pk for plan in chosen_ones])
        for plan in chosen_ones:
            lacking = (plan.desired_num_licenses or 0) - counted[plan.pk].total
            if lacking > MOST_AT_ONCE:
                text = _("%(plan)s: %(number)d licences are too many for a page. Use services.provision.")
                self.message_user(request, text % {"plan": plan, "number": lacking}, messages.ERROR)
            elif lacking > 0:
                made = services.provision(plan, plan.desired_num_licenses or 0)
                self.log_change(request, plan, f"Made {made} licences.")
                words = ngettext(
                    "%(plan)s: %(number)d licence was made.", "%(plan)s: %(number)d licences were made.", made
                )
                self.message_user(request, words % {"plan": plan, "number": made}, messages.SUCCESS)
            else:
                self.message_user(request, _("%(plan)s: no licence is missing.") % {"plan": plan}, messages.WARNING)
