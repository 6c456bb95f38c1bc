"""The dialogue with an SMTP server that lets commands follow each other without waiting for answers.

PIPELINING (RFC 2920) puts a mail's envelope into one write; CHUNKING (RFC 3030) the whole mail, and several of them.
Every mail gets exactly one answer, also when the connection breaks at any byte.
"""

from __future__ import annotations

import contextlib
import re
import select
import smtplib
import socket
import ssl
from collections import deque
from collections.abc import Sequence
from itertools import accumulate
from typing import Final, NamedTuple

SERVICE_CLOSING: Final = 421
OK: Final = 250
GO_ON: Final = 354
_ACCEPTS_RECIPIENT: Final = (250, 251)
_LONGEST_REPLY: Final = 64 * 1024
#: The most that is given to the system in one call; over TLS it would all be encrypted before any of it is sent.
_AT_ONCE: Final = 256 * 1024
_ALL_OK: Final = {number: re.compile(rb"(?:250 [^\n]*\n){%d}" % number) for number in (3, 4)}
_LONE_DOT: Final = re.compile(rb"^\.", re.MULTILINE)


class Mail(NamedTuple):
    """One mail: whom the server is told it is from and to, and its bytes, which end with CR LF."""

    sender: str
    recipient: str
    data: bytes


class Answer(NamedTuple):
    """What became of one mail: taken, where there is no error.

    `in_doubt`: it was written to its end and never answered. `unread`: it is certain that the server has not taken it,
    and it may be sent on another connection.
    """

    error: Exception | None = None
    in_doubt: bool = False
    unread: bool = False


_TAKEN: Final = Answer()


class Reply(NamedTuple):
    """A server's reply: its code, and the words of all its lines."""

    code: int
    text: bytes


class _Flying(NamedTuple):
    """A mail on the wire: whether a reset goes before it, and whether it was written to its end."""

    mail: Mail
    reset: bool
    whole: bool


class Dialogue:
    """Sends mails over a connection that smtplib has opened and greeted."""

    def __init__(self, connection: smtplib.SMTP) -> None:
        self.connection = connection
        self._buffer = bytearray()
        self._flying: deque[_Flying] = deque()
        self._broken_writing: OSError | None = None
        self._closing = False
        #: Whether a transaction may have been left open, and has to be reset before the next.
        self._unclean = False
        # Otherwise the end of one mail waits for the server's system to confirm the one before.
        if connection.sock is not None:
            with contextlib.suppress(OSError):
                connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    @property
    def pipelines(self) -> bool:
        """Whether an envelope may be written at once."""
        return self.connection.has_extn("pipelining")

    @property
    def streams(self) -> bool:
        """Whether several mails may be on the wire before the first is answered."""
        return self.pipelines and self.connection.has_extn("chunking")

    def send(self, mail: Mail) -> Answer:
        """Send one mail, and return its answer.

        After an error that is no reply, and after 421, the connection must not be used again.
        """
        self.write([mail])
        (answer,) = self.answers()
        return answer

    def write(self, mails: Sequence[Mail]) -> None:
        """Put mails on the wire without waiting for answers, which tell of all errors.

        To a server that does not stream they go one after the other, while `answers` is waited for.
        """
        if not self.streams:
            self._flying += [_Flying(mail, reset=False, whole=False) for mail in mails]
            return
        # A refused mail may leave its transaction open, and by then the next one is on its way.
        reset = self._unclean or len(mails) > 1 or bool(self._flying)
        self._unclean = False
        data = [self._chunk(mail, reset=reset) for mail in mails]
        ends = list(accumulate(map(len, data)))
        sent = 0
        if self._broken_writing is None:
            sent, self._broken_writing = self._write_some(b"".join(data))
        self._flying += [_Flying(mail, reset, sent >= end) for mail, end in zip(mails, ends, strict=True)]

    def answers(self) -> list[Answer]:
        """Return what became of the mails on the wire, the oldest first, as many as have been answered by now.

        Waits for the first of them. When the connection breaks, all of them are told of.
        """
        answers, broken = self._read() if self.streams else self._next()
        if broken is None and self._flying and not self._flying[0].whole:
            broken = self._broken_writing
        if broken is not None:
            # What follows on a connection that the server said it closes is not read any more.
            unread = [self._closing or not flying.whole for flying in self._flying]
            answers += [Answer(broken, in_doubt=not each, unread=each) for each in unread]
            self._flying.clear()
        return answers

    def _read(self) -> tuple[list[Answer], Exception | None]:
        """Return the answers that have come by now, and what broke the connection."""
        answers: list[Answer] = []
        while self._flying and self._flying[0].whole and (not answers or self._more()):
            mail, reset, _ = self._flying[0]
            if self._all_taken(3 + reset):
                answers.append(_TAKEN)
                self._flying.popleft()
                continue
            replies, broken = self._replies(3 + reset)
            self._closing = self._closing or any(reply.code == SERVICE_CLOSING for reply in replies)
            if broken is None or any(reply.code >= 400 for reply in replies):
                answers.append(self._meaning(mail, replies[reset:] or replies))
                self._flying.popleft()
            if broken is not None:
                return answers, broken
        return answers, None

    def _next(self) -> tuple[list[Answer], Exception | None]:
        """Send the next mail to a server that has to be waited for."""
        answer = self._one(self._flying.popleft().mail)
        return [answer], answer.error if answer.unread or answer.in_doubt else None

    def _all_taken(self, number: int) -> bool:
        """Take so many replies off what has been read, if they are there and all of them say yes in one line."""
        found = _ALL_OK[number].match(self._buffer)
        if found is None:
            return False
        del self._buffer[: found.end()]
        return True

    def _chunk(self, mail: Mail, *, reset: bool) -> bytes:
        size = b"BDAT %d LAST\r\n" % len(mail.data)
        return b"".join((b"RSET\r\n" if reset else b"", *self._envelope(mail), size, mail.data))

    def _write_some(self, data: bytes) -> tuple[int, OSError | None]:
        """Return how many bytes the system took, and what kept the others back."""
        view, sent = memoryview(data), 0
        try:
            if self.connection.sock is None:
                raise _disconnected()
            while sent < len(view):
                sent += self.connection.sock.send(view[sent : sent + _AT_ONCE])
        except OSError as error:
            # What has been answered before is there to be read all the same.
            return sent, error
        return sent, None

    def _one(self, mail: Mail) -> Answer:
        # What a refused mail has left open would be refused again.
        steps = [*([b"RSET\r\n"] if self._unclean else []), *self._envelope(mail), b"DATA\r\n"]
        skipped, self._unclean = len(steps) - 3, False
        replies: list[Reply] = []
        for step in [b"".join(steps)] if self.pipelines else steps:
            try:
                self._write(step)
            except OSError as error:
                return Answer(error, unread=True)
            found, broken = self._replies(step.count(b"\r\n"))
            replies += found
            if any(reply.code >= 400 for reply in found):
                break
            if broken is not None:
                return Answer(broken, unread=True)
        said = replies[skipped:] or replies
        willing = all(reply.code < 400 for reply in replies)
        if not willing and replies[-1].code != GO_ON:
            return self._meaning(mail, said)
        if replies[-1].code != GO_ON:
            return Answer(_disconnected(), unread=True)
        try:
            # Without a recipient the server takes nothing, and yet waits for an end.
            self._write(_LONE_DOT.sub(b"..", mail.data) + b".\r\n" if willing else b".\r\n")
        except OSError as error:
            return self._meaning(mail, said[:2]) if not willing else Answer(error, unread=True)
        last, broken = self._replies(1)
        if willing and broken is not None:
            return Answer(broken, in_doubt=True)
        return self._meaning(mail, [*said[:2], *last])

    def _envelope(self, mail: Mail) -> tuple[bytes, bytes]:
        options = ""
        if self.connection.has_extn("size"):
            options += f" SIZE={len(mail.data)}"
        if self.connection.has_extn("8bitmime") and not mail.data.isascii():
            options += " BODY=8BITMIME"
        return f"MAIL FROM:<{mail.sender}>{options}\r\n".encode(), f"RCPT TO:<{mail.recipient}>\r\n".encode()

    def _meaning(self, mail: Mail, replies: Sequence[Reply]) -> Answer:
        """Return what the replies to one mail say, the first refusal first; they may break off after one."""
        errors: tuple[Exception | None, ...] = tuple(
            self._refusal(mail, stage, reply) for stage, reply in enumerate(replies)
        )
        error = next((found for found in errors if found is not None), None)
        if error is None:
            return Answer()
        self._unclean = True
        return Answer(error, unread=any(reply.code == SERVICE_CLOSING for reply in replies))

    @staticmethod
    def _refusal(mail: Mail, stage: int, reply: Reply) -> Exception | None:
        if stage == 0 and reply.code != OK:
            return smtplib.SMTPSenderRefused(reply.code, reply.text, mail.sender)
        if stage == 1 and reply.code not in _ACCEPTS_RECIPIENT:
            return smtplib.SMTPRecipientsRefused({mail.recipient: (reply.code, reply.text)})
        if stage == 2 and reply.code != OK:
            return smtplib.SMTPDataError(reply.code, reply.text)
        return None

    def _write(self, data: bytes) -> None:
        if self.connection.sock is None:
            raise _disconnected()
        self.connection.sock.sendall(data)

    def _replies(self, number: int) -> tuple[list[Reply], OSError | None]:
        """Return so many replies, or those that came before the connection broke and what broke it."""
        replies: list[Reply] = []
        try:
            while len(replies) < number:
                replies.append(self._reply())
        except OSError as error:
            return replies, error
        return replies, None

    def _reply(self) -> Reply:
        words: list[bytes] = []
        while True:
            line = self._line()
            words.append(line[4:].strip())
            if line[3:4] != b"-":
                break
        if not line[:3].isdigit():
            raise smtplib.SMTPServerDisconnected("the server speaks no SMTP")
        return Reply(int(line[:3]), b"\n".join(words))

    def _line(self) -> bytes:
        while (end := self._buffer.find(b"\n")) < 0:
            if self.connection.sock is None or len(self._buffer) > _LONGEST_REPLY:
                raise _disconnected()
            received = self.connection.sock.recv(65536)
            if not received:
                raise _disconnected()
            self._buffer += received
        line = bytes(self._buffer[: end + 1])
        del self._buffer[: end + 1]
        return line

    def _more(self) -> bool:
        """Return whether there is something to read already."""
        sock = self.connection.sock
        if b"\n" in self._buffer:
            return True
        if sock is None or (isinstance(sock, ssl.SSLSocket) and sock.pending()):
            return sock is not None
        return bool(select.select([sock], [], [], 0)[0])


def _disconnected() -> smtplib.SMTPServerDisconnected:
    return smtplib.SMTPServerDisconnected("Connection unexpectedly closed")
