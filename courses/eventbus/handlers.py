"""Who handles which event, and what a handler may say beside "done"."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from openedx_events.data import EventsMetadata
from openedx_events.tooling import OpenEdxPublicSignal

#: Gets the event's contract object and its metadata.
Handler = Callable[[Any, EventsMetadata], object]

_handlers: dict[tuple[str, str], Handler] = {}


class Deferred(Exception):
    """Not yet: something that this event needs has still to come. The text says what, without personal data."""


class Never(Exception):
    """This event can never be handled, as often as it is tried. The text says why, without personal data."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def handles(consumer: str, signal: OpenEdxPublicSignal) -> Callable[[Handler], Handler]:
    """Have a function handle the events of a type that come for a consumer; meant for modules that `ready` imports.

    It is called in a transaction; what it writes, the events it emits and that it is done commit together. It may be
    called again with an event it has handled before under another id, so it has to look what is there. It raises
    Deferred for "not yet" and Never for "never"; anything else that it raises is tried again a few times.
    """

    if len(signal.init_data) != 1:
        raise ValueError(f"{signal.event_type} carries {len(signal.init_data)} objects; allowed is one")

    def decorate(handler: Handler) -> Handler:
        known = _handlers.setdefault((consumer, signal.event_type), handler)
        if known is not handler:
            raise ValueError(f"{consumer} has a handler of {signal.event_type} already: {known.__qualname__}")
        return handler

    return decorate


def handler_of(consumer: str, event_type: str) -> Handler | None:
    """Return the function that handles a type for a consumer."""
    return _handlers.get((consumer, event_type))


def consumers_of(event_type: str) -> list[str]:
    """Return the consumers that handle a type, sorted."""
    return sorted(consumer for consumer, handled in _handlers if handled == event_type)


def is_consumer(consumer: str) -> bool:
    """Return whether anything here is handled for a consumer."""
    return any(known == consumer for known, _type in _handlers)


def forget(consumer: str, signal: OpenEdxPublicSignal) -> None:
    """Let nobody handle a type for a consumer any more."""
    _handlers.pop((consumer, signal.event_type), None)
