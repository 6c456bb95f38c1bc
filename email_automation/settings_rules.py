"""Rules for settings, from which the apps make their system checks."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from django.core.checks import Error
from django.utils.module_loading import import_string


class Rule(NamedTuple):
    """What a setting must be: by a function, in words, and under which number somebody is told."""

    name: str
    holds: Callable[[Any], bool]
    allowed: str
    number: str


def broken(label: str, who: str, rules: Iterable[Rule], setting: Callable[[str], Any]) -> list[Error]:
    """Return an error for each setting that an app cannot use; `setting` reads one, `label` begins the ids."""
    return [
        Error(
            f"{rule.name} is {setting(rule.name)!r}, which {who} cannot use.",
            hint=f"Set it to {rule.allowed}.",
            id=f"{label}.{rule.number}",
        )
        for rule in rules
        if not rule.holds(setting(rule.name))
    ]


def is_whole(value: Any) -> bool:
    """Return whether a value is a whole number, and not one of the two that are called True and False."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_limit(value: Any) -> bool:
    """Return whether a value can be a limit: a whole number, or None for no limit."""
    return value is None or (is_whole(value) and value >= 0)


def can_be_imported(paths: Any) -> bool:
    """Return whether a value is a list of dotted paths of things that can be called."""
    if not isinstance(paths, list | tuple):
        return False
    try:
        return all(callable(import_string(path)) for path in paths)
    except (ImportError, AttributeError, TypeError):
        return False
