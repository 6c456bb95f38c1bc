"""Plain values for templates: what a mail may say of people, courses, enrolments and payments, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final, Protocol

from courses.models import ContentItem, Enrollment, Meeting, Payment

from .language import long_date
from .links import SiteLinks
from .models import WeeklyProgressReport
from .templating.lookup import Open

#: What a mail can be about; None in a template where it does not apply.
ABOUT: Final = ("course", "enrollment", "payment")

#: What every template may use, whatever the message, with an example of each. `course`, `enrollment` and `payment` are
#: None where they do not apply; `context` is what somebody's code has passed with a call.
EXAMPLES: Final[dict[str, Any]] = {
    "user": {"first_name": "Ada", "last_name": "Whitcombe", "username": "ada", "full_name": "Ada Whitcombe"},
    "course": {
        "title": "Coastal Navigation for Beginners",
        "key": "course-v1:HarbourX+NAV101+2026",
        "org": "HarbourX",
        "price": "49.00",
        "currency": "EUR",
        "url": "https://example.com/courses/course-v1:HarbourX+NAV101+2026/course/",
    },
    "enrollment": {"mode": "verified", "date": "March 2, 2026"},
    "payment": {
        "amount": "49.00",
        "currency": "EUR",
        "txn_ref": "TX-20260302-17",
        "method": "card",
        "date": "March 2, 2026",
    },
    "context": Open(),
    "site_name": "Harbour Learning",
    "site_url": "https://example.com",
    "unsubscribe_url": "https://example.com/email/unsubscribe/example/",
    "course_unsubscribe_url": "https://example.com/email/unsubscribe/example-course/",
    "preferences_url": "https://example.com/email/preferences/example/",
    "language": "en",
    "direction": "ltr",
    "is_test": False,
}


class CourseFacts(Protocol):
    """What `course` reads of a course; a row of Course has it."""

    @property
    def key(self) -> str: ...
    @property
    def title(self) -> str: ...
    @property
    def org(self) -> str: ...
    @property
    def price(self) -> Decimal | None: ...
    @property
    def currency(self) -> str: ...


def course(row: CourseFacts, *, url: str) -> dict[str, str]:
    """Return what a mail may say of a course; `url` is its tracked address."""
    return {
        "title": row.title or row.key,
        "key": row.key,
        "org": row.org,
        "price": money(row.price),
        "currency": row.currency.upper(),
        "url": url,
    }


def enrollment(row: Enrollment, *, language: str) -> dict[str, str]:
    """Return what a mail may say of an enrolment."""
    return {"mode": row.mode, "date": long_date(row.created_at, language)}


def payment(row: Payment, *, language: str) -> dict[str, str]:
    """Return what a mail may say of a payment."""
    return {
        "amount": money(row.amount),
        "currency": row.currency.upper(),
        "txn_ref": row.txn_ref or "",
        "method": row.method,
        "date": long_date(row.paid_at or row.created_at, language),
    }


def meeting(row: Meeting, *, language: str) -> dict[str, str]:
    """Return what a mail may say of a meeting."""
    return {"title": row.title, "date": long_date(row.starts_at, language) if row.starts_at else ""}


def item(row: ContentItem, *, url: str) -> dict[str, str]:
    """Return what a mail may say of new content; `url` is its tracked address."""
    return {"title": row.title, "kind": row.kind, "url": url}


def report(row: WeeklyProgressReport, *, language: str) -> dict[str, Any]:
    """Return what a mail may say of a week's progress."""
    figures = {
        f"{name}_{kind}": getattr(row, f"{name}_{kind}")
        for kind in ("completed", "this_week")
        for name in ("videos", "quizzes", "assignments")
    }
    return {
        "week_start": long_date(row.week_start, language),
        "week_end": long_date(row.week_end, language),
        "completion_percentage": f"{row.completion_percentage.normalize():f}",
        "completed": row.completed,
        "total": row.total,
        "total_videos": row.total_videos,
        "total_quizzes": row.total_quizzes,
        "total_assignments": row.total_assignments,
        **figures,
        "time_spent": row.time_spent,
    }


def ways_on(given: Mapping[str, Any], links: SiteLinks) -> dict[str, str]:
    """Return where a called mail leads: to the course it is about, else to the dashboard."""
    dashboard = links.dashboard()
    about = given.get("course")
    course_url = about.get("url") if isinstance(about, Mapping) else ""
    return {"dashboard_url": dashboard, "cta_url": course_url or dashboard}


def money(amount: Decimal | None) -> str:
    """Return an amount with two decimals, '' for none."""
    return "" if amount is None else f"{amount:.2f}"
