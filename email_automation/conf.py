"""The engine's Django settings and what they are when a project leaves them out. `docs/settings.md` explains each."""

from __future__ import annotations

from typing import Any, Final

from django.conf import settings

from .braze_standin import defaults as standin

DEFAULTS: Final[dict[str, Any]] = {
    "ACE_MESSAGES_DIR": "ace_messages",
    "ALERT_SINKS": [],
    "BRAZE_API_KEY": standin.KEY,
    "BRAZE_API_URL": standin.URL,
    "BRAZE_BATCH_SIZE": 50,
    "BRAZE_CAMPAIGNS": standin.CAMPAIGNS,
    "BRAZE_MAX_WAIT_SECONDS": 60,
    # Seconds to connect, and between two pieces of the answer.
    "BRAZE_TIMEOUT": (3.05, 10),
    "CELERY_BROKER_URL": "",
    # Mails of one task, and of one reading of drafts, switches and consent.
    "EMAIL_BATCH_SIZE": 500,
    "EMAIL_IN_FLIGHT": 100,
    "EMAIL_LOG_CONTENT_DAYS": 30,
    "EMAIL_LOG_DAYS": 90,
    "EMAIL_MAILS_PER_CONNECTION": 1000,
    # Requests a minute with one valid link, and with invalid ones from one address. Valid links never count by address:
    # a provider posts for many people from one.
    "EMAIL_PAGES_PER_ADDRESS": 60,
    "EMAIL_PAGES_PER_TOKEN": 20,
    "EMAIL_RATE_PER_SECOND": None,
    "NEW_CONTENT_WINDOW_SECONDS": 900,
    "UNSUBSCRIBE_MAILTO": "",
}


def setting(name: str) -> Any:
    """Return a setting of the engine, or its default. Raises KeyError for a name that is not the engine's."""
    return getattr(settings, name, DEFAULTS[name])
