"""Plain values for templates: what a mail may say of people, courses, enrolments and payments, and nothing else."""

from __future__ import annotations

from typing import Any, Final

#: What every template may use, whatever the message, with an example of each. `course`, `enrollment` and `payment` are
#: None where they do not apply.
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
    "site_name": "Harbour Learning",
    "site_url": "https://example.com",
    "unsubscribe_url": "https://example.com/email/unsubscribe/example/",
    "preferences_url": "https://example.com/email/preferences/example/",
    "language": "en",
    "direction": "ltr",
    "is_test": False,
}
