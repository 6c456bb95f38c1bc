"""The log's table: the step that took `status` out of its indexes, and what is left of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.db import IntegrityError, connection, transaction
from django.db.migrations.executor import MigrationExecutor
from django.utils import timezone

from email_automation import words
from email_automation.models import EmailLog
from email_automation.pipeline import ledger, waiting
from tests.factories import UserFactory, platform_site

TABLE = EmailLog._meta.db_table
BEFORE, AFTER = "0005_bodies", "0006_log_without_status_in_indexes"


@pytest.fixture
def migrate() -> Iterator[Callable[[str], Any]]:
    """Bring the engine's tables to a migration, and back to the last one afterwards."""

    def to(name: str) -> Any:
        executor = MigrationExecutor(connection)
        executor.migrate([("email_automation", name)])
        return MigrationExecutor(connection).loader.project_state([("email_automation", name)]).apps

    yield to
    last = MigrationExecutor(connection).loader.graph.leaf_nodes("email_automation")
    MigrationExecutor(connection).migrate(last)


def constraints() -> dict[str, Any]:
    with connection.cursor() as cursor:
        return connection.introspection.get_constraints(cursor, TABLE)


def columns_of_indexes() -> list[tuple[str, ...]]:
    return sorted(tuple(found["columns"]) for found in constraints().values() if found["index"] or found["unique"])


@pytest.mark.django_db(transaction=True)
def test_a_log_with_rows_goes_through_the_step_and_back(migrate: Callable[[str], Any]) -> None:
    platform_site()
    log = migrate(BEFORE).get_model("email_automation", "EmailLog")
    person, now = UserFactory(), timezone.now()
    for number, status in enumerate(words.STATUSES):
        log.objects.create(
            recipient_id=person.pk, email_type="recurringnudge_day3", to_address=person.email, category="reminder",
            status=status, dedupe_key=f"key:{number}", site_id=django_settings.SITE_ID, instant=now, expires_at=now,
        )  # fmt: skip
    before = columns_of_indexes()
    migrate(AFTER)
    rows = {row.status: row for row in EmailLog.objects.all()}
    assert set(rows) == set(words.STATUSES)
    for status, row in rows.items():
        is_open = status in (words.PENDING, words.SENDING)
        assert (row.open_priority, row.ended_as) == ((words.NORMAL, None) if is_open else (None, status))
    with pytest.raises(IntegrityError), transaction.atomic():
        EmailLog.objects.filter(status=words.SENT).update(dedupe_key="key:0")
    migrate(BEFORE)
    assert columns_of_indexes() == before


@pytest.mark.django_db
def test_no_index_has_the_status() -> None:
    assert not [columns for columns in columns_of_indexes() if "status" in columns]


@pytest.mark.django_db
def test_what_is_looked_up_has_one_index_each() -> None:
    found = columns_of_indexes()
    assert len(found) == len(set(found)), "an index twice, as `db_index` makes them for LIKE"
    for column in ("dedupe_key", "to_address", "provider_message_id", "recipient_id", "enrollment_id", "payment_id"):
        assert (column,) in found
    for columns in (("open_priority", "next_attempt_at", "id"), ("ended_as", "id"), ("run_id", "open_priority")):
        assert columns in found


def plan(sql: str, values: Any) -> str:
    with connection.cursor() as cursor:
        # A table of a few rows is read as a whole, and sorted, unless that is forbidden.
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute("SET LOCAL enable_sort = off")
        cursor.execute(f"EXPLAIN {sql}", values)
        return "\n".join(line for (line,) in cursor.fetchall())


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("rows", "index"),
    [
        (lambda: waiting.free().order_by(*waiting.ORDER).values("id")[:10], "email_log_open"),
        (lambda: EmailLog.objects.filter(dedupe_key="key"), "email_log_once"),
        (lambda: EmailLog.objects.filter(dedupe_key__startswith="license:"), "email_log_once"),
        (lambda: EmailLog.objects.filter(provider_message_id__in=["a", "<a>"]), "email_log_provider_id"),
        (lambda: EmailLog.objects.filter(enrollment_id__in=[1, 2]), "email_log_enrollment"),
        (lambda: EmailLog.objects.filter(payment_id=1), "email_log_payment"),
        (lambda: EmailLog.objects.filter(to_address="a@example.com"), "email_log_address"),
        (lambda: EmailLog.objects.filter(waiting.OPEN, run_id=1), "email_log_"),
    ],
    ids=["due", "key", "beginning of a key", "provider's id", "enrolments", "payment", "address", "run"],
)
def test_what_is_looked_up_is_found_by_its_index(rows: Callable[[], Any], index: str) -> None:
    if connection.vendor != "postgresql":
        pytest.skip("plans of PostgreSQL")
    assert index in plan(*rows().query.sql_with_params())


@pytest.mark.django_db(transaction=True)
def test_a_lease_reads_its_own_rows_while_postgresql_takes_the_table_for_small() -> None:
    if connection.vendor != "postgresql":
        pytest.skip("plans of PostgreSQL")
    person, now = UserFactory(), timezone.now()
    pattern = {
        "recipient_id": person.pk, "email_type": "recurringnudge_day3", "to_address": person.email, "category": "other",
        "site_id": platform_site().pk, "instant": now, "next_attempt_at": now, "expires_at": now + timedelta(days=1),
    }  # fmt: skip
    rows = EmailLog.objects.bulk_create(EmailLog(**pattern, dedupe_key=f"key:{number}") for number in range(2000))
    asked: list[tuple[str, Any]] = []

    def listen(execute: Callable[..., Any], sql: str, values: Any, many: bool, context: Any) -> Any:
        asked.append((sql, values))
        return execute(sql, values, many, context)

    with connection.execute_wrapper(listen):
        assert len(ledger.lease([row.pk for row in rows[:50]])) == 50
    (update,) = [each for each in asked if each[0].startswith("UPDATE")]
    with transaction.atomic():
        found = plan(*update)
    assert f"{TABLE}_pkey" in found
    assert "email_log_" not in found.replace(TABLE, "")
