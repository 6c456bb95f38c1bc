"""A TCP proxy in front of a server, which can go away, fall silent, and come back."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field


@dataclass
class Proxy:
    """Forwards to `target` while it is open. A closed one refuses; a silent one keeps connections and says nothing."""

    target: tuple[str, int]
    port: int = 0
    silent: bool = False
    _server: socket.socket | None = None
    _sockets: list[socket.socket] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def open(self) -> None:
        """Take connections, on the same port as before."""
        server = socket.socket()
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind(("127.0.0.1", self.port))
        server.listen()
        self.port = server.getsockname()[1]
        with self._lock:
            self._server = server
        threading.Thread(target=self._accept, args=(server,), daemon=True).start()

    def close(self) -> None:
        """Refuse connections and cut those that there are."""
        with self._lock:
            # The server first: a client that is cut off may be back before the next line.
            sockets = [*([self._server] if self._server else []), *self._sockets]
            self._server, self._sockets = None, []
        _cut(*sockets)

    def _accept(self, server: socket.socket) -> None:
        with suppress(OSError):
            while True:
                client, _address = server.accept()
                upstream = socket.create_connection(self.target, timeout=5)
                upstream.settimeout(None)
                with self._lock:
                    is_open = self._server is server
                    if is_open:
                        self._sockets += [client, upstream]
                if not is_open:
                    _cut(client, upstream)
                    return
                for source, sink in ((client, upstream), (upstream, client)):
                    threading.Thread(target=self._forward, args=(source, sink), daemon=True).start()

    def _forward(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if not self.silent:
                    sink.sendall(data)
        for each in (source, sink):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)


def _cut(*sockets: socket.socket) -> None:
    for each in sockets:
        with suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)
        each.close()


@contextmanager
def proxy(host: str, port: int) -> Iterator[Proxy]:
    """A proxy that is open at first."""
    made = Proxy((host, port))
    made.open()
    try:
        yield made
    finally:
        made.close()
