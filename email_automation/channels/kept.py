"""The connection that a worker keeps to its provider, one per thread."""

from __future__ import annotations

import contextlib
import os
import smtplib
import threading
import time
from typing import Any, Final

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.mail import get_connection
from django.core.mail.backends.base import BaseEmailBackend
from django.utils import timezone

from ..conf import setting
from .errors import ProviderUnreachable
from .translation import failure_to_open, kept_waiting

DJANGO_SMTP: Final = "django.core.mail.backends.smtp.EmailBackend"
# Same settings, same wire; it also knows how far the dialogue had come when the connection broke.
OUR_SMTP: Final = "email_automation.channels.smtp.EmailBackend"
# A server that never answers must not hold a worker for ever, whatever the settings leave out.
TIMEOUT: Final = 30
#: Mails on the wire of a new connection; as many more as are answered, until an answer takes longer than SLOW seconds.
FIRST_WINDOW: Final = 16
SLOW: Final = 0.5


class Window:
    """How many mails may be on the wire, by how long the last ones were there.

    A slow server's answers would otherwise be waited for when a worker's turn has ended, and a kill would leave more
    mails in doubt than speed needs.
    """

    def __init__(self) -> None:
        self.size = FIRST_WINDOW

    def answered(self, number: int, seconds: float) -> None:
        """Note that so many mails have been answered, the last after so many seconds on the wire."""
        self.size = max(self.size // 2, 1) if seconds > SLOW else self.size + number


class KeptConnection:
    """Any Django EMAIL_BACKEND, opened once and used for as many mails as it may carry."""

    def __init__(self) -> None:
        self._kept = threading.local()

    @property
    def window(self) -> Window:
        """How many mails may be on the wire of this connection."""
        window: Window = self._kept.__dict__.setdefault("window", Window())
        return window

    def if_open(self) -> BaseEmailBackend | None:
        """Return the open connection, if there is one that may be used for the next mail."""
        backend: BaseEmailBackend | None = getattr(self._kept, "backend", None)
        if backend is not None and self._kept.made_for != _made_for():
            self.forget()
            return None
        if backend is not None and not self.room:
            with contextlib.suppress(OSError):
                backend.close()
            self._kept.backend = None
            return None
        return backend

    @property
    def room(self) -> int:
        """How many mails the connection may carry yet."""
        carried = getattr(getattr(self._kept, "backend", None), "carried", 0)
        return max(max(int(setting("EMAIL_MAILS_PER_CONNECTION")), 1) - carried, 0)

    def open(self) -> BaseEmailBackend:
        """Open a connection, and keep it. Raises ProviderUnreachable, at once after a server that did not answer."""
        if getattr(self._kept, "silent", None) == _made_for() and time.monotonic() < self._kept.silent_until:
            raise ProviderUnreachable("it let the last mail time out", timezone.now())
        try:
            if settings.EMAIL_BACKEND == DJANGO_SMTP:
                backend = get_connection(OUR_SMTP, timeout=_timeout())
            else:
                backend = get_connection()
            backend.open()
        except (OSError, ImproperlyConfigured, ImportError) as error:
            self.remember_silence(error)
            raise failure_to_open(error) from error
        self._kept.backend, self._kept.made_for, self._kept.window = backend, _made_for(), Window()
        return backend

    def forget(self) -> None:
        """Close the connection, whatever state it is in; the next mail opens a new one."""
        # Any: what a backend calls `connection` is its own affair.
        backend: Any = getattr(self._kept, "backend", None)
        self._kept.backend = None
        connection = getattr(backend, "connection", None)
        if isinstance(connection, smtplib.SMTP):
            # No QUIT: on a broken connection its answer would only be waited for.
            connection.close()
            backend.connection = None
        elif backend is not None:
            with contextlib.suppress(Exception):
                backend.close()

    def remember_silence(self, error: Exception) -> None:
        """Have nobody wait again soon for a server that let this mail time out."""
        # Without this every slice of a run would wait for the same time-out again.
        if kept_waiting(error):
            self._kept.silent, self._kept.silent_until = _made_for(), time.monotonic() + _timeout()


def _timeout() -> float:
    return float(settings.EMAIL_TIMEOUT or TIMEOUT)


def _made_for() -> tuple[Any, ...]:
    # A connection belongs to one process and to the settings it was opened with.
    server = (settings.EMAIL_HOST, settings.EMAIL_PORT, settings.EMAIL_HOST_USER)
    provider = dict(settings.ANYMAIL) if hasattr(settings, "ANYMAIL") else {}
    return (os.getpid(), settings.EMAIL_BACKEND, *server, provider)
