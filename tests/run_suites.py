#!/usr/bin/env python3
"""Run the tests on every database and service that this machine offers, and say what was left out.

Services are looked for first. REQUIRE_SERVICES=1 makes a missing one a failure. Where to look:
CADENCE_TEST_POSTGRES_URL, CADENCE_TEST_MARIADB_URL, CADENCE_TEST_REDIS_URL, CHROMIUM. Arguments go to pytest, but
`--services postgres redis` only looks for these and fails when one is missing.
"""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

ROOT = Path(__file__).resolve().parents[1]
WORKERS = "2"
NO_TESTS = 5


@dataclass(frozen=True)
class Service:
    """What was found of one service: its address, or why it cannot be used."""

    name: str
    url: str = ""
    problem: str = ""


@dataclass(frozen=True)
class Suite:
    """One call of pytest."""

    name: str
    database_url: str
    marks: str
    parallel: bool = True
    may_be_empty: bool = False


def main(arguments: list[str]) -> int:
    """Look for the services, run the suites, and return the exit status."""
    only_look = arguments[:1] == ["--services"]
    services = {name: look() for name, look in LOOK.items() if not only_look or name in arguments}
    for service in services.values():
        print(f"{service.name}: {_without_password(service.url) or service.problem}")
    missing = [service for service in services.values() if service.problem]
    if only_look:
        return 1 if missing else 0
    if missing and os.environ.get("REQUIRE_SERVICES") == "1":
        print(f"required and missing: {_list(missing)}", file=sys.stderr)
        return 1
    failed = [suite.name for suite in suites(services) if not run(suite, services, arguments)]
    if failed:
        print(f"\nfailed: {', '.join(failed)}")
    print(f"left out: {_list(missing)}")
    return 1 if failed else 0


def suites(services: dict[str, Service]) -> list[Suite]:
    """Return the calls of pytest that fit what was found; the largest one comes last.

    Everything runs on one database: PostgreSQL, where there is one. The others run what is about the database, which is
    marked. What takes workers runs where workers are supported, and what a browser shows on SQLite.
    """
    without = "".join(f" and not {name}" for name in ("redis", "browser") if services[name].problem)
    marked = "every_database and not anywhere"
    mariadb, postgres = services["mariadb"].url, services["postgres"].url
    of_sqlite = "chaos and not redis and not every_message" if postgres else "chaos"
    chosen = [Suite("sqlite, one at a time", "", f"{of_sqlite}{without}", parallel=False, may_be_empty=True)]
    if mariadb:
        chosen.append(Suite("mariadb", mariadb, f"{marked} and not browser and not chaos{without}"))
    if not postgres:
        return [*chosen, Suite("sqlite", "", f"not chaos{without}")]
    return [
        *chosen,
        Suite("sqlite", "", f"({marked} or browser) and not chaos{without}"),
        Suite("postgres, one at a time", postgres, f"chaos{without}", parallel=False, may_be_empty=True),
        Suite("postgres", postgres, f"not browser and not chaos{without}"),
    ]


def run(suite: Suite, services: dict[str, Service], arguments: list[str]) -> bool:
    """Run one suite and say whether it passed."""
    environment = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
    if suite.database_url:
        environment["DATABASE_URL"] = suite.database_url
    for variable, name in (("CADENCE_TEST_REDIS_URL", "redis"), ("CHROMIUM", "browser")):
        if services[name].url:
            environment[variable] = services[name].url
    spread = ["-n", WORKERS, "--dist", "loadgroup"] if suite.parallel else ["-p", "no:xdist"]
    print(f"\n=== {suite.name} ===", flush=True)
    command = [sys.executable, "-m", "pytest", "-q", *spread, "-m", suite.marks, *arguments]
    status = subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode
    return status == 0 or (status == NO_TESTS and suite.may_be_empty)


def postgres() -> Service:
    """Look for a PostgreSQL server that lets us create databases."""

    def connect(url: str) -> None:
        import psycopg

        psycopg.connect(url.replace("postgres://", "postgresql://", 1), connect_timeout=3).close()

    usual = ("postgres://postgres@127.0.0.1:5432/postgres", "postgres:///postgres")
    return _first("postgres", _candidates("CADENCE_TEST_POSTGRES_URL", usual), connect)


def mariadb() -> Service:
    """Look for a MariaDB or MySQL server."""
    if importlib.util.find_spec("MySQLdb") is None:
        return Service("mariadb", problem="mysqlclient is not installed (requirements/mysql.txt)")

    def connect(url: str) -> None:
        import MySQLdb

        parts = urlsplit(url)
        socket = parse_qs(parts.query).get("unix_socket", [""])[0]
        MySQLdb.connect(
            user=unquote(parts.username or ""),
            password=unquote(parts.password or ""),
            host=parts.hostname or "localhost",
            port=parts.port or 3306,
            connect_timeout=3,
            **({"unix_socket": socket} if socket else {}),
        ).close()

    usual = (
        "mysql://root@127.0.0.1:3306/test",
        "mysql://root@localhost/test?unix_socket=/run/mysqld/mysqld.sock",
    )
    return _first("mariadb", _candidates("CADENCE_TEST_MARIADB_URL", usual), connect)


def redis() -> Service:
    """Look for a Redis server."""

    def connect(url: str) -> None:
        from redis import Redis

        Redis.from_url(url, socket_connect_timeout=3).ping()

    return _first("redis", _candidates("CADENCE_TEST_REDIS_URL", ("redis://127.0.0.1:6379",)), connect)


def browser() -> Service:
    """Look for Chromium."""
    names = (os.environ.get("CHROMIUM"), "/usr/bin/chromium", "chromium", "chromium-browser", "google-chrome")
    path = next((found for name in names if name and (found := shutil.which(name))), "")
    return Service("browser", url=path, problem="" if path else "no chromium on PATH; CHROMIUM may name one")


def _candidates(variable: str, usual: Iterable[str]) -> list[str]:
    """Return the one address that somebody named, else the usual ones."""
    return [os.environ[variable]] if os.environ.get(variable) else list(usual)


def _first(name: str, urls: list[str], connect: Callable[[str], None]) -> Service:
    """Return the first address that answers."""
    problem = ""
    for url in urls:
        try:
            connect(url)
        except Exception as error:  # every driver has exceptions of its own, and a missing driver is a reason too
            problem = problem or f"not reachable at {_without_password(url)}: {' '.join(str(error).split())}"
        else:
            return Service(name, url=url)
    return Service(name, problem=problem)


def _without_password(url: str) -> str:
    return re.sub(r"(//[^:/@]*):[^@]*@", r"\1:***@", url)


def _list(services: list[Service]) -> str:
    return ", ".join(f"{service.name} ({service.problem})" for service in services) or "none"


LOOK: dict[str, Callable[[], Service]] = {
    "postgres": postgres,
    "mariadb": mariadb,
    "redis": redis,
    "browser": browser,
}

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
