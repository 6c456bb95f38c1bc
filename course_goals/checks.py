"""System checks of weekly goals."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from django.core.checks import CheckMessage, Error, Warning, register
from django.utils.module_loading import import_string

from email_automation.channels import takes_mail

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
        *((name, _is_limit, "a whole number, 0 or None for no limit", "E004") for name in LIMITS),
        ("COURSE_GOALS_SKIP_UNUSABLE_PASSWORD", lambda value: isinstance(value, bool), "True or False", "E005"),
        (
            "COURSE_GOALS_AUTHENTICATION_CLASSES",
            _can_be_imported,
            "a list of dotted paths of authentication classes of Django REST framework",
            "E006",
        ),
    )
    return [
        Error(
            f"{name} is {conf.setting(name)!r}, which weekly goals cannot use.",
            hint=f"Set it to {allowed}.",
            id=f"course_goals.{number}",
        )
        for name, holds, allowed, number in rules
        if not holds(conf.setting(name))
    ]


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_range(value: Any) -> bool:
    if not isinstance(value, list | tuple) or len(value) != 2 or not all(map(_is_whole, value)):
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
    return all(_is_whole(number) and fewest <= number <= most for number in days) and len(set(days)) == len(days)


def _are_limits(value: Any) -> bool:
    try:
        limits = conf.access_limits()
    except (TypeError, ValueError):
        return False
    as_of = limits.enabled_as_of
    return (
        isinstance(limits.enabled, bool)
        and (as_of is None or (isinstance(as_of, datetime) and as_of.tzinfo is not None))
        and _is_whole(limits.min_weeks)
        and _is_whole(limits.max_weeks)
        and 0 < limits.min_weeks <= limits.max_weeks
    )


def _is_limit(value: Any) -> bool:
    return value is None or (_is_whole(value) and value >= 0)


def _can_be_imported(paths: Any) -> bool:
    if not isinstance(paths, list | tuple):
        return False
    try:
        return all(callable(import_string(path)) for path in paths)
    except (ImportError, AttributeError, TypeError):
        return False
