"""A mail's HTML as a reader meets it: words, links and colours. It refuses unbalanced tags."""

from __future__ import annotations

import re
from dataclasses import dataclass
from html.parser import HTMLParser

VOID_TAGS = frozenset({"br", "img", "meta", "hr"})
BLOCK_TAGS = frozenset({"br", "div", "h1", "h2", "h3", "li", "p", "table", "td", "th", "title", "tr", "ul"})
Rules = dict[str, dict[str, str]]


@dataclass(frozen=True)
class Element:
    """An open tag, with what its children inherit."""

    tag: str
    color: str
    background: str
    hidden: bool


@dataclass(frozen=True)
class Word:
    """A run of visible text, with the two colours that decide whether it can be read."""

    text: str
    color: str
    background: str


class Page(HTMLParser):
    """Reads `html`; `rules` are the declarations a style sheet adds by class name, stronger than the inlined ones."""

    def __init__(self, html: str, *, rules: Rules | None = None) -> None:
        super().__init__(convert_charrefs=True)
        self.rules = rules or {}
        self.open = [Element("", "#000000", "#FFFFFF", False)]
        self.words: list[Word] = []
        self.chunks: list[str] = []
        self.links: list[str] = []
        self.images: list[dict[str, str]] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.empty: list[str] = []
        self._chunk = ""
        self._filled = [True]
        self.feed(html)
        self.close()
        self._end_chunk()
        assert len(self.open) == 1, f"never closed: {[element.tag for element in self.open[1:]]}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.attributes += [(tag, name, value) for name, value in values.items()]
        style = declarations(values.get("style", ""))
        for name in values.get("class", "").split():
            style |= self.rules.get(name, {})
        parent = self.open[-1]
        if tag in BLOCK_TAGS or style.get("display") == "inline-block":
            self._end_chunk()
        if tag == "a":
            self.links.append(values["href"])
        if tag == "img":
            self.images.append(values)
        if tag in VOID_TAGS:
            self._filled[-1] = True
            return
        self.open.append(
            Element(
                tag,
                style.get("color", parent.color),
                style.get("background-color", parent.background),
                parent.hidden or style.get("display") == "none",
            )
        )
        self._filled.append(False)

    def handle_endtag(self, tag: str) -> None:
        element = self.open.pop()
        assert element.tag == tag, f"</{tag}> closes <{element.tag}>"
        if tag in BLOCK_TAGS or tag == "a":
            self._end_chunk()
        if self._filled.pop():
            self._filled[-1] = True
        else:
            self.empty.append(tag)

    def handle_data(self, data: str) -> None:
        if data.strip(" \n"):
            self._filled[-1] = True
        element = self.open[-1]
        if element.hidden or element.tag == "style":
            return
        self._chunk += data
        if data.strip():
            self.words.append(Word(data.strip(), element.color, element.background))

    def _end_chunk(self) -> None:
        chunk = one_line(self._chunk)
        if chunk:
            self.chunks.append(chunk)
        self._chunk = ""


def declarations(style: str) -> dict[str, str]:
    """The declarations of a style attribute or rule, without `!important`."""
    pairs = (part.partition(":") for part in style.replace("!important", "").split(";") if ":" in part)
    return {name.strip(): value.strip() for name, _, value in pairs}


def dark_rules(sheet: str) -> Rules:
    """The class rules of the sheet's dark-mode media block."""
    block = sheet.partition("@media (prefers-color-scheme:dark){\n")[2].partition("\n}\n")[0]
    assert block, "the sheet has no dark block"
    rules: Rules = {}
    for selectors, body in re.findall(r"([^{}]+)\{([^}]*)\}", block):
        for name in re.findall(r"\.([\w-]+)", selectors):
            rules.setdefault(name, {}).update(declarations(body))
    return rules


def contrast(one: str, other: str) -> float:
    """WCAG's contrast ratio of two #RRGGBB colours."""
    dark, light = sorted((_luminance(one), _luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def _luminance(color: str) -> float:
    parts = [int(color[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def one_line(text: str) -> str:
    """The text with every run of blanks made one space."""
    return " ".join(text.split())
