"""An SMTP backend that knows how far the dialogue had come when it broke."""

from __future__ import annotations

import smtplib
from collections.abc import Sequence

from django.core.mail import EmailMultiAlternatives
from django.core.mail.backends.smtp import EmailBackend as DjangoEmailBackend

from . import mime
from .dialogue import Answer, Dialogue, Mail


class EmailBackend(DjangoEmailBackend):
    """Django's SMTP backend; `in_doubt` tells whether a mail was handed over whole and never answered."""

    connection: smtplib.SMTP | None
    #: Mails that this connection has carried.
    carried = 0
    _dialogue: Dialogue | None = None
    _in_doubt = False

    @property
    def in_doubt(self) -> bool:
        """Whether the last mail was written to its end and the server has not said what it made of it."""
        return self._in_doubt

    @property
    def streams(self) -> bool:
        """Whether the server takes several mails before it has answered the first. Raises OSError as sending does."""
        return self._talk().streams

    def write(self, mails: Sequence[Mail]) -> None:
        """Put mails on the wire of the open connection, which streams. Raises OSError when none of them went out."""
        self.carried += len(mails)
        self._talk().write(mails)

    def answers(self) -> list[Answer]:
        """Return what became of the mails on the wire, in their order, as far as it has been said by now."""
        return self._talk().answers()

    def _send(self, email_message: EmailMultiAlternatives) -> bool:
        self._in_doubt = False
        self.carried += 1
        answer = self._talk().send(enveloped(email_message))
        self._in_doubt = answer.in_doubt
        if answer.error is not None:
            raise answer.error
        return True

    def _talk(self) -> Dialogue:
        if self.connection is None:
            raise smtplib.SMTPServerDisconnected("the connection is not open")
        if self._dialogue is None or self._dialogue.connection is not self.connection:
            # Told already where there was a login or TLS; what the server offers is known only then.
            self.connection.ehlo_or_helo_if_needed()
            self._dialogue = Dialogue(self.connection)
        return self._dialogue


def enveloped(mail: EmailMultiAlternatives) -> Mail:
    """Return a mail with one recipient as it goes over the wire. Raises ValueError for what cannot be written."""
    (recipient,) = mail.recipients()
    return Mail(mime.sender(mail.from_email), mime.envelope(recipient), mime.wire(mail))
