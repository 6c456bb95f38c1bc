"""The hand-off of a slice's mails: each begun before it goes out, and finished as soon as somebody has answered."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from django.db import InterfaceError, OperationalError

from .. import consent, words
from ..models import EmailLog
from . import ledger, letters
from .message import MessageType
from .outcome import UNREACHABLE, Outcome, Tally

Done = tuple[EmailLog, Outcome]


class HandOff:
    """Takes rendered mails of one message, in the order of sending.

    A mail goes alone, in flight with others where the channel allows it, or in one call with others of its cohort.
    `down` is the outcome that the next mail would meet too: nothing more is to be taken then.
    """

    def __init__(self, message: type[MessageType], tally: Tally) -> None:
        self.down: Outcome | None = None
        self._message = message
        self._tally = tally
        self._done: Done | None = None
        self._flying: list[letters.Letter] = []
        self._most = 1
        self._together: list[letters.Letter] = []

    def __enter__(self) -> HandOff:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            with contextlib.suppress(Exception):
                self._finish()
            return
        self._fly()
        self._finish()
        for bundle in letters.bundles(self._together):
            self._send_together(bundle)

    def take(self, letter: letters.Letter) -> None:
        """Send a mail, now or with those that follow it."""
        if letters.goes_together(self._message, letter):
            self._together.append(letter)
        elif self._may_fly(letter):
            self._flying.append(letter)
            if len(self._flying) >= self._most:
                self._fly()
        else:
            self._send(letter)

    def _may_fly(self, letter: letters.Letter) -> bool:
        # Asked once for those that wait for each other: nothing goes out meanwhile.
        if not self._flying:
            self._most = letters.in_flight(letter)
        return self._most > 1

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
        done, row = self._done, letter.row
        step = ledger.finish_and_begin(done, (row, letter.prepared, self._message.lease))
        # Not begun: withdrawn or taken over meanwhile; its new owner counts it.
        self._done = None
        self._note(done, step.recorded)
        if not step.begun:
            return
        self._done = (row, letters.hand_off(letter))
        if self._done[1].unreachable:
            self.down = self._done[1]
        if self._done[1].hard_bounce and not row.is_test:
            # Now and not with the next mail: that may be to the same person, whose mails this withdraws.
            self._finish()
            consent.suppress(row.recipient_id, letter.prepared.to_address, reason=consent.BOUNCE)

    def _finish(self) -> None:
        if self._done is not None:
            done, self._done = self._done, None
            self._note(done, ledger.finish(*done))

    def _fly(self) -> None:
        """Begin the mails that wait for each other in one write, and finish each with its answer."""
        flying, self._flying = self._flying, []
        if not flying:
            return
        if self.down is not None:
            self.put_off([letter.row for letter in flying])
            return
        self._finish()
        begun = ledger.begin_all([(letter.row, letter.prepared, self._message.lease) for letter in flying])
        going = [letter for letter in flying if letter.row.pk in begun]
        for answers in letters.hand_off_in_flight(going) if going else ():
            self._finish_all([(letter.row, outcome) for letter, outcome in answers])
            for letter, outcome in answers:
                if outcome.unreachable:
                    self.down = outcome
                if outcome.hard_bounce and not letter.row.is_test:
                    consent.suppress(letter.row.recipient_id, letter.prepared.to_address, reason=consent.BOUNCE)

    def _send_together(self, bundle: Sequence[letters.Letter]) -> None:
        """Hand the mails of a bundle off in one call: all begun in one write, all finished in one transaction."""
        begun = ledger.begin_all([(letter.row, letter.prepared, self._message.lease) for letter in bundle])
        going = [letter for letter in bundle if letter.row.pk in begun]
        if going:
            outcome = letters.hand_off_together(going)
            self._finish_all([(letter.row, outcome) for letter in going])

    def _finish_all(self, done: Sequence[Done]) -> None:
        try:
            recorded = ledger.finish_all(done)
        except (OperationalError, InterfaceError):
            # One by one, each on a connection that works; what was written already is found written.
            recorded = [ledger.finish(*each) for each in done]
        for each, outcome in zip(done, recorded, strict=True):
            self._note(each, outcome)

    def _note(self, done: Done | None, recorded: Outcome | None) -> None:
        # A row that somebody took over is counted by its new owner.
        if done is not None and recorded is not None:
            self._tally.note(recorded, run_id=done[0].run_id)
