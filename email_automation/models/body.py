"""Bodies: what the mails of a cohort have in common, kept once; a row of the log then keeps only what differs.

A row that refers to a body begins with MARK, which no zlib stream begins with, and the body's digest.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from html import escape
from json.encoder import encode_basestring as _quoted
from typing import Any, Final
from uuid import UUID

from django.db import models

MARK: Final = b"\x02"
_DIGEST_END: Final = len(MARK) + 16
_as_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode

#: A text cut where a person's own belong: by number as they are, then each escaped, and last the message's uuid.
Pieces = list[str | int]


class EmailBody(models.Model):
    """One body. It holds no values that only one person has, and is never changed."""

    digest = models.UUIDField(unique=True, editable=False)
    # Its rows keep their contents for so many days and no longer.
    day = models.DateField(db_index=True)
    packed = models.BinaryField(editable=False)

    class Meta:
        verbose_name = "e-mail body"
        verbose_name_plural = "e-mail bodies"

    def __str__(self) -> str:
        return str(self.digest)


@dataclass(eq=False)
class Body:
    """A body as Python values: the parts and headers of a mail in pieces, and how each person's texts usually start.

    `is_kept` says that the log has it.
    """

    day: datetime.date
    parts: Mapping[str, Pieces]
    headers: Mapping[str, Pieces]
    starts: Sequence[str]
    is_kept: bool = False

    @classmethod
    def of(
        cls,
        parts: Mapping[str, Pieces],
        headers: Mapping[str, str],
        texts: Sequence[str],
        message_uuid: str,
        *,
        day: datetime.date,
    ) -> Body:
        """Return the body of a cohort, by one of its mails: its headers, and the texts that are its person's own."""
        own = [(message_uuid, 2 * len(texts)), *((text, number) for number, text in enumerate(texts) if "/" in text)]
        # Up to the last part of an address, which is where tokens are.
        starts = [text[: text.rfind("/", 0, -1) + 1] for text in texts]
        return cls(day, parts, {name: _cut(value, own) for name, value in headers.items()}, starts)

    @property
    def as_json(self) -> str:
        """The body for `EmailBody.packed`. As long as a mail, so made anew each time."""
        return _as_json({"parts": self.parts, "headers": self.headers, "starts": self.starts})

    @cached_property
    def digest(self) -> UUID:
        """What names the body; another day's is another, so that the old one may go."""
        # Of a version that says so: MariaDB refuses some of those that are none.
        return UUID(bytes=blake2b(f"{self.day}{self.as_json}".encode(), digest_size=16).digest(), version=5)

    def difference(self, texts: Sequence[str], message_uuid: str, *, subject: str, headers: Mapping[str, str]) -> bytes:
        """Return what `EmailLog.content` keeps of one mail."""
        plain = [*texts, *texts, message_uuid]
        own = [
            _quoted(text[len(start) :]) if text.startswith(start) else f"[{_quoted(text)}]"
            for text, start in zip(texts, self.starts, strict=True)
        ]
        expected = {name: _joined(pieces, plain) for name, pieces in self._varying}
        others: dict[str, str | None] = {}
        alike = len(headers) == len(self.headers) and self._same.items() <= headers.items()
        if not alike or any(headers.get(name) != value for name, value in expected.items()):
            expected |= self._same
            others = {name: value for name, value in headers.items() if expected.get(name) != value}
            others |= dict.fromkeys(expected.keys() - headers.keys())
        # JSON put together by hand: starting an encoder takes longer than everything else here.
        told = f"[[{','.join(own)}],{_quoted(subject)},{_as_json(others) if others else '{}'}]"
        return self._reference + told.encode()

    @cached_property
    def _reference(self) -> bytes:
        return MARK + self.digest.bytes

    @cached_property
    def _same(self) -> dict[str, str]:
        """The headers that are the same in all mails."""
        return {name: "".join(map(str, pieces)) for name, pieces in self.headers.items() if len(pieces) == 1}

    @cached_property
    def _varying(self) -> list[tuple[str, Pieces]]:
        return [(name, pieces) for name, pieces in self.headers.items() if len(pieces) > 1]


def refers_to(content: bytes) -> UUID | None:
    """Return the digest of the body that a row's content refers to, None where it is whole."""
    return UUID(bytes=content[len(MARK) : _DIGEST_END]) if content.startswith(MARK) else None


def restored(content: bytes, body: Mapping[str, Any], message_uuid: str) -> dict[str, Any]:
    """Return {subject, html, text, headers} of a row whose content refers to a body."""
    own, subject, others = json.loads(content[_DIGEST_END:])
    plain = [
        text[0] if isinstance(text, list) else start + text for text, start in zip(own, body["starts"], strict=True)
    ]
    texts = [*plain, *map(escape, plain), message_uuid]
    headers = {name: _joined(pieces, texts) for name, pieces in body["headers"].items()} | others
    return {
        "subject": subject,
        **{name: _joined(pieces, texts) for name, pieces in body["parts"].items()},
        "headers": {name: value for name, value in headers.items() if value is not None},
    }


def _joined(pieces: Sequence[str | int], texts: Sequence[str]) -> str:
    return "".join([piece if isinstance(piece, str) else texts[piece] for piece in pieces])


def _cut(value: str, own: Sequence[tuple[str, int]]) -> Pieces:
    pieces: Pieces = [value]
    for text, number in own:
        cut: Pieces = []
        for piece in pieces:
            if isinstance(piece, int):
                cut.append(piece)
                continue
            first, *others = piece.split(text)
            cut += [first, *(each for other in others for each in (number, other))]
        pieces = cut
    return pieces
