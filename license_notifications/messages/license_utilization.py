"""Three quarters, or all, of a plan's licences are allocated: each is told an administrator once."""

from __future__ import annotations

from email_automation.pipeline.message import register
from email_automation.pipeline.resolver import Draft

from ..models import THRESHOLD_100
from ..resolver import UTILIZATION_NAME, UtilizationResolver
from . import Notice


@register
class LicenseUtilization(Notice):
    """Tells how many licences are left while there is time to do something about it."""

    NAME = UTILIZATION_NAME
    title = "Licences used up"
    resolver = UtilizationResolver

    @classmethod
    def campaign(cls, draft: Draft) -> str:
        """Return the campaign of the threshold: each has a text of its own."""
        return f"{cls.NAME}_{'100' if draft.shared['notification_kind'] == THRESHOLD_100 else '75'}"
