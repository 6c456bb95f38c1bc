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
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

SERVICE_CLOSING: Final = 421
OK: Final = 250
GO_ON: Final = 354
_ACCEPTS_RECIPIENT: Final = (250, 251)
_LONGEST_REPLY: Final = 64 * 1024
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


class Reply(NamedTuple):
    """A server's reply: its code, and the words of all its lines."""

    code: int
    text: bytes


class Dialogue:
    """Sends mails over a connection that smtplib has opened and greeted."""

    def __init__(self, connection: smtplib.SMTP) -> None:
        self.connection = connection
        self._buffer = bytearray()
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

    def send(self, mails: Sequence[Mail]) -> Iterator[list[Answer]]:
        """Write the mails, and yield their answers in the same order, as many together as have arrived.

        Where the server does not stream, they are sent one after the other, each envelope in one write if the server
        pipelines. After an error that is no reply, and after
        421, the connection must not be used again.
        """
        if not self.streams:
            for mail in mails:
                yield [self._one(mail)]
            return
        # A refused mail may leave its transaction open, and by then the next one is on its way.
        reset = self._unclean or len(mails) > 1
        self._unclean = False
        written, broken = self._write_all(mails, reset=reset)
        answers: list[Answer] = []
        closing, answered = False, 0
        for mail in mails[:written]:
            replies, error = self._replies(3 + reset)
            closing = closing or any(reply.code == SERVICE_CLOSING for reply in replies)
            if error is not None and not any(reply.code >= 400 for reply in replies):
                broken = error
                break
            answers.append(self._meaning(mail, replies[reset:] or replies))
            answered += 1
            if error is not None:
                broken = error
                break
            if not self._more():
                yield answers
                answers = []
        for number in range(answered, len(mails)):
            # What follows on a connection that the server said it closes is not read any more.
            unread = closing or number >= written
            answers.append(Answer(broken, in_doubt=not unread, unread=unread))
        if answers:
            yield answers

    def _write_all(self, mails: Sequence[Mail], *, reset: bool) -> tuple[int, OSError | None]:
        """Return how many mails were written to their end, and what kept the others back."""
        for number, mail in enumerate(mails):
            try:
                self._write(
                    b"".join(
                        (
                            b"RSET\r\n" if reset else b"",
                            *self._envelope(mail),
                            b"BDAT %d LAST\r\n" % len(mail.data),
                            mail.data,
                        )
                    )
                )
            except OSError as error:
                # What has been answered before is there to be read all the same.
                return number, error
        return len(mails), None

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
