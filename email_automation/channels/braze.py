"""The ACE channel `braze_campaign`: mails whose text is kept by Braze, many recipients in one call."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

#: Option of an ACE message: what a service that keeps the text itself is told.
CAMPAIGN: Final = "email_automation_campaign"


@dataclass(frozen=True, kw_only=True)
class Campaign:
    """What is said of one mail: the key of BRAZE_CAMPAIGNS, the values of the cohort, and those of the recipient."""

    name: str
    trigger_properties: Mapping[str, Any]
    external_user_id: str
    recipient_properties: Mapping[str, str]
