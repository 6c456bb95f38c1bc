"""System checks: misconfiguration that would otherwise show as wrong mail."""

from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.core.cache import caches
from django.core.cache.backends.base import InvalidCacheBackendError
from django.core.cache.backends.dummy import DummyCache
from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.db import connections

COLLATION = "utf8mb4_bin"


@register()
def check_flag_model(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Course flags live in our own flag model."""
    if getattr(settings, "WAFFLE_FLAG_MODEL", "waffle.Flag") == "courses.Flag":
        return []
    return [
        Error(
            "WAFFLE_FLAG_MODEL does not name the flag model that knows courses.",
            hint='Set WAFFLE_FLAG_MODEL = "courses.Flag" before the first migration.',
            id="courses.E001",
        )
    ]


@register(Tags.caches)
def check_waffle_cache(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """A switch must hold at once in every process, so waffle may not cache."""
    name = getattr(settings, "WAFFLE_CACHE_NAME", "default")
    try:
        cache = caches[name]
    except InvalidCacheBackendError:
        cache = None
    if isinstance(cache, DummyCache):
        return []
    return [
        Error(
            "WAFFLE_CACHE_NAME names a cache that remembers, so a switch may stay on after it was turned off.",
            hint='Add a cache "uncached" with the backend django.core.cache.backends.dummy.DummyCache to CACHES and '
            'set WAFFLE_CACHE_NAME = "uncached".',
            id="courses.E002",
        )
    ]


@register()
def check_contact_address(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Most countries want a postal address in mail like ours."""
    if str(getattr(settings, "CONTACT_MAILING_ADDRESS", None) or "").strip():
        return []
    return [
        Warning(
            "CONTACT_MAILING_ADDRESS is empty, so mails of sites without an address of their own carry none.",
            hint="Set CONTACT_MAILING_ADDRESS to a postal address.",
            id="courses.W001",
        )
    ]


@register()
def check_sqlite_transactions(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Without IMMEDIATE, two SQLite writers that both read first fail with "database is locked"."""
    return [
        Warning(
            f"SQLite database {alias!r} is not opened with IMMEDIATE transactions, so writers break each other.",
            hint='Set OPTIONS = {"transaction_mode": "IMMEDIATE", "timeout": 20} for this database.',
            id="courses.W002",
        )
        for alias, database in settings.DATABASES.items()
        if database.get("ENGINE", "").endswith("sqlite3")
        and str(database.get("OPTIONS", {}).get("transaction_mode") or "").upper() not in ("IMMEDIATE", "EXCLUSIVE")
    ]


@register(Tags.database)
def check_collation(app_configs: Any, databases: Sequence[str] | None = None, **kwargs: Any) -> list[CheckMessage]:
    """In MariaDB's usual collation, course keys that differ in case or accent are one key."""
    found: list[CheckMessage] = []
    for alias in databases or ():
        connection = connections[alias]
        if connection.vendor != "mysql":
            continue
        with connection.cursor() as cursor:
            cursor.execute("SELECT @@collation_database")
            collation = cursor.fetchone()[0]
        if collation != COLLATION:
            found.append(
                Error(
                    f"Database {alias!r} has the collation {collation}, which takes different course keys for one.",
                    hint=f"Before the first migration: ALTER DATABASE ... CHARACTER SET utf8mb4 COLLATE {COLLATION};",
                    id="courses.E003",
                )
            )
    return found


@register()
def check_enrolment_backend(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Automatic enrolments have somewhere to go."""
    from courses.autoenrolment import BACKENDS, EMBEDDED, LMS

    backend = getattr(settings, "SUBSIDY_ENROLMENT_BACKEND", EMBEDDED)
    if backend not in BACKENDS:
        return [
            Error(
                f"SUBSIDY_ENROLMENT_BACKEND is {backend!r}, which is no backend.",
                hint=f"Set SUBSIDY_ENROLMENT_BACKEND to one of {', '.join(BACKENDS)}.",
                id="courses.E010",
            )
        ]
    names = ("LICENSE_LMS_BASE_URL", "LICENSE_LMS_CLIENT_ID", "LICENSE_LMS_CLIENT_SECRET")
    missing = [name for name in names if not getattr(settings, name, "")] if backend == LMS else []
    return [
        Error(
            f"SUBSIDY_ENROLMENT_BACKEND is lms and {name} is empty.",
            hint=f"Set {name}; automatic enrolments use the platform's address and service account.",
            id="courses.E011",
        )
        for name in missing
    ]
