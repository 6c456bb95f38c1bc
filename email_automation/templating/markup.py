"""The HTML of an edited template, read from its source with the tags of the template left in.

Whatever branches a template takes, its HTML must stand inside the frame of a mail and leave it whole. So every branch
must leave the HTML as it found it: the same elements open, in the same attribute or in none. Then reading the source
once, from top to bottom, speaks for every rendering.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass, field
from typing import Any, Final, NoReturn

from django.template.base import Token, TokenType

from . import attributes, elements
from .attributes import Attribute
from .budget import MAX_ELEMENT_DEPTH, MAX_ELEMENTS
from .errors import TemplateError
from .sandbox import Template

BRANCHING: Final = frozenset({"if", "for", "with", "ifchanged", "spaceless"})
DIVIDING: Final = frozenset({"elif", "else", "empty"})
WRITING: Final = frozenset({"firstof", "widthratio", "templatetag"})
#: What HTML takes for a blank; Python's \s takes more, and readers would not agree where a name ends.
BLANKS: Final = r" \t\n\f\r"
END_TAG: Final = re.compile(rf"</([A-Za-z][A-Za-z0-9]*)[{BLANKS}]*>")
NAME: Final = re.compile(rf"[A-Za-z][A-Za-z0-9]*(?=[{BLANKS}/>])")
BLANK: Final = re.compile(rf"[{BLANKS}/]*")
ATTRIBUTE_NAME: Final = re.compile(rf"[A-Za-z][A-Za-z0-9_:.-]*(?=[{BLANKS}/>=])")
EQUALS: Final = re.compile(rf"[{BLANKS}]*=[{BLANKS}]*")
UNQUOTED: Final = re.compile(rf"[^\s\"'=<>`]+(?=[{BLANKS}>])")
ODD_COMMENT: Final = re.compile(r">|->|\s*\[")
COMMENT_END: Final = re.compile(r"--!?>")


@dataclass
class Tag:
    """One start or end tag: where it stands in the source, and inside which element."""

    name: str
    line: int
    start: int
    name_end: int
    closing: bool = False
    end: int = 0
    inside: Tag | None = None
    attributes: list[Attribute] = field(default_factory=list)

    def attribute(self, name: str) -> Attribute | None:
        """Return the first attribute of a name."""
        return next((attribute for attribute in self.attributes if attribute.name == name), None)


@dataclass(frozen=True)
class Markup:
    """The tags of a template in their order, each end tag also as the partner of its start, and what is wrong."""

    tags: list[Tag]
    partners: dict[int, Tag]
    faults: list[TemplateError]


def scan(template: Template) -> Markup:
    """Read the HTML of a compiled template."""
    reader = _Reader(template.source)
    try:
        reader.read(template.tokens)
    except TemplateError as error:
        reader.faults.append(error)
    return Markup(reader.tags, reader.partners, reader.faults)


@dataclass
class _Branch:
    tag: str
    line: int
    place: tuple[Any, ...]
    floor: int


class _Reader:
    """`place` is where the reader stands: in text, in a comment, in a tag, or in a quoted value of it."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.line_starts = [0, *(match.end() for match in re.finditer("\n", source))]
        self.place = "text"
        self.tag: Tag | None = None
        self.value: Attribute | None = None
        self.quote = ""
        self.comment_start = -1
        self.open: list[Tag] = []
        self.branches: list[_Branch] = []
        self.tags: list[Tag] = []
        self.partners: dict[int, Tag] = {}
        self.faults: list[TemplateError] = []

    def read(self, tokens: list[Token]) -> None:
        skipping = False
        for token in tokens:
            command = token.contents.split(None, 1)[0] if token.token_type is TokenType.BLOCK else ""
            if skipping or command == "comment":
                skipping = command != "endcomment"
            elif token.token_type is TokenType.TEXT:
                self.text(*(token.position or (0, 0)))
                continue
            if self.place == "comment":
                self.stop("a template tag inside an HTML comment; use {# … #} or {% comment %}", token.lineno or 1)
            if self.value is not None:
                self.value.pieces.append(None)
            if skipping:
                continue
            if token.token_type is TokenType.VAR or command in WRITING:
                self.writes(token)
            elif command in BRANCHING:
                floor = self.branches[-1].floor if self.place != "text" and self.branches else len(self.open)
                self.branches.append(_Branch(command, token.lineno or 1, self.standing(), floor))
            elif command in DIVIDING:
                self.level(self.branches[-1])
            elif command.startswith("end") and command[3:] in BRANCHING:
                self.level(self.branches.pop())
        if self.comment_start >= 0:
            self.stop("a comment that is never ended with -->", self.line_of(self.comment_start))
        if self.tag is not None:
            self.stop(f"<{self.tag.name} is never ended; is a quote or a > missing?", self.tag.line)
        self.end_all(0, lambda tag: f"<{tag.name}> is never closed")

    def standing(self) -> tuple[Any, ...]:
        return (self.place, id(self.tag), id(self.value))

    def level(self, branch: _Branch) -> None:
        """Check that a branch leaves the HTML as it found it."""
        if self.standing() != branch.place:
            self.stop(f"the {{% {branch.tag} %}} begins and ends in different places of a tag", branch.line)
        if self.place == "text":
            self.end_all(
                branch.floor, lambda tag: f"<{tag.name}> is not closed inside its {{% {branch.tag} %}}, where it begins"
            )

    def end_all(self, floor: int, sentence: Any) -> None:
        while len(self.open) > floor:
            tag = self.open.pop()
            if tag.name not in elements.MAY_STAY_OPEN:
                self.fault(sentence(tag), tag.line)

    def text(self, position: int, end: int) -> None:
        while position < end:
            position = getattr(self, f"in_{self.place}")(position, end)

    def writes(self, token: Token) -> None:
        if self.place == "tag":
            self.stop(f"put quotes around {token.contents}: it stands in a tag, outside a value", token.lineno or 1)

    def in_text(self, position: int, end: int) -> int:
        start = self.source.find("<", position, end)
        if start < 0:
            return end
        line, after = self.line_of(start), self.source[start + 1 : start + 4]
        if start + 1 == end:
            self.stop("a < right before a template tag or at the end; write &lt; for the sign", line)
        if after == "!--":
            self.place, self.comment_start = "comment", start
            return start + 4
        if after[0] in "!?":
            self.stop(f"<{after[0]} is not possible here: the mail has its document type already", line)
        if after[0] == "/":
            return self.end_tag(start, end, line)
        if not (after[0].isascii() and after[0].isalpha()):
            return start + 1
        name = NAME.match(self.source, start + 1, end)
        if name is None:
            self.stop(f"<{after}…: a blank or > is missing after the tag's name; for the sign < write &lt;", line)
        self.tag = Tag(name[0].lower(), line, start, name.end())
        self.place = "tag"
        return name.end()

    def end_tag(self, start: int, end: int, line: int) -> int:
        match = END_TAG.match(self.source, start, end)
        if match is None:
            self.stop(f"{self.source[start : start + 10]}… is no end tag", line)
        tag = Tag(match[1].lower(), line, start, match.end(1), closing=True, end=match.end())
        self.add(tag)
        floor = self.branches[-1].floor if self.branches else 0
        opened = next((at for at in reversed(range(len(self.open))) if self.open[at].name == tag.name), None)
        if opened is None:
            self.fault(f"</{tag.name}> without its <{tag.name}>: it would break the frame of the mail", line)
        elif opened < floor:
            branch = self.branches[-1]
            self.fault(f"</{tag.name}> closes a <{tag.name}> from outside its {{% {branch.tag} %}}", line)
        else:
            between = [other for other in self.open[opened + 1 :] if other.name not in elements.MAY_STAY_OPEN]
            if between:
                self.fault(f"</{tag.name}> while <{between[-1].name}> of line {between[-1].line} is open", line)
            self.partners[self.open[opened].start] = tag
            del self.open[opened:]
        return match.end()

    def in_comment(self, position: int, end: int) -> int:
        line = self.line_of(self.comment_start)
        # Browsers and mail programs read these differently from each other.
        if position == self.comment_start + 4 and ODD_COMMENT.match(self.source, position, end):
            self.stop("a comment must not begin with >, -> or [if", line)
        match = COMMENT_END.search(self.source, position, end)
        if match is None:
            return end
        if match[0] != "-->":
            self.stop("a comment ends with -->", line)
        self.place, self.comment_start = "text", -1
        return match.end()

    def in_tag(self, position: int, end: int) -> int:
        tag: Any = self.tag
        blank = BLANK.match(self.source, position, end)
        position = blank.end() if blank else position
        if position == end:
            return end
        if self.source[position] == ">":
            tag.end = position + 1
            self.tag, self.place = None, "text"
            self.start_tag(tag, closes_itself=self.source[position - 1] == "/")
            return position + 1
        line = self.line_of(position)
        name = ATTRIBUTE_NAME.match(self.source, position, end)
        if name is None:
            rest = self.source[position : min(end, position + 20)]
            self.stop(f"{rest}… is no attribute of <{tag.name}>, or a blank is missing after it", line)
        attribute = Attribute(name[0].lower(), line, position)
        tag.attributes.append(attribute)
        attribute.end = name.end()
        equals = EQUALS.match(self.source, name.end(), end)
        if equals is None:
            return name.end()
        if self.source[equals.end() : equals.end() + 1] in ('"', "'") and equals.end() < end:
            self.value, self.quote, self.place = attribute, self.source[equals.end()], "value"
            return equals.end() + 1
        value = UNQUOTED.match(self.source, equals.end(), end)
        if value is None:
            self.stop(f"put quotes around the value of {attribute.name}", line)
        attribute.pieces.append(value[0])
        attribute.end = value.end()
        return value.end()

    def in_value(self, position: int, end: int) -> int:
        attribute: Any = self.value
        closing = self.source.find(self.quote, position, end)
        piece = self.source[position : closing if closing >= 0 else end]
        if re.search(r"<[A-Za-z/!]", piece):
            self.stop(f"is the quote of {attribute.name} closed? A tag begins inside it", attribute.line)
        attribute.pieces.append(piece)
        if closing < 0:
            return end
        attribute.end = closing + 1
        self.value, self.place = None, "tag"
        if closing + 1 < end and self.source[closing + 1] not in " \n\t>/":
            self.stop(f"put a blank after the value of {attribute.name}", attribute.line)
        return closing + 1

    def start_tag(self, tag: Tag, *, closes_itself: bool) -> None:
        self.add(tag)
        self.faults += attributes.faults(tag.name, tag.attributes)
        refusal = elements.refusal(tag.name)
        if refusal:
            self.fault(refusal, tag.line)
        floor = self.branches[-1].floor if self.branches else 0
        for _ in range(elements.ended_by(tag.name, [opened.name for opened in self.open[floor:]])):
            self.open.pop()
        tag.inside = self.open[-1] if self.open else None
        misplaced = elements.misplaced(tag.name, tag.inside.name if tag.inside else "")
        if misplaced:
            self.fault(misplaced, tag.line)
        if tag.name in elements.EMPTY:
            return
        if closes_itself:
            self.fault(f"<{tag.name}/> does not close itself; write <{tag.name}></{tag.name}>", tag.line)
            return
        if len(self.open) >= MAX_ELEMENT_DEPTH:
            self.stop(f"elements are nested more than {MAX_ELEMENT_DEPTH} deep", tag.line)
        self.open.append(tag)

    def add(self, tag: Tag) -> None:
        if len(self.tags) >= MAX_ELEMENTS:
            self.stop(f"it has more than {MAX_ELEMENTS} tags of HTML", tag.line)
        self.tags.append(tag)

    def line_of(self, position: int) -> int:
        return bisect_right(self.line_starts, position)

    def fault(self, message: str, line: int) -> None:
        self.faults.append(TemplateError(message, line))

    def stop(self, message: str, line: int) -> NoReturn:
        """Raise for what leaves no telling how the rest would be read."""
        raise TemplateError(message, line)
