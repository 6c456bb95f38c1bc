"""What a server has taken, mail by mail: its bytes, and how it reads."""

from __future__ import annotations

import re
from email import message_from_bytes, policy
from functools import lru_cache
from typing import Any, NamedTuple

from django.core.mail import EmailMultiAlternatives

_BOUNDARY = re.compile(rb'boundary="([^"]+)"')
_OF_THE_WRITING = ("Date", "Content-Type")
_DATE = re.compile(rb"(?m)^Date: [^\r\n]+\r\n")


class Reading(NamedTuple):
    """A mail as the standard library reads it: every header but Date and Content-Type, and both parts."""

    kind: str
    headers: list[tuple[str, str]]
    text: str
    html: str

    def header(self, name: str) -> str:
        """Return the only header of a name."""
        (value,) = [value for known, value in self.headers if known == name.lower()]
        return value

    @property
    def content(self) -> tuple[str, str, str]:
        """Subject, text and HTML."""
        return self.header("subject"), self.text, self.html


def normalised(raw: bytes) -> bytes:
    """Return a mail without what differs whenever it is written: the boundary's name, and the date."""
    (boundary,) = _BOUNDARY.findall(raw.partition(b"\r\n\r\n")[0])
    dates = _DATE.findall(raw.partition(b"\r\n\r\n")[0] + b"\r\n")
    assert len(dates) == 1
    return raw.replace(boundary, b"BOUNDARY").replace(dates[0], b"Date: DATE\r\n", 1)


def read(raw: bytes) -> Reading:
    """Read a mail with a plain and an HTML part."""
    # The older policy: it leaves headers as they are until they are asked for.
    mail = message_from_bytes(raw, policy=policy.compat32)
    assert not mail.defects
    parts = {}
    for part in mail.get_payload():
        assert not part.defects
        assert part.get_content_charset() == "utf-8"
        parts[part.get_content_type()] = lines(part.get_payload(decode=True).decode())
    assert list(parts) == ["text/plain", "text/html"]
    headers = [(name.lower(), _header(name, value)) for name, value in mail.items() if name not in _OF_THE_WRITING]
    return Reading(mail.get_content_type(), sorted(headers), parts["text/plain"], parts["text/html"])


@lru_cache(maxsize=4096)
def _header(name: str, value: str) -> str:
    unfolded = "".join(value.splitlines())
    return str(policy.default.header_factory(name, unfolded)).strip()


def lines(text: str) -> str:
    """Return a text with line feeds; a mail has the same end for each of these."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


def written_by_django(mail: EmailMultiAlternatives) -> bytes:
    """Return what Django's own class makes of the same values."""
    plain: Any = EmailMultiAlternatives(
        subject=mail.subject,
        body=mail.body,
        from_email=mail.from_email,
        to=mail.to,
        reply_to=mail.reply_to,
        headers=mail.extra_headers,
    )
    for content, kind in mail.alternatives:
        plain.attach_alternative(content, kind)
    whole: bytes = plain.message().as_bytes(linesep="\r\n")
    return whole
