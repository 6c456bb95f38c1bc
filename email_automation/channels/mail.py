"""The ordinary e-mail channel: any Django EMAIL_BACKEND, one connection kept open per thread, precise outcomes."""

from __future__ import annotations

import contextlib
import os
import smtplib
import threading
from functools import cache
from typing import Any

from django.conf import settings
from django.core.mail import EmailMultiAlternatives, get_connection
from django.core.mail.backends.base import BaseEmailBackend
from django.template.loader import render_to_string
from django.utils import timezone, translation
from edx_ace.channel import Channel
from edx_ace.channel.mixins import EmailChannelMixin
from edx_ace.errors import RecoverableChannelDeliveryError
from edx_ace.message import Message
from edx_ace.renderers import RenderedEmail

from .. import headers
from .errors import DeliveryInDoubt, ProviderUnreachable, RecipientRefused

DJANGO_SMTP = "django.core.mail.backends.smtp.EmailBackend"
# Same settings, same wire; it also knows how far the dialogue had come when the connection broke.
OUR_SMTP = "email_automation.channels.smtp.EmailBackend"
MAIL_TOO_LARGE = 552


class DjangoMailChannel(EmailChannelMixin, Channel):  # type: ignore[misc]  # edx_ace has no type information
    """ACE channel `django_mail`."""

    def __init__(self) -> None:
        self._kept = threading.local()

    def deliver(self, message: Message, rendered_message: RenderedEmail) -> None:
        """Hand one rendered mail to the provider.

        Raises RecoverableChannelDeliveryError (try again; ProviderUnreachable when the next mail would meet the
        same), RecipientRefused (never again), or DeliveryInDoubt (nobody knows whether it was accepted).
        """
        mail = self.build(message, rendered_message)
        kept = self._connection_if_open()
        if kept is not None:
            try:
                self._send(kept, mail)
                return
            except (smtplib.SMTPServerDisconnected, ConnectionError, smtplib.SMTPResponseException) as error:
                # A server may close a connection that was idle or has carried enough mails; nothing of this one was
                # taken then, and a new connection settles it.
                if getattr(kept, "in_doubt", False) or getattr(error, "smtp_code", 421) != 421 or _timed_out(error):
                    raise self._translated(error, kept) from error
                self.forget_connection()
            except Exception as error:
                raise self._translated(error, kept) from error
        fresh = self._open()
        try:
            self._send(fresh, mail)
        except Exception as error:
            raise self._translated(error, fresh) from error

    def build(self, message: Message, rendered_message: RenderedEmail) -> EmailMultiAlternatives:
        """Return the mail as Django would send it."""
        mail = EmailMultiAlternatives(
            subject=self.get_subject(rendered_message),
            body=rendered_message.body,
            from_email=headers.sender(
                {"from_address": message.options.get("from_address")}, str(rendered_message.from_name)
            ),
            to=[message.recipient.email_address],
            reply_to=message.options.get("reply_to") or None,
            headers=dict(message.headers),
        )
        mail.attach_alternative(document(rendered_message, message.language), "text/html")
        return mail

    def forget_connection(self) -> None:
        """Close the kept connection, whatever state it is in; the next mail opens a new one."""
        backend, self._kept.backend = getattr(self._kept, "backend", None), None
        connection = getattr(backend, "connection", None)
        if isinstance(connection, smtplib.SMTP):
            # No QUIT: on a broken connection its answer would only be waited for.
            connection.close()
            backend.connection = None  # type: ignore[union-attr]
        elif backend is not None:
            with contextlib.suppress(Exception):
                backend.close()

    def _connection_if_open(self) -> BaseEmailBackend | None:
        backend: BaseEmailBackend | None = getattr(self._kept, "backend", None)
        if backend is None or self._kept.made_for != _made_for():
            return None
        return backend

    def _open(self) -> BaseEmailBackend:
        backend = get_connection(OUR_SMTP if settings.EMAIL_BACKEND == DJANGO_SMTP else None)
        try:
            backend.open()
        except (smtplib.SMTPAuthenticationError, smtplib.SMTPNotSupportedError) as error:
            raise ProviderUnreachable(_described(error), timezone.now(), ours=True) from error
        except OSError as error:  # smtplib's exceptions are OSErrors too
            raise ProviderUnreachable(_described(error), timezone.now()) from error
        self._kept.backend, self._kept.made_for = backend, _made_for()
        return backend

    @staticmethod
    def _send(backend: BaseEmailBackend, mail: EmailMultiAlternatives) -> None:
        backend.send_messages([mail])

    def _translated(self, error: Exception, backend: BaseEmailBackend) -> Exception:
        """Return the channel error for what a backend raised, and drop the connection unless it is still good."""
        in_doubt = bool(getattr(backend, "in_doubt", False))
        if not isinstance(error, smtplib.SMTPResponseException | smtplib.SMTPRecipientsRefused):
            self.forget_connection()
        text, now = _described(error), timezone.now()
        if isinstance(error, smtplib.SMTPRecipientsRefused):
            code, answer = next(iter(error.recipients.values()))
            text = f"{code} {_text(answer)}"
            if code == 421:
                self.forget_connection()
            return RecoverableChannelDeliveryError(text, now) if code < 500 else RecipientRefused(text)
        if isinstance(error, smtplib.SMTPResponseException):
            if error.smtp_code == 421:
                self.forget_connection()
            if error.smtp_code < 500:
                return RecoverableChannelDeliveryError(text, now)
            if isinstance(error, smtplib.SMTPSenderRefused) and error.smtp_code != MAIL_TOO_LARGE:
                return ProviderUnreachable(text, now, ours=True)
            return RecipientRefused(text)
        if in_doubt:
            return DeliveryInDoubt(text)
        if isinstance(error, smtplib.SMTPNotSupportedError):
            # The one extension a mail may need and a server lack is SMTPUTF8, for this one address.
            return RecipientRefused(text)
        if _timed_out(error):
            return ProviderUnreachable(text, now)
        if isinstance(error, OSError):
            return RecoverableChannelDeliveryError(text, now)
        return error


def document(rendered: RenderedEmail, language: str | None) -> str:
    """Return the HTML document of a mail: the rendered head and body in the page they belong to."""
    language = language or translation.get_language() or settings.LANGUAGE_CODE
    direction = direction_of(language)
    return (
        f'<!DOCTYPE html>\n<html lang="{language}" dir="{direction}">\n<head>\n<meta charset="utf-8">\n'
        f"{rendered.head_html.strip()}\n{_style()}\n</head>\n{_body(rendered.body_html)}\n</html>\n"
    )


def direction_of(language: str) -> str:
    """Return "rtl" or "ltr"."""
    return "rtl" if language.partition("-")[0] in settings.LANGUAGES_BIDI else "ltr"


def _body(body_html: str) -> str:
    return f'<body style="margin:0;padding:0;">\n{body_html.strip()}\n</body>'


@cache
def _style() -> str:
    # What only a style sheet can say (dark mode, narrow screens); the same for every mail.
    return render_to_string("email_automation/edx_ace/base/style.html").strip()


def _made_for() -> tuple[Any, ...]:
    # A connection belongs to one process and to the settings it was opened with.
    return (os.getpid(), settings.EMAIL_BACKEND, settings.EMAIL_HOST, settings.EMAIL_PORT)


def _timed_out(error: BaseException) -> bool:
    # smtplib turns a time-out while it waits for an answer into "disconnected".
    return isinstance(error, TimeoutError) or isinstance(error.__context__, TimeoutError)


def _described(error: BaseException) -> str:
    if isinstance(error, smtplib.SMTPResponseException):
        return f"{error.smtp_code} {_text(error.smtp_error)}"
    return f"{type(error).__name__}: {error}"


def _text(answer: bytes | str) -> str:
    return answer.decode("utf-8", "replace") if isinstance(answer, bytes) else str(answer)
