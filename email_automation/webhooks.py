"""Providers' reports: what django-anymail reads from their webhooks goes to the log, to consent, and is counted."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Any, Final

from anymail.exceptions import AnymailConfigurationError
from anymail.signals import AnymailTrackingEvent, EventType, inbound, tracking
from anymail.utils import get_anymail_setting
from django.contrib.auth.decorators import login_not_required
from django.db import transaction
from django.db.models import F
from django.dispatch import receiver
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBadRequest
from django.urls import Resolver404, resolve
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt

from courses.bulk import insert_if_absent, retry_on_deadlock

from . import consent, words
from .channels import bounces
from .channels.mail import METADATA_KEY
from .models import EmailLog, ProviderEventCount
from .pipeline import ledger, receipts
from .pipeline.outcome import trace

log = logging.getLogger(__name__)

#: django-anymail's events that say how far a mail has come, in our words. What a provider has taken over is `sent`,
#: which settles a doubt and changes nothing else. What it would not or could not send did not arrive either.
STATUSES: Final = {
    EventType.QUEUED: words.SENT,
    EventType.SENT: words.SENT,
    EventType.DEFERRED: words.SENT,
    EventType.DELIVERED: words.DELIVERED,
    EventType.OPENED: words.OPENED,
    EventType.CLICKED: words.CLICKED,
    EventType.BOUNCED: words.BOUNCED,
    EventType.REJECTED: words.BOUNCED,
    EventType.FAILED: words.BOUNCED,
    EventType.COMPLAINED: words.COMPLAINED,
}
#: Source of an opt-out in a preference row's history.
SOURCE: Final = "provider"
COUNTED_ONCE: Final = ("day", "provider", "event", "known")
COME_AGAIN: Final = {"Retry-After": "60"}


class NotRecorded(Exception):
    """An event could not be written down; the provider is to send it again."""


@csrf_exempt
@login_not_required
def receive(request: HttpRequest, address: str) -> HttpResponse:
    """Take what a provider posts to `<provider>/tracking/`, by django-anymail's own view of that address.

    404 while no shared secret is set, and for everything but tracking. What is forged or no report at all is refused
    with a 4xx; 503 asks a provider to come again.
    """
    view = _tracking_view(address) if secrets() else None
    if view is None:
        raise Http404
    try:
        response: HttpResponse = view(request)
    except receipts.TooEarly:
        return HttpResponse(status=503, headers=COME_AGAIN)
    except NotRecorded as error:
        log.error("webhook=%s: an event could not be recorded: %s", address, trace(error.__cause__ or error))
        return HttpResponse(status=503, headers=COME_AGAIN)
    except AnymailConfigurationError as error:
        # Its text names settings and addresses of ours, nothing of the request.
        log.error("webhook=%s: %s", address, error)
        return HttpResponseBadRequest()
    except Exception as error:
        # A forgery or garbage; its text may hold the whole request.
        log.warning("webhook=%s refused: %s", address, trace(error))
        return HttpResponseBadRequest()
    return response


def secrets() -> list[str]:
    """Return the shared secrets, each `user:password`, one of which every webhook must carry."""
    found = get_anymail_setting("webhook_secret", default=None) or []
    return [found] if isinstance(found, str) else [secret for secret in found if secret]


def _tracking_view(address: str) -> Any:
    """Return django-anymail's view for an address below ours; None for what is not there or takes in mail."""
    try:
        view: Any = resolve(f"/{address}", urlconf="anymail.urls").func
    except Resolver404:
        return None
    return None if view.view_class.signal is inbound else view


@receiver(tracking, dispatch_uid="email_automation.webhooks")
def take(sender: Any, event: AnymailTrackingEvent, esp_name: str, **kwargs: Any) -> None:
    """Write down one event. Raises TooEarly or NotRecorded when the provider is to send it again."""
    try:
        _take(event, esp_name)
    except receipts.TooEarly:
        raise
    except Exception as error:
        raise NotRecorded from error


@retry_on_deadlock
def _take(event: AnymailTrackingEvent, provider: str) -> None:
    with transaction.atomic():
        row, moved = _reported(event)
        if row is not None and not row.is_test:
            if moved:
                _suppress_after(row, event, provider)
            if event.event_type == EventType.UNSUBSCRIBED:
                consent.opt_out(row.recipient_id, row.category, source=SOURCE)
        _count(provider, event.event_type, known=row is not None)


def _reported(event: AnymailTrackingEvent) -> tuple[EmailLog | None, bool]:
    """Return the row an event belongs to, and whether its status changed by it."""
    metadata = event.metadata if isinstance(event.metadata, dict) else {}
    message_id = str(event.message_id) if isinstance(event.message_id, str | int) else ""
    reference = str(metadata.get(METADATA_KEY) or "")
    word = STATUSES.get(event.event_type)
    if word is None:
        return receipts.row_of(message_id, reference), False
    failed = word in (words.BOUNCED, words.COMPLAINED)
    found = ledger.report(
        receipts.Receipt(
            word=word,
            at=_moment(event.timestamp),
            provider_message_id=message_id,
            reference=reference,
            reason=":".join(filter(None, (event.event_type, event.reject_reason))) if failed else "",
            detail=str(event.mta_response or event.description or "") if failed else "",
        )
    )
    return found or (None, False)


def _moment(given: Any) -> datetime:
    if not isinstance(given, datetime):
        return timezone.now()
    return given if given.tzinfo is not None else given.replace(tzinfo=UTC)


def _suppress_after(row: EmailLog, event: AnymailTrackingEvent, provider: str) -> None:
    word = STATUSES[event.event_type]
    if word == words.COMPLAINED:
        consent.suppress(row.recipient_id, row.to_address, reason=consent.COMPLAINT)
    elif word == words.BOUNCED and bounces.is_hard(event, provider):
        consent.suppress(row.recipient_id, row.to_address, reason=consent.BOUNCE)


def _count(provider: str, event: str, *, known: bool) -> None:
    key = {"day": timezone.now().astimezone(UTC).date(), "provider": provider, "event": event, "known": known}
    counted = ProviderEventCount.objects.filter(**key)
    if not counted.update(number=F("number") + 1):
        insert_if_absent(ProviderEventCount, [ProviderEventCount(**key)], unique_field=COUNTED_ONCE)
        counted.update(number=F("number") + 1)
