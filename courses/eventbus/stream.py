"""The carrier that publishes on a Redis stream. Needs the extra `redis-bus`; imported by name only."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Final

from django.core.exceptions import ImproperlyConfigured
from edx_event_bus_redis.internal.producer import RedisEventProducer
from openedx_events.data import EventsMetadata
from openedx_events.tooling import OpenEdxPublicSignal
from redis.backoff import NoBackoff
from redis.retry import Retry
from walrus import Database

from courses.eventbus import envelope
from courses.eventbus.conf import setting, stream_of
from courses.models import EventOutbox

CONNECT_SECONDS: Final = 2
ANSWER_SECONDS: Final = 1


def connect(*, wait: float = ANSWER_SECONDS) -> Database:
    """Return a client that gives up soon: what is lost comes out as an error and is tried again later by us.

    `wait` is how long the server may hold an answer back, in seconds.
    """
    url = setting("EVENT_BUS_REDIS_CONNECTION_URL")
    if not url:
        raise ImproperlyConfigured("EVENT_BUS_REDIS_CONNECTION_URL is not set")
    return _client(url, wait)


def _client(url: str, wait: float) -> Database:
    return Database.from_url(
        url,
        socket_connect_timeout=CONNECT_SECONDS,
        socket_timeout=wait + ANSWER_SECONDS,
        socket_keepalive=True,
        retry=Retry(NoBackoff(), 0),
    )


class Producer(RedisEventProducer):
    """The bus's producer, except that its errors come out and that it publishes what has been serialised before."""

    def send(
        self,
        *,
        signal: OpenEdxPublicSignal,
        topic: str,
        event_key_field: str,
        event_data: dict[str, Any],
        event_metadata: EventsMetadata,
    ) -> None:
        """Publish an event of the moment."""
        self.add(topic, envelope.headers_of(event_metadata), envelope.serialised(signal, event_data))

    def add(self, topic: str, headers: Mapping[str, str], payload: bytes) -> None:
        """Append an event to the topic's stream, which keeps about as many entries as the setting says."""
        fields = {name.encode(): text.encode() for name, text in headers.items()} | {envelope.DATA_FIELD: payload}
        stream = self.client.Stream(stream_of(topic))
        stream.add(fields, maxlen=setting("EVENT_BUS_REDIS_STREAM_MAX_LEN"), approximate=True)


@lru_cache(maxsize=1)
def _producer(url: str | None) -> Producer:
    return Producer(connect())


def carry(row: EventOutbox, mark: Callable[[], None]) -> None:
    """Append an event to its stream, then mark it; a crash in between publishes it once more under the same id."""
    _producer(setting("EVENT_BUS_REDIS_CONNECTION_URL")).add(row.topic, row.headers, bytes(row.payload))
    mark()
