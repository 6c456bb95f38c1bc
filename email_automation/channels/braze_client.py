"""The client of Braze's endpoint for API-triggered campaigns: one request, and what its answer means."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any, Final, Self

import requests
from django.utils import timezone
from requests.auth import AuthBase

from ..conf import setting
from .errors import DeliveryInDoubt, LimitedTooLong, RateLimited, RequestRefused, TryAgain
from .wire import Answer, Broken, NotWritten, Unusable, Wire

PATH: Final = "/campaigns/trigger/send"
#: What Braze says of messages it has taken.
TAKEN: Final = ("success", "queued")
RESET: Final = "X-RateLimit-Reset"
# Seconds since 1970; a value in milliseconds is no such number.
EPOCH: Final = re.compile(r"\d{1,11}(\.\d{1,9})?", re.ASCII)
_SIGN: Final = r"[^\s<>\"'(),;:]"
# From where a word begins only: tried at each of its signs, a long word would take the square of its length.
ADDRESS: Final = re.compile(rf"(?<!{_SIGN}){_SIGN}+@{_SIGN}+")
CONCEALED: Final = "…"
#: Shorter ones tell nothing, and may be any word of a sentence.
SHORTEST_CONCEALED: Final = 3
LONGEST_TEXT: Final = 400
#: The room for it in the log.
LONGEST_ID: Final = 255


class Accepted(str):
    """Braze has taken the request: its dispatch id, and in `warning` what it complains of all the same."""

    warning: str

    def __new__(cls, dispatch_id: str = "", *, warning: str = "") -> Self:
        accepted = super().__new__(cls, dispatch_id)
        accepted.warning = warning
        return accepted


class BrazeClient:
    """Sends requests to BRAZE_API_URL; the settings are read for each."""

    def __init__(self) -> None:
        self._wire = Wire()

    def send(self, payload: Mapping[str, Any], *, private: Collection[str] = ()) -> Accepted:
        """Send one request. `private` are texts of it, addresses and names, that no error or warning may repeat.

        Raises RateLimited or TryAgain (nothing went out, it may later), LimitedTooLong or RequestRefused (nothing
        went out, and will not), or DeliveryInDoubt. Waits for nothing but the answer.
        """
        key = str(setting("BRAZE_API_KEY"))
        try:
            body = json.dumps(payload, allow_nan=False).encode()
        except (TypeError, ValueError) as error:
            raise RequestRefused(f"a value of the request cannot be written as JSON: {error}") from error
        connect, read = setting("BRAZE_TIMEOUT")
        try:
            answer = self._wire.post(
                str(setting("BRAZE_API_URL")).rstrip("/") + PATH,
                body,
                content_type="application/json",
                auth=_Bearer(key),
                timeout=(float(connect), float(read)),
            )
        except Unusable as error:
            raise RequestRefused(f"BRAZE_API_URL or BRAZE_API_KEY cannot be used: {error}") from error
        except NotWritten as error:
            raise TryAgain(f"no connection: {error}", timezone.now()) from error
        except Broken as error:
            raise DeliveryInDoubt(f"no answer to a request that was written: {error}") from error
        return _meaning(answer, private={key, *private})


class _Bearer(AuthBase):
    # A header alone would give way to an entry of this machine in ~/.netrc.
    def __init__(self, key: str) -> None:
        self._key = key

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._key}"
        return request


def _meaning(answer: Answer, *, private: Collection[str]) -> Accepted:
    """Return what was accepted, or raise what the answer means."""
    said, status = _said(answer.body), answer.status
    message = said.get("message")
    if 200 <= status < 300 and message in TAKEN:
        dispatch_id = said.get("dispatch_id")
        return Accepted(
            dispatch_id[:LONGEST_ID] if isinstance(dispatch_id, str) else "",
            warning=_told(_joined(said.get("errors")), private),
        )
    text = _told(f"{status} {message if isinstance(message, str) and message else _phrase(status)}", private)
    if status < 300:
        raise DeliveryInDoubt(f"an answer that does not say whether it was accepted: {text}")
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        raise _limited(answer, text)
    if status >= 500:
        raise TryAgain(text, timezone.now())
    raise RequestRefused(text)


def _said(body: bytes | None) -> dict[str, Any]:
    try:
        said = json.loads(body or b"")
    # Nested too deeply, it is no answer of Braze's either.
    except (ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}


def _limited(answer: Answer, text: str) -> Exception:
    now = timezone.now()
    value = answer.headers.get(RESET, "").strip()
    if not EPOCH.fullmatch(value):
        return TryAgain(text, now)
    ahead = float(value) - now.timestamp()
    if ahead > setting("BRAZE_MAX_WAIT_SECONDS"):
        return LimitedTooLong(f"{text}; its limit is lifted later than BRAZE_MAX_WAIT_SECONDS from now")
    return RateLimited(text, datetime.fromtimestamp(0, UTC) + timedelta(seconds=float(value)))


def _joined(errors: Any) -> str:
    if not errors:
        return ""
    return "; ".join(map(str, errors)) if isinstance(errors, list) else str(errors)


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "without a message"


def _told(text: str, private: Collection[str]) -> str:
    """Return a text of Braze's without addresses and secrets, in one line of bounded length."""
    for secret in sorted(private, key=len, reverse=True):
        if len(secret) < SHORTEST_CONCEALED:
            break
        text = re.sub(rf"(?<!\w){re.escape(secret)}(?!\w)", CONCEALED, text, flags=re.IGNORECASE)
    return " ".join(ADDRESS.sub(CONCEALED, text).split())[:LONGEST_TEXT]
