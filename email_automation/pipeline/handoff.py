"""The hand-off of a slice's mails: each begun before it goes out, and finished as soon as somebody has answered."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any, Final

from .. import consent, words
from ..models import EmailLog
from . import bodies, ledger, letters
from .message import MessageType
from .outcome import UNREACHABLE, Outcome, Tally

Done = tuple[EmailLog, Outcome]

#: Outcomes of mails in flight are written with the next beginning, and no later than so many seconds after they came.
FINISH_WITHIN: Final = 1.0


class HandOff:
    """Sends the mails of one message, in their order.

    A mail goes alone, in flight with others where the channel allows it, or in one call with others of its cohort.
    `down` is the outcome that the next mail would meet too: whoever makes the mails should make no more of them then.
    """

    def __init__(self, message: type[MessageType], tally: Tally) -> None:
        self.down: Outcome | None = None
        self._message = message
        self._tally = tally
        #: What is known and not written yet: of the last mail that went alone, or of some that were in flight.
        self._done: list[Done] = []
        self._known_since = 0.0

    def send(self, prepared: Iterator[letters.Letter]) -> None:
        """Send mails as they are prepared. What is known when an error ends this is written all the same."""
        together: list[letters.Letter] = []
        try:
            letter = next(prepared, None)
            while letter is not None:
                if letters.goes_together(self._message, letter):
                    together.append(letter)
                elif (most := letters.in_flight(letter)) > 1:
                    letter = self._fly(letter, prepared, most)
                    continue
                else:
                    self._send(letter)
                letter = next(prepared, None)
        except BaseException:
            with contextlib.suppress(Exception):
                self._finish()
            raise
        self._finish()
        for bundle in letters.bundles(together):
            self._send_together(bundle)

    def put_off(self, rows: Sequence[EmailLog]) -> None:
        """Have mails wait that would meet what made the provider `down`."""
        if self.down is None or not rows:
            return
        # They would wait for the same time-out, or end in doubt too.
        behind = Outcome(
            status=words.PENDING, reason=UNREACHABLE, detail=self.down.detail, ours=self.down.ours, unreachable=True
        )
        self._tally.update(ledger.settle(rows, behind))

    def _send(self, letter: letters.Letter) -> None:
        # Not begun: withdrawn or taken over meanwhile; its new owner counts it.
        if not self._begun([letter]):
            return
        outcome = letters.hand_off(letter)
        self._done.append((letter.row, outcome))
        self._follow(letter, outcome)

    def _follow(self, letter: letters.Letter, outcome: Outcome) -> None:
        if outcome.unreachable:
            self.down = outcome
        if outcome.hard_bounce and not letter.row.is_test:
            # Now and not with the next mail: that may be to the same person, whose mails this withdraws.
            self._finish()
            consent.suppress(letter.row.recipient_id, letter.prepared.to_address, reason=consent.BOUNCE)

    def _fly(self, first: letters.Letter, prepared: Iterator[letters.Letter], most: int) -> letters.Letter | None:
        """Send mails of one channel in flight, the next of them prepared while others are on the wire.

        Returns the first mail of another channel.
        """
        stream = _Stream(first, prepared)

        def more(number: int) -> list[letters.Letter]:
            # None of a chunk may be left to hand off, and more of them to come.
            while chunk := stream.take(number):
                if going := stream.safely(self._begun, chunk):
                    return going
            return []

        for answers in letters.hand_off_in_flight(first.channel, more, most=most):
            self._known_since = self._known_since if self._done else time.monotonic()
            self._done += [(letter.row, outcome) for letter, outcome in answers]
            for letter, outcome in answers:
                self._follow(letter, outcome)
            if self._done and time.monotonic() - self._known_since > FINISH_WITHIN:
                self._finish()
        self._finish()
        if stream.error is not None:
            raise stream.error
        return stream.other

    def _begun(self, chunk: Sequence[letters.Letter]) -> list[letters.Letter]:
        """Begin mails, and write in the same step what is known of others; returns those that may be handed off."""
        turn = ledger.turn(self._done, self._beginnings(chunk))
        self._forget_known(turn.recorded)
        return [letter for letter in chunk if letter.row.id in turn.begun]

    def _beginnings(self, chunk: Sequence[letters.Letter]) -> list[ledger.Beginning]:
        bodies.keep(letter.body for letter in chunk)
        return [(letter.row, letter.prepared, self._message.lease) for letter in chunk]

    def _finish(self) -> None:
        if self._done:
            self._forget_known(ledger.finish_all(self._done))

    def _forget_known(self, recorded: Sequence[Outcome | None]) -> None:
        """Count what has been written of what is known."""
        done, self._done = self._done, []
        for each, outcome in zip(done, recorded, strict=True):
            self._note(each, outcome)

    def _send_together(self, bundle: Sequence[letters.Letter]) -> None:
        """Hand the mails of a bundle off in one call: all begun in one write, all finished in one transaction."""
        begun = ledger.begin_all(self._beginnings(bundle))
        going = [letter for letter in bundle if letter.row.pk in begun]
        if going:
            outcome = letters.hand_off_together(going)
            self._done = [(letter.row, outcome) for letter in going]
            self._finish()

    def _note(self, done: Done | None, recorded: Outcome | None) -> None:
        # A row that somebody took over is counted by its new owner.
        if done is not None and recorded is not None:
            self._tally.note(recorded, run_id=done[0].run_id)


class _Stream:
    """Prepared mails of one channel.

    An error while they are made or begun ends them, and is kept: what is on the wire must be heard of first.
    """

    def __init__(self, first: letters.Letter, prepared: Iterator[letters.Letter]) -> None:
        self.error: BaseException | None = None
        #: The mail that ended them, of another channel.
        self.other: letters.Letter | None = None
        self._mails = self._of_one_channel(first, prepared)

    def take(self, number: int) -> list[letters.Letter]:
        """Return the next mails, at most so many."""
        return self.safely(lambda: list(islice(self._mails, number)))

    def safely(self, make: Callable[..., list[letters.Letter]], *args: Any) -> list[letters.Letter]:
        """Return what is made, nothing after an error."""
        if self.error is not None:
            return []
        try:
            return make(*args)
        except (Exception, KeyboardInterrupt, SystemExit) as error:
            self.error = error
            return []

    def _of_one_channel(self, first: letters.Letter, prepared: Iterator[letters.Letter]) -> Iterator[letters.Letter]:
        yield first
        for letter in prepared:
            if letter.channel is not first.channel:
                self.other = letter
                return
            yield letter
