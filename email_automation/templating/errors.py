"""What can be wrong with an edited template."""

from __future__ import annotations

LONGEST_MESSAGE = 400


class TemplateError(Exception):
    """Why an edited template cannot be used, and in which line (0: in none in particular).

    The only exception that compiling or rendering one raises, whatever is in it.
    """

    def __init__(self, message: str, line: int = 0) -> None:
        super().__init__(message, line)
        self.message = message if len(message) <= LONGEST_MESSAGE else f"{message[:LONGEST_MESSAGE]}…"
        self.line = line

    def __str__(self) -> str:
        return f"line {self.line}: {self.message}" if self.line else self.message


class Exhausted(TemplateError):
    """A template that has used up its budget."""
