"""The table of administrators: taking in what a directory says, and what a row needs besides."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from django.db import IntegrityError, connections, router, transaction
from django.db.models import Max, Q
from django.utils import timezone

from courses.bulk import locked, retry_on_deadlock, slices
from courses.services import Stranger, account_ids

from ..models import CustomerAgreement, EnterpriseAdmin
from .errors import DirectoryError
from .records import AdminRecord

LOST: Final = "The directory lost its administrators."
ADDRESS_KEPT: Final = timedelta(days=30)
BATCH: Final = 500
MOST_TRIES: Final = 10

#: What a row gets besides what a directory says.
FILLED: Final = ("account", "anchor_at", "anchor_source")
#: What each answer of the directory writes anew.
REFRESHED: Final = (
    *FILLED,
    "enterprise_customer_uuid",
    "lms_user_id",
    "user_name",
    "email",
    "account_active",
    "joined_date",
    "ecu_created",
    "listed",
    "refreshed_at",
)


@retry_on_deadlock
def store(enterprise_uuid: UUID, records: Sequence[AdminRecord], *, now: datetime) -> int:
    """Take in the complete answer of the directory about an enterprise, all or nothing; return how many it names.

    Who is not named any more is unlisted, and keeps the row. An answer that names nobody although somebody is listed
    raises DirectoryError: more likely the directory is at fault than that an enterprise has no administrator left.
    """
    with transaction.atomic():
        # Two answers about one enterprise are taken in one after the other.
        list(locked(CustomerAgreement.objects.filter(enterprise_customer_uuid=enterprise_uuid)))
        listed = EnterpriseAdmin.objects.filter(enterprise_customer_uuid=enterprise_uuid, listed=True)
        if not records:
            if listed.exists():
                raise DirectoryError(LOST)
            return 0
        numbers = [record.ecu_id for record in records]
        known = {row.ecu_id: row for row in EnterpriseAdmin.objects.filter(ecu_id__in=numbers)}
        rows = [_row(enterprise_uuid, record, known.get(record.ecu_id), now=now) for record in records]
        fill(rows)
        _write(rows)
        listed.exclude(ecu_id__in=numbers).update(listed=False, refreshed_at=now)
    return len(records)


def _row(
    enterprise_uuid: UUID, record: AdminRecord, known: EnterpriseAdmin | None, *, now: datetime
) -> EnterpriseAdmin:
    row = EnterpriseAdmin(enterprise_customer_uuid=enterprise_uuid, listed=True, refreshed_at=now, **asdict(record))
    # A number that means another link than it did, as after a change of directory, has no anchor yet.
    if known is not None and _link(known) == _link(row):
        row.anchor_at, row.anchor_source = known.anchor_at, known.anchor_source
    return row


def _link(row: EnterpriseAdmin) -> tuple[UUID, int]:
    return row.enterprise_customer_uuid, row.lms_user_id


def _write(rows: list[EnterpriseAdmin]) -> None:
    """Insert rows, or write what is new in those that are stored."""
    using = router.db_for_write(EnterpriseAdmin)
    targets = ["ecu_id"] if connections[using].features.supports_update_conflicts_with_target else None
    EnterpriseAdmin.objects.bulk_create(
        sorted(rows, key=lambda row: row.ecu_id),
        update_conflicts=True,
        unique_fields=targets,
        update_fields=REFRESHED,
    )


def complete(enterprise_uuids: Collection[UUID]) -> int:
    """Give the rows of these enterprises that lack one an account and an anchor; return how many rows lacked one.

    For rows that a host has written in bulk, past `save`.
    """
    anchored_by = Q(joined_date__isnull=False) | Q(ecu_created__isnull=False)
    lacking = EnterpriseAdmin.objects.filter(
        Q(account=None) | Q(Q(anchor_at=None) & anchored_by), enterprise_customer_uuid__in=set(enterprise_uuids)
    )
    rows = list(lacking.order_by("ecu_id"))
    for batch in slices(rows, BATCH):
        _complete_some(batch)
    return len(rows)


@retry_on_deadlock
def _complete_some(rows: list[EnterpriseAdmin]) -> None:
    with transaction.atomic():
        fill(rows)
        EnterpriseAdmin.objects.bulk_update(rows, FILLED)


def fill(rows: Iterable[EnterpriseAdmin]) -> None:
    """Put account and anchor into rows, without writing them."""
    rows = list(rows)
    accounts = account_ids(Stranger(row.lms_user_id, row.user_name, row.email) for row in rows)
    for row in rows:
        row.account_id = accounts[row.lms_user_id]
        row.fix_anchor()


def save(row: EnterpriseAdmin, write: Callable[..., None], *args: Any, **kwargs: Any) -> None:
    """Save one row by `write`, with what it needs besides; a new row without a number gets the next free one."""
    row.refreshed_at = timezone.now()
    if kwargs.get("update_fields") is not None:
        kwargs["update_fields"] = {*kwargs["update_fields"], *FILLED, "refreshed_at"}

    def attempt() -> None:
        # An account that was made for the row must not outlive a row that cannot be stored.
        with transaction.atomic():
            fill([row])
            write(*args, **kwargs)

    if row.ecu_id is not None:
        attempt()
        return
    _under_next_number(row, attempt)


def _under_next_number(row: EnterpriseAdmin, attempt: Callable[[], None]) -> None:
    for _ in range(MOST_TRIES):
        highest = EnterpriseAdmin.objects.aggregate(highest=Max("ecu_id"))["highest"]
        row.ecu_id = max(highest or 0, 0) + 1
        try:
            attempt()
        except IntegrityError:
            # Somebody else has just taken the number, or something else is wrong.
            if not EnterpriseAdmin.objects.filter(ecu_id=row.ecu_id).exists():
                raise
        else:
            return
    raise IntegrityError("ecu_id: others take every free number. Allowed: a number of your own.")


def forget_unlisted() -> int:
    """Blank the addresses of those who have not been administrators for 30 days; return how many. A chore."""
    gone = EnterpriseAdmin.objects.filter(listed=False, refreshed_at__lt=timezone.now() - ADDRESS_KEPT)
    return gone.exclude(email="").update(email="")
