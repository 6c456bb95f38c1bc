"""What a test of subsidy requests may ask for."""

from __future__ import annotations

from typing import Any

import pytest

from courses.alerts import Alert
from courses.eventbus.conf import EMBEDDED, REDIS
from tests.subsidy_requests.scene import Scene

_told: list[Alert] = []


def remember(alert: Alert) -> None:
    """Sink: keep it for the test."""
    _told.append(alert)


@pytest.fixture
def told(settings: Any) -> list[Alert]:
    """The alerts of this test."""
    settings.ALERT_SINKS = [f"{__name__}.remember"]
    _told.clear()
    return _told


@pytest.fixture
def licences(db: None) -> Scene:
    """An enterprise that grants licences."""
    return Scene("license")


@pytest.fixture
def codes(db: None) -> Scene:
    """An enterprise that grants coupon codes."""
    return Scene("coupon")


@pytest.fixture(params=[EMBEDDED, pytest.param(REDIS, marks=pytest.mark.redis)])
def transport(request: pytest.FixtureRequest, settings: Any) -> str:
    """Each of the two ways in which events travel; the database alone, and a real Redis."""
    settings.EVENT_TRANSPORT = request.param
    if request.param == REDIS:
        settings.EVENT_BUS_REDIS_CONNECTION_URL = request.getfixturevalue("redis_url")
        settings.EVENT_BUS_REDIS_CONSUMER_POLL_TIMEOUT = 0.02
    return str(request.param)
