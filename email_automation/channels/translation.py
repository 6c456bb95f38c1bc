"""What a provider's error means for one mail: never, later, later and for everybody, or nobody knows."""

from __future__ import annotations

import smtplib
import ssl

import requests
from django.utils import timezone

from .errors import DeliveryInDoubt, ProviderUnreachable, RecipientRefused, RequestRefused, TryAgain

SERVICE_CLOSING = 421
MAIL_TOO_LARGE = 552
BAD_KEY = (401, 403)
TOO_MANY_REQUESTS = 429


def failure_to_open(error: OSError) -> ProviderUnreachable:
    """Return what it means that no connection came about; smtplib's exceptions are OSErrors too."""
    refused_login = isinstance(error, smtplib.SMTPAuthenticationError) and error.smtp_code >= 500
    ours = refused_login or isinstance(error, smtplib.SMTPNotSupportedError | ssl.SSLCertVerificationError)
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
        return RecipientRefused(text)
    if in_doubt:
        return DeliveryInDoubt(text)
    if isinstance(error, smtplib.SMTPNotSupportedError):
        # The one extension a mail may need and a server lack is SMTPUTF8, for this one address.
        return RecipientRefused(text)
    if timed_out(error):
        return ProviderUnreachable(text, now)
    if type(error).__name__ == "AnymailRecipientsRefused":
        return RecipientRefused(text)
    status = getattr(error, "status_code", None)
    if isinstance(status, int):
        return _failed_request(status, text)
    cause = error.__cause__ if isinstance(error.__cause__, requests.RequestException) else error
    if isinstance(cause, requests.RequestException):
        return _broken_request(cause, text)
    return TryAgain(text, now) if isinstance(error, OSError) else error


def _failed_request(status: int, text: str) -> Exception:
    now = timezone.now()
    if status == TOO_MANY_REQUESTS or status >= 500:
        return TryAgain(text, now)
    if status in BAD_KEY:
        return ProviderUnreachable(text, now, ours=True)
    return RequestRefused(text)


def _broken_request(error: requests.RequestException, text: str) -> Exception:
    # Anything later than connecting may have come after the provider had read the whole request.
    never_sent = isinstance(error, requests.ConnectTimeout) or "NewConnectionError" in repr(error)
    return ProviderUnreachable(text, timezone.now()) if never_sent else DeliveryInDoubt(text)


def answer(error: BaseException) -> int | None:
    """Return the code an SMTP server answered with, None where it did not answer."""
    if isinstance(error, smtplib.SMTPResponseException):
        return error.smtp_code
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return int(next(iter(error.recipients.values()))[0])
    return None


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
