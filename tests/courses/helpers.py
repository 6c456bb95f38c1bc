"""Listening to signals in tests."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import transaction
from django.dispatch import Signal


@contextmanager
def heard(signal: Signal) -> Iterator[list[dict[str, Any]]]:
    """Collect what a signal sends, with whether a transaction was open then."""
    calls: list[dict[str, Any]] = []

    def listen(sender: Any, **kwargs: Any) -> None:
        kwargs.pop("signal")
        calls.append(kwargs | {"sender": sender, "in_transaction": transaction.get_connection().in_atomic_block})

    signal.connect(listen, weak=False)
    try:
        yield calls
    finally:
        signal.disconnect(listen)
