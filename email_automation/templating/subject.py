"""The subject of a mail: one line."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

LONGEST_SUBJECT: Final = 200
#: Unicode's control characters and its separators of lines and paragraphs.
BREAKS: Final = frozenset({"Cc", "Zl", "Zp"})


def one_line(text: str) -> str:
    """Return a text on one line, with single blanks and without control characters. Blanks that do not break stay."""
    return re.sub(" +", " ", "".join(" " if unicodedata.category(sign) in BREAKS else sign for sign in text)).strip(" ")
