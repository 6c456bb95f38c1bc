"""Stand-ins for providers' HTTP interfaces, each as strict as the original, whose behaviour is scripted by request."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import threading
from abc import abstractmethod
from base64 import b64encode
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar, Self
from urllib.parse import parse_qs

ADDRESS = re.compile(r"[^@\s<>]+@[A-Za-z0-9.-]+\.[A-Za-z0-9-]+")
TOO_LARGE = 1_000_000


@dataclass(frozen=True)
class Step:
    """What the server does with one request; without an answer or a hang-up it does what it is for."""

    status: int = 0
    body: str = "{}"
    delay: float = 0
    #: "before" or "after" the body of the request is read.
    hang_up: str = ""


def answers(status: int, body: Any = "{}") -> Step:
    """Return "say so, whatever the request"."""
    return Step(status, body if isinstance(body, str) else json.dumps(body))


def hangs_up(when: str) -> Step:
    """Return "the connection breaks `before` or `after` the body was read"."""
    return Step(hang_up=when)


def stalls(seconds: float) -> Step:
    """Return "nothing is said for so long after the body was read"."""
    return Step(delay=seconds)


class Refused(Exception):
    """A request that the interface does not take, with its status and what it says."""

    def __init__(self, status: int, said: Any) -> None:
        super().__init__(status, said)
        self.status, self.said = status, said


@dataclass
class Request:
    """A request the interface has read."""

    path: str
    headers: dict[str, str]
    body: bytes
    connection: int


@dataclass
class Accepted:
    """A mail the interface took, in one shape for all: what it says, and the headers and values of our own."""

    address: str
    subject: str
    text: str
    html: str
    headers: dict[str, str]
    metadata: dict[str, str]
    message_id: str
    connection: int


@dataclass
class Provider:
    """The server, and what it took. `script` is used up by the requests, one step each."""

    port: int = 0
    script: deque[Step | None] = field(default_factory=deque)
    #: Done with every request for which the script has nothing (more).
    otherwise: Step | None = None
    accepted: list[Accepted] = field(default_factory=list)
    requests: int = 0
    connections: int = 0

    backend: ClassVar[str]

    @classmethod
    @contextlib.contextmanager
    def running(cls) -> Iterator[Self]:
        """Start a server, and stop it at the end."""
        provider = cls()
        provider.start()
        try:
            yield provider
        finally:
            provider.stop()

    def start(self) -> None:
        """Listen; a server that was stopped listens on its old port again."""
        self._stopping = threading.Event()
        self._sockets: set[socket.socket] = set()
        self._server = _Listener(("127.0.0.1", self.port), type("Handler", (_Handler,), {"provider": self}))
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def stop(self) -> None:
        """Stop listening, and break every connection."""
        if self._stopping.is_set():
            return
        self._stopping.set()
        self._server.shutdown()
        self._server.server_close()
        for open_socket in list(self._sockets):
            with contextlib.suppress(OSError):
                open_socket.shutdown(socket.SHUT_RDWR)

    def use(self, settings: Any, *, timeout: float = 2, **anymail: Any) -> None:
        """Make django-anymail's backend for this provider talk to this server."""
        settings.EMAIL_BACKEND = f"anymail.backends.{self.backend}.EmailBackend"
        settings.ANYMAIL = {"REQUESTS_TIMEOUT": timeout, **self.keys(), **anymail}

    @property
    def addresses(self) -> list[str]:
        """Who got a mail, sorted; somebody who got two is named twice."""
        return sorted(mail.address for mail in self.accepted)

    @abstractmethod
    def keys(self) -> dict[str, str]:
        """Return what ANYMAIL needs for this provider."""

    @abstractmethod
    def take(self, request: Request) -> Accepted:
        """Return the mail of a request. Raises Refused for what the interface does not take."""

    @abstractmethod
    def answer(self, mail: Accepted) -> tuple[int, str]:
        """Return status and body of the answer to a mail it took."""

    def next_step(self) -> Step | None:
        """Return what to do with the request that comes now."""
        self.requests += 1
        return self.script.popleft() if self.script else self.otherwise


def require(holds: object, status: int, said: Any) -> None:
    """Refuse the request unless something holds."""
    if not holds:
        raise Refused(status, said)


class SendGrid(Provider):
    """https://www.twilio.com/docs/sendgrid/api-reference/mail-send/mail-send"""

    backend = "sendgrid"
    KEY = "SG.key"
    FIELDS = frozenset(
        {
            "personalizations", "from", "reply_to", "reply_to_list", "subject", "content", "attachments", "headers",
            "categories", "custom_args", "send_at", "mail_settings", "tracking_settings", "template_id", "asm",
        }
    )  # fmt: skip
    RESERVED = frozenset(
        {
            "x-sg-id", "x-sg-eid", "received", "dkim-signature", "content-type", "content-transfer-encoding", "to",
            "from", "subject", "reply-to", "cc", "bcc",
        }
    )  # fmt: skip

    def keys(self) -> dict[str, str]:
        return {"SENDGRID_API_KEY": self.KEY, "SENDGRID_API_URL": f"http://127.0.0.1:{self.port}/v3/"}

    @staticmethod
    def refusal(message: str, name: str | None = None) -> dict[str, Any]:
        """Return an error as the interface words it."""
        return {"errors": [{"message": message, "field": name, "help": None}]}

    def take(self, request: Request) -> Accepted:
        require(request.path == "/v3/mail/send", 404, {"errors": [{"message": "not found"}]})
        authorized = request.headers.get("authorization") == f"Bearer {self.KEY}"
        require(authorized, 401, self.refusal("The provided authorization grant is invalid, expired, or revoked"))
        require(request.headers.get("content-type") == "application/json", 415, self.refusal("unsupported"))
        require(len(request.body) <= TOO_LARGE, 413, self.refusal("the maximum size is 30 MB"))
        try:
            data = json.loads(request.body)
        except ValueError as error:
            raise Refused(400, self.refusal("Bad Request")) from error
        require(set(data) <= self.FIELDS, 400, self.refusal("Bad Request"))
        people = data.get("personalizations")
        require(isinstance(people, list) and len(people) == 1, 400, self.refusal("required", "personalizations"))
        (to,) = people[0]["to"]
        field_name = "personalizations.0.to.0.email"
        require(ADDRESS.fullmatch(to["email"]), 400, self.refusal("Does not contain a valid address.", field_name))
        require(ADDRESS.fullmatch(data.get("from", {}).get("email", "")), 400, self.refusal("required", "from.email"))
        require(data.get("subject"), 400, self.refusal("required", "subject"))
        content = data.get("content") or []
        types = [part["type"] for part in content]
        require(types == ["text/plain", "text/html"], 400, self.refusal("wrong order", "content"))
        require(all(part["value"] for part in content), 400, self.refusal("too short", "content.0.value"))
        headers = data.get("headers", {})
        require(not {name.lower() for name in headers} & self.RESERVED, 400, self.refusal("reserved", "headers"))
        values = {**data.get("custom_args", {}), **people[0].get("custom_args", {})}
        texts = [*headers.values(), *values.values()]
        require(all(isinstance(text, str) for text in texts), 400, self.refusal("Bad Request"))
        text, html = (part["value"] for part in content)
        message_id = values.pop("anymail_id", "")
        return Accepted(to["email"], data["subject"], text, html, headers, values, message_id, request.connection)

    def answer(self, mail: Accepted) -> tuple[int, str]:
        return 202, ""


class Mailgun(Provider):
    """https://documentation.mailgun.com/docs/mailgun/api-reference/send/mailgun/messages"""

    backend = "mailgun"
    KEY, DOMAIN = "key-mailgun", "mg.example.com"
    FIELDS = frozenset({"from", "to", "cc", "bcc", "subject", "text", "html", "amp-html", "recipient-variables"})

    def keys(self) -> dict[str, str]:
        return {
            "MAILGUN_API_KEY": self.KEY,
            "MAILGUN_SENDER_DOMAIN": self.DOMAIN,
            "MAILGUN_API_URL": f"http://127.0.0.1:{self.port}/v3",
        }

    def take(self, request: Request) -> Accepted:
        expected = f"Basic {b64encode(f'api:{self.KEY}'.encode()).decode()}"
        require(request.headers.get("authorization") == expected, 401, "Forbidden")
        require(request.path == f"/v3/{self.DOMAIN}/messages", 404, {"message": "Domain not found"})
        require(len(request.body) <= TOO_LARGE, 413, {"message": "Request Entity Too Large"})
        form = self._form(request)
        for name in form:
            require(name in self.FIELDS or name[:2] in ("o:", "h:", "v:", "t:"), 400, {"message": f"unknown {name}"})
        for name in ("from", "to"):
            require(form.get(name), 400, {"message": f"{name} parameter is missing"})
        address = form["to"].rpartition("<")[2].rstrip(">")
        said = "to parameter is not a valid address. please check documentation"
        require(ADDRESS.fullmatch(address), 400, {"message": said})
        said = "Need at least one of 'text', 'html', 'amp-html' or 'template' parameters specified"
        require(form.get("text") or form.get("html"), 400, {"message": said})
        headers = {name[2:]: value for name, value in form.items() if name.startswith("h:")}
        metadata = {name[2:]: value for name, value in form.items() if name.startswith("v:")}
        message_id = headers.get("Message-Id") or f"<2026.{self.requests}@{self.DOMAIN}>"
        return Accepted(
            address,
            form.get("subject", ""),
            form.get("text", ""),
            form.get("html", ""),
            headers,
            metadata,
            message_id,
            request.connection,
        )

    @staticmethod
    def _form(request: Request) -> dict[str, str]:
        kind = request.headers.get("content-type", "")
        if kind == "application/x-www-form-urlencoded":
            return {name: values[0] for name, values in parse_qs(request.body.decode(), strict_parsing=True).items()}
        require(kind.startswith("multipart/form-data;"), 400, {"message": "unsupported content type"})
        parsed = message_from_bytes(f"Content-Type: {kind}\r\n\r\n".encode() + request.body, policy=policy.HTTP)
        return {
            str(part.get_param("name", header="content-disposition")): part.get_payload(decode=True).decode()
            for part in parsed.iter_parts()
        }

    def answer(self, mail: Accepted) -> tuple[int, str]:
        return 200, json.dumps({"id": mail.message_id, "message": "Queued. Thank you."})


class Postmark(Provider):
    """https://postmarkapp.com/developer/api/email-api"""

    backend = "postmark"
    TOKEN = "server-token"
    INACTIVE = (
        "You tried to send to a recipient that has been marked as inactive.\nFound inactive addresses: {}.\n"
        "Inactive recipients are ones that have generated a hard bounce, a spam complaint, or a manual suppression."
    )

    def keys(self) -> dict[str, str]:
        return {"POSTMARK_SERVER_TOKEN": self.TOKEN, "POSTMARK_API_URL": f"http://127.0.0.1:{self.port}/"}

    @classmethod
    def inactive(cls, address: str) -> Step:
        """Return the answer for an address that is on Postmark's own list."""
        return answers(422, {"ErrorCode": 406, "Message": cls.INACTIVE.format(address)})

    def take(self, request: Request) -> Accepted:
        require(request.path == "/email", 404, "")
        known = request.headers.get("x-postmark-server-token") == self.TOKEN
        require(known, 401, {"ErrorCode": 10, "Message": "Request does not contain a valid Server token."})
        data = json.loads(request.body)
        for name in ("From", "To"):
            require(data.get(name), 422, {"ErrorCode": 300, "Message": f"Zero recipients specified in {name}"})
        said = f"Invalid 'To' address: '{data['To']}'."
        require(ADDRESS.fullmatch(data["To"]), 422, {"ErrorCode": 300, "Message": said})
        require(data.get("TextBody") or data.get("HtmlBody"), 422, {"ErrorCode": 300, "Message": "no body"})
        headers = {each["Name"]: each["Value"] for each in data.get("Headers", [])}
        return Accepted(
            data["To"],
            data["Subject"],
            data["TextBody"],
            data["HtmlBody"],
            headers,
            data.get("Metadata", {}),
            f"b7bc2f4a-e38e-4336-af7d-e6c392c2{self.requests:04}",
            request.connection,
        )

    def answer(self, mail: Accepted) -> tuple[int, str]:
        said = {"To": mail.address, "SubmittedAt": "2026-03-02T09:00:00Z", "MessageID": mail.message_id}
        return 200, json.dumps(said | {"ErrorCode": 0, "Message": "OK"})


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True
    block_on_close = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing about connections that a test or a client has broken."""


class _Handler(BaseHTTPRequestHandler):
    """One connection."""

    provider: Provider
    protocol_version = "HTTP/1.1"

    def setup(self) -> None:
        super().setup()
        self.provider.connections += 1
        self.number = self.provider.connections
        self.provider._sockets.add(self.connection)

    def finish(self) -> None:
        self.provider._sockets.discard(self.connection)
        super().finish()

    def log_message(self, *args: Any) -> None:
        """Write nothing down."""

    def do_POST(self) -> None:
        step = self.provider.next_step()
        if step is not None and step.hang_up == "before":
            self._break()
            return
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        if step is not None and step.status:
            self._say(step.status, step.body)
            return
        headers = {name.lower(): value for name, value in self.headers.items()}
        try:
            mail = self.provider.take(Request(self.path, headers, body, self.number))
        except Refused as error:
            self._say(error.status, error.said if isinstance(error.said, str) else json.dumps(error.said))
            return
        if step is not None and step.delay:
            self.provider._stopping.wait(step.delay)
        self.provider.accepted.append(mail)
        if step is not None and step.hang_up:
            self._break()
            return
        self._say(*self.provider.answer(mail))

    def _break(self) -> None:
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def _say(self, status: int, body: str) -> None:
        content = body.encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
