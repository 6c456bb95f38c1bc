"""One connection to the stand-in: requests are read whole, judged, and answered, well or by a fault."""

from __future__ import annotations

import contextlib
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from django.utils import timezone

from . import control, rules
from .faults import Fault
from .memory import Received, parsed
from .reply import Reply
from .rules import Refusal

if TYPE_CHECKING:
    from .server import Listener

PATH: Final = "/campaigns/trigger/send"
PERMISSION: Final = "campaigns.trigger.send"
LARGEST_BODY: Final = 4 << 20
#: A connection on which nothing happens for so long is closed, as servers do.
IDLE_SECONDS: Final = 60


class Handler(BaseHTTPRequestHandler):
    """Speaks HTTP/1.1 with kept connections."""

    protocol_version = "HTTP/1.1"
    server_version = "BrazeStandIn"
    timeout = IDLE_SECONDS
    # An answer is two small writes, and the second would wait for the first to be acknowledged.
    disable_nagle_algorithm = True
    server: Listener

    def serve(self) -> None:
        """Answer one request of any method."""
        try:
            body = self._body()
        except Refusal as refusal:
            self.close_connection = True
            self._answer(Reply(refusal.status, {"message": refusal.message}))
            return
        path = urlsplit(self.path).path
        if path == control.ROOT or path.startswith(f"{control.ROOT}/"):
            self._answer(self._controlled(path, body))
            return
        fault = self.server.memory.next_fault(parsed(body)) if (path, self.command) == (PATH, "POST") else None
        if fault is not None and not fault.accepts:
            reply = self._spoilt(fault, Reply(fault.status or HTTPStatus.OK, {"message": self._words(fault)}))
        else:
            reply = self._judged(path, body)
            if fault is not None and reply.status < HTTPStatus.MULTIPLE_CHOICES:
                reply = self._spoilt(fault, reply)
            else:
                fault = None
        silent = fault is not None and (fault.hang or fault.close)
        self._remember(path, body, 0 if silent else int(reply.status))
        if fault is not None and fault.delay:
            self.server.stopping.wait(fault.delay)
        if fault is not None and fault.hang:
            self.server.stopping.wait(IDLE_SECONDS)
        if silent:
            self.close_connection = True
        else:
            self._answer(reply)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = serve

    def log_message(self, format: str, *args: Any) -> None:
        """Print nothing: what came is shown on the stand-in's page."""

    def _body(self) -> bytes:
        if "Transfer-Encoding" in self.headers:
            raise Refusal(HTTPStatus.LENGTH_REQUIRED, "Content-Length: must be given")
        length = self.headers.get("Content-Length") or "0"
        if not (length.isascii() and length.isdigit()):
            raise Refusal(HTTPStatus.BAD_REQUEST, "Content-Length: must be a number")
        if int(length) > LARGEST_BODY:
            raise Refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"Content-Length: must be at most {LARGEST_BODY}")
        return self.rfile.read(int(length))

    def _controlled(self, path: str, body: bytes) -> Reply:
        # A page of somebody else's, open in the browser of this machine, must not be able to steer us.
        origin, host = self.headers.get("Origin"), self.headers.get("Host", "")
        if origin is not None and urlsplit(origin).netloc != host:
            return Reply(HTTPStatus.FORBIDDEN, {"message": "Origin: must be this server"})
        is_form = self.headers.get_content_type() == "application/x-www-form-urlencoded"
        query = urlsplit(self.path).query
        return control.answer(self.server.memory, self.command, path, query=query, body=body, is_form=is_form)

    def _judged(self, path: str, body: bytes) -> Reply:
        memory = self.server.memory
        try:
            if path != PATH:
                raise Refusal(HTTPStatus.NOT_FOUND, "Not Found")
            if self.command != "POST":
                raise Refusal(HTTPStatus.METHOD_NOT_ALLOWED, "Method Not Allowed")
            self._authorise()
            if not memory.spend():
                raise Refusal(HTTPStatus.TOO_MANY_REQUESTS, "Rate limit exceeded")
            order = rules.read(body, self.headers.get("Content-Type", ""), campaigns=memory.campaigns)
        except Refusal as refusal:
            headers = {"Allow": "POST"} if refusal.status == HTTPStatus.METHOD_NOT_ALLOWED else {}
            return Reply(refusal.status, {"message": refusal.message}, headers=headers | memory.limit.headers())
        dispatch_id = memory.carry_out(order)
        said = {"dispatch_id": dispatch_id, "message": "success"}
        return Reply(HTTPStatus.CREATED, said, headers=memory.limit.headers())

    def _authorise(self) -> None:
        scheme, _, key = self.headers.get("Authorization", "").partition(" ")
        permissions = self.server.memory.keys.get(key) if scheme == "Bearer" else None
        if permissions is None:
            raise Refusal(HTTPStatus.UNAUTHORIZED, "Invalid API Key")
        if PERMISSION not in permissions:
            raise Refusal(HTTPStatus.FORBIDDEN, f"The API key lacks the permission {PERMISSION}")

    def _spoilt(self, fault: Fault, reply: Reply) -> Reply:
        headers = self.server.memory.limit.headers()
        if isinstance(fault.reset, str):
            headers["x-ratelimit-reset"] = fault.reset
        elif fault.reset is not None:
            headers["x-ratelimit-reset"] = str(int(timezone.now().timestamp() + fault.reset))
        elif fault.status == HTTPStatus.TOO_MANY_REQUESTS:
            del headers["x-ratelimit-reset"]
        status = fault.status or (HTTPStatus.ACCEPTED if fault.queued else reply.status)
        if fault.body is not None:
            return Reply(status, fault.body, fault.content_type, headers)
        content = dict(reply.content)
        if fault.queued:
            content["message"] = "queued"
        if fault.errors:
            content["errors"] = list(fault.errors)
        return Reply(status, content, headers=headers)

    @staticmethod
    def _words(fault: Fault) -> str:
        known = fault.status in HTTPStatus._value2member_map_
        return fault.message or (HTTPStatus(fault.status).phrase if known else "Fault on demand")

    def _remember(self, path: str, body: bytes, status: int) -> None:
        memory = self.server.memory
        with memory.lock:
            memory.requests.append(Received(timezone.now(), self.command, path, dict(self.headers), body, status))

    def _answer(self, reply: Reply) -> None:
        body = reply.body()
        # Who asked may have gone away.
        with contextlib.suppress(OSError):
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Type", reply.content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)
