"""Cutting streams into slices of bounded size."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

T = TypeVar("T")


def slices(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Yield lists of at most `size` items, in order, reading no further ahead than one list."""
    stream = iter(items)
    while batch := list(islice(stream, size)):
        yield batch
