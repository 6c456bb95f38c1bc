"""What became of one attempt to hand a mail off, as a word with a reason."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta

from .. import words

RETRY_BASE = timedelta(seconds=60)
RETRY_CAP = timedelta(hours=1)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The status a row gets, why, and what the provider said.

    `status` is one of `sent`, `failed`, `skipped`, `unknown`, or `pending` for "try again", not before `retry_at`.
    `ours` says that the cause is on this side (template, channel, configuration), so a command must not end with 0.
    `unreachable` says that the next mail would meet the same fate, so the rest of the slice waits too.
    """

    status: str
    reason: str = ""
    detail: str = ""
    retry_at: datetime | None = None
    provider_message_id: str = ""
    ours: bool = False
    unreachable: bool = False

    @classmethod
    def sent(cls, provider_message_id: str = "") -> Outcome:
        """The provider accepted it."""
        return cls(status=words.SENT, provider_message_id=provider_message_id)

    @classmethod
    def skipped(cls, reason: str) -> Outcome:
        """It must not go out; the key is given back."""
        return cls(status=words.SKIPPED, reason=reason)


def retry_delay(attempts: int) -> timedelta:
    """Return how long to wait after the given number of attempts: doubling, capped, spread by a fifth either way."""
    delay = min(RETRY_BASE * 2 ** max(attempts - 1, 0), RETRY_CAP)
    return delay * random.uniform(0.8, 1.2)  # noqa: S311  (spreads load, guards nothing)


class Tally(Counter[str]):
    """Counts of outcomes: a status word, or `skipped:<reason>`; `ours` counts faults on our side."""

    def note(self, outcome: Outcome, number: int = 1) -> None:
        """Count an outcome."""
        self[outcome.status] += number
        if outcome.status == words.SKIPPED:
            self[f"{words.SKIPPED}:{words.group(outcome.reason)}"] += number
        if outcome.ours:
            self["ours"] += number

    @property
    def reasons(self) -> dict[str, int]:
        """The skips by reason."""
        prefix = f"{words.SKIPPED}:"
        return {key.removeprefix(prefix): number for key, number in sorted(self.items()) if key.startswith(prefix)}
