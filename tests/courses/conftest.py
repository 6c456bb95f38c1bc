"""What the tests of the ground floor need of the database."""

from typing import Any

import pytest
from django.db import connection


@pytest.fixture(scope="session", autouse=True)
def _flushable_database(django_db_setup: None, django_db_blocker: Any) -> None:
    """Drop the tables of waffle's own flag model, which ours replaces.

    Waffle's migrations make them all the same. They stay empty, but PostgreSQL refuses to truncate the users' table
    after a transactional test while a table that Django does not know refers to it.
    """
    with django_db_blocker.unblock(), connection.cursor() as cursor:
        for table in ("waffle_flag_groups", "waffle_flag_users", "waffle_flag"):
            cursor.execute(f"DROP TABLE IF EXISTS {table}")
