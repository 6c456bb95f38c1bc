"""The HTML elements an edited mail may have, and where they may stand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

EMPTY: Final = frozenset({"br", "col", "hr", "img", "wbr"})
#: Whose end tag may be left out.
MAY_STAY_OPEN: Final = frozenset({"colgroup", "dd", "dt", "li", "p", "tbody", "td", "tfoot", "th", "thead", "tr"})
_OTHERS: Final = (
    "a abbr address article aside b bdi bdo big blockquote caption center cite code del dfn div dl em figcaption "
    "figure font footer h1 h2 h3 h4 h5 h6 header i ins kbd main mark nav ol pre q s samp section small span strike "
    "strong sub sup table tt u ul var"
)
ALLOWED: Final = EMPTY | MAY_STAY_OPEN | frozenset(_OTHERS.split())
#: What an element may be directly in, where anything else would let it, or the text after it, out of the mail's frame.
PARENTS: Final = {
    "caption": ("table",),
    "col": ("colgroup", "table"),
    "colgroup": ("table",),
    "tbody": ("table",),
    "td": ("tr",),
    "tfoot": ("table",),
    "th": ("tr",),
    "thead": ("table",),
    "tr": ("table", "tbody", "tfoot", "thead"),
}
TABLE_PARTS: Final = frozenset({"colgroup", "table", "tbody", "tfoot", "thead", "tr"})
_ROWS: Final = frozenset({"td", "th", "tr"})
_GROUPS: Final = frozenset({"colgroup", "tbody", "tfoot", "thead"})
#: Which open element of the same list or table a new one ends.
ENDS: Final[dict[str, frozenset[str]]] = {
    "dd": frozenset({"dd", "dt"}),
    "dt": frozenset({"dd", "dt"}),
    "li": frozenset({"li"}),
    "p": frozenset({"p"}),
    "td": frozenset({"td", "th"}),
    "th": frozenset({"td", "th"}),
    "tr": _ROWS,
    "tbody": _ROWS | _GROUPS,
    "tfoot": _ROWS | _GROUPS,
    "thead": _ROWS | _GROUPS,
}
_FRAME: Final = "the frame of the mail brings it; write what stands inside it only"
_FORMS: Final = 'mail programs do not let people fill in forms; use <a class="button" href="…">'
WHY: Final = {
    "style": "a style sheet would reach the frame of the mail; use style attributes",
    "link": "mail programs load no style sheets; use style attributes",
    **dict.fromkeys(("base", "body", "head", "html", "meta", "title"), _FRAME),
    **dict.fromkeys(("button", "fieldset", "form", "input", "label", "option", "select", "textarea"), _FORMS),
}


def refusal(name: str) -> str:
    """Return why an element is refused, '' when it is not."""
    if name in ALLOWED:
        return ""
    return f"<{name}> is not possible here: {WHY.get(name, 'elements are ' + ', '.join(sorted(ALLOWED)))}"


def ended_by(name: str, opened: Sequence[str]) -> int:
    """Return how many of the open elements, counted from the last, a start tag ends."""
    ends = ENDS.get(name, frozenset())
    ended = 0
    for number, other in enumerate(reversed(opened), start=1):
        if other not in MAY_STAY_OPEN:
            break
        if other in ends:
            ended = number
    return ended


def misplaced(name: str, parent: str) -> str:
    """Return why an element must not stand directly in another ('': in the mail itself), '' when it may."""
    wanted = PARENTS.get(name)
    if wanted is not None and parent not in wanted:
        return f"<{name}> must stand directly in {' or '.join(f'<{word}>' for word in wanted)}"
    if wanted is None and parent in TABLE_PARTS:
        return f"<{name}> stands directly in <{parent}>; put it into a <td>"
    return ""
