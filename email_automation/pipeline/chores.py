"""What other apps have every sweep do: work of theirs that waits in a table. Apps import this, not the sweep."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Chore = Callable[[], Any]

_chores: list[Chore] = []


def also(chore: Chore) -> None:
    """Have every sweep call a function at its end, also one with a limit; meant for an AppConfig's `ready`.

    Any number of processes may sweep at once. What the function raises is logged, counts as a fault of ours, and
    keeps neither the sweep nor another app's chore from being done.
    """
    if chore not in _chores:
        _chores.append(chore)


def chores() -> list[Chore]:
    """Return the functions that every sweep calls."""
    return list(_chores)
