"""Scenes for the tests of licence notices."""

from __future__ import annotations

import pytest

from email_automation.braze_standin.server import BrazeStandIn
from tests.license_notifications.scene import Scene


@pytest.fixture
def scene(transactional_db: None, braze: BrazeStandIn) -> Scene:
    """Return a world in which notices go to a stand-in for Braze."""
    return Scene(braze)
