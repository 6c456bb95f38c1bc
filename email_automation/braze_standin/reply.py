"""An answer of the stand-in before it goes over the wire."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Reply:
    """A status and what is said with it: a text as it stands, anything else as JSON, None as nothing."""

    status: int
    content: Any = None
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)

    def body(self) -> bytes:
        """Return the body as it goes over the wire."""
        if isinstance(self.content, str):
            return self.content.encode()
        return b"" if self.content is None else json.dumps(self.content).encode()
