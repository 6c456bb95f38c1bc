"""Whether a person's texts can be put into an edited mail that is rendered already.

`usage` reads that the templates write such a text as it is, or escaped. Afterwards more is done to the whole: a subject
is put on one line, blanks at the ends of lines go, a text may be made from the HTML. Beside a few things in HTML, none
of it depends on an ordinary text, and `manners` tells those from others. The few things are looked for in a mail with
marks in the places of the texts. So is how much the longest texts would take of the templates' budget.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from django.template import base

from ..links import MESSAGE_UUID
from . import frame, usage
from .budget import Budget
from .edited import Edited
from .errors import TemplateError
from .plain import Reader, bare
from .usage import Misuse, Path

#: Characters of a person's text that is filled in, and most that escaping makes of one of them.
LONGEST: Final = 1_000
_WIDEST: Final = len("&#x27;")

EMPTY: Final = 0
WORDS: Final = 1
ADDRESS: Final = 2

# What putting a text on one line, or making it from HTML, would change: blanks that are odd or at an end or two in a
# row, and control characters.
_ODD: Final = re.compile(r"\A\s|\s\Z|  |[^\S ]|[\x00-\x1f\x7f-\x9f]")
_SCHEMES: Final = ("http://", "https://")

# Nobody outside of this process can know it.
_NONCE: Final = secrets.token_hex(12)
# An address begins alike, whoever's it is.
_BEGINS: Final = {WORDS: "", ADDRESS: "http"}
_MARK: Final = re.compile(rf"{_NONCE}|{MESSAGE_UUID}")
_ADDRESS: Final = f"{_BEGINS[ADDRESS]}{_NONCE}{ADDRESS}"
_KNOWN_SCHEME: Final = re.compile(rf"https?://|{_ADDRESS}")
_PART_OF_ADDRESS: Final = re.compile(rf"://|{_ADDRESS}")
_UNFINISHED: Final = re.compile(rf"&[#0-9A-Za-z]*(?:{_MARK.pattern})")


def manner(text: str) -> int | None:
    """Return how a person's text is filled in: EMPTY, as WORDS or as an ADDRESS. None: its mail is rendered in full."""
    if not text:
        return EMPTY
    # Asked for each text of each mail: what is printable and has no blank needs no search, which takes longer.
    if len(text) > LONGEST or ((" " in text or not text.isprintable()) and _ODD.search(text)):
        return None
    if text.startswith(_SCHEMES):
        return ADDRESS
    # So that words with anything around them make no address.
    return None if text[0] in ":/" or text[-1] in ":/" or "://" in text else WORDS


def manners(texts: Mapping[Path, str]) -> tuple[int, ...] | None:
    """Return how a person's texts, by where they stand, are filled in; None when their mail is rendered in full."""
    found = []
    for path, text in texts.items():
        known = manner(text)
        # People who call themselves an address must not decide for a template what can be said of it.
        if known is None or (known is ADDRESS and path[0] == "user"):
            return None
        found.append(known)
    return tuple(found)


def check_usage(
    edited: Edited, around: Sequence[base.Template], paths: Iterable[Path], *, closed: Iterable[str]
) -> None:
    """Raise Misuse when an edited template, or a file that it is put into, does more with the values at `paths` than
    print them or ask whether they are empty. None of them must use the names in `closed`.
    """
    unescaped = [template for template, escapes in edited.compiled() if not escapes]
    others = [template for template, escapes in edited.compiled() if escapes]
    # The file must do no more with what is put into it, either.
    paths, closed = {*paths, (frame.CONTENT,)}, {*closed, frame.FRAME}
    usage.check([*around, *others], paths, closed=closed, unescaped=unescaped)


def check(edited: Edited, texts: Mapping[Path, str], values: Callable[[dict[Path, str]], Mapping[str, Any]]) -> None:
    """Raise Misuse where mails could differ by more than the texts of the person, or one of them exceed its budget.

    `texts` are those of one person, by where they stand; the others' have the same manners. `values` returns what the
    templates see with other texts in their places. Usage has been checked.
    """
    known = manners(texts)
    if known is None:
        raise Misuse("one of the texts is odd")
    marks = {path: _mark(number, each) for number, (path, each) in enumerate(zip(texts, known, strict=True))}
    marked = values(marks)
    for template, escapes in edited.compiled():
        budget = _LargestBudget()
        try:
            made = template.render_values(marked, autoescape=escapes, budget=budget)
        except TemplateError as error:
            raise Misuse(f"of a cohort it cannot be rendered: {error}") from error
        if budget.is_exceeded:
            raise Misuse("with long names it would exceed its budget")
        if escapes and edited.makes_text:
            _read(made)


def _mark(number: int, known: int) -> str:
    return f"{_BEGINS[known]}{_NONCE}{known}.{number}." if known is not EMPTY else ""


class _LargestBudget(Budget):
    """A budget that knows how much would be written of the longest texts."""

    __slots__ = ("texts",)

    def __init__(self) -> None:
        super().__init__()
        self.texts = 0

    def write(self, value: Any) -> None:
        """Take the size of a text or list off, and count the texts that it stands for."""
        super().write(value)
        if isinstance(value, str):
            self.texts += value.count(_NONCE)

    @property
    def is_exceeded(self) -> bool:
        """Whether it could be. A condition goes on after an error, so there need not have been one."""
        return self.steps < 0 or self.size < self.texts * _WIDEST * LONGEST


def _read(html: str) -> None:
    """Raise Misuse when the text that is made of some HTML depends on what the marks in it stand for."""
    if _UNFINISHED.search(html):
        raise Misuse("an & stands right before it")
    reader = _CarefulReader()
    reader.feed(html)
    reader.close()
    if reader.marks != _count(html):
        raise Misuse("it stands in a tag")


class _CarefulReader(Reader):
    """Raises Misuse where the next thing depends on what a mark stands for."""

    def __init__(self) -> None:
        super().__init__()
        #: That were met where texts may stand.
        self.marks = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            self.marks += _count(value or "")
            if name == "role" and _count(value or ""):
                raise Misuse("it is the role of an element")
        super().handle_starttag(tag, attrs)

    def handle_data(self, data: str) -> None:
        self.marks += _count(data)
        super().handle_data(data)

    def end_link(self, address: str, begun: int) -> None:
        label = "".join(self.written[begun:]).strip()
        if (_count(label) or _count(address)) and not _is_settled(label, address):
            raise Misuse("it may be the address of its link, or the address begins with it")
        super().end_link(address, begun)


def _is_settled(label: str, address: str) -> bool:
    """Return whether it is known of a link with marks in it how it is written and whether it says its own address."""
    leads_away = _KNOWN_SCHEME.match(address) is not None
    if _count(address) and not leads_away:
        return False
    if not address or address.startswith("#") or not label or label == address:
        return True
    if leads_away and not _PART_OF_ADDRESS.search(label):
        return True
    return not any(_may_be(label, other) for other in (address, bare(address)))


def _may_be(text: str, other: str) -> bool:
    one, two = (_MARK.split(each, maxsplit=1)[0] for each in (text, other))
    return one.startswith(two) or two.startswith(one)


def _count(text: str) -> int:
    return len(_MARK.findall(text))
