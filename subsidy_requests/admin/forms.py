"""Forms of the admin: what a decision needs."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from ..models.configuration import LICENSE
from ..models.requests import LONGEST_REASON


class ApproveForm(forms.Form):
    """From which plan or coupon to grant, and whether to tell the learner."""

    subscription_plan_uuid = forms.UUIDField(label=_("Subscription plan"))
    coupon_id = forms.IntegerField(label=_("Coupon"), min_value=1, max_value=2**63 - 1)
    send_notification = forms.BooleanField(
        label=_("Tell the learners once it is granted"), required=False, initial=True
    )

    def __init__(self, *args: Any, kind: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.source = "subscription_plan_uuid" if kind == LICENSE else "coupon_id"
        del self.fields["coupon_id" if kind == LICENSE else "subscription_plan_uuid"]

    def decided(self) -> dict[str, Any]:
        """Return the values that `services.approve` takes."""
        return {
            "subsidy_id": self.cleaned_data[self.source],
            "send_notification": self.cleaned_data["send_notification"],
        }


class DeclineForm(forms.Form):
    """Why, and whether to tell the learner."""

    decline_reason = forms.CharField(
        label=_("Reason"),
        required=False,
        max_length=LONGEST_REASON,
        widget=forms.Textarea(attrs={"rows": 3, "class": "vLargeTextField"}),
        help_text=_("Stands in the learners' mail."),
    )
    send_notification = forms.BooleanField(label=_("Tell the learners"), required=False, initial=True)

    def __init__(self, *args: Any, kind: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)

    def decided(self) -> dict[str, Any]:
        """Return the values that `services.decline` takes."""
        return dict(self.cleaned_data)
