"""The checks of channels that messages choose, and of the settings by which Braze is called."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.checks import run_checks
from django.test import override_settings

from email_automation.channels import checks
from email_automation.pipeline import message as messages

REAL = "https://rest.iad-01.braze.com"


def ids(found: Any) -> list[str]:
    assert all(entry.hint for entry in found)
    return [str(entry.id).removeprefix("email_automation.") for entry in found]


@pytest.fixture
def by_braze(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Make one message go out as a campaign."""
    kinds = [kind for kind in messages.all_messages() if not kind.channel()]
    monkeypatch.setattr(kinds[0], "channel", classmethod(lambda cls: "braze_campaign"))
    return kinds[0]


def test_our_own_settings_pass() -> None:
    assert ids(checks.check_braze(None)) == []
    assert ids(checks.check_chosen_channels(None)) == []


def test_case_45_a_chosen_channel_that_is_not_enabled_is_an_error(by_braze: Any) -> None:
    with override_settings(ACE_ENABLED_CHANNELS=["django_mail"]):
        found = [entry for entry in run_checks() if entry.id == "email_automation.E008"]
        assert any(by_braze.label() in entry.msg for entry in found)
        assert all("ACE_ENABLED_CHANNELS" in str(entry.hint) for entry in found)
    with override_settings(ACE_ENABLED_CHANNELS=["django_mail", "braze_campaign"]):
        assert ids(checks.check_chosen_channels(None)) == []


@pytest.mark.parametrize(
    ("name", "good", "bad", "number"),
    [
        ("BRAZE_BATCH_SIZE", (1, 50), (0, 51, -1, "50", None, 1.0, True), "E009"),
        (
            "BRAZE_TIMEOUT",
            ((3.05, 10), [1, 2]),
            (10, (3.05,), (1, 2, 3), (0, 1), (1, -1), ("1", "2"), None, (True, 1), "12"),
            "E010",
        ),
        ("BRAZE_MAX_WAIT_SECONDS", (0, 60, 0.5), (-1, "60", None, True, float("nan")), "E011"),
        ("BRAZE_CAMPAIGNS", ({}, {"a": ""}, {"a": "b"}), (None, "a=b", ["a"], {"a": 1}, {1: "a"}, {"a": None}), "E012"),
        (
            "BRAZE_API_URL",
            (REAL, f"{REAL}/", "http://127.0.0.1:8811", "http://[::1]:1"),
            ("", None, "rest.iad-01.braze.com", "ftp://x", "http://", "http://[::1", "http://x:99999", "http://x:0"),
            "E013",
        ),
        ("BRAZE_API_KEY", ("", "a-b-c", "it's"), ('"a"', "'a'", '"a', "a'", " a", "a\n", None, 7), "E014"),
    ],
)
def test_a_setting_has_a_usable_value(name: str, good: Any, bad: Any, number: str) -> None:
    for value in good:
        with override_settings(**{name: value}):
            assert ids(checks.check_braze(None)) == [], value
    for value in bad:
        with override_settings(**{name: value}):
            (found,) = checks.check_braze(None)
            assert ids([found]) == [number], value
            assert name in found.msg


def test_the_key_is_not_told() -> None:
    with override_settings(BRAZE_API_KEY='"a-secret"'):
        (found,) = checks.check_braze(None)
        assert "a-secret" not in f"{found.msg} {found.hint}"


@pytest.mark.parametrize(
    ("changed", "warned"),
    [
        ({}, True),
        ({"BRAZE_API_URL": "http://localhost:8811"}, True),
        ({"BRAZE_API_URL": "http://[::1]:8811"}, True),
        ({"BRAZE_API_URL": REAL}, False),
        ({"BRAZE_API_URL": "http://["}, False),
        ({"DEBUG": True}, False),
        ({"ACE_ENABLED_CHANNELS": ["django_mail"]}, False),
    ],
)
def test_mail_that_ends_in_the_stand_in_is_worth_a_warning(
    by_braze: Any, settings: Any, changed: dict[str, Any], warned: bool
) -> None:
    settings.BRAZE_API_URL = "http://127.0.0.1:8811"
    for name, value in changed.items():
        setattr(settings, name, value)
    found = checks.standin_warnings(by_braze, setting_name="X_CHANNEL", check_id="x.W001")
    assert [entry.id for entry in found] == (["x.W001"] if warned else [])
    assert all("X_CHANNEL" in str(entry.hint) for entry in found)


def test_a_message_that_goes_by_ordinary_mail_is_not_warned_of() -> None:
    kind = next(kind for kind in messages.all_messages() if not kind.channel())
    assert checks.standin_warnings(kind, setting_name="X", check_id="x.W001") == []
