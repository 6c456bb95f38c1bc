"""Access tokens of the platform, kept while they are good."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from typing import Any, Final, NamedTuple

from .errors import DirectoryError

#: So long before its end a token is not used any more: it has to outlive the request.
MARGIN_SECONDS: Final = 60


class Token(NamedTuple):
    """What goes into the header, and until when on the caller's clock."""

    header: str
    good_until: float


class Tokens:
    """The tokens of a process, one for each set of credentials. Threads share them."""

    def __init__(self) -> None:
        self._kept: dict[Hashable, Token] = {}
        self._lock = threading.Lock()

    def get(self, key: Hashable, *, now: float, ask: Callable[[], Any]) -> Token:
        """Return the token that is kept for a key, or a new one made of what `ask` answers."""
        with self._lock:
            token = self._kept.get(key)
            if token is None or now >= token.good_until:
                token = self._kept[key] = read(ask(), now)
            return token

    def drop(self, key: Hashable, refused: Token) -> None:
        """Forget a token that was refused, unless another thread has replaced it meanwhile."""
        with self._lock:
            if self._kept.get(key) == refused:
                del self._kept[key]


def read(answer: Any, now: float) -> Token:
    """Return the token of the platform's answer. Raises DirectoryError for one without."""
    given = answer if isinstance(answer, dict) else {}
    text, kind, seconds = given.get("access_token"), given.get("token_type"), given.get("expires_in")
    if not isinstance(text, str) or not text:
        raise DirectoryError("The token endpoint's answer has no access_token.")
    lifetime = seconds if isinstance(seconds, int | float) and not isinstance(seconds, bool) else 0
    return Token(f"{kind if isinstance(kind, str) and kind else 'Bearer'} {text}", now + lifetime - MARGIN_SECONDS)


tokens: Final = Tokens()
