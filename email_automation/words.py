"""The closed lists of words that rows, summaries and code share: statuses, categories, priorities, reasons."""

from __future__ import annotations

from typing import Final

# Statuses of an EmailLog row, in the order in which a mail goes through them.
PENDING: Final = "pending"
SENDING: Final = "sending"
SENT: Final = "sent"
DELIVERED: Final = "delivered"
OPENED: Final = "opened"
CLICKED: Final = "clicked"
FAILED: Final = "failed"
SKIPPED: Final = "skipped"
BOUNCED: Final = "bounced"
COMPLAINED: Final = "complained"
UNKNOWN: Final = "unknown"

STATUSES: Final = (
    PENDING,
    SENDING,
    SENT,
    DELIVERED,
    OPENED,
    CLICKED,
    FAILED,
    SKIPPED,
    BOUNCED,
    COMPLAINED,
    UNKNOWN,
)
# What a provider has accepted, whatever became of it afterwards.
HANDED_OFF: Final = (SENT, DELIVERED, OPENED, CLICKED, BOUNCED, COMPLAINED)

# Categories a learner can switch off one by one; each has a field `<category>_emails` on EmailPreference.
CATEGORIES: Final = ("enrollment", "demo", "payment", "progress", "content", "reminder", "goal", "admin")

# Priorities are stored as numbers so that they sort; a lower number goes first.
URGENT: Final = 10
HIGH: Final = 20
NORMAL: Final = 30
LOW: Final = 40
PRIORITIES: Final = {"urgent": URGENT, "high": HIGH, "normal": NORMAL, "low": LOW}

# Celery queues.
TRANSACTIONAL_QUEUE: Final = "transactional"
LIFECYCLE_QUEUE: Final = "lifecycle"

# Reasons the engine itself gives; conditions add their names.
STOPPED: Final = "stopped"
EXPIRED: Final = "expired"
ALREADY_SENT: Final = "already_sent"
NO_LONGER_ELIGIBLE: Final = "no_longer_eligible"
INACTIVE_USER: Final = "inactive_user"
NO_EMAIL_ADDRESS: Final = "no_email_address"
UNSUBSCRIBED: Final = "unsubscribed"
OPTED_OUT: Final = "opted_out"
OPTED_OUT_COURSE: Final = "opted_out:course"
SUPPRESSED: Final = "suppressed"
REFUSED_CHANNEL: Final = "channel_refused"
INCOMPLETE: Final = "incomplete"
GAVE_UP: Final = "gave_up"
IN_DOUBT: Final = "in_doubt"


def group(reason: str) -> str:
    """Return the word by which summaries count a reason: what stands before the colon."""
    return reason.partition(":")[0]
