"""Where mails about requests lead: the learner portal of the enterprise."""

from __future__ import annotations

from urllib.parse import quote

from .conf import setting
from .models import SubsidyRequestCustomerConfiguration


def dashboard_url(customer: SubsidyRequestCustomerConfiguration | None) -> str:
    """Return the learner's dashboard at an enterprise; '' while there is none, so that its mails wait."""
    base = setting("LEARNER_PORTAL_BASE_URL").rstrip("/")
    return f"{base}/{customer.slug}" if base and customer is not None and customer.slug else ""


def about_page_url(dashboard: str, course_id: str | None) -> str:
    """Return the page about a course; the dashboard where there is no course."""
    return f"{dashboard}/course/{quote(course_id, safe='+')}" if course_id else dashboard


def contact_link(customer: SubsidyRequestCustomerConfiguration) -> str:
    """Return the link that opens a mail to the enterprise's contact, '' without one."""
    return f"mailto:{customer.contact_email}" if customer.contact_email else ""
