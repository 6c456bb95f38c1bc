"""The headers of a mail: whom it is from, how to stop it, what it belongs to."""

from __future__ import annotations

import re
from collections.abc import Mapping
from email.utils import formataddr, parseaddr
from functools import lru_cache
from typing import Any
from urllib.parse import quote
from uuid import UUID

from django.conf import settings

from .conf import setting

_BREAKS = re.compile(r"[\r\n\x00-\x08\x0b\x0c\x0e-\x1f\x7f\x85\u2028\u2029]+")


def clean(value: str) -> str:
    """Return a header value on one line, with no control characters."""
    # What is printable has no white space but blanks.
    if value.isprintable() and "  " not in value and value.strip() == value:
        return value
    return re.sub(r"\s+", " ", _BREAKS.sub(" ", value)).strip()


def sender(brand: Mapping[str, Any], from_name: str) -> str:
    """Return the From header: the rendered name, and the site's address or else DEFAULT_FROM_EMAIL's."""
    return _named(str(brand.get("from_address") or settings.DEFAULT_FROM_EMAIL), str(from_name))


@lru_cache(maxsize=256)
def _named(address: str, name: str) -> str:
    return formataddr((clean(name), parseaddr(address)[1]))


def message_id(message_uuid: UUID, domain: str) -> str:
    """Return the Message-ID; it is made from the log row, so a second attempt carries the same one."""
    return f"<{message_uuid}@{domain.partition(':')[0]}>"


def for_mail(
    *,
    brand: Mapping[str, Any],
    domain: str,
    label: str,
    category: str,
    message_uuid: UUID,
    unsubscribe_url: str,
    extra: Mapping[str, str],
    is_test: bool,
) -> dict[str, str]:
    """Return the headers of one mail besides From, To and Subject.

    A test mail has none by which a tester could opt a learner out. `extra` are the message's own and win, in any letter
    case of their names.
    """
    host = domain.partition(":")[0]
    name = str(brand.get("list_id") or f"{category}.{host}")
    headers = {
        "Message-ID": message_id(message_uuid, domain),
        "Auto-Submitted": "auto-generated",
        "List-Id": f"<{name.strip('<>')}>",
        "Feedback-ID": f"{label.replace('.', '-')}:{category}:{host}",
    }
    if not is_test:
        stops = [f"<{unsubscribe_url}>"]
        mailto = setting("UNSUBSCRIBE_MAILTO")
        if mailto:
            token = unsubscribe_url.rstrip("/").rpartition("/")[2]
            stops.append(f"<mailto:{mailto}?subject={quote(f'unsubscribe {token}', safe='')}>")
        headers["List-Unsubscribe"] = ", ".join(stops)
        headers["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    for name, value in extra.items():
        if is_test and name.lower().startswith("list-unsubscribe"):
            continue
        # The names of headers know no case, so one that is written differently would go out twice.
        headers.pop(next((known for known in headers if known.lower() == name.lower()), name), None)
        headers[name] = value
    return {name: clean(value) for name, value in headers.items()}
