"""The subject of a mail: one line."""

from __future__ import annotations

import unicodedata
from typing import Final

LONGEST_SUBJECT: Final = 200


def one_line(text: str) -> str:
    """Return a text on one line, with single blanks and without control characters."""
    return " ".join("".join(" " if unicodedata.category(sign) == "Cc" else sign for sign in text).split())
