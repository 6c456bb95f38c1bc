"""Scenes for the tests of licence notices."""

from __future__ import annotations

from typing import Any

import pytest

from email_automation.braze_standin.server import BrazeStandIn
from tests.license_notifications.scene import Scene


@pytest.fixture
def scene(transactional_db: None, braze: BrazeStandIn, settings: Any) -> Scene:
    """Return a world in which notices go to a stand-in for Braze."""
    settings.LICENSE_NOTIFICATION_CHANNEL = "braze_campaign"
    return Scene(braze)
