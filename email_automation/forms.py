"""Forms of the admin pages."""

from __future__ import annotations

import argparse
from typing import Any

from django import forms
from django.conf import settings
from django.contrib.sites.models import Site
from django.utils.translation import gettext_lazy as _

from . import words
from .management.commands.explain_message import existing_user
from .models import EmailPreference
from .pipeline import message as messages
from .pipeline.message import MessageType


def _choices() -> list[tuple[str, str]]:
    return [(kind.label(), f"{kind.title} ({kind.label()})") for kind in messages.all_messages()]


def default_site() -> int:
    """Return the id of the platform's own site."""
    return int(getattr(settings, "SITE_ID", 1))


class ExplainForm(forms.Form):
    """Which message, for whom, on which day, for which site: what `explain_message` asks for."""

    message = forms.ChoiceField(label=_("Message"), choices=_choices)
    user = forms.CharField(
        label=_("Person"), max_length=254, help_text=_("The exact user name, the number, or the exact address.")
    )
    date = forms.DateField(
        label=_("Day"),
        required=False,
        help_text=_("As of a run of this day (UTC). Empty: now."),
        widget=forms.DateInput(format="%Y-%m-%d", attrs={"type": "date"}),
    )
    site = forms.ModelChoiceField(
        label=_("Site"), queryset=Site.objects.order_by("domain"), empty_label=None, initial=default_site
    )

    def clean_message(self) -> type[MessageType]:
        """Return the message itself."""
        return messages.get(self.cleaned_data["message"])

    def clean_user(self) -> Any:
        """Return the person, by the same rules as the command."""
        try:
            return existing_user(self.cleaned_data["user"].strip())
        except argparse.ArgumentTypeError as error:
            raise forms.ValidationError(_("Nobody has this user name, number or address.")) from error


class EmailPreferenceForm(forms.ModelForm):
    """A person's preferences as an administrator edits them."""

    clear_suppression = forms.BooleanField(
        label=_("Mail this address again"),
        required=False,
        help_text=_("Only after the cause is gone: one more bounce or complaint harms the delivery of all mail."),
    )

    class Meta:
        model = EmailPreference
        fields = ("user", "is_subscribed", *(f"{category}_emails" for category in words.CATEGORIES))
