"""A stand-in of the platform on a real socket: its token endpoint and its list of people linked with enterprises.

It is as strict as the original: who calls without a good token is turned away, and a caller without staff rights is
shown nothing but the own record.
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar, Self
from urllib.parse import parse_qs, urlencode, urlsplit
from uuid import UUID

from license_notifications.directory.tokens import tokens

CLIENT_ID, CLIENT_SECRET, SERVICE = "cadence", "secret&+%", "cadence-worker"
TOKEN_PATH = "/oauth2/access_token/"
LIST_PATH = "/enterprise/api/v1/enterprise-learner/"
ADMIN, LEARNER = "enterprise_admin", "enterprise_learner"


@dataclass(frozen=True)
class Step:
    """What is done with one request in place of an answer."""

    status: int = 0
    body: str = "{}"
    headers: tuple[tuple[str, str], ...] = ()
    delay: float = 0
    hang_up: bool = False


def answers(status: int, body: str = "{}", **headers: str) -> Step:
    """Return "this is the answer"."""
    return Step(status, body, tuple(headers.items()))


def stalls(seconds: float) -> Step:
    """Return "the answer comes after so long"."""
    return Step(delay=seconds)


HANGS_UP = Step(hang_up=True)


@dataclass
class Call:
    """A request as it came."""

    method: str
    path: str
    query: dict[str, list[str]]
    authorization: str
    form: dict[str, list[str]]


@dataclass
class Lms:
    """The server, the people it knows and what it was asked. Each script is used up by its requests, a step each."""

    port: int = 0
    people: list[dict[str, Any]] = field(default_factory=list)
    page_size: int = 10
    caller_is_staff: bool = True
    token_seconds: Any = 3600
    token_type: str = "JWT"
    token_script: deque[Step | None] = field(default_factory=deque)
    list_script: deque[Step | None] = field(default_factory=deque)
    #: In place of the address of the page that follows.
    following: str | None = None
    calls: list[Call] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)
    revoked: set[str] = field(default_factory=set)

    @classmethod
    @contextlib.contextmanager
    def running(cls, **options: Any) -> Iterator[Self]:
        """Start a server, and stop it at the end."""
        lms = cls(**options)
        lms.start()
        try:
            yield lms
        finally:
            lms.stop()

    def start(self) -> None:
        """Listen; a server that was stopped listens on its old port again."""
        # One that is new knows none of those that an earlier one on its port has given.
        tokens._kept.clear()
        self._stopping = threading.Event()
        self._server = _Server(("127.0.0.1", self.port), type("Handler", (_Handler,), {"lms": self}))
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def stop(self) -> None:
        """Stop listening."""
        if not self._stopping.is_set():
            self._stopping.set()
            self._server.shutdown()
            self._server.server_close()

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.port}"

    def use(self, settings: Any) -> None:
        """Make this the directory."""
        settings.LICENSE_ADMIN_DIRECTORY = "lms"
        settings.LICENSE_LMS_BASE_URL = self.url
        settings.LICENSE_LMS_CLIENT_ID = CLIENT_ID
        settings.LICENSE_LMS_CLIENT_SECRET = CLIENT_SECRET
        settings.LICENSE_LMS_SERVICE_USERNAME = SERVICE

    def link(self, enterprise: UUID, number: int, **changes: Any) -> dict[str, Any]:
        """Link an administrator with an enterprise; `user=` changes what is said of the account."""
        user = {
            "id": 1000 + number,
            "username": f"admin{number}",
            "first_name": "",
            "last_name": "",
            "email": f"admin{number}@example.com",
            "is_staff": False,
            "is_active": True,
            "date_joined": "2019-01-01T00:00:00Z",
        }
        row = {
            "id": number,
            "enterprise_customer": {"uuid": str(enterprise), "name": "Acme", "slug": "acme", "active": True},
            "active": True,
            "user_id": user["id"],
            "user": user | changes.pop("user", {}),
            "data_sharing_consent_records": [],
            "groups": [],
            "created": "2026-01-05T06:07:08.000009Z",
            "invite_key": None,
            "role_assignments": [ADMIN, LEARNER],
            "enterprise_group": [],
            **changes,
        }
        self.people.append(row)
        return row

    def asked(self, path: str = LIST_PATH) -> list[Call]:
        """Return the requests for a path."""
        return [call for call in self.calls if call.path == path]

    def answer(self, call: Call) -> tuple[int, Any]:
        """Return status and JSON of the answer."""
        if call.path == TOKEN_PATH:
            return self._token(call) if call.method == "POST" else (405, {})
        if call.path != LIST_PATH:
            return 404, {"detail": "Not found."}
        if call.method != "GET":
            return 405, {}
        kind, _, token = call.authorization.partition(" ")
        if kind != self.token_type or token not in self.tokens or token in self.revoked:
            return 401, {"detail": "Authentication credentials were not provided."}
        return self._page(call)

    def _token(self, call: Call) -> tuple[int, Any]:
        given = {name: values[0] for name, values in call.form.items()}
        if given.get("grant_type") != "client_credentials":
            return 400, {"error": "unsupported_grant_type"}
        if (given.get("client_id"), given.get("client_secret")) != (CLIENT_ID, CLIENT_SECRET):
            return 401, {"error": "invalid_client"}
        self.tokens.append(f"token{len(self.tokens) + 1}")
        seconds = {} if self.token_seconds is None else {"expires_in": self.token_seconds}
        return 200, {"access_token": self.tokens[-1], "token_type": self.token_type, "scope": "read", **seconds}

    def _page(self, call: Call) -> tuple[int, Any]:
        enterprise = call.query.get("enterprise_customer_uuid", [""])[0]
        try:
            UUID(enterprise)
        except ValueError:
            return 400, {"detail": "Invalid enterprise_customer_uuid."}
        rows = [row for row in self.people if row["enterprise_customer"]["uuid"] == enterprise]
        if not self.caller_is_staff:
            rows = [row for row in self.people if row["user"]["username"] == SERVICE]
        elif role := call.query.get("role", [""])[0]:
            rows = [row for row in rows if role in (row.get("role_assignments") or [role])]
        number = int(call.query.get("page", ["1"])[0])
        first = (number - 1) * self.page_size
        shown, following = rows[first : first + self.page_size], None
        if len(rows) > first + self.page_size:
            query = urlencode({name: values[0] for name, values in call.query.items()} | {"page": number + 1})
            following = self.following or f"{self.url}{LIST_PATH}?{query}"
        return 200, {"count": len(rows), "next": following, "previous": None, "results": shown}

    def next_step(self, call: Call) -> Step | None:
        """Return what to do with the request that comes now."""
        self.calls.append(call)
        script = self.token_script if call.path == TOKEN_PATH else self.list_script
        return script.popleft() if script else None


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: clients that give up are what the tests are about."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Head and body in one packet: apart, the second waits for the client's acknowledgement of the first.
    wbufsize = -1
    lms: ClassVar[Lms]

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def _serve(self) -> None:
        parts = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        is_form = self.headers.get("Content-Type", "") == "application/x-www-form-urlencoded"
        call = Call(
            self.command,
            parts.path,
            parse_qs(parts.query),
            self.headers.get("Authorization", ""),
            parse_qs(body) if is_form else {},
        )
        step = self.lms.next_step(call) or Step()
        if step.delay:
            self.lms._stopping.wait(step.delay)
        if step.hang_up:
            self.close_connection = True
            return
        status, answer = (step.status, step.body) if step.status else self.lms.answer(call)
        sent = (answer if isinstance(answer, str) else json.dumps(answer)).encode()
        self.send_response(status)
        for name, value in (*step.headers, ("Content-Length", str(len(sent)))):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(sent)

    def log_message(self, *args: Any) -> None:
        """Say nothing."""
