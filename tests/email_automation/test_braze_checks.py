"""The checks of channels that messages choose, and of the settings by which Braze is called."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.sites.models import Site
from django.core.checks import run_checks
from django.test import override_settings

from email_automation.channels import checks
from email_automation.pipeline import message as messages
from tests import factories

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


@pytest.mark.django_db
class TestTheStandIn:
    """Mail that ends on this machine is worth a warning where somebody would get it."""

    @pytest.fixture(autouse=True)
    def _in_use(self, by_braze: Any, settings: Any) -> None:
        settings.BRAZE_API_URL = "http://127.0.0.1:8811"
        factories.platform_site()

    @staticmethod
    def found(kind: Any, databases: list[str] | None) -> list[str]:
        options = {"about": Site, "setting_name": "X_CHANNEL", "check_id": "x.W001"}
        found = checks.standin_warnings(kind, databases=databases, **options)
        assert all("X_CHANNEL" in str(entry.hint) for entry in found)
        return [str(entry.id) for entry in found]

    @pytest.mark.parametrize(
        ("changed", "warned"),
        [
            ({}, True),
            ({"BRAZE_API_URL": "http://localhost:8811"}, True),
            ({"BRAZE_API_URL": "http://[::1]:8811"}, True),
            ({"BRAZE_API_URL": REAL}, False),
            ({"BRAZE_API_URL": "http://["}, False),
            ({"DEBUG": True}, False),
        ],
    )
    def test_is_an_address_of_this_machine(
        self, by_braze: Any, settings: Any, changed: dict[str, Any], warned: bool
    ) -> None:
        for name, value in changed.items():
            setattr(settings, name, value)
        assert self.found(by_braze, ["default"]) == (["x.W001"] if warned else [])

    def test_is_asked_for_only_where_the_database_is_checked(self, by_braze: Any) -> None:
        assert self.found(by_braze, None) == self.found(by_braze, []) == []

    def test_does_no_harm_where_nobody_would_get_anything(self, by_braze: Any) -> None:
        Site.objects.all().delete()
        assert self.found(by_braze, ["default"]) == []

    def test_does_no_harm_to_ordinary_mail(self) -> None:
        kind = next(kind for kind in messages.all_messages() if not kind.channel())
        assert self.found(kind, ["default"]) == []
