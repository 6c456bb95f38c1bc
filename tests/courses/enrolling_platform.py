"""A stand-in for the platform's bulk enrolment, on a real socket."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Enrolling:
    """What it was asked, and what it answers to an enrolment: a status and a body."""

    url: str = ""
    status: int = 201
    body: Any = field(default_factory=lambda: {"successes": [], "pending": [], "failures": []})
    asked: list[tuple[str, Any, str]] = field(default_factory=list)
    tokens: int = 0


@contextmanager
def enrolling_platform() -> Iterator[Enrolling]:
    """A platform that enrols whoever it is told to."""
    made = Enrolling()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.path == "/oauth2/access_token/":
                made.tokens += 1
                status, answer = 200, {"access_token": "a-token", "token_type": "JWT", "expires_in": 3600}
            else:
                made.asked.append((self.path, json.loads(body), self.headers["Authorization"]))
                status, answer = made.status, made.body
            raw = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        def log_message(self, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.url = f"http://127.0.0.1:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield made
    finally:
        server.shutdown()
        server.server_close()
