"""The conditions of {% if %}, written out again, without what is known beforehand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.template.smartif import Literal


@dataclass(frozen=True)
class Fixed:
    """A condition, or a part of one, whose value is known."""

    value: Any


def folded(condition: Any, operand: Callable[[Any], str | Fixed]) -> str | Fixed:
    """Return a condition as source, or its value where that is known whatever the mail.

    `operand` says the same of a single operand. Django's conditions have no brackets, so their parts can be written in
    the order in which they were read.
    """
    if isinstance(condition, Literal):
        return operand(condition)
    first = folded(condition.first, operand)
    if condition.second is None:
        return Fixed(not first.value) if isinstance(first, Fixed) else f"{condition.id} {first}"
    second = folded(condition.second, operand)
    if condition.id in ("and", "or"):
        return _joined(condition.id, first, second)
    if isinstance(first, Fixed) and isinstance(second, Fixed):
        return Fixed(bool(condition.eval({})))
    return f"{_written(first)} {condition.id} {_written(second)}"


def _joined(word: str, first: str | Fixed, second: str | Fixed) -> str | Fixed:
    """Return what is left of two conditions when one of them is known."""
    decides = word == "or"
    for one, other in ((first, second), (second, first)):
        if isinstance(one, Fixed):
            return Fixed(decides) if bool(one.value) is decides else other
    return f"{first} {word} {second}"


def _written(part: str | Fixed) -> str:
    return repr(part.value) if isinstance(part, Fixed) else part
