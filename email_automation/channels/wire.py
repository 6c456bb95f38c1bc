"""One HTTP request over a kept connection, and how far it had come when its connection broke."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import HTTPError

from ..loopback import is_loopback

#: Servers close what has been idle for some seconds; a request that crosses with that would be in doubt.
IDLE_SECONDS: Final = 4.0
#: No answer that we ask for is longer; a page of somebody else's may be.
LONGEST_BODY: Final = 1 << 20


class NotWritten(Exception):
    """The request did not get out whole, so nobody can have acted on it."""


class Broken(Exception):
    """The request was written to its end, and no answer came."""


class Unusable(Exception):
    """The address or a header cannot be used, so nothing was tried."""


@dataclass(frozen=True)
class Answer:
    """What a server answered; `body` is None where it broke off or is longer than any answer we ask for."""

    status: int
    headers: Mapping[str, str]
    body: bytes | None


class Wire:
    """Posts over one connection per thread and process, which is kept open while it is in use."""

    def __init__(self) -> None:
        self._kept = threading.local()

    def post(self, url: str, body: bytes, *, content_type: str, auth: AuthBase, timeout: tuple[float, float]) -> Answer:
        """Post, follow no redirect, and return the answer. Raises NotWritten, Broken or Unusable.

        A kept connection that turns out to be closed before the request was written is replaced once.
        """
        session = self._session()
        try:
            # A proxy of the network's cannot reach this machine's own addresses.
            session.trust_env = not is_loopback(urlsplit(url).hostname or "")
        except ValueError as error:
            raise Unusable(type(error).__name__) from error
        handled = sys.exception()
        for last in (False, True):
            _progress.begin()
            try:
                response = session.post(
                    url,
                    data=body,
                    headers={"Content-Type": content_type},
                    auth=auth,
                    timeout=timeout,
                    allow_redirects=False,
                    stream=True,
                )
            except (requests.RequestException, HTTPError, OSError, ValueError) as error:
                session.close()
                if _progress.written:
                    raise Broken(_cause(error, handled)) from error
                if isinstance(error, ValueError):
                    raise Unusable(_cause(error, handled)) from error
                if last or _progress.connecting:
                    raise NotWritten(_cause(error, handled)) from error
            else:
                return self._answer(response)
        raise AssertionError("the last attempt returns or raises")

    def _session(self) -> requests.Session:
        kept, now = self._kept, time.monotonic()
        # A forked worker must not write into its parent's connection.
        if getattr(kept, "process", None) != os.getpid():
            kept.process, kept.session = os.getpid(), _session()
        elif now - kept.used_at > IDLE_SECONDS:
            kept.session.close()
        kept.used_at = now
        session: requests.Session = kept.session
        return session

    def _answer(self, response: requests.Response) -> Answer:
        try:
            body = response.raw.read(LONGEST_BODY + 1, decode_content=True)
        except (HTTPError, OSError):
            body = None
        finally:
            response.close()
            self._kept.used_at = time.monotonic()
        whole = body if body is not None and len(body) <= LONGEST_BODY else None
        return Answer(response.status_code, response.headers, whole)


class _Progress(threading.local):
    """How far the request of this thread has come."""

    connecting = False
    written = False

    def begin(self) -> None:
        self.connecting = self.written = False


_progress = _Progress()


class _Watched:
    """Notes when a connection is opened and when a request has been written to its end."""

    def connect(self) -> None:
        _progress.connecting = True
        super().connect()  # type: ignore[misc]  # urllib3's, which this is mixed into

    def request(self, *args: Any, **kwargs: Any) -> None:
        # Raises while anything is left that the system has not taken; urllib3 passes over some of these errors, since
        # a server may answer before it has read everything.
        super().request(*args, **kwargs)  # type: ignore[misc]  # as above
        _progress.written = True


class _Connection(_Watched, HTTPConnection):
    pass


class _SecureConnection(_Watched, HTTPSConnection):
    pass


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = _SecureConnection


class _Adapter(HTTPAdapter):
    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _SecurePool}

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(*args, **kwargs)
        manager.pool_classes_by_scheme = {"http": _Pool, "https": _SecurePool}
        return manager


def _session() -> requests.Session:
    session = requests.Session()
    for scheme in ("http://", "https://"):
        session.mount(scheme, _Adapter(max_retries=0))
    return session


def _cause(error: BaseException, handled: BaseException | None) -> str:
    """Return the name of the error everything began with: the libraries' own texts hold addresses of objects."""
    while error.__context__ is not None and error.__context__ is not handled:
        error = error.__context__
    return type(error).__name__
