"""Renders stock mail strictly: a variable that the context lacks is an error, as it is when a template is saved."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from django.template.backends.django import DjangoTemplates
from django.utils import translation

ROOT = Path(__file__).resolve().parents[2]
APPS = ("email_automation", "schedules", "course_goals", "subsidy_requests")
PARTS = ("from_name.txt", "subject.txt", "head.html", "body.html", "body.txt")
DAY3 = "schedules/recurringnudge_day3"
DAY10 = "schedules/recurringnudge_day10"
REMINDER = "schedules/upgradereminder"
UPDATE = "schedules/courseupdate"
ENROLLMENT = "email_automation/enrollment"
PAYMENT = "email_automation/payment_confirmation"
DEMO = "email_automation/demo_completed"
CONTENT = "email_automation/new_content"
WEEKLY = "email_automation/weekly_progress"
GOAL = "course_goals/goal_reminder"
APPROVED, DECLINED = "subsidy_requests/request_approved", "subsidy_requests/request_declined"
OWN = (ENROLLMENT, PAYMENT, DEMO, CONTENT, WEEKLY)
MESSAGES = (DAY3, DAY10, REMINDER, UPDATE, *OWN, GOAL, APPROVED, DECLINED)
LANGUAGES = ("en", "es", "fr")
STYLE = "email_automation/edx_ace/base/style.html"
DEADLINES = {"en": "August 8, 2017", "es": "8 de agosto de 2017", "fr": "8 août 2017"}
DATES = {"en": "March 2, 2026", "es": "2 de marzo de 2026", "fr": "2 mars 2026"}
WEEKS = {
    "en": ("February 23, 2026", "March 1, 2026"),
    "es": ("23 de febrero de 2026", "1 de marzo de 2026"),
    "fr": ("23 février 2026", "1 mars 2026"),
}
PICTURE = "https://example.com/static/schedules/certificate.png"
ITEMS = (
    ("Reading a <tide> table", "video", "https://example.com/items/1/?utm_source=email_automation&utm_medium=email"),
    ('The "low water" quiz & more', "quiz", ""),
    ("Your own tide table", "assignment", "https://example.com/items/3/?utm_source=email_automation&utm_medium=email"),
)
HIGHLIGHTS = ("Read a tide table", "<b>Go & see</b>", 'A "quiz", á la carte')

NO_BRAND: dict[str, Any] = {
    "name": "",
    "url": "",
    "home_url": "",
    "logo_url": "",
    "color": "",
    "on_color": "",
    "contact_mailing_address": "",
    "social": [],
    "stores": [],
}
FULL_BRAND: dict[str, Any] = {
    "name": "Example Academy",
    "url": "https://example.com",
    "home_url": "https://example.com/?utm_source=schedules&utm_medium=email",
    "logo_url": "https://example.com/static/logo.png",
    "color": "#0B5C8A",
    "on_color": "#FFFFFF",
    "contact_mailing_address": "12 Harbour Street, Springfield",
    "social": [
        {"key": "facebook", "name": "Facebook", "url": "https://social.example.com/f?a=1&b=2"},
        {"key": "youtube", "name": "YouTube", "url": "https://social.example.com/y"},
    ],
    "stores": [
        {"key": "google", "name": "Google Play", "url": "https://store.example.com/g"},
        {"key": "apple", "name": "App Store", "url": "https://store.example.com/a"},
    ],
}


# What changes the words of a message: the keywords of its maker, from the fullest mail to the barest.
VARIANTS: dict[str, tuple[dict[str, Any], ...]] = {
    DAY3: ({"courses": 3}, {}, {"courses": 3, "upsell": False}, {"upsell": False}),
    DAY10: ({"courses": 3}, {}, {"courses": 3, "upsell": False}, {"upsell": False}),
    REMINDER: (
        *({"courses": 2, "days_left": days_left} for days_left in (0, 1, 2)),
        *({"courses": courses} for courses in (1, 3, 9, 10)),
        {"courses": 2, "cert_image": ""},
        {"upsell": False},
    ),
    UPDATE: (
        {"highlights": ["á" * 250] * 10},
        {"highlights": ["á" * 250]},
        {},
        {"upsell": False},
    ),
    ENROLLMENT: (
        {"custom_message": "Bring <b>a pencil</b> & paper.\nWe begin at nine."},
        {},
        {"dated": False},
        {"titled": False, "custom_message": "See you on Monday."},
        {"titled": False},
    ),
    PAYMENT: (
        {},
        {"titled": False},
        {"date": "", "currency": "", "txn_ref": "w" * 120},
        {"amount": "", "txn_ref": ""},
        {"titled": False, "txn_ref": "", "method": ""},
    ),
    DEMO: ({}, {"dated": False}, {"title": ""}, {"title": "", "dated": False}),
    CONTENT: (
        {"description": "A <b>new</b> part & more.\nIt is about spring tides."},
        {},
        {"items": ITEMS[:1]},
        {"items": [("w" * 250, "quiz", ITEMS[0][2])] * 20},
        {"titled": False, "items": ITEMS[:1]},
        {"titled": False, "description": "A new part."},
        {"items": (), "description": "A new part & more."},
        {"titled": False, "items": ()},
        {"items": ()},
    ),
    WEEKLY: (
        {},
        {"videos": (2, 4, 2), "assignments": (1, 3, 1), "minutes": 1},
        {"videos": (1, 8, 1), "quizzes": (0, 0, 0)},
        {"videos": (4, 4, 1)},
        {"videos": (0, 4, 0), "quizzes": (0, 1, 0)},
        {"videos": (1, 4, 0), "quizzes": (0, 0, 0), "minutes": 0},
        {"videos": (0, 0, 0), "quizzes": (0, 0, 0), "minutes": 20},
        {"videos": (0, 0, 0), "quizzes": (0, 0, 0), "minutes": 0},
    ),
    GOAL: (
        {},
        {"days_per_week": 7, "days_done": 0, "days_left": 7},
        {"days_per_week": 1, "days_done": 0, "days_left": 1},
    ),
    APPROVED: (
        {"titles": ("Tides & Shores", "", "Winds"), "more": 5},
        {},
        {"titles": ("",)},
        {"titles": ("Tides & Shores", "Winds")},
        {"contact_admin_link": ""},
    ),
    DECLINED: (
        {"titles": ("Tides & Shores", "Winds"), "more": 1},
        {},
        {"titles": ("",), "decline_reason": "", "auto_declined": True},
        {"decline_reason": "", "contact_admin_link": ""},
    ),
}


class Undefined(str):
    """Stands in `string_if_invalid`, so that a missing variable raises and does not vanish."""

    def __mod__(self, name: object) -> NoReturn:
        raise LookupError(f"the context has no {name}")


TEMPLATES = DjangoTemplates(
    {
        "NAME": "strict",
        "DIRS": [ROOT / app / "templates" for app in APPS],
        "APP_DIRS": False,
        "OPTIONS": {"string_if_invalid": Undefined("%s")},
    }
)


def common(
    *, language: str = "en", brand: dict[str, Any] = FULL_BRAND, first_name: str = "Ann", **values: Any
) -> dict[str, Any]:
    """What the engine gives to every mail."""
    made = {
        "user": {"first_name": first_name, "last_name": "Lee", "username": "ann", "full_name": f"{first_name} Lee"},
        "site_name": "Example Academy",
        "site_url": "https://example.com",
        "brand": brand,
        "unsubscribe_url": "https://example.com/email/unsubscribe/abc/?a=1&b=2",
        "preferences_url": "https://example.com/email/preferences/abc/",
        "is_test": False,
        "language": language,
        "direction": "ltr",
    }
    return made | values


def context(*, courses: int = 1, upsell: bool = True, language: str = "en", **values: Any) -> dict[str, Any]:
    """The context that the engine gives to a nudge."""
    made = {
        "course_name": "Tides & Shores",
        "course_url": "https://example.com/courses/tides/?utm_source=schedules&utm_medium=email",
        "course_ids": [f"course-v1:edX+C{number}+2017" for number in range(courses)],
        "course_count": courses,
        "dashboard_url": "https://example.com/dashboard?utm_source=schedules",
        "cta_url": "https://example.com/start/?utm_source=schedules&utm_medium=email",
        "show_upsell": upsell,
    }
    if upsell:
        made["upsell_link"] = "https://pay.example.com/basket?sku=ABC1&utm_source=schedules"
        made["user_schedule_upgrade_deadline_time"] = DEADLINES[language]
    return common(language=language, **(made | values))


def reminder(
    *, courses: int = 1, days_left: int = 2, cert_image: str = PICTURE, upsell: bool = True, **values: Any
) -> dict[str, Any]:
    """The context of an upgrade reminder: the link and the date are there whatever `show_upsell` says."""
    made = context(courses=courses, upsell=True, **values)
    titles = [made["course_name"], *(f"Course <{number}> & more" for number in range(1, courses))]
    links = [
        {"name": title, "url": f"https://example.com/courses/{number}/?utm_source=schedules&utm_medium=email"}
        for number, title in enumerate(titles)
    ]
    return made | {
        "show_upsell": upsell,
        "cta_url": made["upsell_link"] if courses == 1 else made["dashboard_url"],
        "first_course_name": made["course_name"],
        "course_links": links if 2 <= courses <= 9 else [],
        "days_left": days_left,
        "cert_image": cert_image,
    }


def update(*, week: int = 3, highlights: Sequence[str] = HIGHLIGHTS, **values: Any) -> dict[str, Any]:
    """The context of a course update."""
    made = context(**values)
    return made | {"cta_url": made["course_url"], "week_num": week, "week_highlights": list(highlights)}


def own(*, titled: bool = True, course_name: str = "Tides & Shores", **values: Any) -> dict[str, Any]:
    """The context of a message of the engine's own, `titled` if it is about a course."""
    urls = {
        name: f"https://example.com/{name}/?utm_source=email_automation&utm_medium=email" for name in ("course", "home")
    }
    course = {
        "title": course_name,
        "key": "course-v1:edX+C1+2026",
        "org": "edX",
        "price": "49.00",
        "currency": "EUR",
        "url": urls["course"],
    }
    made = {
        "course": course if titled else None,
        "enrollment": None,
        "payment": None,
        "dashboard_url": urls["home"],
        "cta_url": urls["course" if titled else "home"],
    }
    return common(**(made | values))


def enrollment(
    *, dated: bool = True, titled: bool = True, language: str = "en", custom_message: str = "", **values: Any
) -> dict[str, Any]:
    """The context of an enrolment mail; `dated` if the enrolment is known."""
    row = {"mode": "audit", "date": DATES[language]} if dated and titled else None
    return own(titled=titled, language=language, enrollment=row, custom_message=custom_message, **values)


def payment(
    *,
    language: str = "en",
    amount: str = "1249.00",
    currency: str = "EUR",
    method: str = "card & co",
    txn_ref: str = "TX-<81>-0042",
    date: str | None = None,
    **values: Any,
) -> dict[str, Any]:
    """The context of a payment confirmation."""
    row = {"amount": amount, "currency": currency, "txn_ref": txn_ref, "method": method}
    row["date"] = DATES[language] if date is None else date
    return own(language=language, payment=row, **values)


def demo(*, dated: bool = True, title: str = "Meet & greet", language: str = "en", **values: Any) -> dict[str, Any]:
    """The context of the mail after a demo class."""
    return own(language=language, meeting={"title": title, "date": DATES[language] if dated else ""}, **values)


def content(*, items: Sequence[tuple[str, str, str]] = ITEMS, description: str = "", **values: Any) -> dict[str, Any]:
    """The context of a mail about new content; `items` are titles, kinds and links."""
    rows = [dict(zip(("title", "kind", "url"), item, strict=True)) for item in items]
    return own(items=rows, item_count=len(rows), new_content_description=description, **values)


def weekly(
    *,
    videos: tuple[int, int, int] = (2, 4, 1),
    quizzes: tuple[int, int, int] = (1, 1, 0),
    assignments: tuple[int, int, int] = (0, 0, 0),
    minutes: int = 95,
    language: str = "en",
    **values: Any,
) -> dict[str, Any]:
    """The context of a weekly report; each kind is (completed, total, completed that week)."""
    kinds = {"videos": videos, "quizzes": quizzes, "assignments": assignments}
    report: dict[str, Any] = {"week_start": WEEKS[language][0], "week_end": WEEKS[language][1]}
    done, total = (sum(kind[at] for kind in kinds.values()) for at in (0, 1))
    percentage = f"{round(100 * done / total, 2):g}" if total else "0"
    report |= {"completion_percentage": percentage, "completed": done, "total": total, "time_spent": minutes}
    for name, (completed, possible, this_week) in kinds.items():
        report |= {f"{name}_completed": completed, f"total_{name}": possible, f"{name}_this_week": this_week}
    return own(language=language, report=report, **values)


def goal(*, course_name: str = "Tides & Shores", **values: Any) -> dict[str, Any]:
    """The context of a goal's reminder."""
    home = "https://example.com/courses/course-v1:edX+C1+2026/home/?utm_source=course_goals&utm_medium=email"
    made = {
        "course_name": course_name,
        "course_url": home,
        "cta_url": home,
        "goal_url": f"{home}#weekly-goal",
        "days_per_week": 3,
        "days_done": 1,
        "days_left": 2,
    }
    return common(**(made | values))


def decided(
    *, titles: Sequence[str] = ("Tides & Shores",), course_name: str = "", more: int = 0, **values: Any
) -> dict[str, Any]:
    """The context of a mail about requests; `titles` are those of the courses, '' where a licence names none.

    `course_name` takes the place of the first.
    """
    titles = (course_name, *titles[1:]) if course_name else titles
    dashboard = "https://learn.example.com/harbour"
    pages = [f"{dashboard}/course/edX+C{number}" if title else dashboard for number, title in enumerate(titles)]
    courses = [
        {"course_title": title, "course_about_page_url": page} for title, page in zip(titles, pages, strict=True)
    ]
    made = {
        **courses[0],
        "enterprise_dashboard_url": dashboard,
        "organization": "Smith & Daughters",
        "contact_admin_link": "mailto:learning@example.com",
        "courses": courses,
        "course_count": len(courses) + more,
        "more_count": more,
    }
    return common(**(made | values))


def declined(**values: Any) -> dict[str, Any]:
    """The context of a refusal."""
    return decided(**{"decline_reason": "Not <this> year", "auto_declined": False, **values})


MAKERS: dict[str, Callable[..., dict[str, Any]]] = {
    REMINDER: reminder,
    UPDATE: update,
    ENROLLMENT: enrollment,
    PAYMENT: payment,
    DEMO: demo,
    CONTENT: content,
    WEEKLY: weekly,
    GOAL: goal,
    APPROVED: decided,
    DECLINED: declined,
}


def context_of(message: str, **values: Any) -> dict[str, Any]:
    """The context that the engine gives to a message."""
    return MAKERS.get(message, context)(**values)


def parts(message: str, values: dict[str, Any]) -> dict[str, str]:
    """The five parts of `<app>/<message>`, rendered in the context's language."""
    app, _, name = message.partition("/")
    with translation.override(values["language"]):
        return {
            part: TEMPLATES.get_template(f"{app}/edx_ace/{name}/email/{part}").render(dict(values)) for part in PARTS
        }


def style() -> str:
    """The style fragment that the channel puts behind every head."""
    return TEMPLATES.get_template(STYLE).render({})
