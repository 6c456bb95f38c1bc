"""The ordinary e-mail channel: any Django EMAIL_BACKEND, one connection kept open per thread, precise outcomes."""

from __future__ import annotations

import contextlib
import os
import smtplib
import threading
import time
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

from anymail.exceptions import AnymailUnsupportedFeature
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.mail import EmailMultiAlternatives, get_connection
from django.core.mail.backends.base import BaseEmailBackend
from django.template.loader import render_to_string
from django.utils import timezone, translation
from edx_ace.channel import Channel
from edx_ace.channel.mixins import EmailChannelMixin
from edx_ace.message import Message
from edx_ace.renderers import RenderedEmail

from .. import headers
from ..conf import setting
from . import bounces
from .dialogue import Mail
from .errors import ProviderUnreachable, RecipientRefused, RequestRefused
from .smtp import EmailBackend, enveloped
from .translation import (
    SERVICE_CLOSING,
    answer,
    answered,
    described,
    failure_to_open,
    failure_to_send,
    kept_waiting,
    timed_out,
)

DJANGO_SMTP = "django.core.mail.backends.smtp.EmailBackend"
# Same settings, same wire; it also knows how far the dialogue had come when the connection broke.
OUR_SMTP = "email_automation.channels.smtp.EmailBackend"
# RFC 5322, 2.1.1.
LONGEST_LINE = 998
# A server that never answers must not hold a worker for ever, whatever the settings leave out.
TIMEOUT = 30
#: Option of an ACE message: a text that providers give back with what they report of the mail.
REFERENCE = "email_automation_reference"
#: Its name there.
METADATA_KEY = "cadence_mail"


class DjangoMailChannel(EmailChannelMixin, Channel):  # type: ignore[misc]  # edx_ace has no type information
    """ACE channel `django_mail`."""

    def __init__(self) -> None:
        self._kept = threading.local()

    def deliver(self, message: Message, rendered_message: RenderedEmail) -> str:
        """Hand one rendered mail to the provider, and return the provider's id of it, '' where it gives none.

        Raises RecoverableChannelDeliveryError (try again; ProviderUnreachable when the next mail would meet the
        same), RecipientRefused (never again), or DeliveryInDoubt (nobody knows whether it was accepted).
        """
        mail = self.build(message, rendered_message)
        backend = self._connection_if_open()
        if backend is not None:
            try:
                return _send(backend, mail)
            except Exception as error:
                if not _closed_before_taking(error, backend):
                    raise self._failed(error, backend) from error
                # A server may close a connection that was idle or has carried enough mails; a new one settles it.
                self.forget_connection()
        backend = self._open()
        try:
            return _send(backend, mail)
        except Exception as error:
            raise self._failed(error, backend) from error

    def in_flight(self) -> int:
        """Return how many mails may be on the wire before the first is answered.

        1 without an open connection: a first mail goes alone and shows how the server is. 1 where it does not stream.
        """
        backend = self._connection_if_open()
        streams = False
        if isinstance(backend, EmailBackend):
            with contextlib.suppress(OSError):
                streams = backend.streams
        return max(int(setting("EMAIL_IN_FLIGHT")), 1) if streams else 1

    def deliver_in_flight(
        self, mails: Sequence[tuple[Message, RenderedEmail]]
    ) -> Iterator[list[tuple[int, Exception | None]]]:
        """Hand several mails off at once, and yield (number, what went wrong) for each as the answers come.

        Each is named once, whatever happens. What a server has not read when it closes goes over a new connection as
        long as every connection gets something done. Errors are those of `deliver`.
        """
        waiting: list[tuple[int, Mail]] = []
        for number, (message, rendered) in enumerate(mails):
            try:
                waiting.append((number, enveloped(self.build(message, rendered))))
            except Exception as error:
                yield [(number, error)]
        while waiting:
            backend = self._connection_if_open()
            # One that was idle may turn out to be closed.
            gets_on = backend is not None
            try:
                backend = backend or self._open()
            except ProviderUnreachable as error:
                yield [(number, error) for number, _ in waiting]
                return
            if not isinstance(backend, EmailBackend):
                raise TypeError("only our own SMTP backend has mails in flight")
            sent, waiting = waiting, []
            left = iter(sent)
            broken: Exception | None = None
            doubt = False
            for answers in backend.send_in_flight([mail for _, mail in sent]):
                known: list[tuple[int, Exception | None]] = []
                for said, (number, mail) in zip(answers, left, strict=False):
                    if said.unread:
                        waiting.append((number, mail))
                    else:
                        known.append((number, said.error and failure_to_send(said.error, in_doubt=said.in_doubt)))
                        gets_on = True
                    doubt = doubt or said.in_doubt
                    broken = said.error if said.unread or said.in_doubt else broken
                if known:
                    yield known
            if broken is None:
                return
            self.forget_connection()
            self._remember_silence(broken, settings.EMAIL_TIMEOUT or TIMEOUT)
            if doubt or timed_out(broken) or not gets_on:
                # What this one met, those behind it would meet too.
                hopeless = doubt or timed_out(broken)
                meaning = (
                    ProviderUnreachable(described(broken), timezone.now()) if hopeless else failure_to_send(broken)
                )
                yield [(number, meaning) for number, _ in waiting]
                return

    def build(self, message: Message, rendered_message: RenderedEmail) -> EmailMultiAlternatives:
        """Return the mail as Django would send it."""
        mail = _Mail(
            subject=headers.clean(rendered_message.subject),
            body=rendered_message.body,
            from_email=headers.sender(
                {"from_address": message.options.get("from_address")}, str(rendered_message.from_name)
            ),
            to=[message.recipient.email_address],
            reply_to=message.options.get("reply_to") or None,
            headers=dict(message.headers),
        )
        mail.attach_alternative(document(rendered_message, message.language), "text/html")
        if reference := message.options.get(REFERENCE):
            mail.metadata = {METADATA_KEY: reference}
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
        if backend is not None and self._kept.made_for != _made_for():
            self.forget_connection()
            return None
        if backend is not None and getattr(backend, "carried", 0) >= setting("EMAIL_MAILS_PER_CONNECTION"):
            with contextlib.suppress(OSError):
                backend.close()
            self._kept.backend = None
            return None
        return backend

    def _open(self) -> BaseEmailBackend:
        timeout = settings.EMAIL_TIMEOUT or TIMEOUT
        if getattr(self._kept, "silent", None) == _made_for() and time.monotonic() < self._kept.silent_until:
            raise ProviderUnreachable("it let the last mail time out", timezone.now())
        try:
            if settings.EMAIL_BACKEND == DJANGO_SMTP:
                backend = get_connection(OUR_SMTP, timeout=timeout)
            else:
                backend = get_connection()
            backend.open()
        except (OSError, ImproperlyConfigured, ImportError) as error:
            self._remember_silence(error, timeout)
            raise failure_to_open(error) from error
        self._kept.backend, self._kept.made_for = backend, _made_for()
        return backend

    def _failed(self, error: Exception, backend: BaseEmailBackend) -> Exception:
        """Return the channel error for what a backend raised, and drop the connection unless it is still good."""
        meaning = failure_to_send(error, in_doubt=bool(getattr(backend, "in_doubt", False)))
        if not answered(error):
            self.forget_connection()
        self._remember_silence(error, settings.EMAIL_TIMEOUT or TIMEOUT)
        return meaning

    def _remember_silence(self, error: Exception, seconds: float) -> None:
        # Without this every slice of a run would wait for the same time-out again.
        if kept_waiting(error):
            self._kept.silent, self._kept.silent_until = _made_for(), time.monotonic() + seconds


class _Mail(EmailMultiAlternatives):
    # Read by django-anymail.
    metadata: dict[str, str]

    def message(self, *args: Any, **kwargs: Any) -> Any:
        message = super().message(*args, **kwargs)
        # Folded at 78, a long Message-ID or link would begin on the line after its header's name, which some
        # receivers do not read.
        message.policy = message.policy.clone(max_line_length=LONGEST_LINE)
        return message


def _send(backend: BaseEmailBackend, mail: EmailMultiAlternatives) -> str:
    try:
        backend.send_messages([mail])
    except AnymailUnsupportedFeature:
        if "metadata" not in vars(mail):
            raise
        # Said before anything is sent. Without it, reports are matched by the provider's id alone.
        del mail.metadata  # type: ignore[attr-defined]  # django-anymail's own, set in `build`
        return _send(backend, mail)
    # django-anymail says so; SMTP has no such id.
    status = getattr(mail, "anymail_status", None)
    statuses = getattr(status, "status", None) or set()
    # Where ANYMAIL says that a refused recipient is no error, and for what it never takes for one.
    if statuses and statuses <= {"invalid", "rejected"}:
        hard = bounces.refuses_recipient(str(getattr(backend, "esp_name", "")), statuses)
        raise RecipientRefused(f"recipient {', '.join(sorted(statuses))}", hard_bounce=hard)
    if statuses == {"failed"}:
        raise RequestRefused("the provider says that sending failed")
    return str(getattr(status, "message_id", None) or "")


def _closed_before_taking(error: Exception, backend: BaseEmailBackend) -> bool:
    if getattr(backend, "in_doubt", False) or timed_out(error):
        return False
    return answer(error) == SERVICE_CLOSING or isinstance(error, smtplib.SMTPServerDisconnected | ConnectionError)


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
    server = (settings.EMAIL_HOST, settings.EMAIL_PORT, settings.EMAIL_HOST_USER)
    provider = dict(settings.ANYMAIL) if hasattr(settings, "ANYMAIL") else {}
    return (os.getpid(), settings.EMAIL_BACKEND, *server, provider)
