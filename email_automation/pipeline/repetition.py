"""Repetitions: a mail of the log sent once more, because somebody who looks after learners asks for it.

It is the same mail: about the same target, judged by the same reading of the clock, under the same occasion. Only its
key is its own, so that it uses up nobody's mail. Consent, conditions and switches are asked as for every mail.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, timedelta
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID, uuid5

from django.db import transaction
from django.utils import timezone

from courses.bulk import retry_on_deadlock

from .. import words
from ..models import EmailLog, EmailQueue
from . import entries, ledger, wake
from . import message as messages
from .delivery import deliver
from .message import MessageType
from .run import Run

NAMESPACE = UUID("0d1f6f0c-6f0b-5c1f-8d55-3f3c6f0f5a27")
#: Somebody wants it now; what cannot go out until tomorrow is not wanted any more.
PATIENCE = timedelta(days=1)
LONGEST_KEY = 191
#: What has not ended.
WAITING = (words.PENDING, words.SENDING)


class Hindrance(StrEnum):
    """Why a row cannot be sent again."""

    NONE = ""
    TEST = "test"
    NOT_ENDED = "not_ended"
    NO_MESSAGE = "no_message"
    NO_CALL = "no_call"
    DECLINED = "declined"


class Hindered(Exception):
    """The row cannot be sent again, and nothing was written."""

    def __init__(self, hindrance: Hindrance) -> None:
        super().__init__(hindrance)
        self.hindrance = hindrance


class Repeated(Exception):
    """Somebody has sent it again meanwhile; `row` is the mail that came of it."""

    def __init__(self, row: EmailLog) -> None:
        super().__init__(row.pk)
        self.row = row


@dataclass(frozen=True, kw_only=True)
class Repetition(Run):
    """The run of a mail that is sent again; its id is the one-time value it was asked for with."""

    def key(self, occasion: str) -> str:
        """Return a key of the repetition's own; whatever an occasion's length, it fits the column."""
        own = f":again:{self.id.hex}"
        return f"{occasion[: LONGEST_KEY - len(own)]}{own}"


def hindrance(row: EmailLog) -> Hindrance:
    """Return why a row cannot be sent again, if it cannot."""
    if row.is_test:
        return Hindrance.TEST
    if row.status in WAITING:
        return Hindrance.NOT_ENDED
    try:
        messages.get(row.email_type)
    except ValueError:
        return Hindrance.NO_MESSAGE
    return Hindrance.NO_CALL if row.target_id is None and _call_of(row) is None else Hindrance.NONE


def newest(row: EmailLog) -> EmailLog:
    """Return the newest mail of a row's occasion to the same person: its own row, or a repetition."""
    same = EmailLog.objects.filter(
        recipient_id=row.recipient_id, email_type=row.email_type, occasion=row.occasion, is_test=False, pk__gt=row.pk
    )
    return same.defer("content").order_by("-pk").first() or row


def one_time_value(row: EmailLog) -> UUID:
    """Return what a request to send a row again must carry; it changes with every mail of the occasion.

    Whoever looks at the same state gets the same value, so that two people who ask at once ask for one mail.
    """
    return uuid5(NAMESPACE, str(newest(row).pk))


def send_again(row: EmailLog, value: UUID) -> EmailLog:
    """Send a mail of the log again, and return its new row, whose status and reason say what became of it.

    Raises Hindered, or Repeated when `value` is not the one of this moment.
    """
    if problem := hindrance(row):
        raise Hindered(problem)
    last = newest(row)
    if value != one_time_value(row):
        raise Repeated(last)
    if last.status in WAITING:
        raise Hindered(Hindrance.NOT_ENDED)
    claimed = _claim(messages.get(row.email_type), row, value)
    if claimed is None:
        faster = newest(row)
        raise Hindered(Hindrance.DECLINED) if faster.pk == last.pk else Repeated(faster)
    wake.after_commit(lambda: deliver([claimed.pk], held={claimed.claim_token}))
    return EmailLog.objects.defer("content").get(pk=claimed.pk)


class _Wanted(NamedTuple):
    target_id: int | None
    user_id: int
    occasion: str
    address: str = ""


@retry_on_deadlock
def _claim(message: type[MessageType], row: EmailLog, value: UUID) -> EmailLog | None:
    """Claim the new row, and for a call the entry its mail is drafted from, in one transaction."""
    run = Repetition(
        message=message.label(),
        site_id=row.site_id,
        now=row.instant,
        day=row.day or row.instant.astimezone(UTC).date(),
        triggered=row.day is None,
        id=value,
    )
    with transaction.atomic():
        claimed = ledger.claim(
            message,
            run,
            [_Wanted(row.target_id, row.recipient_id, row.occasion)],
            addresses={row.recipient_id: (row.recipient.email or "").strip()},
            record=None,
            priority=row.priority,
            expires_at=timezone.now() + PATIENCE,
            # So that no sweep sends it while somebody waits for the answer.
            hold=True,
        )
        if claimed and row.target_id is None and (entry := _call_of(row)) is not None:
            entries.copy_for(claimed[0], entry)
    return claimed[0] if claimed else None


def _call_of(row: EmailLog) -> EmailQueue | None:
    """Return the call a row without target was made of, as long as it is kept."""
    entry: EmailQueue | None = getattr(row, "queued", None)
    return entry
