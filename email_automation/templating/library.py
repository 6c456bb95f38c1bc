"""The words of the sandbox: every tag and filter an edited template may use.

Left out is what reaches other templates, code or the request, what switches escaping off, and what can make much out
of little. Filters raise ValueError with a reason for what they are not made for; sending shows nothing then.
"""

from __future__ import annotations

import re
from datetime import date, time
from decimal import Decimal
from typing import Any, Final

from django.template import base, defaultfilters, defaulttags
from django.template.library import Library
from django.utils.html import escape
from django.utils.safestring import SafeString

from .budget import MAX_SIZE
from .errors import Exhausted
from .lookup import Markup, Missing, step
from .nodes import FirstOf, Ratio, Regroup, Sequence, Spaceless

register = Library()

TAGS: Final = ("comment", "if", "ifchanged", "templatetag", "with")
FILTERS: Final = (
    "capfirst", "cut", "default_if_none", "lower", "pluralize", "slugify", "title", "truncatechars", "truncatewords",
    "upper", "urlencode", "wordcount", "yesno",
)  # fmt: skip
MOST_DECIMALS: Final = 10
LONGEST_FORMAT: Final = 100

for name in TAGS:
    register.tag(name, defaulttags.register.tags[name])
for name in FILTERS:
    register.filter(name, defaultfilters.register.filters[name])


@register.tag("for")
def for_(parser: Any, token: base.Token) -> Any:
    """Repeat for each element of a list."""
    node: Any = defaulttags.do_for(parser, token)
    node.sequence = Sequence(node.sequence)
    return node


@register.tag
def firstof(parser: Any, token: base.Token) -> base.Node:
    """Write the first value that is not empty."""
    node = defaulttags.firstof(parser, token)
    return FirstOf(node.vars, node.asvar)


@register.tag
def regroup(parser: Any, token: base.Token) -> base.Node:
    """Put elements of a list that share a value into groups."""
    return Regroup(defaulttags.regroup(parser, token))


@register.tag
def spaceless(parser: Any, token: base.Token) -> base.Node:
    """Write tags without blanks between them."""
    return Spaceless(defaulttags.spaceless(parser, token).nodelist)


@register.tag
def verbatim(parser: Any, token: base.Token) -> base.Node:
    """Write what looks like tags as it stands."""
    nodelist = parser.parse(("endverbatim",))
    parser.delete_first_token()
    return defaulttags.VerbatimNode(SafeString("".join(node.s for node in nodelist)))


@register.tag
def widthratio(parser: Any, token: base.Token) -> base.Node:
    """Write a share of a width."""
    node = defaulttags.widthratio(parser, token)
    return Ratio(node.val_expr, node.max_expr, node.max_width, node.asvar)


@register.filter
def add(value: Any, arg: Any) -> Any:
    """Add two numbers. Texts and lists, which would grow, are refused."""
    return _number(value) + _number(arg)


@register.filter(name="date", expects_localtime=True)
def date_(value: Any, arg: Any = None) -> str:
    """Write a date in a format."""
    return _formatted(defaultfilters.date, value, arg)


@register.filter(name="time", expects_localtime=True)
def time_(value: Any, arg: Any = None) -> str:
    """Write a time in a format."""
    return _formatted(defaultfilters.time, value, arg)


@register.filter
def default(value: Any, arg: Any) -> Any:
    """Replace what is empty."""
    return value or arg


@register.filter
def dictsort(value: Any, arg: Any) -> list[Any]:
    """Sort a list by a key or position of its elements."""
    return sorted(_listed(value), key=lambda item: _part(item, str(arg)))


@register.filter
def divisibleby(value: Any, arg: Any) -> bool:
    """Tell whether a whole number is a multiple of another."""
    return int(_number(value)) % int(_number(arg)) == 0


@register.filter(name="escape")
def escape_(value: Any) -> Any:
    """Leave the value as it is: it is escaped where it is written."""
    return value


@register.filter
def first(value: Any) -> Any:
    """Take the first element."""
    return value[0] if _sequence(value) else ""


@register.filter
def floatformat(value: Any, arg: Any = -1) -> str:
    """Round a number to at most ten places."""
    places = re.fullmatch(r"([+-]?\d{0,2})([gu]{0,2})", str(arg))
    if places is None or abs(int(places[1] or 0) if places[1] not in ("+", "-") else 0) > MOST_DECIMALS:
        raise ValueError(f"it takes at most {MOST_DECIMALS} places")
    text = defaultfilters.floatformat(value, arg)
    if text == "":
        raise ValueError("it is made for numbers")
    return text


@register.filter
def force_escape(value: Any) -> Markup:
    """Escape now, so that `linebreaks` after it does not."""
    return Markup(escape(str(value)))


@register.filter
def join(value: Any, arg: Any) -> str:
    """Join a list's texts. Its result is escaped as a whole, the text in between too."""
    texts, between = [_text(item) for item in _listed(value)], str(arg)
    if sum(map(len, texts)) + len(between) * len(texts) > MAX_SIZE:
        raise Exhausted(f"the template writes more than {MAX_SIZE} characters")
    return between.join(texts)


@register.filter
def last(value: Any) -> Any:
    """Take the last element."""
    return value[-1] if _sequence(value) else ""


@register.filter
def length(value: Any) -> int:
    """Count elements or characters."""
    return len(value) if isinstance(value, str | list | tuple | dict) else 0


@register.filter(needs_autoescape=True)
def linebreaks(value: Any, autoescape: bool = True) -> Any:
    """Turn line breaks into paragraphs."""
    return _marked(defaultfilters.linebreaks_filter(_text(value), autoescape=autoescape), autoescape)


@register.filter(needs_autoescape=True)
def linebreaksbr(value: Any, autoescape: bool = True) -> Any:
    """Turn line breaks into <br>."""
    return _marked(defaultfilters.linebreaksbr(_text(value), autoescape=autoescape), autoescape)


@register.filter(name="slice")
def slice_(value: Any, arg: Any) -> Any:
    """Take a part of a list or text."""
    _sequence(value)
    return value[slice(*(int(bit) if bit else None for bit in str(arg).split(":")))] if value else value


def _formatted(function: Any, value: Any, arg: Any) -> str:
    if value in (None, ""):
        return ""
    if not isinstance(value, date | time):
        raise ValueError("it is made for dates; this is already written out")
    if len(str(arg)) > LONGEST_FORMAT:
        raise ValueError(f"its format has more than {LONGEST_FORMAT} characters")
    return str(function(value, arg))


def _number(value: Any) -> Any:
    if isinstance(value, int | float | Decimal):
        return value
    try:
        return int(value)
    except (TypeError, ValueError):
        raise ValueError("it is made for numbers") from None


def _sequence(value: Any) -> Any:
    if not isinstance(value, str | list | tuple):
        raise ValueError("it is made for lists and texts")
    return value


def _listed(value: Any) -> Any:
    if not isinstance(value, list | tuple):
        raise ValueError("it is made for lists")
    return value


def _part(item: Any, name: str) -> Any:
    for bit in name.split("."):
        try:
            item = step(item, bit)
        except Missing:
            raise ValueError(f"the elements have no {name}") from None
    return item


def _text(value: Any) -> str:
    if isinstance(value, dict | list | tuple):
        raise ValueError("it is made for texts")
    if value is None:
        return ""
    return value if isinstance(value, str) else str(value)


def _marked(text: str, autoescape: bool) -> Any:
    return Markup(text) if autoescape else text
