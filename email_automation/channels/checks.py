"""System checks of the channels that messages choose for themselves, and of what talking to Braze takes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register
from django.db.models import Model

from ..braze_standin.reader import stands_in
from ..checks import in_use
from ..conf import setting
from ..pipeline import message as messages
from ..pipeline.message import MessageType
from . import CAMPAIGN_CHANNEL
from .braze import LARGEST_BATCH

QUOTES = "\"'"


@register()
def check_chosen_channels(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """A channel that a message chooses is enabled: ACE would take another one without a word."""
    enabled = list(getattr(settings, "ACE_ENABLED_CHANNELS", None) or [])
    return [
        Error(
            f"{kind.label()} goes by the channel {kind.channel()!r}, which is not in ACE_ENABLED_CHANNELS.",
            hint=f'Add "{kind.channel()}" to ACE_ENABLED_CHANNELS, or have the message\'s app send ordinary e-mail.',
            id="email_automation.E008",
        )
        for kind in messages.all_messages()
        if kind.channel() and kind.channel() not in enabled
    ]


@register()
def check_braze(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """The settings by which Braze is called have usable values. What they hold is not told: one is a secret."""
    rules: list[tuple[str, Callable[[Any], bool], str, str, str]] = [
        (
            "BRAZE_BATCH_SIZE",
            lambda value: _is_number(value) and isinstance(value, int) and 1 <= value <= LARGEST_BATCH,
            "no number of recipients that Braze takes in a request",
            f"Set it to a whole number from 1 to {LARGEST_BATCH}.",
            "E009",
        ),
        (
            "BRAZE_TIMEOUT",
            _is_timeout,
            "not two numbers of seconds above 0",
            "Set it to the seconds to connect and the seconds to wait for an answer, for example (3.05, 10).",
            "E010",
        ),
        (
            "BRAZE_MAX_WAIT_SECONDS",
            lambda value: _is_number(value) and value >= 0,
            "no number of seconds",
            "Set it to a number of at least 0, for example 60.",
            "E011",
        ),
        (
            "BRAZE_CAMPAIGNS",
            _is_texts,
            "not a dictionary of texts",
            'Give the campaigns\' ids by name, for example {"license_utilization_75": "<id from Braze\'s dashboard>"}.',
            "E012",
        ),
        (
            "BRAZE_API_URL",
            _is_address,
            "no address that can be called",
            'Set it to the REST endpoint of your instance, for example "https://rest.iad-01.braze.com".',
            "E013",
        ),
        (
            "BRAZE_API_KEY",
            _is_key,
            "wrapped in quotes or padded with space, so Braze would not know it",
            "Give the key alone; some files of environment variables take quotes for a part of the value.",
            "E014",
        ),
    ]
    return [
        Error(f"{name} is {problem}.", hint=hint, id=f"email_automation.{number}")
        for name, holds, problem, hint, number in rules
        if not holds(setting(name))
    ]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_timeout(value: Any) -> bool:
    return isinstance(value, tuple | list) and len(value) == 2 and all(_is_number(part) and part > 0 for part in value)


def _is_texts(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(text, str) for pair in value.items() for text in pair)


def _is_address(value: Any) -> bool:
    try:
        parts = urlsplit(value) if isinstance(value, str) else None
        return parts is not None and parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _is_key(value: Any) -> bool:
    return (
        isinstance(value, str)
        and value == value.strip()
        and not (value and (value[0] in QUOTES or value[-1] in QUOTES))
    )


def standin_warnings(
    kind: type[MessageType],
    *,
    about: type[Model],
    setting_name: str,
    check_id: str,
    databases: Sequence[str] | None,
) -> list[CheckMessage]:
    """Return the warning that a message's mails end on this machine, on a site that people can reach.

    For the checks of apps, tagged `database`: only where there are rows of `about` would anybody get the message.
    `setting_name` is the setting by which the app chooses the channel.
    """
    if settings.DEBUG or kind.channel() != CAMPAIGN_CHANNEL or not stands_in():
        return []
    if not in_use(about, databases):
        return []
    return [
        Warning(
            f"BRAZE_API_URL leads to this machine, so {kind.label()} reaches nobody.",
            hint=f'Set BRAZE_API_URL, BRAZE_API_KEY and BRAZE_CAMPAIGNS, or {setting_name} to "email".',
            id=check_id,
        )
    ]
