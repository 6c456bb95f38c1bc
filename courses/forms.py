"""Admin forms of the ground floor."""

from typing import Any, ClassVar

from django import forms
from django.core.exceptions import ValidationError
from django.utils import timezone

from courses.models import Course, SelfPacedConfiguration, SiteConfiguration
from courses.switches import current_config
from courses.validators import validate_org_filter


class CourseForm(forms.ModelForm):
    """Edits a course; only before its start, and while allowed, it can become self-paced."""

    class Meta:
        model = Course
        fields = (
            "key",
            "title",
            "org",
            "start",
            "end",
            "enrollment_start",
            "enrollment_end",
            "self_paced",
            "is_active",
            "is_visible",
            "language",
            "weeks_to_complete",
            "price",
            "currency",
            "highlights_enabled_for_messaging",
        )

    def clean(self) -> dict[str, Any]:
        """Refuse a change to self-paced that the configuration or the start forbids."""
        cleaned = super().clean() or {}
        if cleaned.get("self_paced") and not self.initial.get("self_paced"):
            configuration = current_config(SelfPacedConfiguration)
            start = cleaned.get("start")
            if configuration is None or not configuration.enabled:
                self.add_error(
                    "self_paced", "Self-paced courses are switched off. First add an enabled self-paced configuration."
                )
            elif start is None or start <= timezone.now():
                self.add_error("self_paced", "The course has started or has no start. First set a start in the future.")
        return cleaned


class OneOrgPerLine(forms.CharField):
    """A list of organisation names, edited as lines."""

    widget = forms.Textarea(attrs={"rows": 5})

    def prepare_value(self, value: Any) -> Any:
        """Return the lines of a stored list."""
        return "\n".join(value) if isinstance(value, list) else value

    def to_python(self, value: Any) -> Any:
        """Return the list of the lines; the spaces around a name are not part of it."""
        text = super().to_python(value)
        lines = [line.strip() for line in (text or "").splitlines()]
        while lines and not lines[-1]:
            lines.pop()
        return lines

    def validate(self, value: Any) -> None:
        """Refuse blank lines and repeated names."""
        validate_org_filter(value)

    def has_changed(self, initial: Any, data: Any) -> bool:
        """Compare as lists."""
        try:
            return bool((initial or []) != self.to_python(data))
        except ValidationError:
            return True


class SiteConfigurationForm(forms.ModelForm):
    """Edits a site's configuration with one organisation per line."""

    org_filter = OneOrgPerLine(
        required=False,
        label="Organisations",
        help_text="One per line, upper and lower case differ. Empty: every organisation that no other site lists.",
    )

    class Meta:
        model = SiteConfiguration
        fields = (
            "site",
            "org_filter",
            "platform_name",
            "logo_url",
            "primary_color",
            "contact_mailing_address",
            "from_address",
            "reply_to",
            "list_id",
            "time_zone",
            "language",
            "social_links",
            "store_links",
        )
        widgets: ClassVar = {"contact_mailing_address": forms.TextInput(attrs={"size": 80})}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.initial.setdefault("org_filter", self.instance.org_filter)

    def clean(self) -> dict[str, Any]:
        """Put the list, which is no column, on the configuration."""
        cleaned = super().clean() or {}
        if "org_filter" in cleaned:
            self.instance.org_filter = cleaned["org_filter"]
        return cleaned
