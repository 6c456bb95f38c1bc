"""A turn: how long a worker delivers before others get theirs."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Final

from ..conf import setting
from ..models import EmailLog

#: What waits in an urgent queue waits for a worker so long, and for the mails that are on the wire. A worker that is
#: not held up by its provider sends several batches in it.
SECONDS = 1.0
#: For fewer mails a task costs more than they do.
FEWEST: Final = 10


class Turn:
    """The time a worker has for some rows, SECONDS unless given, and in `left` the ids of those it did not come to."""

    def __init__(self, seconds: float | None = None) -> None:
        self.left: list[int] = []
        self._ends = time.monotonic() + (SECONDS if seconds is None else seconds)

    @property
    def is_over(self) -> bool:
        """Whether the worker should take no further mail."""
        return time.monotonic() >= self._ends

    def leave(self, rows: Iterable[EmailLog]) -> None:
        """Note rows that the worker holds and will not come to."""
        self.left += [row.pk for row in rows]

    def fits(self, given: int) -> int:
        """Return how many mails the next turn should be given, when this one was given so many.

        What a turn does not come to has been leased, drafted and given back for nothing.
        """
        most: int = setting("EMAIL_BATCH_SIZE")
        return min(max(given - len(self.left) if self.left else 2 * given, FEWEST), most)
