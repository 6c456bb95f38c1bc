"""What a value of the ground floor must look like, said in words a person can act on."""

import re
from typing import Any
from zoneinfo import available_timezones

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from opaque_keys import InvalidKeyError
from opaque_keys.edx.keys import CourseKey

MODE_SLUGS = ("audit", "honor", "verified", "professional")
HIGHLIGHT_LENGTH = 250
ORG_LENGTH = 255
COLOR = re.compile(r"#[0-9A-Fa-f]{6}\Z")
WEB_ADDRESS = re.compile(r"https?://[^\s<>\"']+\Z")


def validate_course_key(value: str) -> None:
    """Refuse what opaque_keys cannot read as a course key."""
    try:
        CourseKey.from_string(value)
    except InvalidKeyError:
        raise ValidationError(
            "key: %(value)r is not a course key. Allowed: course-v1:Org+Course+Run or Org/Course/Run.",
            code="course_key",
            params={"value": value},
        ) from None


def validate_mode_slug(value: str) -> None:
    """Refuse a course mode that no rule of ours knows."""
    if value not in MODE_SLUGS:
        raise ValidationError(
            "slug: %(value)r is not a course mode. Allowed: %(allowed)s.",
            code="mode",
            params={"value": value, "allowed": ", ".join(MODE_SLUGS)},
        )


def validate_highlights(value: Any) -> None:
    """Accept a list of texts of at most 250 characters (code points) each."""
    if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
        raise ValidationError("highlights: must be a list of texts.", code="highlights")
    for text in value:
        if len(text) > HIGHLIGHT_LENGTH:
            raise ValidationError(
                "highlights: the text starting with %(start)r has %(length)d characters. Allowed: at most %(limit)d.",
                code="highlight_length",
                params={"start": text[:30], "length": len(text), "limit": HIGHLIGHT_LENGTH},
            )


def validate_org_filter(value: Any) -> None:
    """Accept a list of organisation names: none blank, too long or with outer spaces, none twice."""
    if not isinstance(value, list) or not all(isinstance(org, str) for org in value):
        raise ValidationError("org_filter: must be a list of organisation names.", code="org_filter")
    for org in value:
        if not org or org != org.strip():
            raise ValidationError(
                "org_filter: %(org)r is blank or has spaces around it.", code="org_blank", params={"org": org}
            )
        if len(org) > ORG_LENGTH:
            raise ValidationError(
                "org_filter: the name starting with %(start)r has %(length)d characters. Allowed: at most %(limit)d.",
                code="org_length",
                params={"start": org[:30], "length": len(org), "limit": ORG_LENGTH},
            )
    repeated = sorted({org for org in value if value.count(org) > 1})
    if repeated:
        raise ValidationError(
            "org_filter: %(orgs)s stands there more than once.", code="org_twice", params={"orgs": ", ".join(repeated)}
        )


def validate_color(value: str) -> None:
    """Accept a colour as mail programs read it everywhere: # and six hexadecimal digits."""
    if not COLOR.match(value):
        raise ValidationError("%(value)r is not a colour. Allowed: #RRGGBB.", code="color", params={"value": value})


def validate_one_line(value: str) -> None:
    """Refuse line breaks and other control characters, which would end a mail header."""
    if any(ord(character) < 32 or ord(character) == 127 for character in value):
        raise ValidationError("Must be one line without control characters.", code="one_line")


def validate_mail_header_address(value: str) -> None:
    """Accept `name@example.com` or `Name <name@example.com>` on one line."""
    validate_one_line(value)
    bracketed = re.fullmatch(r"[^<>]*<([^<>]+)>", value.strip())
    validate_email(bracketed.group(1) if bracketed else value.strip())


def validate_zone(value: str) -> None:
    """Accept the name of an IANA time zone, in any letter case."""
    if value.lower() not in {name.lower() for name in available_timezones()}:
        raise ValidationError(
            "%(value)r is not a time zone. Allowed: an IANA name such as Europe/Madrid.",
            code="zone",
            params={"value": value},
        )


def validate_web_address(value: str) -> None:
    """Accept an address that a mail can link to."""
    if not WEB_ADDRESS.match(value):
        raise ValidationError("Must be a web address that starts with https:// or http://.", code="web_address")


def validate_links(value: Any) -> None:
    """Accept {key: web address}; an empty address leaves the link out."""
    if not isinstance(value, dict):
        raise ValidationError('Must be an object such as {"facebook": "https://..."}.', code="links")
    for key, url in value.items():
        if not isinstance(url, str) or (url and not WEB_ADDRESS.match(url)):
            raise ValidationError(
                "%(key)s: must be a web address that starts with https:// or http://, or empty.",
                code="link",
                params={"key": key},
            )
