"""The attributes of an edited mail's HTML: no code, no address that runs code, nothing that covers the frame."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from .errors import TemplateError

ADDRESSES: Final = frozenset({"background", "cite", "href", "longdesc", "src"})
SCHEMES: Final = frozenset({"http", "https", "mailto", "sms", "tel", "webcal"})
PICTURE_SCHEMES: Final = frozenset({"http", "https", "cid"})
PICTURE_DATA: Final = re.compile(r"data:image/(?:gif|jpeg|jpg|png|webp)[;,]", re.IGNORECASE)
SCHEME: Final = re.compile(r"[^/?#]*?:")
UNFINISHED: Final = re.compile(r"&#?\w*$")
#: What has an address begin in a way that nothing after it changes.
SETTLED: Final = re.compile(r"[^/?#:]*[/?#:]")
#: Written out anywhere in a template, such a text can only be meant for an address.
CODE: Final = re.compile(r"(?:java|vb|live)script:|data:text/html", re.IGNORECASE)
REFUSED: Final = frozenset({"action", "formaction", "is", "ping", "srcdoc", "srcset", "http-equiv"})
VALUE: Final = re.compile(rf"\b(?:{'|'.join(sorted(ADDRESSES))})\s*=\s*(?:\"([^\"]*)\"|'([^']*)'|([^\s>\"']+))", re.I)
STYLE: Final = re.compile(
    r"expression\s*\(|javascript:|vbscript:|behaviou?r\s*:|-moz-binding|@import|(?<![\w-])position\s*:"
)


@dataclass
class Attribute:
    """One attribute: where it stands, and its value in pieces, with None for each tag of the template between them."""

    name: str
    line: int
    start: int
    end: int = 0
    pieces: list[str | None] = field(default_factory=list)

    @property
    def literal(self) -> str:
        """The value as far as it is written out, entities read."""
        return html.unescape("".join(piece for piece in self.pieces if piece is not None))


def faults(element: str, attributes: Iterable[Attribute]) -> Iterator[TemplateError]:
    """Yield what is wrong with the attributes of an element."""
    for attribute in attributes:
        if attribute.name.startswith("on") or attribute.name in REFUSED:
            yield TemplateError(f"the attribute {attribute.name} is not possible in a mail", attribute.line)
        elif attribute.name in ADDRESSES:
            yield from _address_faults(attribute)
        elif attribute.name == "style":
            yield from _style_faults(attribute)


def mentions_code(text: str) -> bool:
    """Tell whether a text has in it what begins an address that runs code."""
    return bool(CODE.search(_without_blanks(text)))


def runs_code(rendered: str) -> bool:
    """Tell whether an address in rendered HTML runs code."""
    values = (next(filter(None, match), "") for match in VALUE.findall(rendered))
    return any(CODE.match(_without_blanks(html.unescape(value))) for value in values)


def _address_faults(attribute: Attribute) -> Iterator[TemplateError]:
    picture = attribute.name in ("background", "src")
    schemes = PICTURE_SCHEMES if picture else SCHEMES
    for piece in attribute.pieces:
        if piece is None:
            continue
        # Each piece may be the first one written. One that ends in an allowed scheme cannot complete another. A
        # character reference at its end may be any, as a tag may write the rest of it.
        address = _without_blanks(html.unescape(UNFINISHED.sub("", piece)))
        match = SCHEME.match(address)
        if match and match[0][:-1].lower() not in schemes and not (picture and PICTURE_DATA.match(address)):
            what = match[0] if match[0] != ":" else "a tag and a colon"
            yield TemplateError(f"{attribute.name} must not begin with {what[:30]}", attribute.line)
        if piece is attribute.pieces[0] and SETTLED.match(address):
            return


def _style_faults(attribute: Attribute) -> Iterator[TemplateError]:
    style = re.sub(r"/\*.*?(?:\*/|$)|\\", "", attribute.literal, flags=re.DOTALL).lower()
    match = STYLE.search(style)
    if match:
        yield TemplateError(f"{match[0].strip()} is not possible in a style", attribute.line)


def _without_blanks(text: str) -> str:
    # Browsers skip them when they read where an address leads.
    return re.sub(r"[\x00-\x20\x7f-\xa0]", "", text)
