"""Many mails in one write: what ended and what begins, whoever interferes."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from django.db import DataError, connection, transaction
from django.test.utils import CaptureQueriesContext

from courses.bulk import array_literal
from email_automation import words
from email_automation.models import EmailLog, EmailPreference
from email_automation.pipeline import ledger
from email_automation.pipeline.ledger import Prepared
from email_automation.pipeline.outcome import Outcome

from .test_ledger import FAILED, IN_DOUBT, KIND, LATER, LEASE, SENT, begun, claim, leased, prepared, status, stored

pytestmark = pytest.mark.django_db

AWKWARD = ["", "NULL", 'a "quoted" \\ word', "{braces,}", "line\nbreak", "%s", "ß – 日本", "\\x41", "'; --"]


def following(rows: list[EmailLog]) -> list[ledger.Beginning]:
    return [(row, prepared(row), LEASE) for row in rows]


@pytest.mark.parametrize("number", [1, 50])
def test_what_ends_and_what_begins_is_one_statement(number: int) -> None:
    ended, next_ones = begun(number), leased(number)
    with CaptureQueriesContext(connection) as queries:
        result = ledger.turn([(row, Outcome.sent(f"id-{row.pk}")) for row in ended], following(next_ones))
    assert len(queries) == 1
    assert result.recorded == [Outcome.sent(f"id-{row.pk}") for row in ended]
    assert result.begun == {row.pk for row in next_ones}
    rows = EmailLog.objects.in_bulk()
    assert all((rows[row.pk].status, rows[row.pk].provider_message_id) == (words.SENT, f"id-{row.pk}") for row in ended)
    assert all((rows[row.pk].status, rows[row.pk].attempts) == (words.SENDING, 1) for row in next_ones)


@pytest.mark.parametrize("number", [1, 50])
def test_a_lease_asks_as_often_for_many_as_for_one(number: int) -> None:
    ids = [row.pk for row in claim(number)]
    with CaptureQueriesContext(connection) as queries:
        rows = ledger.lease(ids)
        assert len(rows) == number
        assert {row.site_id for row in rows} == {row.site.pk for row in rows}
    asked = [query["sql"] for query in queries if query["sql"].startswith(("UPDATE", "SELECT"))]
    assert len(asked) == (2 if connection.vendor == "postgresql" else 3)


def test_a_leased_row_says_what_the_table_says() -> None:
    for row in leased(3):
        same = stored(row)
        for field in EmailLog._meta.concrete_fields:
            assert getattr(row, field.attname) == getattr(same, field.attname), field.name
        assert row.message_uuid == same.message_uuid
        assert (row._state.adding, row._state.db) == (False, same._state.db)


def test_each_mail_gets_its_own_outcome() -> None:
    rows, (other,) = begun(5), leased()
    outcomes = [Outcome.sent("a"), LATER, FAILED, IN_DOUBT, Outcome.sent("b")]
    result = ledger.turn(list(zip(rows, outcomes, strict=True)), following([other]))
    assert [each.status for each in result.recorded if each] == [each.status for each in outcomes]
    assert [status(row) for row in rows] == [each.status for each in outcomes]
    assert [stored(row).provider_message_id for row in rows] == ["a", "", "", "", "b"]
    assert [stored(row).error_message for row in rows] == ["", "451 later", "550 no", "", ""]
    assert (stored(rows[1]).claim_token, stored(rows[3]).doubts) == (None, 1)
    assert result.begun == {other.pk}


def test_texts_arrive_as_they_were() -> None:
    rows = leased(len(AWKWARD))
    contents: list[bytes | None] = [None, b"", b"\0\xff", *(text.encode() for text in AWKWARD[3:])]
    beginnings: list[ledger.Beginning] = [
        (row, Prepared(to_address=text, channel="c", subject=text, message_id=text, content=content), LEASE)
        for row, text, content in zip(rows, AWKWARD, contents, strict=True)
    ]
    assert len(ledger.turn([], beginnings).begun) == len(rows)
    for row, text, content in zip(rows, AWKWARD, contents, strict=True):
        found = stored(row)
        assert (found.to_address, found.subject, found.message_id) == (text, text, text)
        assert (None if found.content is None else bytes(found.content)) == content


def test_a_value_too_long_is_not_cut_off() -> None:
    if connection.vendor == "sqlite":
        pytest.skip("SQLite knows no length")
    rows = leased(2)
    beginnings: list[ledger.Beginning] = [
        (
            row,
            Prepared(to_address="a" * (300 + row.pk % 2), channel="c", subject="", message_id="", content=None),
            LEASE,
        )
        for row in rows
    ]
    with pytest.raises(DataError), transaction.atomic():
        ledger.turn([], beginnings)


def test_rows_that_others_have_taken_do_not_hold_up_the_rest() -> None:
    ended, next_ones = begun(3), leased(3)
    EmailLog.objects.filter(pk=ended[0].pk).update(status=words.PENDING, claim_token=None, doubts=1)
    EmailLog.objects.filter(pk=ended[1].pk).delete()
    EmailPreference(user=next_ones[0].recipient, is_subscribed=False).save()
    EmailLog.objects.filter(pk=next_ones[1].pk).update(claim_token=UUID(int=1))
    result = ledger.turn([(row, SENT) for row in ended], following(next_ones))
    assert result == ([None, None, SENT], {next_ones[2].pk})
    assert status(next_ones[0]) == words.SKIPPED
    assert status(next_ones[1]) == words.PENDING


def test_a_turn_that_is_said_again_finds_itself_done() -> None:
    ended, next_ones = begun(3), leased(3)
    said = [(row, outcome) for row, outcome in zip(ended, (SENT, LATER, FAILED), strict=True)]
    assert ledger.turn(said, following(next_ones)) == ledger.turn(said, following(next_ones))
    assert [stored(row).attempts for row in (*ended, *next_ones)] == [1] * 6


def test_nothing_to_write_asks_nothing() -> None:
    with CaptureQueriesContext(connection) as queries:
        assert ledger.turn([], []) == ([], set())
    assert len(queries) == 0


def test_an_app_is_told_once_and_in_the_same_transaction(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[int] = []

    def follow_rows(cls: Any, rows: Any) -> None:
        assert connection.in_atomic_block
        told.extend(row.pk for row in rows)

    monkeypatch.setattr(KIND, "on_finish", classmethod(follow_rows))
    ended, next_ones = begun(3), leased(2)
    EmailLog.objects.filter(pk=ended[0].pk).update(status=words.PENDING, claim_token=None)
    for _ in range(2):
        result = ledger.turn([(row, SENT) for row in ended], following(next_ones))
        assert result == ([None, SENT, SENT], {row.pk for row in next_ones})
    assert told == [row.pk for row in ended[1:]]


def test_what_an_app_fails_to_follow_is_not_written_and_nothing_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(cls: Any, rows: Any) -> None:
        raise RuntimeError

    monkeypatch.setattr(KIND, "on_finish", classmethod(fail))
    (ended,), (next_one,) = begun(), leased()
    with pytest.raises(RuntimeError):
        ledger.turn([(ended, SENT)], following([next_one]))
    assert (status(ended), status(next_one)) == (words.SENDING, words.PENDING)


def test_an_array_reads_as_what_it_was_made_of() -> None:
    if connection.vendor != "postgresql":
        pytest.skip("arrays of PostgreSQL")
    values: dict[str, list[Any]] = {
        "text": [*AWKWARD, None],
        "bigint": [1, -(2**63), None],
        "bytea": [b"", b"\0\xff\\", None],
        "timestamptz": [datetime(2026, 3, 29, 1, 30, 0, 123456, tzinfo=UTC), None],
        "uuid": [UUID(int=7), None],
        "boolean": [True, False, None],
        "date": [date(2026, 3, 29), None],
        "numeric": [Decimal("-0.10"), None],
        "double precision": [0.1, float("inf"), None],
    }
    with connection.cursor() as cursor:
        for kind, column in values.items():
            cursor.execute(f"SELECT unnest(%s::{kind}[])", [array_literal(column)])
            assert [found for (found,) in cursor.fetchall()] == column
        cursor.execute("SELECT cardinality(%s::text[])", [array_literal([])])
        assert cursor.fetchone() == (0,)
