"""The bytes of a mail as they go over the wire, joined by hand where it is an ordinary one.

Building Django's objects and having them folded takes longer than everything else that is done for a filled-in mail.
What arrives reads the same; what is out of the ordinary is left to Django.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from email.utils import formatdate, make_msgid, parseaddr
from functools import lru_cache
from typing import Any, Final

from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.core.mail.message import forbid_multi_line_headers, sanitize_address
from django.core.mail.utils import DNS_NAME

#: RFC 5322, 2.1.1.
LONGEST_LINE: Final = 998
_NAME: Final = re.compile(r"[!-9;-~]+")
# One line, or one that Django has folded; nothing in it can end the header.
_VALUE: Final = re.compile(r"[\t\x20-\x7e]*(?:\n[ \t][\t\x20-\x7e]*)*")
#: An address that Django would leave as it is, after a parser that takes longer than the rest of the mail.
_ORDINARY: Final = re.compile(
    r"[a-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[a-z0-9!#$%&'*+/=?^_`{|}~-]+)*@([a-z0-9]([a-z0-9-]{0,60}[a-z0-9])?\.)+[a-z]{2,60}"
)
_CHARSET: Final = "utf-8"
#: Written by Django itself, not from the further headers.
_OWN: Final = frozenset({"from", "to", "cc", "reply-to"})


class _Unusual(Exception):
    """Something that only Django knows how to write."""


def wire(mail: EmailMultiAlternatives) -> bytes:
    """Return a mail with CR LF at the end of its lines. Raises ValueError for a header that cannot be written."""
    try:
        return _joined(mail)
    except (_Unusual, UnicodeEncodeError):
        # Django's own class, which takes the line ends.
        message: Any = mail.message()
        whole: bytes = message.as_bytes(linesep="\r\n")
        return whole


@lru_cache(maxsize=256)
def sender(address: str) -> str:
    """Return the envelope's form of an address with or without a name. Raises ValueError."""
    return envelope(address)


def envelope(address: str) -> str:
    """Return what MAIL and RCPT name. Raises ValueError."""
    if _ORDINARY.fullmatch(address):
        return address
    written = sanitize_address(address, settings.DEFAULT_CHARSET)
    return parseaddr(written)[1] or written


def _joined(mail: EmailMultiAlternatives) -> bytes:
    if mail.attachments or mail.cc or mail.encoding or settings.DEFAULT_CHARSET != _CHARSET or not mail.body:
        raise _Unusual
    (content, kind), *others = mail.alternatives or [("", "")]
    if kind != "text/html" or others:
        raise _Unusual
    parts = [_part("plain", str(mail.body)), _part("html", str(content))]
    while any((boundary := f"=_{secrets.token_hex(12)}").encode() in part for part in parts):
        pass
    lines = [f'Content-Type: multipart/alternative; boundary="{boundary}"', "MIME-Version: 1.0", *_headers(mail)]
    head, mark = "\r\n".join(lines).encode("ascii"), boundary.encode()
    return b"".join(
        (head, b"\r\n\r\n--", mark, b"\r\n", parts[0], b"\r\n--", mark, b"\r\n", parts[1], b"\r\n--", mark, b"--\r\n")
    )


def _headers(mail: EmailMultiAlternatives) -> Iterator[str]:
    extra = mail.extra_headers
    given = {name.lower() for name in extra}
    if len(given) != len(extra) or given & _OWN:
        raise _Unusual
    yield _repeated("Subject", str(mail.subject))
    yield _repeated("From", str(mail.from_email))
    yield _line("To", ", ".join(map(str, mail.to)))
    if mail.reply_to:
        yield _repeated("Reply-To", ", ".join(map(str, mail.reply_to)))
    if "date" not in given:
        yield _line("Date", formatdate(localtime=settings.EMAIL_USE_LOCALTIME))
    if "message-id" not in given:
        yield _line("Message-ID", make_msgid(domain=str(DNS_NAME)))
    for name, value in extra.items():
        yield _line(name, str(value))


def _line(name: str, value: str) -> str:
    """Return a header. Raises ValueError for a value that would be more than one."""
    if not value or len(value) + len(name) + 2 > LONGEST_LINE or not _NAME.fullmatch(name):
        raise _Unusual
    if value.isascii() and value.isprintable() and name.lower() != "subject":
        # Django would leave it as it is.
        return f"{name}: {value}"
    _, written = forbid_multi_line_headers(name, value, _CHARSET)
    if not _VALUE.fullmatch(written):
        raise _Unusual
    return f"{name}: {written}".replace("\n", "\r\n")


#: For what is the same in many mails: encoding words costs more than the rest of the header.
_repeated: Final = lru_cache(maxsize=1024)(_line)


def _part(kind: str, text: str) -> bytes:
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    body = text.replace("\n", "\r\n").encode()
    if max(map(len, body.split(b"\r\n"))) > LONGEST_LINE:
        raise _Unusual
    transfer = "7bit" if body.isascii() else "8bit"
    head = (
        f'Content-Type: text/{kind}; charset="utf-8"',
        "MIME-Version: 1.0",
        f"Content-Transfer-Encoding: {transfer}",
    )
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body
