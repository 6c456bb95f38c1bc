"""Renders stock mail strictly: a variable that the context lacks is an error, as it is when a template is saved."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NoReturn

from django.template.backends.django import DjangoTemplates
from django.utils import translation

ROOT = Path(__file__).resolve().parents[2]
APPS = ("email_automation", "schedules")
PARTS = ("from_name.txt", "subject.txt", "head.html", "body.html", "body.txt")
STYLE = "email_automation/edx_ace/base/style.html"
DEADLINES = {"en": "August 8, 2017", "es": "8 de agosto de 2017", "fr": "8 août 2017"}

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
