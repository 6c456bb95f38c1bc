"""The demo's database: its own, or none at all."""

from __future__ import annotations

from django.apps import apps
from django.core.management import call_command
from django.db import connection

#: SQLite keeps a number in the file's head for the program whose file it is; "CaDe", read as a number.
OWNER = int.from_bytes(b"CaDe", "big")
PEOPLE_S_DATA = ("accounts.User", "courses.Course", "email_automation.EmailLog")


class NotOurs(Exception):
    """The database may hold somebody's data; the text says so and what to do."""


def take() -> bool:
    """Make the database ready and empty, and return whether a former demo was in it.

    Raises NotOurs, and has changed nothing then, unless the database is SQLite and either empty or the demo's.
    """
    if connection.vendor != "sqlite":
        raise NotOurs(f"the demo uses SQLite and DATABASE_URL names {connection.vendor}")
    again = is_ours()
    if not again and (found := _first_filled()):
        raise NotOurs(f"this database holds data that is not the demo's ({found})")
    call_command("migrate", verbosity=0, interactive=False)
    if again:
        call_command("flush", verbosity=0, interactive=False)
    with connection.cursor() as cursor:
        cursor.execute(f"PRAGMA application_id = {OWNER}")
    return again


def is_ours() -> bool:
    """Return whether the database is a demo's."""
    if connection.vendor != "sqlite":
        return False
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA application_id")
        return bool(cursor.fetchone()[0] == OWNER)


def _first_filled() -> str:
    """Return the first table that speaks against an empty database, or ''."""
    tables = connection.introspection.table_names()
    if tables and "django_migrations" not in tables:
        return f"table {tables[0]}"
    for label in PEOPLE_S_DATA:
        model = apps.get_model(label)
        if model._meta.db_table in tables and model._default_manager.exists():
            return f"table {model._meta.db_table}"
    return ""
