"""Mail about requests that would end on this machine is warned of, once an enterprise takes requests."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from subsidy_requests import checks
from subsidy_requests.models import SubsidyRequestCustomerConfiguration

pytestmark = pytest.mark.django_db


def test_with_an_enterprise_the_stand_in_is_a_warning(settings: Any) -> None:
    settings.SUBSIDY_REQUESTS_CHANNEL = "braze_campaign"
    settings.BRAZE_API_URL = "http://127.0.0.1:8811"
    assert checks.check_braze(None, databases=["default"]) == []
    SubsidyRequestCustomerConfiguration.objects.create(enterprise_customer_uuid=uuid.uuid4())
    (found,) = checks.check_braze(None, databases=["default"])
    assert (found.id, "SUBSIDY_REQUESTS_CHANNEL" in str(found.hint)) == ("subsidy_requests.W003", True)
