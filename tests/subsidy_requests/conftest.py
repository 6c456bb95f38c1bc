"""What a test of subsidy requests may ask for."""

from __future__ import annotations

from typing import Any

import pytest

from courses.alerts import Alert
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
