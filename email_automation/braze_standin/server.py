"""The stand-in as an object: started in a thread by tests and by the demo, or served by `braze_standin`."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import sys
import threading
from collections.abc import Collection, Iterator, Mapping
from http.server import ThreadingHTTPServer
from typing import Any, Self

from ..loopback import is_loopback
from . import control, defaults
from .faults import Fault
from .handler import PERMISSION, Handler
from .memory import Limit, Memory, Message, Received


class Listener(ThreadingHTTPServer):
    """The socket that listens, and the connections that are open."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, host: str, port: int, memory: Memory) -> None:
        self.memory = memory
        self.stopping = threading.Event()
        self._open: set[Any] = set()
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        super().__init__((host, port), Handler)

    def server_bind(self) -> None:
        """Bind without asking anybody for the name of this host."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve a connection in a thread of its own."""
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Close a connection."""
        self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Let a client hang up without a word; anything else is a mistake of ours."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)

    def drop_connections(self) -> None:
        """Break every open connection."""
        for connection in list(self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


class BrazeStandIn:
    """Plays Braze. `campaigns` are ids by name, `keys` permissions by key; port 0 takes any that is free.

    Raises ValueError for an address that others could reach, unless `allow_remote`.
    """

    def __init__(
        self,
        host: str = defaults.HOST,
        port: int = 0,
        *,
        campaigns: Mapping[str, str] = defaults.CAMPAIGNS,
        keys: Mapping[str, Collection[str]] | None = None,
        limit: int = Limit.requests,
        limit_seconds: float = Limit.seconds,
        allow_remote: bool = False,
    ) -> None:
        if not allow_remote and not is_loopback(host):
            raise ValueError(f"host: {host} can be reached by others; allowed is a loopback address such as 127.0.0.1")
        self.host, self.port = host, port
        self.keys = keys or {defaults.KEY: {PERMISSION}, defaults.KEY_WITHOUT_PERMISSION: set()}
        self.memory = Memory(campaigns=campaigns, keys=self.keys, limit=Limit(limit, limit_seconds))
        self._listener: Listener | None = None

    @contextlib.contextmanager
    def running(self) -> Iterator[Self]:
        """Serve in a thread, and stop at the end."""
        self.start()
        try:
            yield self
        finally:
            self.stop()

    def start(self) -> None:
        """Begin to serve in a thread; a server that was stopped listens on its old port again."""
        listener = self._bound()
        # Polled often, so that it also stops quickly.
        threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def serve(self) -> None:
        """Serve in this thread, until interrupted."""
        listener = self._bound()
        try:
            listener.serve_forever()
        finally:
            listener.server_close()

    def bind(self) -> None:
        """Take the port. Raises OSError where it cannot be had."""
        self._bound()

    def stop(self) -> None:
        """Stop listening, and break every connection; what came is kept."""
        listener, self._listener = self._listener, None
        if listener is not None:
            listener.stopping.set()
            listener.shutdown()
            listener.server_close()
            listener.drop_connections()

    def _bound(self) -> Listener:
        if self._listener is None:
            self._listener = Listener(self.host, self.port, self.memory)
            self.port = self._listener.server_port
        return self._listener

    @property
    def url(self) -> str:
        """The value for BRAZE_API_URL."""
        return f"http://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"

    @property
    def page_url(self) -> str:
        """The address of the page for people."""
        return f"{self.url}{control.ROOT}/"

    @property
    def requests(self) -> list[Received]:
        """Every request as it came, oldest first."""
        with self.memory.lock:
            return list(self.memory.requests)

    @property
    def accepted(self) -> list[Message]:
        """A message for each user of each accepted request, oldest first."""
        with self.memory.lock:
            return list(self.memory.messages)

    @property
    def delivered(self) -> list[Message]:
        """Those that were delivered."""
        return [message for message in self.accepted if message.delivered]

    def fail_next(self, number: int | None = 1, **fault: Any) -> None:
        """Have the next replies go wrong as `faults.Fault` describes; None means all until `clear`."""
        self.memory.fail_next(number, Fault(**fault))

    def set_up(self, campaign: str, *, archived: bool = False, re_eligible_minutes: float | None = 0) -> None:
        """Set a campaign up, by its name or id; None minutes mean that nobody gets it twice."""
        control.set_up(self.memory.campaign(campaign), archived=archived, re_eligible_minutes=re_eligible_minutes)

    def clear(self) -> None:
        """Forget what came, and faults that have not happened."""
        self.memory.clear()

    def drop_connections(self) -> None:
        """Break every open connection, and go on listening."""
        if self._listener is not None:
            self._listener.drop_connections()

    def use(self, settings: Any) -> None:
        """Make the engine talk to this server."""
        settings.BRAZE_API_URL = self.url
        settings.BRAZE_API_KEY = next(key for key, permissions in self.keys.items() if PERMISSION in permissions)
        settings.BRAZE_CAMPAIGNS = {state.name: campaign_id for campaign_id, state in self.memory.campaigns.items()}
