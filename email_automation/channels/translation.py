"""What a provider's error means for one mail: never, later, later and for everybody, or nobody knows."""

from __future__ import annotations

import smtplib
import ssl

import requests
from anymail.exceptions import AnymailRecipientsRefused
from django.core.exceptions import ImproperlyConfigured
from django.utils import timezone
from urllib3.exceptions import NewConnectionError, ProxyError, SSLError

from . import bounces
from .errors import DeliveryInDoubt, ProviderUnreachable, RecipientRefused, RequestRefused, TryAgain

SERVICE_CLOSING = 421
MAIL_TOO_LARGE = 552
# Key, account, or address of the interface: the next mail meets the same until somebody has mended it.
SETTINGS_WRONG = (401, 402, 403, 404, 405, 407)
NOT_NOW = (408, 425, 429)
CONTENT_TOO_LARGE = 413


def failure_to_open(error: Exception) -> ProviderUnreachable:
    """Return what it means that no connection came about; smtplib's exceptions are OSErrors too."""
    refused_login = isinstance(error, smtplib.SMTPAuthenticationError) and error.smtp_code >= 500
    ours = refused_login or isinstance(
        error, smtplib.SMTPNotSupportedError | ssl.SSLCertVerificationError | ImproperlyConfigured | ImportError
    )
    return ProviderUnreachable(described(error), timezone.now(), ours=ours)


def failure_to_send(error: Exception, *, in_doubt: bool = False) -> Exception:
    """Return the channel error for what a backend raised while it sent one mail; others come back as they are.

    `in_doubt` says that the whole mail had been written and no answer had come.
    """
    text, now = described(error), timezone.now()
    if (code := answer(error)) is not None:
        if code < 500:
            return TryAgain(text, now)
        if isinstance(error, smtplib.SMTPSenderRefused) and code != MAIL_TOO_LARGE:
            return ProviderUnreachable(text, now, ours=True)
        # After MAIL, whatever the stage: the mail has one recipient, so it is this one that is meant.
        denied = bounces.denies_mailbox(text) and not isinstance(error, smtplib.SMTPSenderRefused)
        return RecipientRefused(text, hard_bounce=denied)
    if in_doubt:
        return DeliveryInDoubt(text)
    if isinstance(error, smtplib.SMTPNotSupportedError):
        # The one extension a mail may need and a server lack is SMTPUTF8, for this one address.
        return RecipientRefused(text)
    if timed_out(error):
        return ProviderUnreachable(text, now)
    if isinstance(error, AnymailRecipientsRefused):
        statuses = error.email_message.anymail_status.status
        return RecipientRefused(text, hard_bounce=bounces.refuses_recipient(error.esp_name, statuses))
    status = getattr(error, "status_code", None)
    if isinstance(status, int):
        return _failed_request(status, text)
    cause = error.__cause__ if isinstance(error.__cause__, requests.RequestException) else error
    if isinstance(cause, requests.RequestException):
        return _broken_request(cause, text)
    return TryAgain(text, now) if isinstance(error, OSError) else error


def _failed_request(status: int, text: str) -> Exception:
    now = timezone.now()
    if status < 300:
        # Taken, it seems, with an answer that is not the provider's: a proxy's page, say.
        return DeliveryInDoubt(text)
    if status in NOT_NOW or status >= 500:
        return TryAgain(text, now)
    if status in SETTINGS_WRONG:
        return ProviderUnreachable(text, now, ours=True)
    if status == CONTENT_TOO_LARGE:
        return RecipientRefused(text)
    if bounces.INVALID_RECIPIENT.search(text):
        return RecipientRefused(text, hard_bounce=True)
    return RequestRefused(text)


def _broken_request(error: requests.RequestException, text: str) -> Exception:
    now = timezone.now()
    if isinstance(error, ValueError):
        # An address or a header that cannot be used; nothing was sent.
        return ProviderUnreachable(text, now, ours=True)
    reason = getattr(error.args[0], "reason", None) if error.args else None
    if isinstance(reason, SSLError) and _speaks_no_tls_with_us(reason):
        return ProviderUnreachable(text, now, ours=True)
    if isinstance(error, requests.ConnectTimeout) or isinstance(reason, NewConnectionError | ProxyError):
        return ProviderUnreachable(text, now)
    # Anything later than connecting may have come after the provider had read the whole request.
    return DeliveryInDoubt(text)


def _speaks_no_tls_with_us(error: SSLError) -> bool:
    cause = error.args[0] if error.args else None
    return isinstance(cause, ssl.SSLCertVerificationError) or getattr(cause, "reason", "") == "WRONG_VERSION_NUMBER"


def answer(error: BaseException) -> int | None:
    """Return the code an SMTP server answered with, None where it did not answer."""
    if isinstance(error, smtplib.SMTPResponseException):
        return error.smtp_code
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return int(next(iter(error.recipients.values()))[0])
    return None


def answered(error: BaseException) -> bool:
    """Return whether the provider answered, so that the connection is still good."""
    if (code := answer(error)) is not None:
        return code != SERVICE_CLOSING
    return isinstance(getattr(error, "status_code", None), int)


def kept_waiting(error: BaseException) -> bool:
    """Return whether the provider says nothing, so that the next mail would wait for the same time-out."""
    return timed_out(error) or isinstance(error, requests.Timeout)


def timed_out(error: BaseException) -> bool:
    """Return whether waiting took too long."""
    # smtplib turns a time-out while it waits for an answer into "disconnected".
    return isinstance(error, TimeoutError) or isinstance(error.__context__, TimeoutError)


def described(error: BaseException) -> str:
    """Return an error as text for the log row: the server's own words where there are any."""
    if isinstance(error, smtplib.SMTPResponseException):
        return f"{error.smtp_code} {_text(error.smtp_error)}"
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        code, words = next(iter(error.recipients.values()))
        return f"{code} {_text(words)}"
    return f"{type(error).__name__}: {error}"


def _text(words: bytes | str) -> str:
    return words.decode("utf-8", "replace") if isinstance(words, bytes) else str(words)
