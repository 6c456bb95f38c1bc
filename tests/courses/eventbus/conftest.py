"""What a test of the transport may ask for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from courses.eventbus import pokes
from tests.courses.eventbus.helpers import handled


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
