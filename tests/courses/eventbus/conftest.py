"""What a test of the transport may ask for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from courses.alerts import Alert
from courses.eventbus import pokes
from tests.courses.eventbus.helpers import handled

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
def taken() -> Iterator[list[Any]]:
    """What the handler of assigned licences was given, data and metadata."""
    calls: list[Any] = []
    with handled(lambda data, metadata: calls.append((data, metadata))):
        yield calls


@pytest.fixture
def no_pokes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nobody publish and handle after a commit."""
    monkeypatch.setattr(pokes, "run_here", lambda: None)
