"""Real processes of the project: commands and workers with an environment of their own, killed for certain."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any
from urllib.parse import quote

from django.db import connection

ROOT = Path(__file__).resolve().parents[1]


@dataclass
class Process:
    """A process that runs in a session of its own, with whatever it starts."""

    popen: subprocess.Popen[bytes]
    output: IO[bytes]

    def kill(self) -> None:
        """End it and all it started with SIGKILL, as a machine that loses its power."""
        with suppress(ProcessLookupError):
            os.killpg(self.popen.pid, signal.SIGKILL)
        self.popen.wait(10)

    def end(self, *, seconds: float = 90) -> int:
        """Wait until it ends by itself, and return its exit status."""
        return self.popen.wait(seconds)

    @property
    def text(self) -> str:
        """What it has written so far."""
        self.output.seek(0)
        return self.output.read().decode(errors="replace")


def wait_until(condition: Callable[[], Any], what: str, *, seconds: float = 60, process: Process | None = None) -> None:
    """Wait for a condition, and fail with a sentence when it does not come true.

    With a `process` it fails as soon as that ends with an error, and shows what the process wrote.
    """
    end = time.monotonic() + seconds
    while not condition():
        if process is not None and process.popen.poll() not in (None, 0):
            raise AssertionError(f"the process ended before {what}:\n{process.text}")
        if time.monotonic() > end:
            wrote = f"; it wrote:\n{process.text}" if process is not None else ""
            raise AssertionError(f"waited {seconds:.0f} s in vain until {what}{wrote}")
        time.sleep(0.02)


@dataclass
class Project:
    """The project on this test's database, with the given environment variables."""

    environment: dict[str, str] = field(default_factory=dict)
    settings: str = "lms.envs.devstack"
    running: list[Process] = field(default_factory=list)

    def start(self, *command: str) -> Process:
        """Start a program of the virtual environment."""
        output = TemporaryFile()  # noqa: SIM115  (closed with the process)
        inherited = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
        popen = subprocess.Popen(
            [sys.executable, *command],
            cwd=ROOT,
            env=inherited
            | {
                "DJANGO_SETTINGS_MODULE": self.settings,
                "DATABASE_URL": database_url(),
                "SECRET_KEY": "processes-only",
                "ALLOWED_HOSTS": "*",
                "DEBUG": "false",
                "LOG_LEVEL": "WARNING",
                # Every message as a mail, unless a test is about campaigns.
                "LICENSE_NOTIFICATION_CHANNEL": "email",
                "SUBSIDY_REQUESTS_CHANNEL": "email",
                "PYTHONPATH": str(ROOT),
            }
            | self.environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        process = Process(popen, output)
        self.running.append(process)
        return process

    def command(self, *arguments: str) -> Process:
        """Start a management command."""
        return self.start("manage.py", *arguments)

    def run(self, *arguments: str, status: int | None = 0) -> str:
        """Run a management command to its end, check its exit status, and return what it wrote."""
        process = self.command(*arguments)
        ended = process.end()
        assert status is None or ended == status, f"{arguments} ended with {ended}:\n{process.text}"
        return process.text

    def worker(self, *, concurrency: int = 2) -> Process:
        """Start a Celery worker and wait until it takes tasks."""
        arguments = ["-m", "celery", "-A", "lms", "worker", "-l", "info", "-c", str(concurrency)]
        process = self.start(*arguments, "--without-gossip", "--without-mingle", "--without-heartbeat")
        wait_until(lambda: " ready." in process.text, "the worker is ready", process=process)
        return process

    def stop(self) -> None:
        """Kill whatever still runs."""
        for process in self.running:
            process.kill()
            process.output.close()


@contextmanager
def project(**environment: str) -> Iterator[Project]:
    """The project as processes; nothing of it is left at the end."""
    made = Project(environment)
    try:
        yield made
    finally:
        made.stop()


def database_url() -> str:
    """Return the address of the database this test runs on."""
    values = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{quote(str(values['NAME']))}"
    scheme = {"postgresql": "postgres", "mysql": "mysql"}[connection.vendor]
    login = quote(str(values["USER"] or ""), safe="")
    if values["PASSWORD"]:
        login += f":{quote(str(values['PASSWORD']), safe='')}"
    host = f"{values['HOST'] or 'localhost'}:{values['PORT']}" if values["PORT"] else str(values["HOST"] or "")
    return f"{scheme}://{login}@{host}/{values['NAME']}"
