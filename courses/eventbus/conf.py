"""The settings of the event transport and what they are when a project leaves them out."""

from __future__ import annotations

from typing import Any, Final

from django.conf import settings

EMBEDDED: Final = "embedded"
REDIS: Final = "redis"
TRANSPORTS: Final = (EMBEDDED, REDIS)

DEFAULTS: Final[dict[str, Any]] = {
    "CELERY_BROKER_URL": "",
    "EVENT_BUS_REDIS_CONNECTION_URL": None,
    "EVENT_BUS_REDIS_CONSUMER_POLL_TIMEOUT": 3,
    "EVENT_BUS_REDIS_STREAM_MAX_LEN": 10_000,
    "EVENT_BUS_TOPIC_PREFIX": "dev",
    "EVENT_TRANSPORT": EMBEDDED,
}


def setting(name: str) -> Any:
    """Return a setting of the transport, or its default. Raises KeyError for a name that is none of its."""
    return getattr(settings, name, DEFAULTS[name])


def stream_of(topic: str) -> str:
    """Return the name of the stream that a topic is published on."""
    prefix = setting("EVENT_BUS_TOPIC_PREFIX")
    return f"{prefix}-{topic}" if prefix else topic
