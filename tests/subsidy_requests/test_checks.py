"""Settings of subsidy requests …"""

from __future__ import annotations

from typing import Any

import pytest
from django.test import override_settings

from email_automation.channels.checks import check_chosen_channels
from subsidy_requests import checks

from .factories import CustomerFactory

pytestmark = pytest.mark.django_db


def ids(**settings: Any) -> list[str]:
    """Return the ids of what is wrong under these settings."""
    with override_settings(**settings):
        found = [
            *checks.check_settings(None),
            *checks.check_portal(None, databases=["default"]),
        ]
    assert all(message.hint for message in found)
    return [str(message.id) for message in found]


@pytest.mark.parametrize(
    ("settings", "found"),
    [
        ({}, []),
        ({"SUBSIDY_APPROVAL_WINDOW_SECONDS": -1}, ["subsidy_requests.E001"]),
        ({"SUBSIDY_APPROVAL_WINDOW_SECONDS": 0}, []),
        ({"SUBSIDY_REPUBLISH_MAX": "3"}, ["subsidy_requests.E001"]),
        ({"SUBSIDY_REPUBLISH_AFTER_SECONDS": True}, ["subsidy_requests.E001"]),
        ({"SUBSIDY_REQUESTS_CHANNEL": "sms"}, ["subsidy_requests.E002"]),
        ({"SUBSIDY_REQUESTS_ROLES": "no.such.Class"}, ["subsidy_requests.E003"]),
        ({"SUBSIDY_REQUESTS_ROLES": "subsidy_requests.states.Trigger"}, ["subsidy_requests.E003"]),
        ({"SUBSIDY_REQUESTS_ROLES": "subsidy_requests.roles.JwtRoles"}, []),
        ({"SUBSIDY_REQUESTS_AUTHENTICATION_CLASSES": ["no.such.Class"]}, ["subsidy_requests.E004"]),
        ({"SUBSIDY_REQUESTS_CALLS_PER_MINUTE": "many"}, ["subsidy_requests.E005"]),
        ({"SUBSIDY_REQUESTS_CALLS_PER_MINUTE": None}, []),
        ({"LEARNER_PORTAL_BASE_URL": ""}, []),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_told_with_a_hint(settings: dict[str, Any], found: list[str]) -> None:
    assert ids(**settings) == found


@pytest.mark.parametrize("base", ["", "learn.example.com"])
def test_a_portal_is_missed_once_an_enterprise_takes_requests(base: str) -> None:
    CustomerFactory()
    assert ids(LEARNER_PORTAL_BASE_URL=base) == ["subsidy_requests.W001"]


def test_a_channel_that_is_not_enabled_is_told() -> None:
    with override_settings(SUBSIDY_REQUESTS_CHANNEL="braze_campaign", ACE_ENABLED_CHANNELS=["django_mail"]):
        told = [message for message in check_chosen_channels(None) if "request_approved" in message.msg]
    assert [message.id for message in told] == ["email_automation.E008"]
