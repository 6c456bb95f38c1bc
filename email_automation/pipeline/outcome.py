"""What became of one attempt to hand a mail off, as a word with a reason."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta

from courses.logs import trace as trace

from .. import words

RETRY_BASE = timedelta(seconds=60)
RETRY_CAP = timedelta(hours=1)
#: The reason of a mail that could not even be offered to its provider.
UNREACHABLE = "unreachable"
#: The word under which a tally counts faults on our side.
OURS = "ours"


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The status a row gets, why, and what the provider said.

    `status` is one of `sent`, `failed`, `skipped`, `unknown`, or `pending` for "try again", not before `retry_at`.
    `ours` says that the cause is on this side (template, channel, configuration), so a command must not end with 0.
    `unreachable` says that the next mail would meet the same fate, so the rest of the slice waits too.
    `hard_bounce` says that the address cannot be mailed at all, so nothing more is sent to it.
    """

    status: str
    reason: str = ""
    detail: str = ""
    retry_at: datetime | None = None
    provider_message_id: str = ""
    ours: bool = False
    unreachable: bool = False
    hard_bounce: bool = False

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
    return spread(min(RETRY_BASE * (1 << max(attempts - 1, 0)), RETRY_CAP))


def spread(delay: timedelta) -> timedelta:
    """Return a delay up to a fifth shorter or longer, so that those who wait do not all come back at once."""
    return delay * random.uniform(0.8, 1.2)  # noqa: S311  (spreads load, guards nothing)


class Tally(Counter[str]):
    """Counts of outcomes: a status word, or `skipped:<reason>`.

    `ours` counts faults on our side, and `ours:<run id>` those of one run.
    """

    def note(self, outcome: Outcome, number: int = 1, *, run_id: int | None = None) -> None:
        """Count an outcome."""
        self[outcome.status] += number
        if outcome.status == words.SKIPPED:
            self[f"{words.SKIPPED}:{words.group(outcome.reason)}"] += number
        if outcome.ours:
            self[OURS] += number
            if run_id is not None:
                self[f"{OURS}:{run_id}"] += number

    @property
    def reasons(self) -> dict[str, int]:
        """The skips by reason."""
        return self._under(words.SKIPPED)

    @property
    def faulty_runs(self) -> dict[int, int]:
        """The faults on our side by run id; faults of mails that belong to no run are not in it."""
        return {int(run_id): number for run_id, number in self._under(OURS).items() if number}

    def _under(self, word: str) -> dict[str, int]:
        return {
            key.removeprefix(f"{word}:"): number for key, number in sorted(self.items()) if key.startswith(f"{word}:")
        }
