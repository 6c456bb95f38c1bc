"""Where a measurement runs: its own PostgreSQL database, its own Redis numbers, its own processes."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import redis

ROOT = Path(__file__).resolve().parents[2]
POSTGRES = os.environ.get("CADENCE_TEST_POSTGRES_URL", "postgres://postgres@127.0.0.1:5432/postgres")
REDIS = os.environ.get("CADENCE_TEST_REDIS_URL", "redis://127.0.0.1:6379")
DATABASE = "cadence_bench"
BROKER, PEER_BROKER = f"{REDIS}/13", f"{REDIS}/14"
#: Of workers, which have only what they need.
WORKER_SETTINGS = "tests.bench.settings"
CLOCK_TICKS = os.sysconf("SC_CLK_TCK")
PAGE_KIB = os.sysconf("SC_PAGE_SIZE") // 1024


def database_url() -> str:
    """Return the address of the measurement's own database."""
    return f"{POSTGRES.rpartition('/')[0]}/{DATABASE}"


@contextmanager
def own_database() -> Iterator[str]:
    """Make the database, and drop it afterwards."""
    with psycopg.connect(POSTGRES, autocommit=True) as connection:
        connection.execute(f'DROP DATABASE IF EXISTS "{DATABASE}" WITH (FORCE)')
        connection.execute(f'CREATE DATABASE "{DATABASE}"')
    try:
        yield database_url()
    finally:
        with psycopg.connect(POSTGRES, autocommit=True) as connection:
            connection.execute(f'DROP DATABASE IF EXISTS "{DATABASE}" WITH (FORCE)')


def apart(module: str) -> dict[str, Any]:
    """Run a module of the measurements as a process of its own, and return the JSON object it prints last."""
    ended = subprocess.run([sys.executable, "-m", module], check=True, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    found: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    return found


def peak_kib(process: int | str = "self") -> int:
    """Return the most memory a process has had, this one unless given; unlike getrusage's it begins anew with the
    program.
    """
    status = Path(f"/proc/{process}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0])


def free_port() -> int:
    """Return a port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Result:
    """One run: mails per second from the first call to the last mail and while sending only, processor seconds, and the
    workers' memory in the first and the last quarter.
    """

    rate: float
    sending_rate: float
    cpu_per_thousand: float
    first_kib: float = 0
    last_kib: float = 0


class RunningSink:
    """The SMTP sink in its own process, at a distance of so many seconds."""

    def __init__(self, distance: float = 0, *, plain: bool = False) -> None:
        self.port = free_port()
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("sink.py")), str(self.port), str(distance)]
            + ["plain"] * plain,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._line() == "ready"

    def taken(self) -> int:
        """Return the number of mails since the last report."""
        self._say("count")
        return int(self._line())

    def report(self) -> tuple[int, float]:
        """Return (mails, seconds from the first to the last), and start anew."""
        self._say("report")
        mails, seconds = self._line().split()
        return int(mails), float(seconds)

    def stop(self) -> None:
        """End the process."""
        self._process.terminate()
        self._process.wait(10)

    def _say(self, word: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{word}\n")
        self._process.stdin.flush()

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()


@dataclass
class Workers:
    """Celery workers, one process each, and what they use."""

    app: str
    broker: str
    environment: dict[str, str]
    number: int = 2
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)
    resident_kib: list[int] = field(default_factory=list)

    def start(self) -> None:
        """Start them and wait until they answer."""
        redis.Redis.from_url(self.broker).flushdb()
        for index in range(self.number):
            self.processes.append(
                subprocess.Popen(
                    [sys.executable, "-m", "celery", "-A", self.app, "worker", "-l", "ERROR", "-P", "solo",
                     "--without-gossip", "--without-mingle", "-n", f"bench{index}@%h"],
                    cwd=ROOT,
                    env={**os.environ, **self.environment},
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                )
            )  # fmt: skip
        client, deadline = redis.Redis.from_url(self.broker), time.monotonic() + 60
        while len(client.client_list()) < 2 * self.number and time.monotonic() < deadline:
            time.sleep(0.2)
        time.sleep(2)

    def cpu_seconds(self) -> float:
        """Return the processor time all of them have used."""
        return sum(self._ticks(process.pid) for process in self.processes) / CLOCK_TICKS

    def look(self) -> None:
        """Note the largest resident memory among them."""
        pages = [int(Path(f"/proc/{p.pid}/statm").read_text().split()[1]) for p in self.processes]
        self.resident_kib.append(max(pages) * PAGE_KIB)

    def stop(self) -> None:
        """End them."""
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.processes.clear()

    @staticmethod
    def _ticks(pid: int) -> int:
        fields: Sequence[str] = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return int(fields[11]) + int(fields[12])
