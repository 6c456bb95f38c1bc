"""The command lines of the documents, typed into a shell: what they print, where, and how they end."""

from __future__ import annotations

import os
import pty
import shutil
import sqlite3
import subprocess
import sys
import termios
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from .scene import SUMMARY

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
DAILY = "./manage.py lms send_recurring_nudge example.com"
OF_A_DAY = "./manage.py lms --settings devstack_docker send_recurring_nudge example.com --date 2017-11-13"

SEED = """
from datetime import datetime, timedelta, UTC
from django.contrib.sites.models import Site
from django.utils import timezone
from courses.models import Course, Enrollment
from lms.accounts.models import User
from schedules.models import Schedule, ScheduleConfig
site = Site.objects.get(domain="example.com")
ScheduleConfig.objects.create(
    site=site, create_schedules=True, enqueue_recurring_nudge=True, deliver_recurring_nudge=True
)
course = Course.objects.create(
    key="course-v1:edX+C+2017", title="Course C", self_paced=True, start=datetime(2017, 7, 1, tzinfo=UTC)
)
for number in range(4):
    user = User(username=f"learner{number}", email=f"learner{number}@example.com", password="lms$usable")
    user.save()
    when = datetime(2017, 11, 10, 9, tzinfo=UTC) if number < 3 else timezone.now() - timedelta(days=3)
    Enrollment(user=user, course=course, created_at=when).save(announce=False)
assert Schedule.objects.count() == 4
"""


@dataclass(frozen=True)
class Machine:
    """A folder with a database of its own, and the environment that leads there."""

    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
        return kept | {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "DATABASE_URL": f"sqlite:///{self.folder}/db.sqlite3",
            "EMAIL_BACKEND": "django.core.mail.backends.filebased.EmailBackend",
            "EMAIL_FILE_PATH": str(self.folder / "sent"),
            "LOG_LEVEL": "INFO",
            "ACE_MESSAGES_DIR": str(self.folder / "ace_messages"),
            "CELERY_BROKER_URL": "",
        }

    def shell(self, line: str) -> subprocess.CompletedProcess[str]:
        """Type a line; standard output and error are pipes."""
        command = ["bash", "-c", line]
        return subprocess.run(
            command, cwd=ROOT, env=self.environment, capture_output=True, text=True, check=False, timeout=100
        )

    def rows(self, table: str) -> int:
        """Count the rows of a table."""
        with sqlite3.connect(self.folder / "db.sqlite3") as connection:
            (number,) = connection.execute(f"SELECT COUNT(*) FROM {table}").fetchone()
        return int(number)

    def mails(self) -> int:
        """Count the mails that went out; the backend puts those of one connection into one file."""
        return sum(path.read_text().count("\nMessage-ID: ") for path in self.files("sent"))

    def files(self, folder: str) -> list[Path]:
        """List the files of a folder, or none if there is no such folder."""
        return sorted((self.folder / folder).glob("*"))


@pytest.fixture(scope="module")
def seeded(tmp_path_factory: pytest.TempPathFactory) -> Machine:
    machine = Machine(tmp_path_factory.mktemp("seeded"))
    assert machine.shell("./manage.py migrate --verbosity 0").returncode == 0
    done = subprocess.run(
        [sys.executable, "manage.py", "shell", "-c", SEED],
        cwd=ROOT, env=machine.environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    with sqlite3.connect(machine.folder / "db.sqlite3") as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return machine


@pytest.fixture
def machine(seeded: Machine, tmp_path: Path) -> Iterator[Machine]:
    shutil.copy(seeded.folder / "db.sqlite3", tmp_path / "db.sqlite3")
    yield Machine(tmp_path)


def summary(printed: str) -> dict[str, str | None]:
    match = SUMMARY.fullmatch(printed)
    assert match, printed
    return match.groupdict()


def test_cases_079_and_082_the_daily_line_runs_and_prints_one_line(machine: Machine) -> None:
    done = machine.shell(DAILY)
    assert done.returncode == 0, done.stderr
    assert (summary(done.stdout)["audience"], summary(done.stdout)["sent"]) == ("1", "1")
    # The log goes there too; a bar would rewrite its line.
    assert "\r" not in done.stderr
    assert "mail/s" not in done.stderr
    assert "@example.com" not in done.stderr
    assert machine.mails() == 1
    again = machine.shell(DAILY)
    assert (again.returncode, summary(again.stdout)["sent"]) == (0, "0")


def test_case_079_the_line_of_a_day_runs_and_writes_files(machine: Machine) -> None:
    done = machine.shell(OF_A_DAY)
    assert done.returncode == 0, done.stderr
    found = summary(done.stdout)
    assert (found["days"], found["audience"], found["sent"]) == ("2017-11-13", "3", "3")
    assert len(machine.files("ace_messages")) == 3
    assert not machine.files("sent")
    assert "Course C" in machine.files("ace_messages")[0].read_text()


def test_a_dry_run_writes_nothing(machine: Machine) -> None:
    done = machine.shell(f"{OF_A_DAY} --dry-run")
    assert done.returncode == 0
    assert done.stdout.startswith(
        "DRY RUN send_recurring_nudge example.com days=2017-11-13 audience=3 sent=3 skipped=0 "
    )
    assert not machine.files("ace_messages")
    assert machine.rows("email_automation_emaillog") == 0


def test_any_message_runs_by_its_name(machine: Machine) -> None:
    done = machine.shell("./manage.py send_message schedules.recurringnudge_day3 EXAMPLE.com --date 2017-11-13")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("send_message schedules.recurringnudge_day3 example.com days=2017-11-13 audience=3 ")
    assert machine.mails() == 3


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ("send_recurring_nudge nosuch.example.com", ["nosuch.example.com", "example.com"]),
        ("send_recurring_nudge example.com --date 2017-13-01", ["2017-13-01", "YYYY-MM-DD"]),
        ("send_recurring_nudge example.com --date 01/08/2017", ["01/08/2017", "YYYY-MM-DD"]),
        ("send_recurring_nudge example.com --override-recipient-email no", ["'no'", "e-mail address"]),
        ("send_recurring_nudge", ["site_domain"]),
        ("send_message schedules.recurringnudge_day3 nosuch.example.com", ["nosuch.example.com", "example.com"]),
        ("send_message schedules.nosuch example.com", ["schedules.nosuch", "schedules.recurringnudge_day3"]),
    ],
)
def test_cases_076_and_077_a_bad_word_ends_in_one_line_and_2(machine: Machine, words: str, named: list[str]) -> None:
    done = machine.shell(f"./manage.py lms {words}")
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert all(word in line for word in named)
    assert machine.rows("email_automation_emaillog") == machine.rows("email_automation_messagerun") == 0
    assert not machine.files("sent")


def test_a_fault_of_ours_ends_with_1_after_the_summary(machine: Machine) -> None:
    line = "./manage.py lms send_recurring_nudge example.com --date 2017-11-13"
    done = machine.shell(f"EMAIL_BACKEND=no.such.Backend {line}")
    assert done.returncode == 1
    assert summary(done.stdout)["sent"] == "0"
    assert "@example.com" not in done.stderr


def on_a_terminal(machine: Machine, line: str) -> tuple[str, str, int]:
    """Type a line with standard error on a terminal and standard output in a pipe."""
    ours, theirs = pty.openpty()
    # A terminal without columns has no room for a bar.
    termios.tcsetwinsize(theirs, (24, 100))
    process = subprocess.Popen(
        ["bash", "-c", line], cwd=ROOT, env=machine.environment, stdout=subprocess.PIPE, stderr=theirs, text=True
    )
    os.close(theirs)
    shown = b""
    while True:
        try:
            piece = os.read(ours, 65536)
        except OSError:  # Linux says so when the other end is closed
            break
        if not piece:
            break
        shown += piece
    os.close(ours)
    printed, _ = process.communicate(timeout=100)
    return printed, shown.decode(), process.returncode


def test_a_terminal_shows_a_bar_and_a_pipe_gets_the_line(machine: Machine) -> None:
    printed, shown, status = on_a_terminal(machine, OF_A_DAY)
    assert status == 0
    assert summary(printed)["sent"] == "3"
    assert "recurringnudge_day3" in shown
    assert "3/3" in shown
    assert "\r" in shown
