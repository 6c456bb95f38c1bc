"""manage.py as operators of the platform type it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import manage

ROOT = Path(__file__).resolve().parents[1]


def typed(line: str, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    """Run a command line of manage.py on a SQLite file of the test's own."""
    environment = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
    environment |= {"DATABASE_URL": f"sqlite:///{tmp_path}/db.sqlite3", "ACE_MESSAGES_DIR": str(tmp_path / "mail")}
    command = [sys.executable, "manage.py", *line.split()]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


class TestArguments:
    """What manage.py takes out of the line before Django reads it."""

    @pytest.mark.parametrize(
        ("line", "name", "rest"),
        [
            ("lms check", "", "lms check"),
            (
                "lms --settings devstack_docker check x --date 2017-11-13",
                "devstack_docker",
                "lms check x --date 2017-11-13",
            ),
            ("--settings=test lms check", "test", "lms check"),
            ("check x --settings=test", "test", "check x"),
            ("check --settings a --settings b", "b", "check"),
            ("check --settings-like=a", "", "check --settings-like=a"),
            ("run -- --settings a", "", "run -- --settings a"),
        ],
    )
    def test_settings_may_stand_anywhere(self, line: str, name: str, rest: str) -> None:
        assert manage.split_settings(line.split()) == (name, rest.split())

    @pytest.mark.parametrize("line", ["check --settings", "check --settings="])
    def test_settings_need_a_name(self, line: str) -> None:
        with pytest.raises(manage.UnknownSettings):
            manage.split_settings(line.split())

    @pytest.mark.parametrize(
        ("name", "module"),
        [
            (None, "lms.envs.devstack"),
            ("", "lms.envs.devstack"),
            ("production", "lms.envs.production"),
            ("my.own.settings", "my.own.settings"),
        ],
    )
    def test_a_short_name_is_one_of_the_environments(self, name: str | None, module: str) -> None:
        assert manage.find_settings(name) == module


class TestCommandLine:
    """Whole lines, in a process of their own."""

    @pytest.mark.parametrize("line", ["lms --settings nowhere check", "check --settings=no/where", "check --settings"])
    def test_an_unknown_name_is_one_line_and_status_2(self, line: str, tmp_path: Path) -> None:
        done = typed(line, tmp_path)
        assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (2, "", 1)

    def test_the_settings_are_those_named(self, tmp_path: Path) -> None:
        done = typed("lms --settings devstack_docker diffsettings --all", tmp_path)
        assert "SETTINGS_MODULE = 'lms.envs.devstack_docker'" in done.stdout, done.stderr

    @pytest.mark.slow
    def test_the_documented_lines_work_as_they_stand(self, tmp_path: Path) -> None:
        assert typed("lms migrate -v 0", tmp_path).returncode == 0
        for line in (
            "lms send_recurring_nudge example.com",
            "lms --settings devstack_docker send_recurring_nudge example.com",
            "lms --settings devstack_docker send_recurring_nudge example.com --date 2017-11-13",
            "lms --settings devstack_docker send_recurring_nudge example.com "
            "--override-recipient-email developer@example.com",
        ):
            done = typed(line, tmp_path)
            assert done.returncode == 0, done.stderr
            assert done.stdout.startswith("send_recurring_nudge example.com"), done.stdout
