"""Delivery receipts: which row a provider's report belongs to, and what it changes there.

Only the ledger writes it. A report may come twice, late, before an earlier one, or while another process takes the
next, so what it sets depends on what is stored and not on the order of arrival.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from .. import words
from ..models import EmailLog
from .writes import Columns, storable

#: How far a mail has come, by what its receiver did.
STEPS: Final = (words.SENT, words.DELIVERED, words.OPENED, words.CLICKED)
TIMES: Final = {words.DELIVERED: "delivered_at", words.OPENED: "opened_at", words.CLICKED: "clicked_at"}
#: What a report must find to be the row's next status. What nobody opened can still come back.
BEFORE: Final = {
    **{word: STEPS[:position] for position, word in enumerate(STEPS)},
    words.BOUNCED: (words.SENT, words.DELIVERED),
    words.COMPLAINED: (*STEPS, words.BOUNCED),
}
LONGEST_ID: Final = 255


@dataclass(frozen=True, kw_only=True)
class Receipt:
    """One thing a provider says of one mail, in a word of ours, when it happened, and in the provider's words.

    `provider_message_id` and `reference` are what the mail is known by; either may be ''.
    """

    word: str
    at: datetime
    provider_message_id: str = ""
    reference: str = ""
    reason: str = ""
    detail: str = ""


class TooEarly(Exception):
    """The mail is being handed off, so its row cannot take a report yet; the provider may come again."""


def reference(row: EmailLog) -> str:
    """Return a text that names a row, and no other installation's: a provider's account may serve several."""
    return f"{row.id}:{row.message_uuid}"


def row_of(provider_message_id: str, reference_given: str) -> EmailLog | None:
    """Return the row a report belongs to: by the provider's id or the Message-ID, with or without brackets, or else by
    our reference.
    """
    rows = EmailLog.objects.defer("content")
    bare = _bare(provider_message_id)
    # What cannot be stored is not there either.
    if bare and bare.isprintable():
        spelled = [bare[:LONGEST_ID], f"<{bare}>"[:LONGEST_ID]]
        # Chosen here: asked for the newest, MariaDB would walk the table by id.
        found = rows.filter(provider_message_id__in=spelled)
        if (row := max(found, key=lambda each: each.pk, default=None)) is not None:
            return row
        if (row := _of_message_id(bare)) is not None:
            return row
    number, _, _ = reference_given.partition(":")
    if number.isascii() and number.isdigit() and len(number) < len(str(2**63)):
        row = rows.filter(pk=int(number)).first()
        if row is not None and reference(row) == reference_given:
            return row
    return None


def _of_message_id(bare: str) -> EmailLog | None:
    """Return the row whose mail has this Message-ID: a provider that is reached by SMTP has no other id of it."""
    try:
        number = EmailLog.number_in(UUID(bare.partition("@")[0]))
    except ValueError:
        return None
    row = EmailLog.objects.defer("content").filter(pk=number).first()
    return row if row is not None and _bare(row.message_id) == bare else None


def _bare(message_id: str) -> str:
    return message_id.strip().removeprefix("<").removesuffix(">")


def columns(row: EmailLog, receipt: Receipt, *, now: datetime) -> Columns:
    """Return what a receipt sets on a row; nothing, when the row knows it already or better. Raises TooEarly."""
    moves = _moves(row, receipt.word, now)
    found: Columns = {}
    # A provider's clock may be wrong, and the earliest time stays.
    at = max(min(receipt.at, now), row.created_at)
    name = TIMES.get(receipt.word)
    if name is not None and (getattr(row, name) is None or at < getattr(row, name)):
        found[name] = at
    if moves:
        found["error_message"] = storable(receipt.detail)
        found["lease_expires_at"] = None
        found["reason"] = storable(receipt.reason)[:100]
        found["sent_at"] = row.sent_at or at
        found["provider_message_id"] = row.provider_message_id or _own_id(row, receipt)
        found["status"] = receipt.word
    return found


def _own_id(row: EmailLog, receipt: Receipt) -> str:
    """Return the provider's own id of a mail, '' where it knows the mail by its Message-ID."""
    given = receipt.provider_message_id
    return "" if _bare(given) == _bare(row.message_id) else storable(given)[:LONGEST_ID]


def _moves(row: EmailLog, word: str, now: datetime) -> bool:
    if row.status == words.SENDING and row.lease_expires_at is not None and row.lease_expires_at >= now:
        raise TooEarly
    return _is_in_doubt(row) or row.status in BEFORE[word]


def _is_in_doubt(row: EmailLog) -> bool:
    """Return whether an attempt may have reached the provider without our knowing; then its word is the truth."""
    if row.status in (words.FAILED, words.SKIPPED):
        return row.doubts > 0
    return row.status in (words.SENDING, words.UNKNOWN) or (row.status == words.PENDING and row.attempts > 0)
