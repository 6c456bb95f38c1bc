"""The checks of the event transport …"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.core.checks import run_checks

from courses.eventbus import checks
from courses.events import LICENSE_ASSIGNED

ROOT = Path(__file__).resolve().parents[3]


def ids() -> list[str]:
    """Return the ids of this subject that `manage.py check` tells, all with a hint."""
    found = [message for message in run_checks() if message.id in {f"courses.E0{n:02}" for n in range(4, 12)}]
    assert all(message.hint for message in found)
    return [str(message.id) for message in found]


@pytest.fixture
def with_redis(settings: Any) -> Any:
    settings.EVENT_TRANSPORT = "redis"
    settings.EVENT_BUS_REDIS_CONNECTION_URL = "redis://127.0.0.1:6379/0"
    return settings


def test_find_nothing_wrong_with_the_defaults(settings: Any) -> None:
    assert ids() == []


def test_find_nothing_wrong_with_a_proper_stream(with_redis: Any) -> None:
    assert ids() == []


@pytest.mark.parametrize("enabled", [True, False])
def test_case_29_want_our_events_published_by_the_outbox_only(settings: Any, enabled: bool) -> None:
    topic = {"subsidies": {"event_key_field": "assignment.license", "enabled": enabled}}
    settings.EVENT_BUS_PRODUCER_CONFIG = {LICENSE_ASSIGNED.event_type: topic}
    assert ids() == ["courses.E004"]
    settings.EVENT_BUS_PRODUCER_CONFIG = {"org.openedx.learning.course.enrollment.created.v1": topic}
    assert ids() == []


@pytest.mark.parametrize("transport", ["kafka", "", None, "Redis"])
def test_want_a_transport_that_there_is(settings: Any, transport: Any) -> None:
    settings.EVENT_TRANSPORT = transport
    assert ids() == ["courses.E005"]


@pytest.mark.parametrize("url", [None, ""])
def test_want_an_address_for_the_stream(with_redis: Any, url: Any) -> None:
    with_redis.EVENT_BUS_REDIS_CONNECTION_URL = url
    assert ids() == ["courses.E006"]


@pytest.mark.parametrize(
    ("versions", "expected"),
    [
        ({"redis": "7.4.1", "edx-event-bus-redis": ""}, ["courses.E007"]),
        ({"redis": "8.0.0", "edx-event-bus-redis": "0.6.1"}, ["courses.E008"]),
        ({"redis": "10.1", "edx-event-bus-redis": ""}, ["courses.E007", "courses.E008"]),
        ({"redis": "7.9", "edx-event-bus-redis": "0.6.1"}, []),
    ],
)
def test_want_packages_that_go_together(
    with_redis: Any, monkeypatch: pytest.MonkeyPatch, versions: dict[str, str], expected: list[str]
) -> None:
    monkeypatch.setattr(checks, "installed", versions.__getitem__)
    assert ids() == expected
    with_redis.EVENT_TRANSPORT = "embedded"
    assert ids() == []


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (3, []),
        (0.5, []),
        (4, ["courses.E009"]),
        (0, ["courses.E009"]),
        ("3", ["courses.E009"]),
        (True, ["courses.E009"]),
    ],
)
def test_want_a_consumer_that_looks_up_soon(with_redis: Any, seconds: Any, expected: list[str]) -> None:
    with_redis.EVENT_BUS_REDIS_CONSUMER_POLL_TIMEOUT = seconds
    assert ids() == expected


def test_want_somewhere_for_automatic_enrolments_to_go(settings: Any) -> None:
    settings.SUBSIDY_ENROLMENT_BACKEND = "moodle"
    assert ids() == ["courses.E010"]
    settings.SUBSIDY_ENROLMENT_BACKEND = "lms"
    settings.LICENSE_LMS_BASE_URL = settings.LICENSE_LMS_CLIENT_ID = ""
    settings.LICENSE_LMS_CLIENT_SECRET = "secret"
    assert ids() == ["courses.E011"] * 2


WITHOUT_THE_EXTRA = """
import importlib, pkgutil, sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("edx_event_bus_redis", "walrus"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Blocked())
import django
django.setup()
from django.core.management import call_command
NEED_IT = {"courses.eventbus.stream", "courses.eventbus.consumer"}
for app in ("courses", "email_automation", "schedules", "course_goals", "license_notifications", "subsidy_requests"):
    package = importlib.import_module(app)
    for module in pkgutil.walk_packages(package.__path__, f"{app}."):
        if module.name not in NEED_IT:
            importlib.import_module(module.name)
assert not {name.partition(".")[0] for name in sys.modules} & {"edx_event_bus_redis", "walrus"}
call_command("check")
try:
    call_command("consume_subsidy_events", "--group", "ecommerce", "--consumer-name", "one")
except Exception as error:
    print(error.returncode, error)
"""


def test_case_32_the_apps_import_and_check_without_the_extra() -> None:
    environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    environment |= {"DJANGO_SETTINGS_MODULE": "lms.envs.test", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", WITHOUT_THE_EXTRA]
    ran = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert "1 the extra redis-bus is not installed" in ran.stdout
