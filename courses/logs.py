"""What may be written into a log about an error."""

from __future__ import annotations

import traceback


def trace(error: BaseException) -> str:
    """Return an error's type and place, for the log; its text may hold an address or a name."""
    frames = traceback.extract_tb(error.__traceback__)
    places = [f"{frame.filename.rpartition('/')[2]}:{frame.lineno}" for frame in frames[-3:]]
    return " ".join([type(error).__name__, "at", *(places or ["an unknown place"])])
