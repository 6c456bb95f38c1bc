"""The bytes of a mail as they go over the wire, joined by hand where it is an ordinary one.

Building Django's objects and having them folded takes longer than everything else that is done for a filled-in mail.
What arrives reads the same; what is out of the ordinary is left to Django.
"""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Iterable, Mapping, Sequence
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
#: Further headers that no two mails have alike.
_UNLIKE: Final = frozenset({"Message-ID", "List-Unsubscribe"})


class Unusual(Exception):
    """Something that only Django knows how to write."""


def wire(mail: EmailMultiAlternatives) -> bytes:
    """Return a mail with CR LF at the end of its lines. Raises ValueError for a header that cannot be written."""
    try:
        return _joined(mail)
    except (Unusual, UnicodeEncodeError):
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


def parts(text: str, html: str) -> tuple[bytes, bytes]:
    """Return the bytes of both parts with their headers. Raises Unusual or UnicodeEncodeError."""
    return PartTemplate("plain", [text]).filled([]), PartTemplate("html", [html]).filled([])


class PartTemplate:
    """A part of several mails: texts, and between them the numbers of the texts that belong there in one of them."""

    def __init__(self, kind: str, pieces: Iterable[str | int]) -> None:
        self._kind = kind
        self._pieces = [piece if isinstance(piece, int) else _with_crlf(piece) for piece in pieces]
        self._slots = [(place, piece) for place, piece in enumerate(self._pieces) if isinstance(piece, int)]
        #: The longest line for each choice of texts that stand on one.
        self._lines: dict[tuple[int, ...], int] = {}
        self._measure()

    def _measure(self) -> None:
        length, on_it = 0, []
        for piece in [*self._pieces, b"\r\n"]:
            if isinstance(piece, int):
                on_it.append(piece)
                continue
            first, *others = piece.split(b"\r\n")
            length += len(first)
            for other in others:
                self._lines[*on_it,] = max(self._lines.get((*on_it,), 0), length)
                length, on_it = len(other), []

    def filled(self, texts: Sequence[bytes]) -> bytes:
        """Return the part of one mail. Its texts are of one line. Raises Unusual for a line that is too long."""
        longest = max(map(len, texts), default=0)
        for numbers, length in self._lines.items():
            if (
                length + longest * len(numbers) > LONGEST_LINE
                and length + sum([len(texts[number]) for number in numbers]) > LONGEST_LINE
            ):
                raise Unusual
        pieces: list[Any] = self._pieces.copy()
        for place, number in self._slots:
            pieces[place] = texts[number]
        whole = b"".join(pieces)
        return _PART_HEADS[self._kind, whole.isascii()] + whole


def _with_crlf(text: str) -> bytes:
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    return text.replace("\n", "\r\n").encode()


_PART_HEADS: Final = {
    (kind, plain): (
        f'Content-Type: text/{kind}; charset="utf-8"\r\nMIME-Version: 1.0\r\n'
        f"Content-Transfer-Encoding: {'7bit' if plain else '8bit'}\r\n\r\n"
    ).encode()
    for kind in ("plain", "html")
    for plain in (True, False)
}


def _joined(mail: EmailMultiAlternatives) -> bytes:
    if mail.attachments or mail.cc or mail.encoding or not mail.body:
        raise Unusual
    (content, kind), *others = mail.alternatives or [("", "")]
    if kind != "text/html" or others:
        raise Unusual
    return joined(
        parts(str(mail.body), str(content)),
        subject=str(mail.subject),
        from_email=str(mail.from_email),
        to=", ".join(map(str, mail.to)),
        reply_to=", ".join(map(str, mail.reply_to)),
        extra=mail.extra_headers,
    )


def joined(
    both: tuple[bytes, bytes], *, subject: str, from_email: str, to: str, reply_to: str, extra: Mapping[str, str]
) -> bytes:
    """Return a mail made of its parts and of what its headers say. Raises Unusual for what only Django can write, and
    ValueError for a header that nobody can.
    """
    if settings.DEFAULT_CHARSET != _CHARSET:
        raise Unusual
    while any((boundary := f"=_{secrets.token_hex(12)}").encode() in part for part in both):
        pass
    lines = [
        f'Content-Type: multipart/alternative; boundary="{boundary}"',
        "MIME-Version: 1.0",
        *_headers(subject, from_email, to, reply_to, extra),
    ]
    head, mark = "\r\n".join(lines).encode("ascii"), boundary.encode()
    return b"".join(
        (head, b"\r\n\r\n--", mark, b"\r\n", both[0], b"\r\n--", mark, b"\r\n", both[1], b"\r\n--", mark, b"--\r\n")
    )


def _headers(subject: str, from_email: str, to: str, reply_to: str, extra: Mapping[str, str]) -> list[str]:
    given = _known_names(tuple(extra))
    lines = [_repeated("Subject", subject), _repeated("From", from_email), _line("To", to)]
    if reply_to:
        lines.append(_repeated("Reply-To", reply_to))
    if "date" not in given:
        lines.append(_date(int(time.time()), local=settings.EMAIL_USE_LOCALTIME))
    if "message-id" not in given:
        lines.append(_line("Message-ID", make_msgid(domain=str(DNS_NAME))))
    lines += [(_line if name in _UNLIKE else _repeated)(name, str(value)) for name, value in extra.items()]
    return lines


@lru_cache(maxsize=64)
def _known_names(names: tuple[str, ...]) -> frozenset[str]:
    """Return the names of further headers in lower case. Raises Unusual for one that is there already."""
    known = frozenset(map(str.lower, names))
    if len(known) != len(names) or known & _OWN:
        raise Unusual
    return known


@lru_cache(maxsize=4)
def _date(second: int, *, local: bool) -> str:
    return _line("Date", formatdate(second, localtime=local))


def _line(name: str, value: str) -> str:
    """Return a header. Raises ValueError for a value that would be more than one."""
    if not value or len(value) + len(name) + 2 > LONGEST_LINE or not _NAME.fullmatch(name):
        raise Unusual
    if value.isascii() and value.isprintable() and name.lower() != "subject":
        # Django would leave it as it is.
        return f"{name}: {value}"
    _, written = forbid_multi_line_headers(name, value, _CHARSET)
    if not _VALUE.fullmatch(written):
        raise Unusual
    return f"{name}: {written}".replace("\n", "\r\n")


#: For what is the same in many mails: encoding words costs more than the rest of the header.
_repeated: Final = lru_cache(maxsize=1024)(_line)
