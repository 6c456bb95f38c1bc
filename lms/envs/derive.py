"""What follows from other settings, computed once a settings module is otherwise complete.

Every settings module ends with `finish(globals())`: a `private.py` beside this file (a site's own values, not in
version control) is laid over the module, then whatever depends on those values is filled in.
"""

import importlib
import importlib.util
from collections.abc import MutableMapping
from typing import Any

from django.core.exceptions import ImproperlyConfigured

Settings = MutableMapping[str, Any]

DEFAULT_CHANNEL = "django_mail"
FILE_CHANNEL = "file_email"
SAILTHRU_CHANNEL = "sailthru_email"
#: Enabled beside the one for e-mail; only messages that ask for it go out by it.
CAMPAIGN_CHANNEL = "braze_campaign"

SQLITE_OPTIONS = {
    "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
    "transaction_mode": "IMMEDIATE",
    "timeout": 20,
}
MYSQL_OPTIONS = {
    "charset": "utf8mb4",
    "init_command": "SET sql_mode='STRICT_TRANS_TABLES'",
    "isolation_level": "read committed",
}
MYSQL_TEST = {"CHARSET": "utf8mb4", "COLLATION": "utf8mb4_bin"}
KEEP_CONNECTION_SECONDS = 60

# With these a publish to a dead broker fails within a few seconds; Celery's own default waits for it to come back.
PUBLISH_OPTIONS: dict[str, Any] = {"max_retries": 1, "interval_start": 0, "interval_step": 0.2, "interval_max": 0.2}
REDIS_OPTIONS: dict[str, Any] = {"socket_connect_timeout": 2, "socket_timeout": 10, "socket_keepalive": True}


def finish(settings: Settings, *, private: str = "lms.envs.private") -> None:
    """Complete a settings module: first the site's own values, then everything that follows from them."""
    overlay(settings, private)
    derive(settings)


def overlay(settings: Settings, private: str) -> None:
    """Lay the upper-case names of the module `private` over `settings`; a missing module changes nothing."""
    # Asking for the spec first keeps an ImportError inside the module visible.
    if importlib.util.find_spec(private) is None:
        return
    module = importlib.import_module(private)
    settings.update({name: value for name, value in vars(module).items() if name.isupper()})


def derive(settings: Settings) -> None:
    """Fill in, in place, the settings that depend on others."""
    _derive_channels(settings)
    for database in settings.get("DATABASES", {}).values():
        _derive_database(database)
    _derive_broker(settings)


def require(settings: Settings, *names: str) -> None:
    """Refuse to start while one of the named settings is empty."""
    missing = [name for name in names if not settings.get(name)]
    if missing:
        raise ImproperlyConfigured(f"Set in the environment or in lms/envs/private.py: {', '.join(missing)}")


def _derive_channels(settings: Settings) -> None:
    """Turn the documented `ACE_ENABLED_CHANNEL` into the settings that ACE reads."""
    to_files = bool(settings.get("ACE_CHANNEL_SAILTHRU_DEBUG"))
    channels = _as_list(settings.get("ACE_ENABLED_CHANNELS"))
    if not channels:
        default = FILE_CHANNEL if to_files else DEFAULT_CHANNEL
        channels = [*(_as_list(settings.get("ACE_ENABLED_CHANNEL")) or [default]), CAMPAIGN_CHANNEL]
    if to_files:
        channels = [FILE_CHANNEL if name == SAILTHRU_CHANNEL else name for name in channels]
    settings["ACE_ENABLED_CHANNELS"] = list(dict.fromkeys(channels))
    for name in ("ACE_CHANNEL_DEFAULT_EMAIL", "ACE_CHANNEL_TRANSACTIONAL_EMAIL"):
        settings[name] = settings.get(name) or settings["ACE_ENABLED_CHANNELS"][0]


def _derive_database(database: dict[str, Any]) -> None:
    """Add to one DATABASES entry what its engine needs; values somebody gave stay, except SQLite's locking."""
    engine = database.get("ENGINE", "")
    options = database.get("OPTIONS") or {}
    if engine.endswith("sqlite3"):
        # Another journal or transaction mode answers concurrent writers with "database is locked".
        database["OPTIONS"] = options | SQLITE_OPTIONS
    elif engine.endswith("mysql"):
        database["OPTIONS"] = MYSQL_OPTIONS | options
        database["TEST"] = MYSQL_TEST | (database.get("TEST") or {})
    if not engine.endswith("sqlite3"):
        database.setdefault("CONN_MAX_AGE", KEEP_CONNECTION_SECONDS)
        database.setdefault("CONN_HEALTH_CHECKS", True)


def _derive_broker(settings: Settings) -> None:
    """Run tasks in-process without a broker; with one, keep a dead broker from holding up a web request."""
    url = settings.get("CELERY_BROKER_URL") or ""
    settings.setdefault("CELERY_TASK_ALWAYS_EAGER", not url)
    if not url:
        # A worker may still be started, as the documents say; it idles, in one process because there is no work.
        settings["CELERY_BROKER_READ_URL"] = settings["CELERY_BROKER_WRITE_URL"] = "memory://localhost/"
        settings["CELERY_WORKER_POOL"] = "solo"
    scheme = url.partition(":")[0]
    defaults = PUBLISH_OPTIONS | (REDIS_OPTIONS if scheme in ("redis", "rediss") else {})
    settings["CELERY_BROKER_TRANSPORT_OPTIONS"] = defaults | settings.get("CELERY_BROKER_TRANSPORT_OPTIONS", {})


def _as_list(value: str | list[str] | tuple[str, ...] | None) -> list[str]:
    """Accept one name as well as a list of names."""
    if isinstance(value, str):
        return [value] if value else []
    return list(value or [])
