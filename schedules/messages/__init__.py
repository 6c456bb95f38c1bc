"""The mails of schedules, one module each, and examples of the values they share."""

from __future__ import annotations

from typing import Any, Final

from email_automation.values import EXAMPLES

#: What `ScheduleResolver.shared` puts into every one of them; the last two only where `show_upsell` is true.
VARIABLES: Final[dict[str, Any]] = {
    "course_name": EXAMPLES["course"]["title"],
    "course_url": EXAMPLES["course"]["url"],
    "course_ids": [EXAMPLES["course"]["key"]],
    "course_count": 1,
    "dashboard_url": "https://example.com/dashboard",
    "cta_url": EXAMPLES["course"]["url"],
    "show_upsell": True,
    "upsell_link": "https://example.com/basket/add/?sku=NAV101",
    "user_schedule_upgrade_deadline_time": "March 23, 2026",
}
