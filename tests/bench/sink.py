"""An SMTP server that takes every mail and keeps none, in a process of its own: `python sink.py PORT`.

It offers what a plain relay offers, answers at once, and counts. A line on standard input is answered with the number
of mails taken so far and the seconds between the first and the last.
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

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Speak SMTP with one client until it leaves."""
        writer.write(b"220 sink ESMTP\r\n")
        try:
            while line := await reader.readline():
                verb = line[:4].upper()
                if verb == b"EHLO":
                    writer.write(b"250-sink\r\n250-8BITMIME\r\n250 SMTPUTF8\r\n")
                elif verb == b"DATA":
                    writer.write(b"354 go on\r\n")
                    await reader.readuntil(b"\r\n.\r\n")
                    self.count()
                    writer.write(b"250 taken\r\n")
                elif verb == b"QUIT":
                    writer.write(b"221 bye\r\n")
                    break
                else:
                    writer.write(b"250 ok\r\n")
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

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


async def main(port: int) -> None:
    """Serve until standard input ends."""
    sink = Sink()
    server = await asyncio.start_server(sink.serve, "127.0.0.1", port, limit=2**20)
    print("ready", flush=True)
    loop = asyncio.get_running_loop()
    async with server:
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            print(sink.report() if line.strip() == "report" else str(sink.taken), flush=True)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
