"""The form in which an operator prepares a schedule."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from .models import Schedule, ScheduleExperience


class ScheduleForm(forms.ModelForm):
    """Edits a schedule together with its experience, which may have no row yet."""

    experience_type = forms.TypedChoiceField(
        coerce=int, choices=ScheduleExperience.EXPERIENCES, label=_("Experience"), required=True
    )

    class Meta:
        model = Schedule
        fields = ("start_date", "upgrade_deadline", "active")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # A reader without the right to change gets a form without fields.
        if "experience_type" in self.fields:
            self.initial.setdefault("experience_type", self.instance.experience_type)
