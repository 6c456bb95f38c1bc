"""The consumer of the Redis stream: stores every entry in the inbox first, and acknowledges only what is stored.

Needs the extra `redis-bus`. Of the bus's own consumer it keeps the connection and the group. Its loop it does not
keep: that one acknowledges every entry, also one that nobody has stored, and ends with success when Redis is lost.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping
from typing import Final

from django.db import InterfaceError, OperationalError, close_old_connections, connection
from edx_event_bus_redis.internal.consumer import RedisEventConsumer
from walrus import Database

from courses.eventbus import envelope, foreign, inbox, pokes, stream
from courses.eventbus.conf import setting
from courses.eventbus.inbox import Arrival
from courses.events import TOPIC
from courses.logs import trace

logger = logging.getLogger(__name__)

FIRST_ID: Final = "0-0"
CLAIM_PAGE: Final = 100
CLAIM_EVERY_SECONDS: Final = 60.0
LONGEST_PAUSE: Final = 30


class Consumer(RedisEventConsumer):
    """One process of a group. Begins with what is pending and what came while the group was away.

    It ends after the entry at hand when the event `stopping` is set.
    """

    def __init__(self, group: str, name: str, *, claim_idle_ms: int) -> None:
        super().__init__(TOPIC, group, name, check_backlog=True, claim_msgs_older_than=claim_idle_ms)
        self._claim_every = min(CLAIM_EVERY_SECONDS, max(claim_idle_ms / 1000, 1.0))
        self.stopping = threading.Event()
        # From where in our own pending entries to read on; None: what nobody has read yet.
        self._pending_after: str | bytes | None = FIRST_ID

    def _create_db(self) -> Database:
        """Return a client that notices within seconds when Redis is lost."""
        return stream.connect(wait=setting("EVENT_BUS_REDIS_CONSUMER_POLL_TIMEOUT"))

    def consume_indefinitely(self) -> None:
        """Take in entries until told to stop. Raises redis.RedisError when Redis is lost."""
        next_claim = time.monotonic()
        try:
            while not self.stopping.is_set():
                if time.monotonic() >= next_claim:
                    self._take_over()
                    next_claim = time.monotonic() + self._claim_every
                for entry_id, fields in self._read():
                    self._take_in(entry_id, fields or {})
        finally:
            self.db.close()

    def _take_over(self) -> None:
        """Make entries ours that another name has let lie, and go through all that is pending with us again."""
        cursor: str | bytes = FIRST_ID
        while True:
            cursor, _entries, *trimmed = self.consumer.autoclaim(
                self.consumer_name, self.claim_msgs_older_than, start_id=cursor, count=CLAIM_PAGE
            )
            for entry_id in trimmed[0] if trimmed else ():
                self._drop_trimmed(entry_id)
            if cursor in (FIRST_ID, FIRST_ID.encode()):
                break
        self._pending_after = FIRST_ID

    def _read(self) -> list[tuple[bytes, Mapping[bytes, bytes] | None]]:
        """Return the next entry, at most one, so that what is read and not taken in is never much."""
        if self._pending_after is not None:
            entries = self.consumer.read(count=1, last_id=self._pending_after)
            self._pending_after = entries[0][0] if entries else None
            if entries:
                return list(entries)
        wait = int(setting("EVENT_BUS_REDIS_CONSUMER_POLL_TIMEOUT") * 1000)
        return list(self.consumer.read(count=1, block=wait))

    def _take_in(self, entry_id: bytes, fields: Mapping[bytes, bytes]) -> None:
        """Acknowledge an entry once it is stored. Whatever else happens leaves it pending, and we come back to it."""
        if not fields:
            self._drop_trimmed(entry_id)
            return
        arrival = arrival_of(entry_id, fields)
        is_new = False
        if not inbox.is_foreign(arrival, self.group_id):
            stored = self._store(arrival)
            if stored is None:
                return
            is_new = stored
        self.consumer.ack(entry_id)
        if is_new:
            self._follow(arrival)

    def _store(self, arrival: Arrival) -> bool | None:
        """Store an entry and return whether it is new; None when it is not stored.

        While the database cannot be reached nothing else is taken in: no entry is skipped.
        """
        pause = 1
        while True:
            try:
                # Not the bus's own way: its reconnecting raises errors of the driver that Django does not know.
                close_old_connections()
                return bool(inbox.store(arrival, [self.group_id]))
            except (InterfaceError, OperationalError) as error:
                logger.warning("entry %s waits for the database: %s", arrival.entry, trace(error))
                connection.close()
                if self.stopping.wait(pause):
                    return None
                pause = min(pause * 2, LONGEST_PAUSE)
            except Exception as error:
                logger.error("entry %s could not be stored and stays pending: %s", arrival.entry, trace(error))
                return None

    def _follow(self, arrival: Arrival) -> None:
        """Tell foreign receivers, and have the event handled. What is stored does not depend on it."""
        try:
            foreign.send(arrival.headers, arrival.payload)
            pokes.poke_processor()
        except Exception as error:
            logger.error("entry %s is stored and waits for the beat: %s", arrival.entry, trace(error))
            connection.close_if_unusable_or_obsolete()

    def _drop_trimmed(self, entry_id: bytes) -> None:
        """Acknowledge an id whose entry the stream has given up; there is nothing left to store."""
        logger.warning("entry %s was pending and is gone from the stream", entry_id.decode())
        self.consumer.ack(entry_id)


def arrival_of(entry_id: bytes, fields: Mapping[bytes, bytes]) -> Arrival:
    """Return an entry of the stream as what is stored, without looking into it."""
    return Arrival(
        headers=envelope.headers_of_entry(fields),
        payload=fields.get(envelope.DATA_FIELD, b""),
        entry=entry_id.decode(),
    )
