"""The stand-in's own addresses, below /_standin/: looking at what came, and steering what comes next.

| address | |
|---|---|
| GET / | a page for people |
| GET /requests.json /profiles.json | what came, newest first (`limit`) |
| GET /accepted.json /delivered.json | the messages, newest first (`limit`, `before` a number, `dispatch_id`) |
| POST /clear | forgets it |
| POST /faults | {"number": 2, "status": 503, …}: the fields of faults.Fault; `number` null means always |
| POST /campaigns | {"campaign": name or id, "archived": false, "re_eligible_minutes": 0 or null} |
| POST /limit | {"requests": 100, "seconds": 60} |
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final, TypeVar
from urllib.parse import parse_qs

from django.template.loader import render_to_string

from .faults import Fault
from .memory import CampaignState, Memory, Message, Received, parsed
from .reply import Reply

ROOT: Final = "/_standin"
PAGE_SIZE: Final = 50
LARGEST_PAGE: Final = 1000
SECURITY: Final = (
    "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)

Said = Mapping[str, Any]
Entry = TypeVar("Entry")


def answer(memory: Memory, method: str, path: str, *, query: str, body: bytes, is_form: bool) -> Reply:
    """Answer a request for one of these addresses."""
    name = path.removeprefix(ROOT).strip("/")
    reading = method in ("GET", "HEAD")
    if name not in (READERS if reading else WRITERS if method == "POST" else ()):
        known = name in READERS or name in WRITERS
        status = HTTPStatus.METHOD_NOT_ALLOWED if known else HTTPStatus.NOT_FOUND
        return _error(status, f"{method} {path}: there is no such address")
    try:
        with memory.lock:
            if reading:
                return READERS[name](memory, Selection.of(query))
            said = {} if is_form or not body else parsed(body)
            if not isinstance(said, dict):
                raise ValueError("body: must be a JSON object")
            WRITERS[name](memory, said)
    except ValueError as error:
        return _error(HTTPStatus.BAD_REQUEST, str(error))
    return Reply(HTTPStatus.SEE_OTHER, headers={"Location": f"{ROOT}/"}) if is_form else Reply(HTTPStatus.OK, {})


def _error(status: int, message: str) -> Reply:
    return Reply(status, {"message": message})


@dataclass(frozen=True)
class Selection:
    """Which entries are asked for: at most `limit`, those below the number `before`, those of one request."""

    limit: int = PAGE_SIZE
    before: int | None = None
    dispatch_id: str = ""

    @classmethod
    def of(cls, query: str) -> Selection:
        """Return what a query string selects. Raises ValueError that names the field."""
        said = {name: values[-1] for name, values in parse_qs(query).items()}
        for name in ("limit", "before"):
            if name in said and not (said[name].isascii() and said[name].isdigit()):
                raise ValueError(f"{name}: must be a whole number")
        return cls(
            limit=min(int(said.get("limit", PAGE_SIZE)), LARGEST_PAGE),
            before=int(said["before"]) if "before" in said else None,
            dispatch_id=said.get("dispatch_id", ""),
        )

    def newest(self, entries: Iterable[Entry]) -> list[Entry]:
        """Return the newest entries."""
        return list(entries)[::-1][: self.limit]

    def messages(self, messages: Iterable[Message]) -> list[Message]:
        """Return the newest of the messages that are meant."""
        return self.newest(
            message
            for message in messages
            if (self.before is None or message.number < self.before) and self.dispatch_id in ("", message.dispatch_id)
        )


def _page(memory: Memory, selection: Selection) -> Reply:
    context = {
        "site_name": "Braze stand-in",
        "messages": selection.newest(memory.messages),
        "requests": selection.newest(memory.requests),
        "counts": {
            "requests": len(memory.requests),
            "accepted": len(memory.messages),
            "delivered": sum(message.delivered for message in memory.messages),
        },
        "campaigns": memory.campaigns.items(),
        "page_size": PAGE_SIZE,
        "clear_url": f"{ROOT}/clear",
    }
    html = render_to_string("email_automation/braze_standin/page.html", context)
    headers = {"Content-Security-Policy": SECURITY, "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
    return Reply(HTTPStatus.OK, html, "text/html; charset=utf-8", headers)


def _requests(memory: Memory, selection: Selection) -> Reply:
    return Reply(HTTPStatus.OK, [_request_as_json(received) for received in selection.newest(memory.requests)])


def _accepted(memory: Memory, selection: Selection) -> Reply:
    return Reply(HTTPStatus.OK, [_message_as_json(message) for message in selection.messages(memory.messages)])


def _delivered(memory: Memory, selection: Selection) -> Reply:
    delivered = [message for message in memory.messages if message.delivered]
    return Reply(HTTPStatus.OK, [_message_as_json(message) for message in selection.messages(delivered)])


def _profiles(memory: Memory, selection: Selection) -> Reply:
    return Reply(HTTPStatus.OK, memory.profiles)


def _request_as_json(received: Received) -> dict[str, Any]:
    return {
        "at": received.at.isoformat(),
        "method": received.method,
        "path": received.path,
        "headers": _shown(received.headers),
        "body": received.text,
        "status": received.status,
    }


def _shown(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: "…" if name.lower() == "authorization" else value for name, value in headers.items()}


def _message_as_json(message: Message) -> dict[str, Any]:
    return {**vars(message), "at": message.at.isoformat(), "delivered": message.delivered}


def _clear(memory: Memory, said: Said) -> None:
    memory.clear()


def _fault(memory: Memory, said: Said) -> None:
    number = said.get("number", 1)
    if number is not None and not _is_count(number):
        raise ValueError("number: must be a whole number of at least 1, or null")
    memory.fail_next(number, Fault.from_json({name: value for name, value in said.items() if name != "number"}))


def _campaign(memory: Memory, said: Said) -> None:
    state = memory.campaign(str(said.get("campaign")))
    set_up(
        state,
        archived=said.get("archived", state.archived),
        re_eligible_minutes=said.get("re_eligible_minutes", state.re_eligible_minutes),
    )


def set_up(state: CampaignState, *, archived: Any, re_eligible_minutes: Any) -> None:
    """Change how a campaign is set up. Raises ValueError that names the field."""
    if not isinstance(archived, bool):
        raise ValueError("archived: must be true or false")
    if re_eligible_minutes is not None and not _is_amount(re_eligible_minutes):
        raise ValueError("re_eligible_minutes: must be a number of at least 0, or null for never")
    state.archived, state.re_eligible_minutes = archived, re_eligible_minutes


def _limit(memory: Memory, said: Said) -> None:
    requests, seconds = said.get("requests", memory.limit.requests), said.get("seconds", memory.limit.seconds)
    if not _is_count(requests, at_least=0):
        raise ValueError("requests: must be a whole number of at least 0")
    if not _is_amount(seconds) or not seconds:
        raise ValueError("seconds: must be a number above 0")
    memory.limit.requests, memory.limit.seconds, memory.limit.ends = requests, seconds, None


def _is_count(value: Any, *, at_least: int = 1) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= at_least


def _is_amount(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value >= 0


READERS: Final[Mapping[str, Callable[[Memory, Selection], Reply]]] = {
    "": _page,
    "requests.json": _requests,
    "accepted.json": _accepted,
    "delivered.json": _delivered,
    "profiles.json": _profiles,
}
WRITERS: Final[Mapping[str, Callable[[Memory, Said], None]]] = {
    "clear": _clear,
    "faults": _fault,
    "campaigns": _campaign,
    "limit": _limit,
}
