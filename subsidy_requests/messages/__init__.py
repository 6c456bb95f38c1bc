"""The mails about requests. Each follows a decision, and none says anything of what else came of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final

from email_automation import words
from email_automation.events import EventMessage
from email_automation.links import SiteLinks
from email_automation.models import EmailLog

from .. import notices
from ..conf import EMAIL, setting
from ..resolver import NoticeResolver

_EXAMPLE: Final = "https://learn.example.com/harbour"
VARIABLES: Final[dict[str, Any]] = {
    "course_title": "Coastal Navigation for Beginners",
    "course_about_page_url": f"{_EXAMPLE}/course/HarbourX+NAV101",
    "enterprise_dashboard_url": _EXAMPLE,
    "organization": "Harbour Shipping",
    "contact_admin_link": "mailto:learning@example.com",
    "courses": [
        {
            "course_title": "Coastal Navigation for Beginners",
            "course_about_page_url": f"{_EXAMPLE}/course/HarbourX+NAV101",
        },
        {"course_title": "Reading the Weather", "course_about_page_url": f"{_EXAMPLE}/course/HarbourX+WEA102"},
    ],
    "course_count": 23,
    "more_count": 3,
}


class NoticeMessage(EventMessage):
    """What both mails have in common."""

    category = "enrollment"
    priority = words.HIGH
    resolver: ClassVar[type[NoticeResolver]]

    @classmethod
    def channel(cls) -> str:
        """Return the channel the settings choose, '' for ordinary mail."""
        chosen: str = setting("SUBSIDY_REQUESTS_CHANNEL")
        return "" if chosen == EMAIL else chosen

    @classmethod
    def on_finish(cls, rows: Sequence[EmailLog]) -> None:
        """Let the notices know what became of their mails."""
        notices.followed(cls.resolver.model, rows)

    @classmethod
    def called(cls, given: Mapping[str, Any], links: SiteLinks) -> dict[str, Any]:
        """Return what follows from the course and the dashboard that a caller names."""
        title, url = given.get("course_title"), given.get("course_about_page_url")
        known: dict[str, Any] = {"contact_admin_link": "", "more_count": 0}
        if isinstance(title, str) and isinstance(url, str):
            known |= {"courses": [{"course_title": title, "course_about_page_url": url}], "course_count": 1}
        return known
