"""Files of facts, and the command that loads them."""

import json
from io import StringIO
from pathlib import Path
from typing import Any

from django.core.management import CommandError, call_command


def written(folder: Path, data: Any, name: str = "facts.json") -> str:
    """Write a file of facts, given as text or as what JSON holds; return its path."""
    path = folder / name
    path.write_text(data if isinstance(data, str) else json.dumps(data), encoding="utf-8")
    return str(path)


def as_lines(data: dict[str, list[dict[str, Any]]]) -> str:
    """Return facts as the lines of a .jsonl file, the last kind first."""
    return "\n".join(json.dumps({"kind": kind} | row) for kind, rows in reversed(data.items()) for row in rows)


def run(*arguments: str) -> tuple[str, str, int]:
    """Run the command with a source; return its output, its errors and its exit status."""
    output, errors = StringIO(), StringIO()
    try:
        call_command("sync_courses", "--source", *arguments, stdout=output, stderr=errors)
    except CommandError as error:
        return output.getvalue(), f"{errors.getvalue()}{error}", error.returncode
    return output.getvalue(), errors.getvalue(), 0
