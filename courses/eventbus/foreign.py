"""Receivers of other people, who listen to our signals as to any of Open edX."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from django.dispatch import Signal

from courses.eventbus import envelope

logger = logging.getLogger(__name__)


def send(headers: Mapping[str, str], payload: bytes) -> None:
    """Send the signal of an event that came by the bus, with the metadata it was stored with.

    What a receiver raises is logged and holds nothing back. An event that cannot be read is none to them.
    """
    signal = envelope.signal_of(headers)
    if signal is None or not signal.receivers:
        return
    try:
        data, metadata = envelope.data_of(headers, payload), envelope.metadata_of(headers)
    except envelope.Unreadable:
        return
    # Past the signal's own methods: with DEBUG on these end at the first receiver that raises.
    answers = Signal.send_robust(signal, sender=None, metadata=metadata, from_event_bus=True, **data)
    for receiver, answer in answers:
        if isinstance(answer, Exception):
            name = getattr(receiver, "__qualname__", type(receiver).__name__)
            logger.error(
                "receiver %s of %s (%s) failed: %s", name, metadata.event_type, metadata.id, type(answer).__name__
            )
