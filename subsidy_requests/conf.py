"""The Django settings of subsidy requests and their defaults. `docs/settings.md` explains each."""

from __future__ import annotations

from typing import Any, Final

from django.conf import settings

EMAIL: Final = "email"
BRAZE: Final = "braze_campaign"
CHANNELS: Final = (BRAZE, EMAIL)
OWN_TABLE: Final = "subsidy_requests.roles.AssignedRoles"

DEFAULTS: Final[dict[str, Any]] = {
    "LEARNER_PORTAL_BASE_URL": "",
    "SUBSIDY_APPROVAL_WINDOW_SECONDS": 600,
    "SUBSIDY_REPUBLISH_AFTER_SECONDS": 1800,
    "SUBSIDY_REPUBLISH_MAX": 3,
    "SUBSIDY_REQUESTS_AUTHENTICATION_CLASSES": [],
    "SUBSIDY_REQUESTS_CALLS_PER_MINUTE": 300,
    "SUBSIDY_REQUESTS_CHANNEL": BRAZE,
    "SUBSIDY_REQUESTS_ROLES": OWN_TABLE,
}


def setting(name: str) -> Any:
    """Return a setting of subsidy requests, or its default. Raises KeyError for a name that is none of theirs."""
    return getattr(settings, name, DEFAULTS[name])
