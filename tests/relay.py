"""A real SMTP server that takes commands and chunks without waiting (RFC 2920, RFC 3030), and can die at any byte."""

from __future__ import annotations

import asyncio
import contextlib
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Self

ALL = ("PIPELINING", "CHUNKING", "8BITMIME", "SMTPUTF8", "SIZE 50000000")


@dataclass
class Relay:
    """The server, and what it took. A mail is taken when its last byte is there, whether anybody hears of it or not."""

    offers: tuple[str, ...] = ALL
    #: The first connection dies when it has read so many bytes, or when it has written so many.
    dies_at: int | None = None
    falls_silent_at: int | None = None
    #: Says goodbye with a 421 after so many mails of a connection.
    mails_per_connection: int | None = None
    #: Recipient -> what RCPT is answered.
    refused: dict[str, str] = field(default_factory=dict)
    #: Seconds until the client hears an answer.
    distance: float = 0
    taken: list[tuple[str, bytes]] = field(default_factory=list)
    #: What MAIL and RCPT said, as it was written, of each mail that was taken.
    envelopes: list[tuple[str, str]] = field(default_factory=list)
    connections: int = 0
    read: int = 0
    written: int = 0
    #: The most mails that had come in before the first of them was answered.
    most_at_once: int = 0
    commands: list[str] = field(default_factory=list)
    port: int = 0

    @classmethod
    @contextlib.contextmanager
    def running(cls, **options: Any) -> Iterator[Self]:
        """Start a server, and stop it at the end."""
        relay = cls(**options)
        loop = asyncio.new_event_loop()
        listener = loop.run_until_complete(loop.create_server(lambda: _Connection(relay), "127.0.0.1", 0))
        relay.port = listener.sockets[0].getsockname()[1]
        thread = threading.Thread(target=loop.run_forever, daemon=True)
        thread.start()
        try:
            yield relay
        finally:
            loop.call_soon_threadsafe(listener.close)
            loop.call_soon_threadsafe(loop.stop)
            thread.join(10)
            loop.close()

    def use(self, settings: Any, *, timeout: int = 2) -> None:
        """Make Django's SMTP backend talk to this server."""
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT, settings.EMAIL_TIMEOUT = "127.0.0.1", self.port, timeout

    @property
    def addresses(self) -> list[str]:
        """Who got a mail, sorted; somebody who got two is named twice."""
        return sorted(address for address, _ in self.taken)


class _Connection(asyncio.Protocol):
    def __init__(self, relay: Relay) -> None:
        self.relay = relay
        self.buffer = bytearray()
        self.wanted: int | None = None
        self.in_data = False
        self.sender = ""
        self.recipient = ""
        self.envelope = ("", "")
        self.mails = 0
        self.unanswered = 0
        self.read = self.written = 0

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.relay.connections += 1
        self.first = self.relay.connections == 1
        self.say("220 relay")

    def data_received(self, data: bytes) -> None:
        end = self.relay.dies_at if self.first else None
        if end is not None:
            data = data[: end - self.read]
        self.read += len(data)
        self.relay.read += len(data)
        self.buffer += data
        while not self.transport.is_closing() and self.step():
            pass
        if end is not None and self.read >= end:
            self.transport.abort()

    def step(self) -> bool:
        """Do what the next complete command or piece of a mail asks for."""
        if self.wanted is not None:
            if len(self.buffer) < self.wanted:
                return False
            self.take(self.cut(self.wanted), chunked=True)
            return True
        if self.in_data:
            end = self.buffer.find(b"\r\n.\r\n") + 2 if not self.buffer.startswith(b".\r\n") else 0
            if end == 1:
                return False
            mail = self.cut(end + 3)[:-3]
            self.take(re.sub(rb"(?m)^\.", b"", mail), chunked=False)
            return True
        if (end := self.buffer.find(b"\r\n")) < 0:
            return False
        self.command(self.cut(end + 2).decode().strip())
        return True

    def cut(self, size: int) -> bytes:
        piece = bytes(self.buffer[:size])
        del self.buffer[:size]
        return piece

    def command(self, line: str) -> None:
        verb, relay = line[:4].upper(), self.relay
        relay.commands.append(verb)
        if verb == "EHLO":
            lines = ["relay", *relay.offers]
            for number, text in enumerate(lines, start=1):
                self.say(f"250{' ' if number == len(lines) else '-'}{text}")
        elif verb == "RSET":
            self.sender = self.recipient = ""
            self.say("250 reset")
        elif verb == "MAIL":
            if relay.mails_per_connection is not None and self.mails >= relay.mails_per_connection:
                self.say("421 enough mails")
                self.transport.close()
            elif self.sender:
                self.say("503 nested MAIL")
            else:
                self.sender = line
                self.say("250 sender ok")
        elif verb == "RCPT":
            address = line[line.index("<") + 1 : line.index(">")]
            if address in relay.refused:
                self.say(relay.refused[address])
            elif not self.sender:
                self.say("503 MAIL first")
            else:
                self.recipient = address
                self.envelope = (self.sender, line)
                self.say("250 recipient ok")
        elif verb == "BDAT":
            self.wanted = int(line.split()[1])
        elif verb == "DATA":
            self.in_data = bool(self.recipient)
            self.say("354 go on" if self.recipient else "554 no valid recipients")
        elif verb == "QUIT":
            self.say("221 bye")
            self.transport.close()
        else:
            self.say("500 what?")

    def take(self, mail: bytes, *, chunked: bool) -> None:
        self.wanted, self.in_data = None, False
        if not self.recipient:
            # Stays open, as RFC 3030 has it, until somebody resets it.
            self.say("503 no valid recipients")
            return
        self.relay.taken.append((self.recipient, mail))
        self.relay.envelopes.append(self.envelope)
        self.mails += 1
        self.unanswered += 1
        self.relay.most_at_once = max(self.relay.most_at_once, self.unanswered)
        self.sender = self.recipient = ""
        self.say("250 taken", answers=True)

    def say(self, text: str, *, answers: bool = False) -> None:
        if self.relay.distance:
            asyncio.get_running_loop().call_later(self.relay.distance, self.write, text, answers)
        else:
            self.write(text, answers)

    def write(self, text: str, answers: bool) -> None:
        if self.transport.is_closing():
            return
        self.unanswered -= answers
        data = f"{text}\r\n".encode()
        end = self.relay.falls_silent_at if self.first else None
        if end is not None:
            data = data[: end - self.written]
        self.written += len(data)
        self.relay.written += len(data)
        self.transport.write(data)
        if end is not None and self.written >= end:
            self.transport.close()
