"""ACE channels of our own, registered under the entry point `openedx.ace.channel`, and whether any takes e-mail."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import Final

from django.conf import settings
from edx_ace.channel import ChannelType

ENTRY_POINT: Final = "openedx.ace.channel"
#: The channel by which only messages go that name a campaign.
CAMPAIGN_CHANNEL: Final = "braze_campaign"


def takes_mail() -> bool:
    """Return whether one of the enabled channels is for ordinary e-mail."""
    enabled = set(getattr(settings, "ACE_ENABLED_CHANNELS", None) or ()) - {CAMPAIGN_CHANNEL}
    return any(
        point.load().channel_type == ChannelType.EMAIL
        for point in entry_points(group=ENTRY_POINT)
        if point.name in enabled
    )
