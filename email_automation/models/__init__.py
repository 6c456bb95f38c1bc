"""The engine's tables: the ledger of mails and its runs, the outbox, templates, consent, and weekly figures."""

from .body import EmailBody
from .content import pack_content
from .log import EmailLog, MessageRun
from .outbox import EmailQueue
from .preference import CourseOptOut, EmailPreference, SuppressedAddress
from .progress import WeeklyProgressReport
from .template import EmailTemplate
from .webhooks import ProviderEventCount

__all__ = [
    "CourseOptOut",
    "EmailBody",
    "EmailLog",
    "EmailPreference",
    "EmailQueue",
    "EmailTemplate",
    "MessageRun",
    "ProviderEventCount",
    "SuppressedAddress",
    "WeeklyProgressReport",
    "pack_content",
]
