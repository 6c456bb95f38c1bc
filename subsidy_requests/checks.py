"""System checks of subsidy requests. That the chosen channel is enabled, the engine checks for every message."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from django.core.checks import CheckMessage, Tags, Warning, register
from django.utils.module_loading import import_string

from email_automation.channels.checks import standin_warnings
from email_automation.checks import in_use
from email_automation.settings_rules import Rule, broken, can_be_imported, is_limit

from . import conf
from .messages.request_approved import RequestApproved
from .models import SubsidyRequestCustomerConfiguration
from .roles import Roles

LIMITS: Final = ("SUBSIDY_APPROVAL_WINDOW_SECONDS", "SUBSIDY_REPUBLISH_AFTER_SECONDS", "SUBSIDY_REPUBLISH_MAX")


@register()
def check_settings(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Our own settings have usable values."""
    rules = (
        *((name, _is_number, "a whole number, 0 or more", "E001") for name in LIMITS),
        (
            "SUBSIDY_REQUESTS_CHANNEL",
            lambda value: value in conf.CHANNELS,
            f"one of {', '.join(conf.CHANNELS)}",
            "E002",
        ),
        ("SUBSIDY_REQUESTS_ROLES", _is_roles, "the dotted path of a subclass of subsidy_requests.roles.Roles", "E003"),
        (
            "SUBSIDY_REQUESTS_AUTHENTICATION_CLASSES",
            can_be_imported,
            "a list of dotted paths of authentication classes of Django REST framework",
            "E004",
        ),
        (
            "SUBSIDY_REQUESTS_CALLS_PER_MINUTE",
            is_limit,
            "a whole number, 0 or None for no limit",
            "E005",
        ),
    )
    return [*broken("subsidy_requests", "subsidy requests", map(Rule._make, rules), conf.setting)]


@register(Tags.database)
def check_portal(app_configs: Any, databases: Sequence[str] | None = None, **kwargs: Any) -> list[CheckMessage]:
    """Where an enterprise takes requests, mails about them have somewhere to lead to."""
    base = conf.setting("LEARNER_PORTAL_BASE_URL")
    is_address = isinstance(base, str) and base.startswith(("https://", "http://"))
    if is_address or not in_use(SubsidyRequestCustomerConfiguration, databases):
        return []
    return [
        Warning(
            "LEARNER_PORTAL_BASE_URL names no web address, so mails about requests wait.",
            hint='Set it to the address of the learner portal, for example "https://learn.example.com".',
            id="subsidy_requests.W001",
        )
    ]


@register(Tags.database)
def check_braze(app_configs: Any, databases: Sequence[str] | None = None, **kwargs: Any) -> list[CheckMessage]:
    """Where an enterprise takes requests, mails about them go to Braze itself."""
    return standin_warnings(
        RequestApproved,
        about=SubsidyRequestCustomerConfiguration,
        setting_name="SUBSIDY_REQUESTS_CHANNEL",
        check_id="subsidy_requests.W003",
        databases=databases,
    )


def _is_roles(path: Any) -> bool:
    try:
        kind = import_string(path)
    except (ImportError, AttributeError, TypeError):
        return False
    return isinstance(kind, type) and issubclass(kind, Roles)


def _is_number(value: Any) -> bool:
    return value is not None and is_limit(value)
