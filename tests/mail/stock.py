"""Renders stock mail strictly: a variable that the context lacks is an error, as it is when a template is saved."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from django.template.backends.django import DjangoTemplates
from django.utils import translation

ROOT = Path(__file__).resolve().parents[2]
APPS = ("email_automation", "schedules")
PARTS = ("from_name.txt", "subject.txt", "head.html", "body.html", "body.txt")
DAY3 = "schedules/recurringnudge_day3"
DAY10 = "schedules/recurringnudge_day10"
REMINDER = "schedules/upgradereminder"
UPDATE = "schedules/courseupdate"
MESSAGES = (DAY3, DAY10, REMINDER, UPDATE)
LANGUAGES = ("en", "es", "fr")
STYLE = "email_automation/edx_ace/base/style.html"
DEADLINES = {"en": "August 8, 2017", "es": "8 de agosto de 2017", "fr": "8 août 2017"}
PICTURE = "https://example.com/static/schedules/certificate.png"
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


def context(
    *,
    courses: int = 1,
    upsell: bool = True,
    language: str = "en",
    brand: dict[str, Any] = FULL_BRAND,
    first_name: str = "Ann",
    **values: Any,
) -> dict[str, Any]:
    """The context that the engine gives to a nudge."""
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
    return made | values


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


def context_of(message: str, **values: Any) -> dict[str, Any]:
    """The context that the engine gives to a message."""
    makers: dict[str, Callable[..., dict[str, Any]]] = {REMINDER: reminder, UPDATE: update}
    return makers.get(message, context)(**values)


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
