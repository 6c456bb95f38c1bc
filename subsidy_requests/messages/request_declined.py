"""The mail that a request is declined, by an administrator or because the kind of subsidy has changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from email_automation.links import SiteLinks
from email_automation.pipeline.message import register

from ..resolver import DeclineResolver
from . import VARIABLES, NoticeMessage


@register
class RequestDeclined(NoticeMessage):
    """Tells a learner which requests were declined, and why."""

    NAME = "request_declined"
    title = "Request declined"
    resolver = DeclineResolver
    variables: ClassVar[Mapping[str, Any]] = VARIABLES | {
        "decline_reason": "This course is not part of your team's plan.",
        "auto_declined": True,
    }

    @classmethod
    def called(cls, given: Mapping[str, Any], links: SiteLinks) -> dict[str, Any]:
        """Return also that nothing in particular was said."""
        return super().called(given, links) | {"decline_reason": "", "auto_declined": False}
