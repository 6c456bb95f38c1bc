"""What keeps the demo to itself: the settings under which nothing leaves this machine, and whether they hold."""

from __future__ import annotations

from django.conf import settings

from email_automation.braze_standin import defaults as braze

from . import ground

#: Laid over whatever the environment says: nothing leaves this machine, and nothing is left to a worker or for later.
STAY_HERE = {
    "EMAIL_BACKEND": "django.core.mail.backends.locmem.EmailBackend",
    "ACE_ENABLED_CHANNELS": ["django_mail", "braze_campaign"],
    "ACE_CHANNEL_DEFAULT_EMAIL": "django_mail",
    "ACE_CHANNEL_TRANSACTIONAL_EMAIL": "django_mail",
    "ACE_ENABLED_POLICIES": ["bulk_email_optout"],
    "ALERT_SINKS": [],
    "CELERY_BROKER_URL": "",
    "EMAIL_RATE_PER_SECOND": None,
    "EMAIL_LOG_CONTENT_DAYS": 30,
    "NEW_CONTENT_WINDOW_SECONDS": 0,
    # The demo's own Braze takes them, at an address that is found when it starts.
    "BRAZE_API_KEY": braze.KEY,
    "BRAZE_CAMPAIGNS": braze.CAMPAIGNS,
    "LICENSE_NOTIFICATION_CHANNEL": "braze_campaign",
    "LICENSE_ADMIN_DIRECTORY": "embedded",
    "ENTERPRISE_ADMIN_PORTAL_BASE_URL": "https://portal.example.com",
    # Requests go out as ordinary mail, so that both ways can be seen, and at once.
    "EVENT_TRANSPORT": "embedded",
    "LEARNER_PORTAL_BASE_URL": "https://learn.example.com",
    "SUBSIDY_APPROVAL_WINDOW_SECONDS": 0,
    "SUBSIDY_REQUESTS_CHANNEL": "email",
}


def stands() -> bool:
    """Return whether this process serves a demo: its database, its settings, and DEBUG on."""
    closed = all(getattr(settings, name, None) == value for name, value in STAY_HERE.items())
    return settings.DEBUG and closed and ground.is_ours()
