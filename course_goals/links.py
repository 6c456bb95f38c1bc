"""Where links to weekly goals lead."""

from __future__ import annotations

from typing import Final
from urllib.parse import quote

#: The part of the course home page that is about the goal.
GOAL: Final = "#weekly-goal"


def course_home(key: str) -> str:
    """Return the path of a course's home page, on which its goal is chosen; `+` and `:` stay as they are."""
    return f"/courses/{quote(key, safe=':+/')}/home/"
