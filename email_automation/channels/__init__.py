"""ACE channels of our own, registered under the entry point `openedx.ace.channel`, and whether any takes e-mail."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import Final

from django.conf import settings
from edx_ace.channel import ChannelType

ENTRY_POINT: Final = "openedx.ace.channel"


def takes_mail() -> bool:
    """Return whether one of the enabled channels is for e-mail."""
    enabled = getattr(settings, "ACE_ENABLED_CHANNELS", None) or ()
    return any(
        point.load().channel_type == ChannelType.EMAIL
        for point in entry_points(group=ENTRY_POINT)
        if point.name in enabled
    )
