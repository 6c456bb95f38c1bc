"""System checks of the event transport: what would otherwise show as events that never arrive."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

from django.conf import settings
from django.core.checks import CheckMessage, Error, register

from courses.eventbus.conf import REDIS, TRANSPORTS, setting
from courses.events import TYPES

PACKAGE: Final = "edx-event-bus-redis"
FIRST_UNUSABLE_REDIS: Final = 8
LONGEST_POLL: Final = 3


@register()
def check_producer_config(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Our events go through the outbox and by no other way."""
    configured = getattr(settings, "EVENT_BUS_PRODUCER_CONFIG", None) or {}
    return [
        Error(
            f"EVENT_BUS_PRODUCER_CONFIG names {event_type}: it would go out before its transaction commits.",
            hint="Take it out of EVENT_BUS_PRODUCER_CONFIG; courses.eventbus publishes it (EVENT_TRANSPORT says how).",
            id="courses.E004",
        )
        for event_type in sorted(TYPES & set(configured))
    ]


@register()
def check_transport(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """The transport is one that there is, and has what it needs."""
    transport = setting("EVENT_TRANSPORT")
    if transport not in TRANSPORTS:
        return [
            Error(
                f"EVENT_TRANSPORT is {transport!r}, which is no transport.",
                hint=f"Set EVENT_TRANSPORT to one of {', '.join(TRANSPORTS)}.",
                id="courses.E005",
            )
        ]
    if transport != REDIS:
        return []
    return [*_address(), *_packages(), *_poll_timeout()]


def _address() -> list[CheckMessage]:
    if setting("EVENT_BUS_REDIS_CONNECTION_URL"):
        return []
    return [
        Error(
            "EVENT_TRANSPORT is redis and EVENT_BUS_REDIS_CONNECTION_URL is empty.",
            hint="Set EVENT_BUS_REDIS_CONNECTION_URL, for example to redis://127.0.0.1:6379/0.",
            id="courses.E006",
        )
    ]


def _packages() -> list[CheckMessage]:
    """The bus's package works with redis below 8 only, whose pending calls it does not know the newer form of."""
    found: list[CheckMessage] = []
    if not installed(PACKAGE):
        found.append(
            Error(
                f"EVENT_TRANSPORT is redis and {PACKAGE} is not installed.",
                hint='Install the extra: pip install "cadence-mail[redis-bus]".',
                id="courses.E007",
            )
        )
    client = installed("redis")
    if client and int(client.partition(".")[0]) >= FIRST_UNUSABLE_REDIS:
        found.append(
            Error(
                f"EVENT_TRANSPORT is redis and the installed redis {client} is too new for {PACKAGE}.",
                hint='Install an older one: pip install "redis>=6.4,<8".',
                id="courses.E008",
            )
        )
    return found


def installed(package: str) -> str:
    """Return the version of a package, '' where it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _poll_timeout() -> list[CheckMessage]:
    """A consumer that waits longer for an entry takes too long to notice that Redis is lost, or that it shall end."""
    seconds = setting("EVENT_BUS_REDIS_CONSUMER_POLL_TIMEOUT")
    is_number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
    if is_number and 0 < seconds <= LONGEST_POLL:
        return []
    return [
        Error(
            f"EVENT_BUS_REDIS_CONSUMER_POLL_TIMEOUT is {seconds!r}.",
            hint=f"Set EVENT_BUS_REDIS_CONSUMER_POLL_TIMEOUT to a number of seconds above 0, at most {LONGEST_POLL}.",
            id="courses.E009",
        )
    ]
