"""Settings of subsidy requests …"""

from __future__ import annotations

from typing import Any

import pytest
from django.test import override_settings

from subsidy_requests import checks

MAIL = {"ACE_ENABLED_CHANNELS": ["django_mail"]}
BRAZE = {"ACE_ENABLED_CHANNELS": ["braze_campaign"]}


def ids(**settings: Any) -> list[str]:
    """Return the ids of what is wrong under these settings."""
    with override_settings(**settings):
        found = [
            *checks.check_settings(None),
            *checks.check_portal(None),
            *checks.check_channel(None),
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
        ({"LEARNER_PORTAL_BASE_URL": ""}, ["subsidy_requests.W001"]),
        ({"LEARNER_PORTAL_BASE_URL": "learn.example.com"}, ["subsidy_requests.W001"]),
        ({"SUBSIDY_REQUESTS_CHANNEL": "braze_campaign", **MAIL}, ["subsidy_requests.W002"]),
        ({"SUBSIDY_REQUESTS_CHANNEL": "braze_campaign", **BRAZE}, []),
        ({"SUBSIDY_REQUESTS_CHANNEL": "email", **BRAZE}, ["subsidy_requests.W002"]),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_told_with_a_hint(settings: dict[str, Any], found: list[str]) -> None:
    assert ids(**settings) == found
