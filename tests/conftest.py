"""What every test may ask for. The database follows DATABASE_URL (lms/envs/test.py)."""

import os
from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings
from django.core.cache import caches
from django.core.signals import request_finished, request_started, setting_changed
from django.core.wsgi import get_wsgi_application
from django.db import close_old_connections, connection
from django.template import engines
from django.test.utils import override_settings
from edx_ace.channel import channels
from edx_ace.policy import policies

from courses.alerts import Alert
from email_automation.braze_standin.server import BrazeStandIn
from email_automation.pipeline import cohort, turn
from email_automation.templating import stored
from tests import sinks
from tests.mail.stock import Undefined

# Files whose subject is what a database does; they run on every one, without a mark of their own.
EVERY_DATABASE = ("bulk", "ledger", "models", "resolver", "services", "signals", "sites", "switches", "sync")
REDIS_URL = os.environ.get("CADENCE_TEST_REDIS_URL", "redis://127.0.0.1:6379")
REDIS_DATABASES = range(15, 0, -1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that run on every database, and those that ask no database and so run on one only."""
    for item in items:
        if any(word in item.path.stem for word in EVERY_DATABASE):
            item.add_marker("every_database")
        asked = {"db", "transactional_db", "live_server"} & set(getattr(item, "fixturenames", ()))
        if item.get_closest_marker("django_db") is None and not asked:
            item.add_marker("anywhere")


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: Any) -> None:
    """Make the test database, and drop the tables of waffle's own flag model, which ours replaces.

    Waffle's migrations make them all the same. They stay empty, but PostgreSQL refuses to truncate the users' table
    after a transactional test while a table that Django does not know refers to it.
    """
    with django_db_blocker.unblock(), connection.cursor() as cursor:
        for table in ("waffle_flag_groups", "waffle_flag_users", "waffle_flag"):
            cursor.execute(f"DROP TABLE IF EXISTS {table}")


@pytest.fixture(autouse=True)
def _clean_cache() -> None:
    """Start each test with an empty cache."""
    caches["default"].clear()


@pytest.fixture(autouse=True)
def _no_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no turn end because the machine is busy; tests of turns say themselves when one is over."""
    monkeypatch.setattr(turn, "SECONDS", 600)


@pytest.fixture(autouse=True)
def _no_edited_templates() -> None:
    """Start each test as a process that has not looked for edited templates yet, and has rendered nothing."""
    stored.forget()
    cohort.forget()


@pytest.fixture
def told(settings: Any) -> list[Alert]:
    """The alerts of this test, instead of lines in the log and mails to ADMINS."""
    settings.ALERT_SINKS = ["tests.sinks.remember"]
    sinks.told.clear()
    return sinks.told


def forget_ace(*, setting: str = "ACE_", **kwargs: Any) -> None:
    """Make ACE read its channels and policies from the settings again; it looks once per process."""
    if setting.startswith("ACE_"):
        for cached in (channels, policies):
            vars(cached.__wrapped__).pop("__once_result", None)


setting_changed.connect(forget_ace, dispatch_uid="tests.forget_ace")


@pytest.fixture
def strict_templates() -> Iterator[None]:
    """Make a variable that the context lacks an error, in file templates."""
    edited, ordinary = settings.TEMPLATES
    strict = {**ordinary, "OPTIONS": {**ordinary["OPTIONS"], "string_if_invalid": Undefined("%s")}}
    with override_settings(TEMPLATES=[edited, strict]):
        assert engines["django"].engine.string_if_invalid == "%s"
        yield


@pytest.fixture
def fresh_ace() -> Iterator[None]:
    """Let a test that changes what ACE finds by other means than settings begin and end with nothing remembered."""
    forget_ace()
    yield
    forget_ace()


@pytest.fixture
def braze(settings: Any) -> Iterator[BrazeStandIn]:
    """A stand-in for Braze of its own, to which the settings lead."""
    with BrazeStandIn().running() as server:
        server.use(settings)
        yield server


@pytest.fixture
def wsgi() -> Iterator[Any]:
    """The project as a server calls it, with the test's own connection left open, as Django's test client does."""
    request_started.disconnect(close_old_connections)
    request_finished.disconnect(close_old_connections)
    yield get_wsgi_application()
    request_started.connect(close_old_connections)
    request_finished.connect(close_old_connections)


@pytest.fixture
def redis_url() -> Iterator[str]:
    """The address of an empty Redis database that nobody else uses, emptied again afterwards."""
    import redis

    owner = f"cadence-test-{os.getpid()}"
    try:
        redis.Redis.from_url(REDIS_URL, socket_connect_timeout=2).ping()
    except redis.RedisError as error:
        if os.environ.get("REQUIRE_SERVICES") == "1":
            pytest.fail(f"Redis is required and cannot be reached at {REDIS_URL}: {error}")
        pytest.skip(f"Redis cannot be reached at {REDIS_URL}")
    for number in REDIS_DATABASES:
        url = f"{REDIS_URL.rstrip('/')}/{number}"
        with redis.Redis.from_url(url, socket_connect_timeout=2) as client:
            # Taken only while empty: a developer's own data may live in any of them.
            if client.dbsize() == 0 and client.set("cadence-test-owner", owner, nx=True, ex=600):
                try:
                    yield url
                finally:
                    client.flushdb()
                return
    pytest.fail(f"no empty Redis database left at {REDIS_URL}")
