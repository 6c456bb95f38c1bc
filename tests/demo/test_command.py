"""`manage.py demo`, as a person runs it: a process of its own on a database file of its own."""

import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.cookiejar import CookieJar
from pathlib import Path
from urllib.parse import urlencode

import pytest

ROOT = Path(__file__).resolve().parents[2]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


def command(name: str, *, database: Path, **environment: str) -> tuple[list[str], dict[str, str]]:
    """Return the command line and the environment of a management command on that file."""
    inherited = {key: value for key, value in os.environ.items() if key not in ("LOG_LEVEL", "CELERY_BROKER_URL")}
    return [sys.executable, "manage.py", name], {
        **inherited,
        "DJANGO_SETTINGS_MODULE": "lms.envs.devstack",
        "DATABASE_URL": f"sqlite:///{database}",
        "DEMO_SERVE": "0",
        **environment,
    }


def run(name: str, *, database: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a management command to its end."""
    line, env = command(name, database=database, **environment)
    return subprocess.run(line, cwd=ROOT, env=env, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file that the demo of this module fills."""
    return tmp_path_factory.mktemp("demo") / "demo.sqlite3"


@pytest.fixture(scope="module")
def first(database: Path) -> subprocess.CompletedProcess[str]:
    """A first demo on a fresh file."""
    return run("demo", database=database)


def test_it_ends_well_and_says_nothing_but_the_report(first: subprocess.CompletedProcess[str]) -> None:
    assert (first.returncode, first.stderr) == (0, "")
    assert "filled with 58 learners, 13 courses and 2 sites." in first.stdout
    assert "INFO" not in first.stdout


def test_it_tells_who_got_what(first: subprocess.CompletedProcess[str]) -> None:
    assert re.search(r"^  ada +day 3 +en +upgrade offer +Coastal Navigation for Beginners$", first.stdout, re.MULTILINE)
    assert re.search(r"^  rosa +day 10 +es ", first.stdout, re.MULTILINE)
    assert re.search(r"^  rhys +reminder +en +days left: 2 +Coastal Navigation ", first.stdout, re.MULTILINE)
    assert re.search(r"^  wim +week 2 +en +upgrade offer +A Year in the Garden$", first.stdout, re.MULTILINE)
    assert re.search(
        r"^  wendy +no_highlights +the course has no highlights for this week ", first.stdout, re.MULTILINE
    )
    assert re.search(r"^  xavi +live_verified_mode +not true: ", first.stdout, re.MULTILINE)
    assert re.search(r"^  theo +course_started +not true: ", first.stdout, re.MULTILINE)
    assert re.search(r"^  tara +course_not_ended +not true: The course has not ended ", first.stdout, re.MULTILINE)


def test_it_sends_on_the_first_run_and_nothing_on_the_second(first: subprocess.CompletedProcess[str]) -> None:
    summaries = re.findall(r"^(send_\w+) (\S+) days=.* sent=(\d+) .* failed=0 retry=0 ", first.stdout, re.MULTILINE)
    names = ("send_recurring_nudge", "send_upgrade_reminder", "send_course_update")
    once = [("example.com", ("20", "4", "3")), ("campus.example.org", ("10", "1", "2"))]
    twice = [(site, ("0", "0", "0")) for site, _ in once]
    assert summaries == [
        (name, site, sent) for site, figures in (*once, *twice) for name, sent in zip(names, figures, strict=True)
    ]


def test_it_reports_the_week_before_to_each_site_once(first: subprocess.CompletedProcess[str]) -> None:
    line = (
        r"^send_message email_automation\.weekly_progress (\S+) days=\S+ audience=\d+ sent=(\d+) .* failed=0 retry=0 "
    )
    sent = re.findall(line, first.stdout, re.MULTILINE)
    assert sent == [
        ("example.com", "42"),
        ("campus.example.org", "16"),
        ("example.com", "0"),
        ("campus.example.org", "0"),
    ]
    assert re.search(r"^  rhys +en +40 %, 2 of 5 +\d in \d+ min +Coastal Navigation ", first.stdout, re.MULTILINE)
    assert re.search(r"^  theo +en +0 %, 0 of 0 +- +Night Sailing$", first.stdout, re.MULTILINE)
    assert re.search(r"^  lorenzo +not_completed +not true: The learner has not completed ", first.stdout, re.MULTILINE)
    assert re.search(r"^  freya +opted_out:progress +has switched this kind of mail off ", first.stdout, re.MULTILINE)


def test_it_reminds_of_one_weekly_goal_once(first: subprocess.CompletedProcess[str]) -> None:
    summaries = re.findall(r"^goal_reminder_email due=1 planned=(\d) .*sent=(\d) failed=0 ", first.stdout, re.MULTILINE)
    assert summaries == [("1", "1"), ("0", "0")]
    assert re.search(
        r"^  nadia +\d a week +You can still reach your weekly goal in Coastal ", first.stdout, re.MULTILINE
    )


def test_it_prints_no_address(first: subprocess.CompletedProcess[str]) -> None:
    assert "@" not in first.stdout


def test_it_can_be_run_again(first: subprocess.CompletedProcess[str], database: Path) -> None:
    again = run("demo", database=database)
    assert (again.returncode, again.stderr) == (0, "")
    assert "emptied and filled with 58 learners" in again.stdout
    with sqlite3.connect(database) as connection:
        assert connection.execute("SELECT count(DISTINCT user_id) FROM courses_enrollment").fetchone() == (58,)


def test_it_leaves_a_database_with_people_in_it_alone(tmp_path: Path) -> None:
    database = tmp_path / "site.sqlite3"
    assert run("migrate", database=database).returncode == 0
    with sqlite3.connect(database) as connection:
        connection.execute(
            "INSERT INTO courses_course (key, title, org, self_paced, is_active, language, currency, "
            "highlights_enabled_for_messaging, created, modified) "
            "VALUES ('course-v1:A+B+C', 'T', 'A', 1, 1, '', '', 0, '2026-01-01', '2026-01-01')"
        )
    refused = run("demo", database=database)
    assert refused.returncode == 2
    assert (
        "this database holds data that is not the demo's (table courses_course); nothing was touched" in refused.stderr
    )
    with sqlite3.connect(database) as connection:
        assert connection.execute("SELECT title FROM courses_course").fetchall() == [("T",)]


def test_it_leaves_another_programs_file_alone(tmp_path: Path) -> None:
    database = tmp_path / "other.sqlite3"
    with sqlite3.connect(database) as connection:
        connection.execute("CREATE TABLE recipes (name text)")
    refused = run("demo", database=database)
    assert refused.returncode == 2
    assert "(table recipes)" in refused.stderr


def test_it_refuses_settings_that_people_could_reach(tmp_path: Path) -> None:
    refused = run("demo", database=tmp_path / "x.sqlite3", DEBUG="false")
    assert refused.returncode == 2
    assert "only with DEBUG on" in refused.stderr


def test_it_refuses_a_port_that_is_none(tmp_path: Path) -> None:
    refused = run("demo", database=tmp_path / "x.sqlite3", DEMO_PORT="http")
    assert refused.returncode == 2
    assert "'http' is not a port" in refused.stderr


class Served:
    """A demo that is being served: its process, what it has said, and a visitor with cookies."""

    def __init__(self, database: Path, port: int) -> None:
        line, env = command("demo", database=database, DEMO_SERVE="1", DEMO_PORT=str(port))
        self.process = subprocess.Popen(
            line,
            cwd=ROOT,
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # A shell starts what runs in its background with Ctrl-C ignored, and the demo would inherit that from us.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        assert self.process.stdout is not None
        self.said = ""
        for text in self.process.stdout:
            self.said += text
            if "Ctrl-C" in text:
                break
        self.visitor = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(self.cookies))

    cookies = CookieJar()

    @property
    def address(self) -> str:
        """The address it prints for the mails."""
        found = re.search(r"The mails +(\S+)/$", self.said, re.MULTILINE)
        assert found, self.said
        return found[1]

    def get(self, path: str, **data: str) -> tuple[int, str]:
        """Return status and text of a page; with data it is a POST."""
        try:
            with self.visitor.open(self.address + path, urlencode(data).encode() if data else None) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, ""


@pytest.fixture(scope="module")
def taken_port() -> Iterator[int]:
    """A port on which somebody else listens."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, taken_port: int) -> Iterator[Served]:
    """A demo whose wanted port is taken."""
    demo = Served(tmp_path_factory.mktemp("served") / "demo.sqlite3", taken_port)
    yield demo
    demo.process.kill()
    demo.process.communicate()


def test_it_goes_to_the_next_port_and_says_so(served: Served, taken_port: int) -> None:
    assert f"Port {taken_port} is taken" in served.said
    assert served.address.startswith("http://127.0.0.1:")
    assert not served.address.endswith(f":{taken_port}")


def test_it_serves_the_mails_at_its_root(served: Served) -> None:
    status, page = served.get("/")
    assert status == 200
    assert "Coastal Navigation" in page


def test_its_page_lets_something_happen_and_leads_to_the_mail(served: Served) -> None:
    rows = re.findall(r"^  (\S.*?)  +(\S+)$", served.said.partition("Now look at it")[2], re.MULTILINE)
    assert rows[0] == ("Try it", f"{served.address}/demo/")
    assert 'href="/demo/"' in served.get("/")[1]
    status, page = served.get("/demo/")
    assert status == 200
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page)
    assert token
    status, page = served.get("/demo/enrol/", csrfmiddlewaretoken=token[1])
    assert status == 200
    assert "Ada Whitcombe has enrolled in “Reading the Weather”. One mail went out." in page
    mail = re.search(r'href="(/email/outbox/\d+/)">You are enrolled: Reading the Weather</a>', page)
    assert mail
    assert served.get(mail[1])[0] == 200


def test_its_staff_account_opens_the_admin(served: Served) -> None:
    status, _ = served.get("/admin/login/")
    assert status == 200
    token = next(cookie.value or "" for cookie in served.cookies if cookie.name == "csrftoken")
    status, page = served.get("/admin/login/?next=/admin/", username="demo", password="demo", csrfmiddlewaretoken=token)
    assert status == 200
    assert "/admin/schedules/" in page
    assert served.get("/static/admin/css/base.css")[0] == 200


def test_it_stops_when_told_to(served: Served) -> None:
    served.process.send_signal(signal.SIGINT)
    rest, errors = served.process.communicate(timeout=60)
    assert (served.process.returncode, errors) == (0, "")
    assert "Stopped." in rest
