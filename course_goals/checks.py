"""System checks of weekly goals."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from django.core.checks import CheckMessage, Warning, register

from email_automation.channels import takes_mail
from email_automation.settings_rules import Rule, broken, can_be_imported, is_limit, is_whole

from . import conf
from .models import MOST_DAYS

LIMITS: Final = (
    "COURSE_GOALS_SAVES_PER_MINUTE",
    "COURSE_GOALS_OUTLINES_PER_MINUTE",
    "COURSE_GOALS_UNSUBSCRIBES_PER_MINUTE",
)
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


@register()
def check_settings(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Our own settings have usable values."""
    rules = (
        ("COURSE_GOALS_DAYS_RANGE", _is_range, f"a pair of whole numbers within 1 and {MOST_DAYS}", "E001"),
        (
            "COURSE_GOALS_CHOICES",
            _are_choices,
            "a list of (days, name), with days within COURSE_GOALS_DAYS_RANGE",
            "E002",
        ),
        (
            "AUDIT_ACCESS_LIMITS",
            _are_limits,
            'a dict of "enabled", "enabled_as_of" (an aware datetime, or its text), "min_weeks" and "max_weeks"',
            "E003",
        ),
        *((name, is_limit, "a whole number, 0 or None for no limit", "E004") for name in LIMITS),
        ("COURSE_GOALS_SKIP_UNUSABLE_PASSWORD", lambda value: isinstance(value, bool), "True or False", "E005"),
        (
            "COURSE_GOALS_AUTHENTICATION_CLASSES",
            can_be_imported,
            "a list of dotted paths of authentication classes of Django REST framework",
            "E006",
        ),
    )
    return [*broken("course_goals", "weekly goals", map(Rule._make, rules), conf.setting)]


def _is_range(value: Any) -> bool:
    if not isinstance(value, list | tuple) or len(value) != 2 or not all(map(is_whole, value)):
        return False
    return bool(1 <= value[0] <= value[1] <= MOST_DAYS)


def _are_choices(value: Any) -> bool:
    if not isinstance(value, list | tuple) or not all(
        isinstance(pair, list | tuple) and len(pair) == 2 for pair in value
    ):
        return False
    given = conf.setting("COURSE_GOALS_DAYS_RANGE")
    fewest, most = given if _is_range(given) else (1, MOST_DAYS)
    days = [pair[0] for pair in value]
    return all(is_whole(number) and fewest <= number <= most for number in days) and len(set(days)) == len(days)


def _are_limits(value: Any) -> bool:
    try:
        limits = conf.access_limits()
    except (TypeError, ValueError):
        return False
    as_of = limits.enabled_as_of
    return (
        isinstance(limits.enabled, bool)
        and (as_of is None or (isinstance(as_of, datetime) and as_of.tzinfo is not None))
        and is_whole(limits.min_weeks)
        and is_whole(limits.max_weeks)
        and 0 < limits.min_weeks <= limits.max_weeks
    )
