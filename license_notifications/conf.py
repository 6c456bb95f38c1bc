"""The Django settings of licence notices and what they are when a project leaves them out."""

from __future__ import annotations

from typing import Any, Final

from django.conf import settings

from email_automation.channels import CAMPAIGN_CHANNEL

#: Where administrators are looked up: in our own table, or on the platform with the table as its copy.
EMBEDDED: Final = "embedded"
LMS: Final = "lms"
DIRECTORIES: Final = (EMBEDDED, LMS)

#: How notices go out: as a campaign of Braze, or through the ordinary e-mail channel.
CAMPAIGN: Final = CAMPAIGN_CHANNEL
EMAIL: Final = "email"
CHANNELS: Final = (CAMPAIGN, EMAIL)

DEFAULTS: Final[dict[str, Any]] = {
    "ENTERPRISE_ADMIN_PORTAL_BASE_URL": "",
    "LICENSE_ADMIN_DIRECTORY": EMBEDDED,
    "LICENSE_LMS_BASE_URL": "",
    "LICENSE_LMS_CLIENT_ID": "",
    "LICENSE_LMS_CLIENT_SECRET": "",
    "LICENSE_LMS_SERVICE_USERNAME": "",
    # Only with this true does a `--date` more than a day ahead run for real; it uses up future weeks.
    "LICENSE_NOTIFICATION_ALLOW_TIME_TRAVEL": False,
    "LICENSE_NOTIFICATION_CHANNEL": CAMPAIGN,
    "LICENSE_NOTIFICATION_PROVISIONING_GRACE_SECONDS": 86_400,
    "LICENSE_NOTIFICATION_STALE_CLAIM_SECONDS": 3_600,
}


def setting(name: str) -> Any:
    """Return a setting of licence notices, or its default. Raises KeyError for a name that is none of theirs."""
    return getattr(settings, name, DEFAULTS[name])
