"""The outline of an XML file from somebody else: its root and the root's children, nothing that a parser expands."""

from dataclasses import dataclass, field
from xml.parsers import expat

MAX_DEPTH = 200
# What stands in a piece after a declaration of entities is still parsed before the refusal takes effect.
PIECE = 4096


@dataclass(slots=True)
class Element:
    """An element with its attributes. Of the root the children are kept, of others only whether there is anything."""

    tag: str
    attributes: dict[str, str]
    children: "list[Element]" = field(default_factory=list)
    is_empty: bool = True


class Outline:
    """Builds the outline from the parser's calls."""

    def __init__(self) -> None:
        self.open: list[Element] = []
        self.root: Element | None = None

    def started(self, tag: str, attributes: dict[str, str]) -> None:
        """Take in the beginning of an element."""
        element = Element(tag, attributes)
        if not self.open:
            self.root = element
        else:
            self.open[-1].is_empty = False
            if len(self.open) == 1:
                self.open[0].children.append(element)
        if len(self.open) == MAX_DEPTH:
            raise ValueError(f"elements are nested more than {MAX_DEPTH} deep")
        self.open.append(element)

    def ended(self, tag: str) -> None:
        """Take in the end of an element."""
        self.open.pop()

    def said(self, text: str) -> None:
        """Take in text."""
        if text.strip():
            self.open[-1].is_empty = False

    def declared(self, *args: object) -> None:
        """Refuse a document type, the only place where entities can be declared."""
        raise ValueError("declares a document type (DOCTYPE), which may hide entities")


def outline(data: bytes) -> Element:
    """Return the root of a file in UTF-8; ValueError says what is wrong and in which line."""
    # The parser would guess UTF-16 from bytes of zero.
    wrong, problem = data.find(b"\0"), "has a NUL byte"
    try:
        data.decode()
    except UnicodeDecodeError as error:
        wrong, problem = error.start, "is not in UTF-8"
    if wrong >= 0:
        line = data[:wrong].count(b"\n") + 1
        raise ValueError(f"line {line}: {problem}.")
    built = Outline()
    # The encoding given here counts, whatever the file says of itself.
    parser = expat.ParserCreate("utf-8")
    parser.StartDoctypeDeclHandler = built.declared
    parser.StartElementHandler = built.started
    parser.EndElementHandler = built.ended
    parser.CharacterDataHandler = built.said
    try:
        for start in range(0, len(data), PIECE):
            parser.Parse(data[start : start + PIECE], False)
        parser.Parse(b"", True)
    except expat.ExpatError as error:
        raise ValueError(f"line {error.lineno}: bad XML ({expat.ErrorString(error.code)}).") from None
    except ValueError as error:
        raise ValueError(f"line {parser.CurrentLineNumber}: {error}.") from None
    if built.root is None:
        raise ValueError("line 1: bad XML (no element found).")
    return built.root
