"""A real SMTP server in a thread, whose behaviour is scripted mail by mail."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any, Literal, Self

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session

# aiosmtpd writes down every line of every dialogue.
logging.getLogger("mail.log").setLevel(logging.ERROR)

#: `DATA` is the command, `BODY` the middle of the mail, `END` what follows its final dot.
Stage = Literal["MAIL", "RCPT", "DATA", "BODY", "END"]


@dataclass(frozen=True)
class Step:
    """What the server does with one mail when it comes to a stage; without an answer or a hang-up it goes on."""

    stage: Stage
    answer: str = ""
    delay: float = 0
    hang_up: bool = False


def answers(stage: Stage, text: str) -> Step:
    """Return "at this stage say so", for example `451 4.3.0 later`; after a 421 the server closes the connection."""
    return Step(stage, answer=text)


def hangs_up(stage: Stage) -> Step:
    """Return "at this stage the connection breaks"."""
    return Step(stage, hang_up=True)


def stalls(stage: Stage, seconds: float) -> Step:
    """Return "at this stage nothing is said for so long"."""
    return Step(stage, delay=seconds)


@dataclass(frozen=True)
class Received:
    """A mail the server took; `answered` is false when it never said so."""

    sender: str
    recipients: list[str]
    raw: bytes
    connection: int
    answered: bool = True

    @property
    def message(self) -> EmailMessage:
        """The mail as the standard library reads it."""
        parsed = message_from_bytes(self.raw, policy=policy.default)
        assert isinstance(parsed, EmailMessage)
        return parsed

    def part(self, kind: str) -> str:
        """Return the text of the plain or html part, with line feeds."""
        body = self.message.get_body((kind,))
        assert body is not None
        return str(body.get_content()).replace("\r\n", "\n")


@dataclass
class Server:
    """The server, and what it saw. `script` is used up by the mails that are begun, one step each."""

    port: int = 0
    script: deque[Step | None] = field(default_factory=deque)
    #: Done with every mail for which the script has nothing (more).
    otherwise: Step | None = None
    #: Recipient -> what RCPT is answered.
    refused: dict[str, str] = field(default_factory=dict)
    mails_per_connection: int | None = None
    login_refused: bool = False
    received: list[Received] = field(default_factory=list)
    begun: int = 0
    connections: int = 0

    @classmethod
    @contextlib.contextmanager
    def running(cls, **options: Any) -> Iterator[Self]:
        """Start a server, and stop it at the end."""
        server = cls(**options)
        server.start()
        try:
            yield server
        finally:
            server.stop()

    def start(self) -> None:
        """Listen; a server that was stopped listens on its old port again."""
        self._loop = asyncio.new_event_loop()
        self._listener = self._loop.run_until_complete(
            self._loop.create_server(lambda: _Dialogue(self, self._loop), "127.0.0.1", self.port)
        )
        self.port = self._listener.sockets[0].getsockname()[1]
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop listening, and break every connection."""
        if self._loop.is_closed():
            return

        async def end() -> None:
            self._listener.close()
            for dialogue in list(_Dialogue.open):
                if dialogue.server_of_tests is self and dialogue.transport is not None:
                    dialogue.transport.abort()
            await asyncio.sleep(0)
            others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)

        asyncio.run_coroutine_threadsafe(end(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    @property
    def url(self) -> str:
        """The server as an EMAIL_URL."""
        return f"smtp://127.0.0.1:{self.port}"

    @property
    def addresses(self) -> list[str]:
        """Who got a mail, sorted; somebody who got two is named twice."""
        return sorted(address for mail in self.received for address in mail.recipients)

    def use(self, settings: Any, *, timeout: int = 2) -> None:
        """Make Django's SMTP backend talk to this server."""
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT, settings.EMAIL_TIMEOUT = "127.0.0.1", self.port, timeout

    def next_step(self) -> Step | None:
        """Return what to do with the mail that begins now."""
        self.begun += 1
        return self.script.popleft() if self.script else self.otherwise

    # aiosmtpd's hook.
    async def handle_DATA(self, dialogue: _Dialogue, session: Session, envelope: Envelope) -> str:
        """Take a mail, or do what the script says instead."""
        step = dialogue.step_at("END")
        refuses = step is not None and bool(step.answer)
        if not refuses:
            content = envelope.original_content or b""
            answered = step is None or not step.hang_up
            self.received.append(
                Received(envelope.mail_from or "", list(envelope.rcpt_tos), content, dialogue.number, answered)
            )
        if step is not None and await dialogue.act(step):
            return step.answer
        return "250 2.0.0 taken"


class _Dialogue(SMTP):
    """One connection."""

    open: set[_Dialogue] = set()

    def __init__(self, server: Server, loop: asyncio.AbstractEventLoop) -> None:
        self.server_of_tests = server
        self.number = 0
        self._step: Step | None = None
        self._mails = 0
        super().__init__(
            server,
            loop=loop,
            hostname="mx.example.com",
            data_size_limit=None,
            enable_SMTPUTF8=True,
            auth_require_tls=False,
            authenticator=lambda *_: AuthResult(success=not server.login_refused, handled=False),
        )

    def connection_made(self, transport: Any) -> None:
        self.open.add(self)
        self.server_of_tests.connections += 1
        self.number = self.server_of_tests.connections
        super().connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        self.open.discard(self)
        super().connection_lost(error)

    def step_at(self, stage: Stage) -> Step | None:
        """Return what is to be done at a stage of the present mail."""
        return self._step if self._step is not None and self._step.stage == stage else None

    async def act(self, step: Step) -> bool:
        """Wait and hang up as a step says; True when the stage is over with that or with its answer."""
        if step.delay:
            await asyncio.sleep(step.delay)
        if step.hang_up:
            self.transport.abort()
            raise asyncio.CancelledError
        return bool(step.answer)

    async def smtp_MAIL(self, arg: str) -> None:
        server = self.server_of_tests
        if server.mails_per_connection is not None and self._mails >= server.mails_per_connection:
            await self._say("421 4.7.0 enough mails on this connection")
            return
        self._mails += 1
        self._step = server.next_step()
        if not await self._over("MAIL"):
            await super().smtp_MAIL(arg)

    async def smtp_RCPT(self, arg: str) -> None:
        for address, text in self.server_of_tests.refused.items():
            if address in arg:
                await self._say(text)
                return
        if not await self._over("RCPT"):
            await super().smtp_RCPT(arg)

    async def smtp_DATA(self, arg: str) -> None:
        if await self._over("DATA"):
            return
        if (step := self.step_at("BODY")) is not None:
            await self.push("354 go on")
            await self._reader.read(100)
            await self.act(step)
        await super().smtp_DATA(arg)

    async def _over(self, stage: Stage) -> bool:
        step = self.step_at(stage)
        if step is None or not await self.act(step):
            return False
        await self._say(step.answer)
        return True

    async def _say(self, text: str) -> None:
        await self.push(text)
        if text.startswith("421"):
            self.transport.close()
