"""The tokens that goals' mails carry: the authority to stop the reminders of one goal, and nothing else."""

from __future__ import annotations

import logging
import uuid

from django.http import HttpResponseBase

log = logging.getLogger(__name__)

SHOWN = 8


def read(text: str) -> uuid.UUID | None:
    """Return the token that a text is, in any letter case but no other spelling, or None."""
    try:
        token = uuid.UUID(text)
    except ValueError:
        return None
    return token if str(token) == text.lower() else None


def masked(token: uuid.UUID) -> str:
    """Return what may be seen of a token: how it begins."""
    return f"{str(token)[:SHOWN]}…"


def logged(response: HttpResponseBase, text: str) -> None:
    """Log a refusal without its address, which Django would write down as a whole; the address is the authority."""
    if response.status_code >= 400:
        token = read(text)
        log.warning("goal token %s: %s", masked(token) if token else "malformed", response.status_code)
        response._has_been_logged = True  # type: ignore[attr-defined]  # read by django.utils.log
