"""What a test of subsidy requests may ask for."""

from __future__ import annotations

from typing import Any

import pytest

from courses.eventbus.conf import EMBEDDED, REDIS
from tests.subsidy_requests.scene import Scene


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
