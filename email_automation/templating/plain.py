"""The text of a mail made from its HTML."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Final

_BLOCKS: Final = (
    "address article aside blockquote center dd div dl dt figcaption figure footer h1 h2 h3 h4 h5 h6 header hr li main "
    "nav ol p pre section table tr ul"
)
BLOCKS: Final = frozenset(_BLOCKS.split())
#: After which an empty line stands; the others end their line only.
APART: Final = BLOCKS - {"dd", "dt", "li", "tr"}
CELLS: Final = frozenset({"td", "th"})


def plain_text(html: str) -> str:
    """Return the words of a piece of HTML: paragraphs apart, lists with dashes, links once as `label: address`."""
    reader = Reader()
    reader.feed(html)
    reader.close()
    return tidy("".join(reader.written))


def bare(address: str) -> str:
    """Return an address as people read it."""
    return address.removeprefix("mailto:").removeprefix("tel:")


def tidy(text: str) -> str:
    """Return a text without blanks at the ends of its lines, and with at most one empty line in a row."""
    lines = [line.rstrip() for line in text.replace("\r\n", "\n").split("\n")]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip("\n")


class Reader(HTMLParser):
    """Collects in `written` what of a piece of HTML is to be read."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.written: list[str] = []
        self.lists: list[int | None] = []
        self.links: list[tuple[str, int]] = []
        self.tables: list[bool] = []
        self.row_has_cells = False
        self.preformatted = 0
        self.marked = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag == "table":
            self.tables.append(values.get("role") == "presentation")
        if tag in BLOCKS:
            self.end_line(apart=tag in APART and not (tag in ("ol", "ul") and self.lists))
        if tag in ("ol", "ul"):
            self.lists.append(0 if tag == "ol" else None)
        elif tag == "li":
            self.begin_item()
        elif tag == "tr":
            self.row_has_cells = False
        elif tag in CELLS:
            self.begin_cell()
        elif tag == "br":
            self.written.append("\n")
        elif tag == "pre":
            self.preformatted += 1
        elif tag == "img":
            self.write(values.get("alt") or "")
        elif tag == "a":
            self.links.append((values.get("href") or "", len(self.written)))

    def handle_endtag(self, tag: str) -> None:
        if tag == "a" and self.links:
            self.end_link(*self.links.pop())
        elif tag in ("ol", "ul") and self.lists:
            self.lists.pop()
        elif tag == "table" and self.tables:
            self.tables.pop()
        elif tag == "pre" and self.preformatted:
            self.preformatted -= 1
        if tag in BLOCKS:
            self.end_line(apart=tag in APART and not (tag in ("ol", "ul") and self.lists))
        elif tag in CELLS and self.in_layout():
            self.end_line(apart=True)

    def handle_data(self, data: str) -> None:
        self.write(data)

    def write(self, data: str) -> None:
        if self.preformatted:
            self.written.append(data)
            return
        words = re.sub(r"[^\S\xa0]+", " ", data).replace("\xa0", " ")
        if words.startswith(" ") and (not self.written or self.written[-1].endswith((" ", "\n"))):
            words = words[1:]
        if words:
            self.written.append(words)

    def begin_item(self) -> None:
        depth = max(len(self.lists), 1)
        mark = "-"
        if self.lists and (number := self.lists[-1]) is not None:
            self.lists[-1] = number + 1
            mark = f"{number + 1}."
        self.written.append(f"{'  ' * (depth - 1)}{mark} ")
        self.marked = len(self.written)

    def begin_cell(self) -> None:
        if not self.in_layout() and self.row_has_cells:
            self.written.append(" | ")
        self.row_has_cells = True

    def end_link(self, address: str, begun: int) -> None:
        label = "".join(self.written[begun:]).strip()
        shown = bare(address)
        if not address or address.startswith("#") or label in (address, shown):
            return
        self.written.append(f": {shown}" if label else shown)

    def end_line(self, *, apart: bool) -> None:
        # A paragraph that begins an item stands behind its mark.
        if not self.written or len(self.written) == self.marked:
            return
        text = "".join(self.written[-2:])
        if not text.endswith("\n"):
            self.written.append("\n")
        if apart and not text.endswith("\n\n"):
            self.written.append("\n")

    def in_layout(self) -> bool:
        """Return whether the table is there for its looks only, so that each cell is a paragraph."""
        return not self.tables or self.tables[-1]
