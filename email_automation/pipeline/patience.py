"""Waiting inside a run: for jobs that nobody sweeps up after, and whose mails should end before they do."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import datetime

from django.utils import timezone

from .. import words
from . import ledger, waiting
from .delivery import deliver
from .outcome import Tally

#: After so many batches in a row that came to nothing, the rest is tried once each.
BATCHES_IN_VAIN = 5
#: How long a run waits in all, in seconds.
BUDGET = 600.0
#: What is due and still waits is in the hands of somebody else, such as a sweep. Seconds until the next look.
LOOK_AGAIN = 1.0

Sleep = Callable[[float], object]


class Patience:
    """Delivers batches one after the other, and waits for their next attempts as long as `budget` seconds last.

    What still waits then is given up, so that nothing is left to do behind the run. With `sleep` None it never waits
    and gives nothing up: that is a worker's way, where the sweep goes on. `told` is called with the ids of each batch
    once it has ended.
    """

    def __init__(
        self,
        *,
        sleep: Sleep | None = time.sleep,
        budget: float = BUDGET,
        told: Callable[[Sequence[int]], object] | None = None,
    ) -> None:
        self._sleep = sleep
        self._left = budget
        self._told = told
        self._in_vain = 0

    def deliver(self, log_ids: Sequence[int]) -> Tally:
        """Send some rows, and again those that want another attempt; return the counts of how they ended."""
        tally = deliver(log_ids)
        if self._sleep is not None:
            wanted_another = False
            while next_attempt := waiting.next_attempt(log_ids):
                wanted_another |= tally[words.PENDING] > 0
                # What was counted as waiting is counted by how it ends.
                tally[words.PENDING] = 0
                if not self._waits(next_attempt):
                    tally.update(ledger.give_up(log_ids))
                    break
                tally.update(deliver(log_ids))
            in_vain = wanted_another and not tally[words.SENT]
            self._in_vain = self._in_vain + 1 if in_vain else 0
        if self._told is not None:
            self._told(log_ids)
        return tally

    def _waits(self, until: datetime) -> bool:
        seconds = (until - timezone.now()).total_seconds()
        if seconds <= 0:
            # Or nobody takes it any more, because its time has passed.
            ledger.expire()
            seconds = LOOK_AGAIN
        if self._sleep is None or self._in_vain >= BATCHES_IN_VAIN or seconds > self._left:
            return False
        self._left -= seconds
        self._sleep(seconds)
        return True


def never_waiting(told: Callable[[Sequence[int]], object] | None = None) -> Patience:
    """Return the patience of a worker."""
    return Patience(sleep=None, told=told)
