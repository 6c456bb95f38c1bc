"""A setting of licence notices …"""

from __future__ import annotations

from typing import Any

import pytest
from django.core.checks import CheckMessage, run_checks

from license_notifications import conf
from license_notifications.checks import OF_LMS
from tests.factories import SubscriptionPlanFactory

pytestmark = pytest.mark.django_db

USABLE = [
    ("LICENSE_NOTIFICATION_CHANNEL", "email"),
    ("LICENSE_NOTIFICATION_CHANNEL", "braze_campaign"),
    ("LICENSE_NOTIFICATION_STALE_CLAIM_SECONDS", 60),
    ("LICENSE_NOTIFICATION_PROVISIONING_GRACE_SECONDS", 0),
    ("LICENSE_NOTIFICATION_ALLOW_TIME_TRAVEL", False),
    ("ENTERPRISE_ADMIN_PORTAL_BASE_URL", "http://localhost:1991/"),
    ("LICENSE_LMS_BASE_URL", "https://lms.example.com/prefix"),
]
UNUSABLE = [
    ("LICENSE_NOTIFICATION_CHANNEL", "sms", "E001"),
    ("LICENSE_NOTIFICATION_CHANNEL", "", "E001"),
    ("LICENSE_NOTIFICATION_CHANNEL", None, "E001"),
    ("LICENSE_ADMIN_DIRECTORY", "ldap", "E002"),
    ("LICENSE_ADMIN_DIRECTORY", "", "E002"),
    ("LICENSE_NOTIFICATION_STALE_CLAIM_SECONDS", 59, "E003"),
    ("LICENSE_NOTIFICATION_STALE_CLAIM_SECONDS", "3600", "E003"),
    ("LICENSE_NOTIFICATION_STALE_CLAIM_SECONDS", None, "E003"),
    ("LICENSE_NOTIFICATION_PROVISIONING_GRACE_SECONDS", -1, "E004"),
    ("LICENSE_NOTIFICATION_PROVISIONING_GRACE_SECONDS", 1.5, "E004"),
    ("LICENSE_NOTIFICATION_PROVISIONING_GRACE_SECONDS", True, "E004"),
    ("LICENSE_NOTIFICATION_ALLOW_TIME_TRAVEL", "no", "E005"),
    ("ENTERPRISE_ADMIN_PORTAL_BASE_URL", "portal.example.com", "E006"),
    ("ENTERPRISE_ADMIN_PORTAL_BASE_URL", "javascript:alert(1)", "E006"),
    ("ENTERPRISE_ADMIN_PORTAL_BASE_URL", None, "E006"),
    ("LICENSE_LMS_BASE_URL", "https://", "E007"),
    ("LICENSE_LMS_BASE_URL", "https://lms.example.com?x=1", "E007"),
    ("LICENSE_LMS_BASE_URL", "https://[lms", "E007"),
    ("LICENSE_LMS_BASE_URL", 5, "E007"),
]


def found() -> list[CheckMessage]:
    """Return what the checks say about licences, and about the channel they go by."""
    return [
        message
        for message in run_checks(databases=["default"])
        if str(message.id).startswith("license_notifications.") or "license_notifications." in message.msg
    ]


def ids() -> list[str]:
    return [str(message.id).rpartition(".")[2] for message in found()]


@pytest.mark.parametrize(("name", "value"), USABLE)
def test_that_can_be_used_is_not_remarked_on(settings: Any, name: str, value: Any) -> None:
    setattr(settings, name, value)
    assert found() == []


@pytest.mark.parametrize(("name", "value", "number"), UNUSABLE)
def test_that_cannot_be_used_is_told_with_what_may_stand_there(
    settings: Any, name: str, value: Any, number: str
) -> None:
    setattr(settings, name, value)
    (problem,) = [message for message in found() if message.is_serious()]
    assert str(problem.id) == f"license_notifications.{number}"
    assert problem.msg.startswith(name)
    assert str(problem.hint).startswith("Set it to ")


@pytest.mark.parametrize("name", conf.DEFAULTS)
def test_that_is_left_out_has_a_default(settings: Any, name: str) -> None:
    delattr(settings, name)
    assert conf.setting(name) == conf.DEFAULTS[name]
    assert [message for message in found() if message.is_serious()] == []


def test_that_notices_need_is_missed(settings: Any) -> None:
    settings.ENTERPRISE_ADMIN_PORTAL_BASE_URL = ""
    assert ids() == []
    SubscriptionPlanFactory()
    assert ids() == ["W001"]


def test_that_the_platforms_directory_needs_is_missed_with_it_alone(settings: Any) -> None:
    for name in OF_LMS:
        setattr(settings, name, "")
    assert ids() == []
    settings.LICENSE_ADMIN_DIRECTORY = "lms"
    problems = found()
    assert [str(problem.id) for problem in problems] == ["license_notifications.W002"] * len(OF_LMS)
    assert [problem.msg.partition(" ")[0] for problem in problems] == list(OF_LMS)
    assert all(problem.hint for problem in problems)


def test_that_is_a_secret_is_not_told(settings: Any) -> None:
    settings.LICENSE_LMS_BASE_URL = "lms://user:hunter2@lms.example.com"
    assert "hunter2" not in "".join(f"{problem.msg}{problem.hint}" for problem in found())


def test_case_45_a_channel_that_is_not_enabled_is_an_error(settings: Any) -> None:
    settings.LICENSE_NOTIFICATION_CHANNEL = "braze_campaign"
    settings.ACE_ENABLED_CHANNELS = ["django_mail"]
    problems = [problem for problem in found() if problem.is_serious()]
    assert {problem.msg.partition(" ")[0] for problem in problems} == {
        "license_notifications.license_utilization",
        "license_notifications.license_weekly_digest",
    }
    assert all(problem.id and "ACE_ENABLED_CHANNELS" in str(problem.hint) for problem in problems)
    settings.LICENSE_NOTIFICATION_CHANNEL = "email"
    assert found() == []


def test_case_45_so_is_ordinary_mail_without_a_channel_for_it(settings: Any) -> None:
    settings.LICENSE_NOTIFICATION_CHANNEL = "email"
    settings.ACE_ENABLED_CHANNELS = ["braze_campaign"]
    assert "E008" in ids()
