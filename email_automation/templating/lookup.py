"""Looking a name up in plain values: keys of dicts and positions of lists, and nothing else that Python could do."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date, time
from decimal import Decimal
from typing import Any, Final

from django.utils.functional import Promise
from django.utils.safestring import SafeString

from .errors import TemplateError

PLAIN: Final = (str, int, float, Decimal, date, time, dict, list, tuple)


class Open(dict[str, Any]):
    """The example of a dict whose keys nobody knows before: templates may ask it for any."""


class Missing(TemplateError):
    """A name that nothing answers to."""


class Markup(SafeString):
    """HTML that one of our own filters has made; every other text is escaped, whoever calls it safe."""

    __slots__ = ()


class _Anything:
    """Stands for a value the check cannot know, so that one mistake is not told twice."""

    def __bool__(self) -> bool:
        return False

    def __str__(self) -> str:
        return ""

    def __iter__(self) -> Iterator[Any]:
        return iter(())


ANYTHING: Final = _Anything()


def plain(value: Any) -> Any:
    """Return a value if it is a plain one, a text without any mark of being safe. Raises Missing for others."""
    if type(value) is Markup or value is ANYTHING:
        return value
    if isinstance(value, Promise):
        value = str(value)
    if isinstance(value, str):
        return str.__str__(value)
    if value is None or isinstance(value, PLAIN):
        return value
    raise Missing("it is no plain value")


def step(value: Any, bit: str) -> Any:
    """Return what a dict holds under a key or a list at a position. Raises Missing when there is nothing."""
    if value is ANYTHING:
        return ANYTHING
    if isinstance(value, dict) and dict.__contains__(value, bit):
        return plain(dict.__getitem__(value, bit))
    if isinstance(value, Open) and not bit.startswith("_"):
        return ANYTHING
    if (
        isinstance(value, list | tuple)
        and bit.isascii()
        and bit.isdecimal()
        and len(bit) < 10
        and int(bit) < len(value)
    ):
        return plain(value[int(bit)])
    raise Missing("no such variable")


def missing(bits: Iterable[str], values: Any) -> str:
    """Return the sentence about a dotted name of which nothing is found, with what there is in its place."""
    known: list[str] = []
    for bit in bits:
        try:
            values = step(values, bit)
        except Missing:
            break
        known.append(bit)
    name, owner = ".".join(bits), ".".join(known)
    if not owner:
        return f"{name}: no such variable; there are {', '.join(sorted(_names(values)))}"
    if isinstance(values, dict):
        return f"{name}: no such variable; {owner} has {', '.join(_names(values))}"
    if isinstance(values, list | tuple):
        return f"{name}: no such variable; {owner} is a list: use {{% for %}}, or {owner}.0 for its first element"
    return f"{name}: no such variable; {owner} is {kind_of(values)} and has no parts"


def kind_of(value: Any) -> str:
    """Return what people call a value's type."""
    words: list[tuple[Any, str]] = [
        (bool, "yes or no"),
        (str, "a text"),
        ((int, float, Decimal), "a number"),
        ((date, time), "a date"),
        (dict, "a group of variables"),
        ((list, tuple), "a list"),
    ]
    return next((word for kind, word in words if isinstance(value, kind)), "empty")


def _names(values: Any) -> list[str]:
    # The constants that Django has in every context are no variables.
    return [name for name in values if isinstance(name, str) and name not in ("True", "False", "None")]
