"""An SMTP backend that knows how far the dialogue had come when it broke."""

from __future__ import annotations

import smtplib
from typing import Any

from django.core.mail.backends.smtp import EmailBackend as DjangoEmailBackend


class _Progress:
    """Remembers whether a whole mail has been written and the server's answer to it is still awaited."""

    awaiting_verdict = False

    def mail(self, *args: Any, **kwargs: Any) -> Any:
        self.awaiting_verdict = False
        return super().mail(*args, **kwargs)  # type: ignore[misc]

    def data(self, msg: Any) -> Any:
        try:
            return super().data(msg)  # type: ignore[misc]  # smtplib's, which this is mixed into
        except smtplib.SMTPDataError:
            # smtplib leaves the refused mail open, and the server would refuse the next one for it.
            self._rset()  # type: ignore[attr-defined]  # as above
            raise

    def getreply(self) -> tuple[int, bytes]:
        reply: tuple[int, bytes] = super().getreply()  # type: ignore[misc]
        self.awaiting_verdict = False
        return reply

    def send(self, data: Any) -> None:
        super().send(data)  # type: ignore[misc]
        # The end of a mail is a lone dot; only when all of it has been written can the server have accepted it.
        written = data.encode("ascii", "surrogateescape") if isinstance(data, str) else bytes(data)
        self.awaiting_verdict = written.endswith(b"\r\n.\r\n")


class _SMTP(_Progress, smtplib.SMTP):
    pass


class _SMTP_SSL(_Progress, smtplib.SMTP_SSL):
    pass


class EmailBackend(DjangoEmailBackend):
    """Django's SMTP backend; `in_doubt` tells whether a mail was handed over whole and never answered."""

    connection: smtplib.SMTP | None

    @property
    def connection_class(self) -> type[smtplib.SMTP]:
        """Return the class of the connection, as Django asks for it."""
        return _SMTP_SSL if self.use_ssl else _SMTP

    @property
    def in_doubt(self) -> bool:
        """Whether the last mail was written to its end and the server has not said what it made of it."""
        return bool(getattr(self.connection, "awaiting_verdict", False))
