"""The ordinary e-mail channel: any Django EMAIL_BACKEND, one connection kept open per thread, precise outcomes."""

from __future__ import annotations

import contextlib
import smtplib
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Any

from anymail.exceptions import AnymailUnsupportedFeature
from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.core.mail.backends.base import BaseEmailBackend
from django.template.loader import render_to_string
from django.utils import translation
from edx_ace.channel import Channel
from edx_ace.channel.mixins import EmailChannelMixin
from edx_ace.message import Message
from edx_ace.renderers import RenderedEmail

from .. import headers
from ..conf import setting
from . import bounces, mime
from .dialogue import Mail
from .errors import RecipientRefused, RequestRefused
from .flight import Flight
from .kept import KeptConnection
from .smtp import EmailBackend, enveloped
from .translation import SERVICE_CLOSING, answer, answered, failure_to_send, timed_out

# RFC 5322, 2.1.1.
LONGEST_LINE = 998
#: Option of an ACE message: a text that providers give back with what they report of the mail.
REFERENCE = "email_automation_reference"
#: Its name there.
METADATA_KEY = "cadence_mail"


class DjangoMailChannel(EmailChannelMixin, Channel):  # type: ignore[misc]  # edx_ace has no type information
    """ACE channel `django_mail`."""

    def __init__(self) -> None:
        self._kept = KeptConnection()

    def deliver(self, message: Message, rendered_message: RenderedEmail) -> str:
        """Hand one rendered mail to the provider, and return the provider's id of it, '' where it gives none.

        Raises RecoverableChannelDeliveryError (try again; ProviderUnreachable when the next mail would meet the
        same), RecipientRefused (never again), or DeliveryInDoubt (nobody knows whether it was accepted).
        """
        mail = self.build(message, rendered_message)
        backend = self._kept.if_open()
        if backend is not None:
            try:
                return _send(backend, mail)
            except Exception as error:
                if not _closed_before_taking(error, backend):
                    raise self._failed(error, backend) from error
                # A server may close a connection that was idle or has carried enough mails; a new one settles it.
                self.forget_connection()
        backend = self._kept.open()
        try:
            return _send(backend, mail)
        except Exception as error:
            raise self._failed(error, backend) from error

    def in_flight(self) -> int:
        """Return how many mails may be on the wire before the first is answered.

        1 without an open connection: a first mail goes alone and shows how the server is. 1 where it does not stream.
        """
        backend = self._kept.if_open()
        streams = False
        if isinstance(backend, EmailBackend):
            with contextlib.suppress(OSError):
                streams = backend.streams
        return max(int(setting("EMAIL_IN_FLIGHT")), 1) if streams else 1

    def deliver_in_flight(
        self, more: Callable[[int], Sequence[tuple[Message, RenderedEmail]]], *, most: int
    ) -> Iterator[list[tuple[int, Exception | None]]]:
        """Hand mails off without waiting for answers, at most so many at once, and yield what became of them.

        `more` is asked for the next mails, at most so many, whenever there is room for them; none of them are left when
        it gives none. How many may be on the wire grows with the answers and shrinks when they take long. Answers that
        are there are yielded before more is asked for. What is yielded is (number, what went wrong) for each mail, by
        the order in which they came, each once, whatever happens. What a server has not read when it closes goes over a
        new connection as long as every connection gets something done; when the next mail would meet the same, nothing
        more is asked for. Errors are those of `deliver`.
        """
        yield from Flight(self._kept, more, most=most, ready=self._ready).run()

    def _ready(self, handed: tuple[Message, RenderedEmail]) -> Mail:
        """Return a mail as it goes over the wire. Raises ValueError for what cannot be written."""
        message, rendered = handed
        # What was filled in has its parts as bytes already.
        parts = rendered.parts() if hasattr(rendered, "parts") else None
        if parts is None:
            return enveloped(self.build(message, rendered))
        from_email, address = _sender(message, rendered), message.recipient.email_address
        try:
            data = mime.joined(
                parts,
                subject=headers.clean(rendered.subject),
                from_email=from_email,
                to=address,
                reply_to=", ".join(message.options.get("reply_to") or ()),
                extra=message.headers,
            )
        except (mime.Unusual, UnicodeEncodeError):
            return enveloped(self.build(message, rendered))
        return Mail(mime.sender(from_email), mime.envelope(address), data)

    def build(self, message: Message, rendered_message: RenderedEmail) -> EmailMultiAlternatives:
        """Return the mail as Django would send it."""
        mail = _Mail(
            subject=headers.clean(rendered_message.subject),
            body=rendered_message.body,
            from_email=_sender(message, rendered_message),
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
        self._kept.forget()

    def _failed(self, error: Exception, backend: BaseEmailBackend) -> Exception:
        """Return the channel error for what a backend raised, and drop the connection unless it is still good."""
        meaning = failure_to_send(error, in_doubt=bool(getattr(backend, "in_doubt", False)))
        if not answered(error):
            self.forget_connection()
        self._kept.remember_silence(error)
        return meaning


def _sender(message: Message, rendered: RenderedEmail) -> str:
    return headers.sender({"from_address": message.options.get("from_address")}, str(rendered.from_name))


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
