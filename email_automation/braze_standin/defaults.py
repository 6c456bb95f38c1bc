"""What a fresh installation talks to: the stand-in's address, keys and campaigns. Imports nothing: settings read it."""

from __future__ import annotations

from typing import Final

HOST: Final = "127.0.0.1"
PORT: Final = 8811
URL: Final = f"http://{HOST}:{PORT}"
KEY: Final = "braze-standin-key"
#: A key that the stand-in knows and that may send nothing.
KEY_WITHOUT_PERMISSION: Final = "braze-standin-key-without-permission"
CAMPAIGN_NAMES: Final = (
    "license_utilization_75",
    "license_utilization_100",
    "license_weekly_digest",
    "request_approved",
    "request_declined",
)
CAMPAIGNS: Final = {name: f"standin-{name.replace('_', '-')}" for name in CAMPAIGN_NAMES}
