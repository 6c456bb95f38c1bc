"""The memory of what administrators have been told: the only writer of NotificationTimestamp.

A row is claimed in the transaction that claims its mail, and gets the mail's outcome in the transaction that records
it, so the two never disagree. The log forgets after some months; these rows stay.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import timedelta
from itertools import groupby
from typing import Any
from uuid import UUID, uuid4

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from courses.bulk import any_of, insert_if_absent, locked, retry_on_deadlock
from courses.signals import ADDRESS
from email_automation import words
from email_automation.models import EmailLog
from email_automation.pipeline.run import Run

from . import figures
from .conditions import WEEK
from .conf import CAMPAIGN, EMAIL, setting
from .models import (
    LONGEST_ERROR,
    NO_PLAN,
    THRESHOLD_75,
    THRESHOLD_100,
    WEEKLY,
    EnterpriseAdmin,
    NotificationTimestamp,
)
from .occasions import Occasion

Key = tuple[UUID, int, str, UUID, int]
KEY = ("enterprise_customer_uuid", "ecu_id", "kind", "plan_uuid", "slot")
#: One try; an ECU belongs to one enterprise.
TRY = ("ecu_id", "kind", "plan_uuid", "slot", "attempts")

SENT, FAILED, UNKNOWN = NotificationTimestamp.SENT, NotificationTimestamp.FAILED, NotificationTimestamp.UNKNOWN
CLAIMED, SUPERSEDED = NotificationTimestamp.CLAIMED, NotificationTimestamp.SUPERSEDED


def claim(run: Run, rows: Sequence[EmailLog]) -> list[EmailLog]:
    """Claim the thing each fresh mail is to tell, and return the mails whose thing was free.

    A thing that was told without success is claimed again by the number of the try, so of two runs one gets it.
    """
    ours = [row for row in rows if _is_of_the_memory(row)]
    if not ours:
        return list(rows)
    admins = EnterpriseAdmin.objects.in_bulk([row.target_id for row in ours if row.target_id is not None])
    wanted: dict[Key, NotificationTimestamp] = {}
    mails: dict[Key, EmailLog] = {}
    token, now = uuid4(), timezone.now()
    for row in ours:
        admin = admins.get(row.target_id or 0)
        if admin is None:
            continue
        timestamp = _wanted(run, row, admin)
        timestamp.claim_token, timestamp.claimed_at = token, now
        wanted[_key(timestamp)], mails[_key(timestamp)] = timestamp, row
    first = [timestamp for timestamp in wanted.values() if timestamp.attempts == 1]
    claimed = {
        _key(timestamp)
        for timestamp in insert_if_absent(NotificationTimestamp, first, unique_field=KEY, token_field="claim_token")
    }
    claimed |= _claim_again([timestamp for timestamp in wanted.values() if timestamp.attempts > 1])
    accepted = {mails[key].pk for key in claimed}
    return [row for row in rows if row.pk in accepted or not _is_of_the_memory(row)]


def _is_of_the_memory(row: EmailLog) -> bool:
    # A test mail, one that a person has sent again from the log, and a call of somebody's code have keys of their own
    # and are remembered nowhere.
    return row.target_id is not None and not row.is_test and row.dedupe_key in (None, row.occasion)


def _wanted(run: Run, row: EmailLog, admin: EnterpriseAdmin) -> NotificationTimestamp:
    occasion = Occasion.parsed(row.occasion)
    choice = figures.choices(run)[admin.enterprise_customer_uuid]
    weekly = occasion.kind == WEEKLY and admin.anchor_at is not None
    return NotificationTimestamp(
        enterprise_customer_uuid=admin.enterprise_customer_uuid,
        ecu_id=admin.ecu_id,
        lms_user_id=admin.lms_user_id,
        kind=occasion.kind,
        plan_uuid=occasion.plan_uuid,
        slot=occasion.slot,
        slot_start=admin.anchor_at + occasion.slot * WEEK if weekly and admin.anchor_at else None,
        attempts=occasion.attempt,
        allocated=choice.allocated,
        total=choice.total,
        reported_plan_uuid=choice.plan_uuid,
        run_id=row.run_id,
    )


def _key(row: NotificationTimestamp) -> Key:
    return row.enterprise_customer_uuid, row.ecu_id, row.kind, row.plan_uuid, row.slot


def _claim_again(wanted: Sequence[NotificationTimestamp]) -> set[Key]:
    """Claim rows that ended without success, those with equal figures together: the figures are the enterprise's.

    Returns the keys of those that are ours now.
    """
    claimed: set[Key] = set()
    columns = ("attempts", "allocated", "total", "reported_plan_uuid", "run_id", "claim_token", "claimed_at")
    together: dict[tuple[Any, ...], list[Key]] = {}
    for row in wanted:
        together.setdefault(tuple(getattr(row, name) for name in columns), []).append(_key(row))
    for values, keys in together.items():
        new = dict(zip(columns, values, strict=True))
        rows = NotificationTimestamp.objects.filter(any_of(keys, attnames=KEY), attempts=new["attempts"] - 1)
        for state, also in ((FAILED, {}), (UNKNOWN, {"resends": 1})):
            free = rows.filter(state=state) if state == FAILED else rows.filter(state=state, resends=0)
            free.update(**new, **also, state=CLAIMED, claimed_from=state, last_error="")
        # By the keys, and not by the token alone, which has no index: the memory is never trimmed.
        ours = NotificationTimestamp.objects.filter(any_of(keys, attnames=KEY), claim_token=new["claim_token"])
        claimed.update(ours.values_list(*KEY))
    return claimed


def finish(mails: Sequence[EmailLog]) -> None:
    """Give what was claimed for some mails of one message the outcome of each; a mail that still waits has none."""
    ended = [mail for mail in mails if mail.status not in (words.PENDING, words.SENDING) and _is_of_the_memory(mail)]
    for mails_of_outcome in _by_outcome(ended):
        _finish_alike(mails_of_outcome)


def _by_outcome(mails: Iterable[EmailLog]) -> Iterable[list[EmailLog]]:
    def outcome(mail: EmailLog) -> tuple[str, ...]:
        return (mail.status, mail.reason, mail.error_message, mail.channel, mail.provider_message_id, str(mail.instant))

    return [list(alike) for _, alike in groupby(sorted(mails, key=outcome), key=outcome)]


def _finish_alike(mails: Sequence[EmailLog]) -> None:
    mail, rows = mails[0], _claimed_for(mails)
    if mail.status in words.HANDED_OFF or mail.status == words.UNKNOWN:
        # Asked for before they change; only the higher threshold has a lower one.
        full = list(rows.filter(kind=THRESHOLD_100)) if any(THRESHOLD_100 in each.occasion for each in mails) else []
        sent = mail.status != words.UNKNOWN
        rows.update(
            channel=channel_word(mail.channel),
            **({"last_sent_at": mail.instant, "dispatch_id": mail.provider_message_id} if sent else {}),
            last_error=without_addresses(mail.error_message) if sent else _error_of(mail),
            state=SENT if sent else UNKNOWN,
        )
        _supersede(full)
    elif mail.status == words.FAILED or (mail.status, mail.reason) == (words.SKIPPED, words.EXPIRED):
        rows.update(last_error=_error_of(mail), state=FAILED)
    else:
        _give_back(list(rows))


def _claimed_for(mails: Sequence[EmailLog]) -> QuerySet[NotificationTimestamp]:
    """Return the rows that were claimed for these mails of one status, each by its own try.

    What went out, as its provider has reported since, was told after all, also where it seemed to have failed.
    """
    tried = [Occasion.parsed(mail.occasion) for mail in mails]
    keys = [(each.ecu_id, each.kind, each.plan_uuid, each.slot, each.attempt) for each in tried]
    states = (CLAIMED, UNKNOWN, FAILED) if mails[0].status in words.HANDED_OFF else (CLAIMED,)
    return NotificationTimestamp.objects.filter(any_of(keys, attnames=TRY), state__in=states)


def _supersede(rows: Sequence[NotificationTimestamp]) -> None:
    """Who has been told that all licences are allocated, in `rows`, need not hear of three quarters any more."""
    if not rows:
        return
    token = uuid4()
    lower = [
        NotificationTimestamp(
            enterprise_customer_uuid=row.enterprise_customer_uuid,
            ecu_id=row.ecu_id,
            lms_user_id=row.lms_user_id,
            kind=THRESHOLD_75,
            plan_uuid=row.plan_uuid,
            state=SUPERSEDED,
            claim_token=token,
            run_id=row.run_id,
        )
        for row in rows
    ]
    stored = NotificationTimestamp.objects.filter(any_of([_key(row) for row in lower], attnames=KEY))
    stored.exclude(state__in=(SENT, SUPERSEDED)).update(state=SUPERSEDED)
    insert_if_absent(NotificationTimestamp, lower, unique_field=KEY, token_field="claim_token")


def _give_back(rows: Sequence[NotificationTimestamp]) -> None:
    """Undo claims of mails that must not go out: what was never tried leaves no row, so it is due again."""
    NotificationTimestamp.objects.filter(pk__in=[row.pk for row in rows if not row.claimed_from]).delete()
    for state, also in ((FAILED, {}), (UNKNOWN, {"resends": 0})):
        again = [row.pk for row in rows if row.claimed_from == state]
        if again:
            NotificationTimestamp.objects.filter(pk__in=again).update(**also, state=state)


def settle_stale() -> int:
    """End the claims that are older than LICENSE_NOTIFICATION_STALE_CLAIM_SECONDS and whose mails nobody holds.

    The engine ends a mail whose worker fell silent and tells `finish`. What is left are claims whose mail has ended
    without telling, or is gone: then nobody can know whether it went out. Returns how many were ended.
    """
    before = timezone.now() - timedelta(seconds=setting("LICENSE_NOTIFICATION_STALE_CLAIM_SECONDS"))
    stale = NotificationTimestamp.objects.filter(state=CLAIMED, claimed_at__lt=before)
    return sum(_settle_one(pk) for pk in list(stale.order_by("pk").values_list("pk", flat=True)))


@retry_on_deadlock
def _settle_one(pk: int) -> bool:
    with transaction.atomic():
        row = locked(NotificationTimestamp.objects.filter(pk=pk, state=CLAIMED)).first()
        mail = _mail_of(row) if row is not None else None
        if row is None or (mail is not None and mail.status in (words.PENDING, words.SENDING)):
            return False
        if mail is not None:
            finish([mail])
        else:
            row.state, row.last_error = UNKNOWN, "the claim ran out"
            row.save(update_fields=["state", "last_error"])
            _supersede([row] if row.kind == THRESHOLD_100 else [])
    return True


def _mail_of(row: NotificationTimestamp) -> EmailLog | None:
    """Return the mail of a claim; that of a claim that was given back has no key any more."""
    name = "license_weekly_digest" if row.kind == WEEKLY else "license_utilization"
    plan = "-" if row.plan_uuid == NO_PLAN else str(row.plan_uuid)
    prefix = f"{name}:{row.kind}:{row.ecu_id}:{plan}:{row.slot}:"
    mails = EmailLog.objects.filter(dedupe_key__startswith=prefix, dedupe_key__endswith=f":{row.attempts}")
    return mails.defer("content").order_by("-pk").first()


def reopen(ids: Collection[int]) -> int:
    """Let things whose mail is in doubt be told again, as if it had certainly failed; returns how many there were."""
    return NotificationTimestamp.objects.filter(pk__in=ids, state=UNKNOWN).update(state=FAILED)


def channel_word(channel: str) -> str:
    """Return the word by which this app calls the ACE channel that took a mail."""
    return CAMPAIGN if channel == CAMPAIGN else EMAIL


def _error_of(mail: EmailLog) -> str:
    return without_addresses(": ".join(part for part in (mail.reason, mail.error_message) if part))


def without_addresses(text: str) -> str:
    """Return a provider's words with every address taken out, as long as they are kept."""
    return ADDRESS.sub("…", text)[:LONGEST_ERROR]
