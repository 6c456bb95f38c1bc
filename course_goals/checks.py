"""System checks of weekly goals."""

from __future__ import annotations

from typing import Any, Final

from django.core.checks import CheckMessage, Warning, register

from email_automation.channels import takes_mail

NO_CHANNEL: Final = "No edx-ace channel for e-mail is enabled, so no reminder of a weekly goal can be sent."


@register()
def check_channel(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """There is a way to send reminders."""
    if takes_mail():
        return []
    return [
        Warning(
            NO_CHANNEL,
            hint='Name one in ACE_ENABLED_CHANNEL, for example "django_mail".',
            id="course_goals.W001",
        )
    ]
