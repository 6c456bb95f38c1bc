"""An SMTP server that takes every mail and keeps none, in a process of its own: `python sink.py PORT SECONDS [plain]`.

It offers what a modern relay offers, or with `plain` only what any does, and lets each answer arrive SECONDS after it
was given, as a server at that distance would. A line on standard input is answered with the number of mails taken so
far and the seconds between the first and the last.
"""

from __future__ import annotations

import asyncio
import sys
import time


class Sink:
    """Counts mails."""

    def __init__(self) -> None:
        self.taken = 0
        self.first = 0.0
        self.last = 0.0

    def count(self) -> None:
        """Note one more mail."""
        self.last = time.monotonic()
        self.first = self.first or self.last
        self.taken += 1

    def report(self) -> str:
        """Return `<mails> <seconds from first to last>` and start anew."""
        line = f"{self.taken} {self.last - self.first:.4f}"
        self.taken, self.first, self.last = 0, 0.0, 0.0
        return line


class Dialogue(asyncio.Protocol):
    """One connection."""

    def __init__(self, sink: Sink, distance: float, offers: bytes) -> None:
        self.sink, self.distance, self.offers = sink, distance, offers
        self.buffer = bytearray()
        self.wanted = 0
        self.in_data = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.say([b"220 sink ESMTP\r\n"])

    def data_received(self, data: bytes) -> None:
        """Do what has come in, and answer all of it in one write."""
        self.buffer += data
        answers: list[bytes] = []
        while (answer := self.step()) is not None:
            answers.append(answer)
        if answers:
            self.say(answers)

    def step(self) -> bytes | None:
        """Return the answer to the next command or mail, None until it is whole."""
        if self.wanted:
            if len(self.buffer) < self.wanted:
                return None
            del self.buffer[: self.wanted]
            self.wanted = 0
            self.sink.count()
            return b"250 taken\r\n"
        end = self.buffer.find(b"\r\n.\r\n" if self.in_data else b"\r\n")
        if end < 0:
            return None
        if self.in_data:
            del self.buffer[: end + 5]
            self.in_data = False
            self.sink.count()
            return b"250 taken\r\n"
        line = bytes(self.buffer[:end])
        del self.buffer[: end + 2]
        match line[:4].upper():
            case b"BDAT":
                self.wanted = int(line.split()[1])
                return b""
            case b"DATA":
                self.in_data = True
                return b"354 go on\r\n"
            case b"EHLO":
                return self.offers
            case b"QUIT":
                asyncio.get_running_loop().call_later(self.distance + 0.01, self.transport.close)
                return b"221 bye\r\n"
        return b"250 ok\r\n"

    def say(self, answers: list[bytes]) -> None:
        """Let answers arrive."""
        data = b"".join(answers)
        if self.distance:
            asyncio.get_running_loop().call_later(self.distance, self.transport.write, data)
        else:
            self.transport.write(data)


async def main(port: int, distance: float, *, plain: bool) -> None:
    """Serve until standard input ends."""
    sink = Sink()
    offers = b"250-sink\r\n250-8BITMIME\r\n250 SMTPUTF8\r\n"
    if not plain:
        offers = b"250-sink\r\n250-PIPELINING\r\n250-CHUNKING\r\n250-8BITMIME\r\n250 SMTPUTF8\r\n"
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Dialogue(sink, distance, offers), "127.0.0.1", port)
    print("ready", flush=True)
    async with server:
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            print(sink.report() if line.strip() == "report" else str(sink.taken), flush=True)


if __name__ == "__main__":
    given = sys.argv[1:]
    asyncio.run(main(int(given[0]), float(given[1]) if len(given) > 1 else 0.0, plain="plain" in given))
