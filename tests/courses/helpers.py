"""Listening to signals, and doing things at the same time, in tests."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Barrier
from typing import Any

from django.db import connection, transaction
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


def at_once(function: Callable[[int], Any], writers: int = 4) -> list[Any]:
    """Run a function in several threads that start together, each with its own connection."""
    barrier = Barrier(writers)

    def run(number: int) -> Any:
        try:
            connection.ensure_connection()
            barrier.wait(timeout=20)
            return function(number)
        finally:
            connection.close()

    with ThreadPoolExecutor(writers) as pool:
        return list(pool.map(run, range(writers)))
