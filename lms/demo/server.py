"""Serving the demo: on this machine only, on the first port that is free."""

from __future__ import annotations

import errno
import socket
from itertools import count

from django.contrib.staticfiles.handlers import StaticFilesHandler
from django.core.servers.basehttp import ThreadedWSGIServer, WSGIRequestHandler, get_internal_wsgi_application

HOST = "127.0.0.1"
LAST_PORT = 65535


class NoFreePort(Exception):
    """Every port from the wanted one up is taken."""


def bound(wanted: int) -> ThreadedWSGIServer:
    """Return a server that listens on the wanted port, or on the next free one. Raises NoFreePort."""
    for port in count(wanted):
        if port > LAST_PORT:
            raise NoFreePort(f"no free port from {wanted} up")
        if _answers(port):
            continue
        try:
            server = ThreadedWSGIServer((HOST, port), WSGIRequestHandler)
        except OSError as error:
            if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                raise
            continue
        server.daemon_threads = True
        server.set_app(StaticFilesHandler(get_internal_wsgi_application()))
        return server
    raise AssertionError("count() does not end")


def _answers(port: int) -> bool:
    # Where a program listens on every address, some systems would let us have the port on this one as well.
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((HOST, port)) == 0
