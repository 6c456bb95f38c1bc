"""The system checks …"""

from typing import Any
from unittest import mock

import pytest
from django.core.checks import run_checks
from django.test import override_settings

from courses import checks


def ids(found: list[Any]) -> list[str]:
    assert all(message.hint for message in found)
    return [message.id for message in found]


def test_want_the_flag_model_that_knows_courses() -> None:
    assert ids(checks.check_flag_model(None)) == []
    with mock.patch.object(checks, "settings", mock.Mock(WAFFLE_FLAG_MODEL="waffle.Flag")):
        assert ids(checks.check_flag_model(None)) == ["courses.E001"]


@pytest.mark.parametrize(
    ("name", "expected"), [("uncached", []), ("default", ["courses.E002"]), ("x", ["courses.E002"])]
)
def test_want_switches_uncached(name: str, expected: list[str]) -> None:
    with override_settings(WAFFLE_CACHE_NAME=name):
        assert ids(checks.check_waffle_cache(None)) == expected


@pytest.mark.parametrize(("address", "expected"), [("1 Street", []), ("", ["courses.W001"]), (" ", ["courses.W001"])])
def test_warn_of_mail_without_a_postal_address(address: str, expected: list[str]) -> None:
    with override_settings(CONTACT_MAILING_ADDRESS=address):
        assert ids(checks.check_contact_address(None)) == expected
        assert [message.id for message in run_checks() if message.id == "courses.W001"] == expected


@pytest.mark.parametrize(
    ("engine", "options", "expected"),
    [
        ("sqlite3", {}, ["courses.W002"]),
        ("sqlite3", {"transaction_mode": None}, ["courses.W002"]),
        ("sqlite3", {"transaction_mode": "DEFERRED"}, ["courses.W002"]),
        ("sqlite3", {"transaction_mode": "immediate"}, []),
        ("postgresql", {}, []),
    ],
)
def test_warn_of_sqlite_writers_that_break_each_other(
    engine: str, options: dict[str, Any], expected: list[str]
) -> None:
    databases = {"default": {"ENGINE": f"django.db.backends.{engine}", "OPTIONS": options}}
    with mock.patch.object(checks, "settings", mock.Mock(DATABASES=databases)):
        assert ids(checks.check_sqlite_transactions(None)) == expected


@pytest.mark.parametrize(
    ("vendor", "collation", "expected"),
    [("mysql", "utf8mb4_general_ci", ["courses.E003"]), ("mysql", "utf8mb4_bin", []), ("sqlite", "", [])],
)
def test_want_mariadb_to_tell_keys_apart(vendor: str, collation: str, expected: list[str]) -> None:
    connection = mock.MagicMock(vendor=vendor)
    connection.cursor.return_value.__enter__.return_value.fetchone.return_value = (collation,)
    with mock.patch.object(checks, "connections", {"default": connection}):
        assert ids(checks.check_collation(None, databases=["default"])) == expected
        assert checks.check_collation(None, databases=None) == []


@pytest.mark.django_db
def test_find_nothing_wrong_with_the_tests_own_database() -> None:
    assert ids(checks.check_collation(None, databases=["default"])) == []
