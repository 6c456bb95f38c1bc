"""System checks of licence notices. That the chosen channel is enabled, the engine checks for every message."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

from django.core.checks import CheckMessage, Error, Tags, Warning, register

from email_automation.channels import takes_mail
from email_automation.channels.checks import standin_warnings
from email_automation.checks import in_use

from . import conf
from .messages.license_utilization import LicenseUtilization
from .models import SubscriptionPlan

#: What the directory of the platform needs.
OF_LMS: Final = (
    "LICENSE_LMS_BASE_URL",
    "LICENSE_LMS_CLIENT_ID",
    "LICENSE_LMS_CLIENT_SECRET",
    "LICENSE_LMS_SERVICE_USERNAME",
)


@register()
def check_settings(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Our own settings have usable values. Of none of those that may be secret the value is told."""
    address = 'an address, for example "https://portal.example.com", or "" while there is none'
    rules = (
        ("LICENSE_NOTIFICATION_CHANNEL", lambda value: value in conf.CHANNELS, _one_of(conf.CHANNELS), "E001"),
        ("LICENSE_ADMIN_DIRECTORY", lambda value: value in conf.DIRECTORIES, _one_of(conf.DIRECTORIES), "E002"),
        (
            "LICENSE_NOTIFICATION_STALE_CLAIM_SECONDS",
            lambda value: _is_whole(value) and value >= 60,
            "a whole number of at least 60",
            "E003",
        ),
        (
            "LICENSE_NOTIFICATION_PROVISIONING_GRACE_SECONDS",
            lambda value: _is_whole(value) and value >= 0,
            "a whole number, 0 or more",
            "E004",
        ),
        (
            "LICENSE_NOTIFICATION_ALLOW_TIME_TRAVEL",
            lambda value: isinstance(value, bool),
            "True or False",
            "E005",
        ),
        ("ENTERPRISE_ADMIN_PORTAL_BASE_URL", lambda value: value == "" or _is_address(value), address, "E006"),
        ("LICENSE_LMS_BASE_URL", lambda value: value == "" or _is_address(value), address, "E007"),
    )
    return [
        Error(
            f"{name} has a value that licence notices cannot use.",
            hint=f"Set it to {allowed}.",
            id=f"license_notifications.{number}",
        )
        for name, holds, allowed, number in rules
        if not holds(conf.setting(name))
    ]


@register(Tags.database)
def check_portal(app_configs: Any, databases: Sequence[str] | None = None, **kwargs: Any) -> list[CheckMessage]:
    """Where there are plans, notices have a page to lead to."""
    if not in_use(SubscriptionPlan, databases):
        return []
    return _missed(["ENTERPRISE_ADMIN_PORTAL_BASE_URL"], "the notices' button leads nowhere", "W001")


@register()
def check_directory(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """What it takes to ask the platform for administrators is there, where it is to be asked."""
    if conf.setting("LICENSE_ADMIN_DIRECTORY") != conf.LMS:
        return []
    return _missed(OF_LMS, "the platform cannot be asked for administrators", "W002")


def _missed(names: Iterable[str], effect: str, number: str) -> list[CheckMessage]:
    return [
        Warning(
            f"{name} is empty, so {effect}.",
            hint="docs/settings.md says what it is, under Licences.",
            id=f"license_notifications.{number}",
        )
        for name in names
        if not conf.setting(name)
    ]


@register()
def check_mail(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Notices that are ordinary mail have a channel to go by."""
    if conf.setting("LICENSE_NOTIFICATION_CHANNEL") != conf.EMAIL or takes_mail():
        return []
    return [
        Error(
            "LICENSE_NOTIFICATION_CHANNEL is 'email', and no edx-ace channel for e-mail is enabled.",
            hint='Name one in ACE_ENABLED_CHANNEL, for example "django_mail".',
            id="license_notifications.E008",
        )
    ]


@register(Tags.database)
def check_braze(app_configs: Any, databases: Sequence[str] | None = None, **kwargs: Any) -> list[CheckMessage]:
    """Where there are plans, notices go to Braze itself."""
    return standin_warnings(
        LicenseUtilization,
        about=SubscriptionPlan,
        setting_name="LICENSE_NOTIFICATION_CHANNEL",
        check_id="license_notifications.W003",
        databases=databases,
    )


def _one_of(words: tuple[str, ...]) -> str:
    return " or ".join(f'"{word}"' for word in words)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_address(value: Any) -> bool:
    try:
        parts = urlsplit(value)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and not (parts.query or parts.fragment)
    except (ValueError, AttributeError, TypeError):
        return False
