"""The headers by which a mail can be stopped."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from django.test import override_settings

from email_automation import headers

URL = "https://uni.example.org/email/unsubscribe/abc:def/"


def made(*, extra: dict[str, str] | None = None, is_test: bool = False, brand: dict[str, Any] | None = None) -> Any:
    return headers.Headers(
        brand=brand or {},
        domain="uni.example.org:8000",
        label="schedules.recurringnudge_day3",
        category="reminder",
        is_test=is_test,
    ).for_mail(uuid.UUID(int=7), URL, extra or {})


def test_a_mail_can_be_stopped_with_one_click() -> None:
    found = made()
    assert found["List-Unsubscribe"] == f"<{URL}>"
    assert found["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"


@override_settings(UNSUBSCRIBE_MAILTO="stop@uni.example.org")
def test_by_mail_only_where_there_is_an_address_for_it() -> None:
    assert made()["List-Unsubscribe"] == f"<{URL}>, <mailto:stop@uni.example.org?subject=unsubscribe%20abc%3Adef>"


@pytest.mark.parametrize("name", ["List-Unsubscribe", "list-unsubscribe", "LIST-UNSUBSCRIBE"])
def test_a_messages_own_header_takes_the_engines_place_in_any_letter_case(name: str) -> None:
    found = made(extra={name: "<https://uni.example.org/goal/1/>"})
    same = [value for known, value in found.items() if known.lower() == "list-unsubscribe"]
    assert same == ["<https://uni.example.org/goal/1/>"]
    assert found["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"


def test_a_test_mail_can_stop_nothing_whatever_the_message_adds() -> None:
    found = made(extra={"list-unsubscribe": "<x>", "List-Unsubscribe-Post": "y", "X-Own": "z"}, is_test=True)
    assert not [name for name in found if name.lower().startswith("list-unsubscribe")]
    assert found["X-Own"] == "z"


@pytest.mark.parametrize("bad", ["\r\n", "\n", "\r", "\x00", "\u2028", "\x0b", "\x85"])
def test_no_value_can_begin_another_header(bad: str) -> None:
    found = made(extra={"X-Own": f"a{bad}Bcc: everybody@example.com"}, brand={"list_id": f"a{bad}Bcc: b"})
    assert all(len(value.splitlines()) == 1 and "\x00" not in value for value in found.values())
    assert found["X-Own"] == "a Bcc: everybody@example.com"


def test_the_message_id_names_the_host_without_its_port() -> None:
    assert made()["Message-ID"] == f"<{uuid.UUID(int=7)}@uni.example.org>"
