"""The shape of a cohort's mails: texts, and between them the places where a person's own texts belong."""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from html import escape
from typing import Any, Final, NamedTuple

import attr
from django.utils.safestring import SafeString
from edx_ace.renderers import RenderedEmail

from .. import links
from ..channels import mime
from ..channels.mail import document
from ..models.body import Body, Pieces
from ..templating.usage import Misuse

# Stands for a value and shows what became of it: each of the signs that HTML escapes, once. Nobody outside of this
# process can know it, and a mail is never sent with it.
_NONCE: Final = secrets.token_hex(12)
_SIGNS: Final = "&<>\"'"
_TOKEN: Final = re.compile(rf"{_NONCE}\.(\d+)\.(?:({re.escape(_SIGNS)})|{re.escape(escape(_SIGNS))})")


def token(number: int) -> str:
    """Return the text that stands for a person's text of this number."""
    return f"{_NONCE}.{number}.{_SIGNS}"


class Texts(NamedTuple):
    """One person's texts: as they are, then each escaped, last the message's uuid.

    `of_lines` says that one of them is of several lines.
    """

    plain: list[str]
    all: list[str]
    of_lines: bool

    @classmethod
    def of(cls, plain: list[str], message_uuid: str, *, escaped: Sequence[int]) -> Texts:
        """Return the texts of a person; only those of the numbers `escaped` are escaped."""
        texts, whole = [*plain, *plain, message_uuid], "".join(plain)
        # Few have any: one look at all of them is quicker than one at each.
        if any(sign in whole for sign in _SIGNS):
            for number in escaped:
                texts[len(plain) + number] = escape(plain[number])
        return cls(plain, texts, "\n" in whole or "\r" in whole)


class Shape:
    """What the mails of a cohort have in common, made of one that was rendered with tokens for `number` texts."""

    def __init__(self, rendered: RenderedEmail, number: int, language: str) -> None:
        self._fields = {name: _pieces(text, number) for name, text in attr.asdict(rendered).items()}
        used = {piece for pieces in self._fields.values() for piece in pieces if isinstance(piece, int)}
        self._escaped = sorted(piece - number for piece in used if number <= piece < 2 * number)
        self._parts: tuple[mime.PartTemplate, mime.PartTemplate] | None = None
        #: The document and the text in pieces, as the log keeps them; None where they differ by more than the texts.
        self.kept_parts: dict[str, Pieces] | None = None
        #: What the log keeps of the cohort.
        self.body: Body | None = None
        #: Whether two people have got a mail of it; before, what the mails have in common may be one person's own.
        self.is_shared = False
        self._first: int | None = None
        if rendered.body and not any(_at_an_edge(text) for text in (rendered.head_html, rendered.body_html)):
            text, html = self._fields["body"], _pieces(document(rendered, language), number)
            self._parts = mime.PartTemplate("plain", text), mime.PartTemplate("html", html)
            self.kept_parts = {"html": html, "text": text}

    def filled(self, texts: list[str], message_uuid: str, *, user_id: int) -> Filled:
        """Return one person's mail, with a text for each number."""
        if not self.is_shared:
            self.is_shared = self._first not in (None, user_id)
            self._first = user_id
        return Filled(self, Texts.of(texts, message_uuid, escaped=self._escaped))

    def field(self, name: str, texts: Texts) -> SafeString:
        """Return a part of the mail, as rendering it would have returned it."""
        found = [piece if isinstance(piece, str) else texts.all[piece] for piece in self._fields[name]]
        return SafeString("".join(found))

    def parts(self, texts: Texts) -> tuple[bytes, bytes] | None:
        """Return the bytes of both parts, None where they have to be made of the fields."""
        if self._parts is None or texts.of_lines:
            return None
        try:
            encoded = [text.encode() for text in texts.all]
            return self._parts[0].filled(encoded), self._parts[1].filled(encoded)
        except (mime.Unusual, UnicodeEncodeError):
            return None


class Filled(RenderedEmail):  # type: ignore[misc]  # edx_ace has no type information
    """A rendered mail whose fields are put together when somebody reads them; SMTP needs the bytes of its parts."""

    def __init__(self, shape: Shape, texts: Texts) -> None:
        self.shape = shape
        self.texts = texts

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name not in _FIELDS:
            raise AttributeError(name)
        value = self.__dict__[name] = self.shape.field(name, self.texts)
        return value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RenderedEmail) and attr.astuple(self) == attr.astuple(other)

    __hash__ = None  # type: ignore[assignment]  # as that of what it stands for

    def parts(self) -> tuple[bytes, bytes] | None:
        """Return the bytes of the text and of the HTML part with their headers; None: they are made of the fields."""
        return self.shape.parts(self.texts)


_FIELDS: Final = frozenset(each.name for each in attr.fields(RenderedEmail))


def _pieces(text: str, number: int) -> Pieces:
    """Return a text cut at its tokens and uuids, with the number of what belongs there; escaped: `number` higher."""
    pieces: Pieces = []
    found = list(_TOKEN.finditer(text))
    if len(found) != text.lower().count(_NONCE):
        raise Misuse("a value comes out changed")
    end = 0
    for each in found:
        pieces += [*_around_uuids(text[end : each.start()], number), int(each[1]) + (number if each[2] is None else 0)]
        end = each.end()
    return [*pieces, *_around_uuids(text[end:], number)]


def _around_uuids(text: str, number: int) -> Pieces:
    first, *others = text.split(links.MESSAGE_UUID)
    return [first, *(piece for other in others for piece in (2 * number, other))]


def _at_an_edge(text: str) -> bool:
    """Return whether a text begins or ends with a token, which white space in a name would then be cut from."""
    bare = text.strip()
    return any(each.start() == 0 or each.end() == len(bare) for each in _TOKEN.finditer(bare))
