"""Settings: what follows from what, and which environments start."""

import importlib.util
import json
import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.core.exceptions import ImproperlyConfigured
from django.test import Client

from lms.envs.derive import SQLITE_OPTIONS, derive, finish, overlay, require
from lms.logs import OneLineFormatter, unless_push

ROOT = Path(__file__).resolve().parents[1]
SECRETS = {"SECRET_KEY": "k" * 60, "ALLOWED_HOSTS": "mail.example.com"}


def derived(**settings: Any) -> dict[str, Any]:
    """Return the given settings with what follows from them."""
    derive(settings)
    return settings


def started(module: str, *names: str, **environment: str) -> dict[str, Any]:
    """Start Python with a settings module and return the named settings."""
    code = (
        f"import json; from django.conf import settings as s; print(json.dumps({{n: getattr(s, n) for n in {names}}}))"
    )
    return json.loads(_python(code, DJANGO_SETTINGS_MODULE=module, **environment).stdout)


def _python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    command = [sys.executable, "-c", code]
    return subprocess.run(command, cwd=ROOT, env=clean | environment, capture_output=True, text=True, check=False)


class TestChannels:
    """Which ACE channel delivers."""

    @pytest.mark.parametrize(
        ("settings", "channels"),
        [
            ({}, ["django_mail", "braze_campaign"]),
            ({"ACE_ENABLED_CHANNEL": None, "ACE_ENABLED_CHANNELS": None}, ["django_mail", "braze_campaign"]),
            ({"ACE_ENABLED_CHANNEL": []}, ["django_mail", "braze_campaign"]),
            ({"ACE_ENABLED_CHANNEL": ["sailthru_email"]}, ["sailthru_email", "braze_campaign"]),
            ({"ACE_ENABLED_CHANNEL": "sailthru_email"}, ["sailthru_email", "braze_campaign"]),
            ({"ACE_ENABLED_CHANNEL": ["braze_campaign", "django_mail"]}, ["braze_campaign", "django_mail"]),
            ({"ACE_ENABLED_CHANNEL": ["sailthru_email"], "ACE_ENABLED_CHANNELS": ["django_mail"]}, ["django_mail"]),
            ({"ACE_CHANNEL_SAILTHRU_DEBUG": True}, ["file_email", "braze_campaign"]),
            (
                {"ACE_CHANNEL_SAILTHRU_DEBUG": True, "ACE_ENABLED_CHANNEL": ["sailthru_email"]},
                ["file_email", "braze_campaign"],
            ),
            (
                {"ACE_CHANNEL_SAILTHRU_DEBUG": True, "ACE_ENABLED_CHANNEL": ["django_mail"]},
                ["django_mail", "braze_campaign"],
            ),
            (
                {"ACE_CHANNEL_SAILTHRU_DEBUG": False, "ACE_ENABLED_CHANNEL": ["sailthru_email"]},
                ["sailthru_email", "braze_campaign"],
            ),
            (
                {"ACE_CHANNEL_SAILTHRU_DEBUG": True, "ACE_ENABLED_CHANNELS": ["sailthru_email", "file_email", "x"]},
                ["file_email", "x"],
            ),
        ],
    )
    def test_it_follows_the_documented_settings(self, settings: dict[str, Any], channels: list[str]) -> None:
        result = derived(**settings)
        assert result["ACE_ENABLED_CHANNELS"] == channels
        assert result["ACE_CHANNEL_DEFAULT_EMAIL"] == channels[0]
        assert result["ACE_CHANNEL_TRANSACTIONAL_EMAIL"] == channels[0]

    def test_it_keeps_a_channel_chosen_for_transactional_mail(self) -> None:
        result = derived(ACE_ENABLED_CHANNELS=["a", "b"], ACE_CHANNEL_TRANSACTIONAL_EMAIL="b")
        assert (result["ACE_CHANNEL_DEFAULT_EMAIL"], result["ACE_CHANNEL_TRANSACTIONAL_EMAIL"]) == ("a", "b")


class TestDatabases:
    """What each engine is opened with."""

    def test_sqlite_takes_the_write_lock_early_and_waits(self) -> None:
        database = {"ENGINE": "django.db.backends.sqlite3", "OPTIONS": {"timeout": 1, "cached_statements": 5}}
        derived(DATABASES={"default": database})
        assert database["OPTIONS"] == SQLITE_OPTIONS | {"cached_statements": 5}

    def test_mysql_compares_text_byte_by_byte(self) -> None:
        database: dict[str, Any] = {"ENGINE": "django.db.backends.mysql", "OPTIONS": {"ssl_mode": "REQUIRED"}}
        derived(DATABASES={"default": database})
        assert database["OPTIONS"]["ssl_mode"] == "REQUIRED"
        assert database["OPTIONS"]["charset"] == "utf8mb4"
        assert database["OPTIONS"]["isolation_level"] == "read committed"
        assert "STRICT_TRANS_TABLES" in database["OPTIONS"]["init_command"]
        assert database["TEST"] == {"CHARSET": "utf8mb4", "COLLATION": "utf8mb4_bin"}

    def test_postgresql_keeps_its_connections_and_checks_them(self) -> None:
        database: dict[str, Any] = {"ENGINE": "django.db.backends.postgresql", "CONN_MAX_AGE": 5}
        derived(DATABASES={"default": database})
        assert (database["CONN_MAX_AGE"], database["CONN_HEALTH_CHECKS"]) == (5, True)

    @pytest.mark.parametrize("url", ["", "sqlite:///other.sqlite3", "sqlite://:memory:"])
    def test_sqlite_is_opened_so_from_any_address(self, url: str) -> None:
        found = started("lms.envs.devstack", "DATABASES", **({"DATABASE_URL": url} if url else {}))
        assert found["DATABASES"]["default"]["OPTIONS"] == SQLITE_OPTIONS

    def test_mariadb_is_a_scheme(self) -> None:
        found = started("lms.envs.devstack", "DATABASES", DATABASE_URL="mariadb://u:p@db/cadence")
        assert found["DATABASES"]["default"]["ENGINE"] == "django.db.backends.mysql"


class TestBroker:
    """Whether tasks run in-process, and how long a dead broker is waited for."""

    def test_without_a_broker_tasks_run_in_process(self) -> None:
        result = derived(CELERY_BROKER_URL="")
        assert result["CELERY_TASK_ALWAYS_EAGER"] is True
        assert result["CELERY_BROKER_URL"] == ""

    def test_with_redis_the_wait_is_short(self) -> None:
        result = derived(CELERY_BROKER_URL="redis://localhost/0", CELERY_BROKER_TRANSPORT_OPTIONS={"max_retries": 2})
        assert result["CELERY_TASK_ALWAYS_EAGER"] is False
        assert result["CELERY_BROKER_TRANSPORT_OPTIONS"]["socket_connect_timeout"] == 2
        assert result["CELERY_BROKER_TRANSPORT_OPTIONS"]["max_retries"] == 2

    def test_other_brokers_are_not_given_redis_options(self) -> None:
        result = derived(CELERY_BROKER_URL="amqp://localhost")
        assert "socket_connect_timeout" not in result["CELERY_BROKER_TRANSPORT_OPTIONS"]

    def test_a_publish_to_a_dead_broker_fails_soon(self) -> None:
        code = (
            "import time, lms\nstart = time.monotonic()\n"
            "try: lms.celery_app.send_task('x')\nexcept Exception as e: print(type(e).__name__)\n"
            "assert time.monotonic() - start < 10"
        )
        # Port 1 of this machine refuses connections.
        done = _python(code, DJANGO_SETTINGS_MODULE="lms.envs.devstack", CELERY_BROKER_URL="redis://127.0.0.1:1/0")
        assert (done.returncode, done.stdout.strip()) == (0, "OperationalError"), done.stderr

    def test_each_queue_has_an_exchange_of_its_own(self) -> None:
        code = (
            "import lms; q = lms.celery_app.amqp.queues;"
            "print(sorted((n, q[n].exchange.name, q[n].routing_key) for n in q))"
        )
        done = _python(code, DJANGO_SETTINGS_MODULE="lms.envs.devstack")
        queues = [("lifecycle", "lifecycle", "lifecycle"), ("transactional", "transactional", "transactional")]
        assert done.stdout.strip() == str(queues), done.stderr


class TestPrivate:
    """A site's own values."""

    @pytest.fixture
    def private(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
        monkeypatch.syspath_prepend(str(tmp_path))

        def write(text: str, name: str = "private_settings_of_a_site") -> str:
            (tmp_path / f"{name}.py").write_text(text, encoding="utf-8")
            importlib.invalidate_caches()
            sys.modules.pop(name, None)
            return name

        return write

    def test_they_come_before_what_is_derived(self, private: Any) -> None:
        settings: dict[str, Any] = {"ACE_ENABLED_CHANNEL": None, "ACE_CHANNEL_SAILTHRU_DEBUG": True}
        text = "ACE_CHANNEL_SAILTHRU_DEBUG = False\nACE_ENABLED_CHANNEL = ['sailthru_email']\n"
        finish(settings, private=private(text))
        assert settings["ACE_CHANNEL_DEFAULT_EMAIL"] == "sailthru_email"

    def test_only_upper_case_names_count(self, private: Any) -> None:
        settings: dict[str, Any] = {}
        overlay(settings, private("import os\nlower = 1\nUPPER = 2\n"))
        assert settings == {"UPPER": 2}

    def test_a_missing_module_changes_nothing(self) -> None:
        settings: dict[str, Any] = {"A": 1}
        overlay(settings, "lms.envs.no_such_module")
        assert settings == {"A": 1}

    def test_a_broken_module_is_not_taken_for_a_missing_one(self, private: Any) -> None:
        with pytest.raises(ModuleNotFoundError):
            overlay({}, private("import no_such_library\n", name="broken_settings_of_a_site"))


class TestEnvironments:
    """The settings modules as they start."""

    def test_devstack_docker_writes_files(self) -> None:
        found = started("lms.envs.devstack_docker", "ACE_ENABLED_CHANNELS", "DEBUG")
        assert found == {"ACE_ENABLED_CHANNELS": ["file_email", "braze_campaign"], "DEBUG": True}

    def test_devstack_docker_obeys_the_environment(self) -> None:
        found = started("lms.envs.devstack_docker", "ACE_ENABLED_CHANNELS", ACE_CHANNEL_SAILTHRU_DEBUG="false")
        assert found == {"ACE_ENABLED_CHANNELS": ["django_mail", "braze_campaign"]}

    @pytest.mark.parametrize("missing", sorted(SECRETS))
    def test_production_refuses_to_start_without(self, missing: str) -> None:
        given = {name: value for name, value in SECRETS.items() if name != missing}
        done = _python("import lms.envs.production", **given)
        assert done.returncode == 1
        assert missing in done.stderr.splitlines()[-1]

    def test_production_is_not_debug(self) -> None:
        names = ("DEBUG", "SESSION_COOKIE_SECURE", "CSRF_COOKIE_SECURE", "SECURE_SSL_REDIRECT", "SECURE_HSTS_SECONDS")
        found = started("lms.envs.production", *names, SECURE_HSTS_SECONDS="60", **SECRETS)
        assert list(found.values()) == [False, True, True, True, 60]

    def test_the_mail_server_comes_from_one_address(self) -> None:
        names = ("EMAIL_BACKEND", "EMAIL_HOST", "EMAIL_PORT", "EMAIL_HOST_USER", "EMAIL_USE_TLS", "EMAIL_TIMEOUT")
        found = started("lms.envs.devstack", *names, EMAIL_URL="smtp+tls://user:pass@mail.example.com:587")
        backend = "django.core.mail.backends.smtp.EmailBackend"
        assert list(found.values()) == [backend, "mail.example.com", 587, "user", True, 30]

    def test_a_provider_gets_its_keys(self) -> None:
        found = started("lms.envs.devstack", "ANYMAIL", ANYMAIL_SENDGRID_API_KEY="x")
        assert found == {"ANYMAIL": {"SENDGRID_API_KEY": "x"}}

    def test_require_names_everything_that_is_missing(self) -> None:
        with pytest.raises(ImproperlyConfigured, match="A, C"):
            require({"A": "", "B": 1, "C": []}, "A", "B", "C")


class TestLog:
    """Records in the log."""

    def test_a_record_stays_on_one_line(self) -> None:
        record = logging.LogRecord("cadence", logging.INFO, __file__, 1, "one\r\ntwo %s", ("x\ny",), None)
        assert OneLineFormatter("%(message)s").format(record) == "one\\r\\ntwo x\\ny"

    @pytest.mark.parametrize(("name", "kept"), [("push_notification", False), ("sailthru_email", True)])
    def test_only_the_push_channel_may_be_missing_silently(self, name: str, kept: bool) -> None:
        text = "Could not load %r: reason"
        assert unless_push(logging.LogRecord("stevedore.extension", logging.ERROR, "", 1, text, (name,), None)) is kept


@pytest.mark.django_db
class TestAddresses:
    """The project's own pages."""

    @pytest.mark.parametrize(("debug", "target"), [(True, "/email/outbox/"), (False, "/admin/")])
    def test_the_front_page_leads_on(self, client: Client, settings: Any, debug: bool, target: str) -> None:
        settings.DEBUG = debug
        assert client.get("/")["Location"] == target

    @pytest.mark.parametrize(
        ("documented", "ours"),
        [
            ("/admin/course_modes/coursemode/", "/admin/courses/coursemode/"),
            ("/admin/self_paced/selfpacedconfiguration/", "/admin/courses/selfpacedconfiguration/"),
        ],
    )
    def test_documented_addresses_keep_their_query(self, client: Client, documented: str, ours: str) -> None:
        assert client.get(f"{documented}?q=edX&o=1")["Location"] == f"{ours}?q=edX&o=1"

    def test_a_learner_can_log_in_and_arrives_where_they_were_going(self, client: Client) -> None:
        get_user_model().objects.create_user("ann", password="right-horse")
        page = client.get("/accounts/login/?next=/email/preferences/").content.decode()
        assert 'value="/email/preferences/"' in page
        wrong = client.post("/accounts/login/", {"username": "ann", "password": "wrong"})
        assert 'role="alert"' in wrong.content.decode()
        right = {"username": "ann", "password": "right-horse", "next": "/email/preferences/"}
        assert client.post("/accounts/login/", right)["Location"] == "/email/preferences/"
        right["next"] = "https://elsewhere.example/"
        assert client.post("/accounts/login/", right)["Location"] == "/"

    def test_administrators_find_accounts_by_name_and_address(self, admin_client: Client) -> None:
        get_user_model().objects.create_user("bob", email="bob@example.com", role="teacher")
        for query in ("bob", "bob@example.com"):
            page = admin_client.get("/admin/accounts/user/", {"q": query, "role__exact": "teacher"})
            assert page.status_code == 200
            assert "bob@example.com" in page.content.decode()
