"""Notices that would end on this machine are warned of, once there are plans to tell of."""

from __future__ import annotations

from typing import Any

import pytest

from license_notifications import checks
from tests.factories import SubscriptionPlanFactory

pytestmark = pytest.mark.django_db


def test_with_plans_the_stand_in_is_a_warning(settings: Any) -> None:
    settings.LICENSE_NOTIFICATION_CHANNEL = "braze_campaign"
    settings.BRAZE_API_URL = "http://127.0.0.1:8811"
    assert checks.check_braze(None, databases=["default"]) == []
    SubscriptionPlanFactory()
    (found,) = checks.check_braze(None, databases=["default"])
    assert (found.id, "LICENSE_NOTIFICATION_CHANNEL" in str(found.hint)) == ("license_notifications.W003", True)
    assert checks.check_braze(None) == []
    settings.BRAZE_API_URL = "https://rest.iad-01.braze.com"
    assert checks.check_braze(None, databases=["default"]) == []
