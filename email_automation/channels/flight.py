"""Mails in flight: on the wire before the first of them is answered, and each accounted for whatever happens."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple

from django.utils import timezone

from .dialogue import Answer, Mail
from .errors import ProviderUnreachable
from .kept import KeptConnection
from .smtp import EmailBackend
from .translation import described, failure_to_send, timed_out

#: The number of a mail, and what went wrong with it.
Told = tuple[int, Exception | None]


class _Flying(NamedTuple):
    """A mail on the wire, its number, and when it was put there."""

    number: int
    mail: Mail
    since: float


class Flight:
    """Sends chunks of mails over the kept connection, at most `most` mails at once.

    `more` gives the next mails when there is room for so many, none at the end. `ready` makes of each the mail as it
    goes over the wire, and raises for what cannot be written.
    """

    def __init__(
        self,
        kept: KeptConnection,
        more: Callable[[int], Sequence[Any]],
        *,
        most: int,
        ready: Callable[[Any], Mail],
    ) -> None:
        self._kept = kept
        self._ask = more
        self._most = most
        self._ready = ready
        self._more = True
        self._number = 0
        self._waiting: deque[tuple[int, Mail]] = deque()
        self._flying: deque[_Flying] = deque()
        self._backend: EmailBackend | None = None
        #: What ended the connection that mails are still flying on.
        self._broken: Exception | None = None
        self._in_doubt = False
        #: Whether this connection has got anything done; one that was idle may turn out to be closed.
        self._gets_on = False

    def run(self) -> Iterator[list[Told]]:
        """Yield what became of the mails, each once; see `DjangoMailChannel.deliver_in_flight`."""
        while True:
            while self._has_room:
                if unwritable := self._take():
                    yield unwritable
            if not self._waiting and not self._flying:
                return
            try:
                self._write()
            except ProviderUnreachable as error:
                yield [(number, error) for number, _ in self._waiting]
                return
            if self._has_room:
                # The next chunk is made while the answers to this one are on their way.
                continue
            if known := self._read():
                yield known
            if self._broken is not None and not self._flying:
                if (hopeless := self._end_connection(self._broken)) is not None:
                    yield [(number, hopeless) for number, _ in self._waiting]
                    return
                self._broken = None

    @property
    def _chunk(self) -> int:
        """How many mails go at once: half of a window, so that the next are made while these are on their way."""
        return max(min(self._kept.window.size, self._most) // 2, 1)

    @property
    def _has_room(self) -> bool:
        full = len(self._flying) + self._chunk > min(self._kept.window.size, self._most)
        return self._more and not self._waiting and not full and self._broken is None

    def _take(self) -> list[Told]:
        """Ask for another chunk, and return what of it cannot be written."""
        chunk = self._ask(self._chunk)
        self._more = bool(chunk)
        unwritable: list[Told] = []
        for each in chunk:
            number, self._number = self._number, self._number + 1
            try:
                self._waiting.append((number, self._ready(each)))
            except Exception as error:
                unwritable.append((number, error))
        return unwritable

    def _write(self) -> None:
        """Put on the wire what waits for it, unless the connection ends and has to be read to its end first."""
        if not self._waiting or self._broken is not None or (self._flying and not self._kept.room):
            return
        backend = self._backend if self._flying else self._kept.if_open()
        if not self._flying:
            self._gets_on = backend is not None
            backend = backend or self._kept.open()
        if not isinstance(backend, EmailBackend):
            raise TypeError("only our own SMTP backend has mails in flight")
        self._backend = backend
        going = list(islice(self._waiting, self._kept.room))
        try:
            backend.write([mail for _, mail in going])
        except OSError as error:
            # Nothing of it went out.
            self._broken = error
            return
        now = time.monotonic()
        self._flying += [_Flying(number, mail, now) for number, mail in going]
        for _ in going:
            self._waiting.popleft()

    def _read(self) -> list[Told]:
        """Return what the server has made of the oldest mails in flight; what it has not read waits again."""
        if self._backend is None or not self._flying:
            return []
        known: list[Told] = []
        answers: list[Answer] = self._backend.answers()
        for said in answers:
            number, mail, since = self._flying.popleft()
            if said.unread:
                self._waiting.append((number, mail))
            else:
                known.append((number, said.error and failure_to_send(said.error, in_doubt=said.in_doubt)))
                self._gets_on = True
            if said.unread or said.in_doubt:
                self._broken = said.error
            self._in_doubt = self._in_doubt or said.in_doubt
        self._kept.window.answered(len(answers), time.monotonic() - since)
        return known

    def _end_connection(self, broken: Exception) -> Exception | None:
        """Drop a connection, and return what the mails that still wait would meet on another, if that is known."""
        self._kept.forget()
        self._kept.remember_silence(broken)
        if self._in_doubt or timed_out(broken):
            return ProviderUnreachable(described(broken), timezone.now())
        return None if self._gets_on else failure_to_send(broken)
