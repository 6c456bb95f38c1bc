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
    bare = value.strip()
    # What is printable has no white space but blanks.
    if bare.isprintable() and "  " not in bare:
        return bare
    return re.sub(r"\s+", " ", _BREAKS.sub(" ", value)).strip()


def sender(brand: Mapping[str, Any], from_name: str) -> str:
    """Return the From header: the rendered name, and the site's address or else DEFAULT_FROM_EMAIL's."""
    return _named(str(brand.get("from_address") or settings.DEFAULT_FROM_EMAIL), str(from_name))


@lru_cache(maxsize=256)
def _named(address: str, name: str) -> str:
    return formataddr((clean(name), parseaddr(address)[1]))


class Headers:
    """The headers of one message's mails for one site, besides From, To and Subject.

    A test mail has none by which a tester could opt a learner out.
    """

    def __init__(
        self, *, brand: Mapping[str, Any], domain: str, label: str, category: str, is_test: bool = False
    ) -> None:
        host = domain.partition(":")[0]
        name = str(brand.get("list_id") or f"{category}.{host}")
        self._host = clean(host)
        self._is_test = is_test
        self._mailto = setting("UNSUBSCRIBE_MAILTO")
        self._same = {
            "Auto-Submitted": "auto-generated",
            "List-Id": clean(f"<{name.strip('<>')}>"),
            "Feedback-ID": clean(f"{label.replace('.', '-')}:{category}:{host}"),
        }

    def for_mail(self, message_uuid: UUID, unsubscribe_url: str, extra: Mapping[str, str]) -> dict[str, str]:
        """Return the headers of one mail. `extra` are the message's own and win, in any letter case of their names."""
        # Made from the log row, so a second attempt carries the same one.
        headers = {"Message-ID": f"<{message_uuid}@{self._host}>", **self._same}
        if not self._is_test:
            headers["List-Unsubscribe"] = clean(", ".join(self._stops(unsubscribe_url)))
            headers["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
        for name, value in extra.items():
            if self._is_test and name.lower().startswith("list-unsubscribe"):
                continue
            # The names of headers know no case, so one that is written differently would go out twice.
            headers.pop(next((known for known in headers if known.lower() == name.lower()), name), None)
            headers[name] = clean(value)
        return headers

    def _stops(self, unsubscribe_url: str) -> list[str]:
        stops = [f"<{unsubscribe_url}>"]
        if self._mailto:
            token = unsubscribe_url.rstrip("/").rpartition("/")[2]
            stops.append(f"<mailto:{self._mailto}?subject={quote(f'unsubscribe {token}', safe='')}>")
        return stops
