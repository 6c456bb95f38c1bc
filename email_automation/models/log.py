"""The ledger: one row for each mail, and one for each run."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from functools import lru_cache
from hashlib import blake2b
from typing import Any, NamedTuple

from django.conf import settings
from django.contrib.sites.models import Site
from django.db import models
from django.db.models import Case, Q, When
from django.utils import timezone
from django.utils.functional import cached_property
from django.utils.translation import gettext_lazy as _

from courses.models import Course, Enrollment, Payment

from .. import words
from . import body
from .content import unpack_content
from .indexes import SparseIndex

#: The statuses of a mail that is still to be sent or being sent.
OPEN = (words.PENDING, words.SENDING)
_VARIANT = 8 << 60
_NUMBER = (1 << 60) - 1


class _Origin(NamedTuple):
    """The first half of a uuid: as text with the dash after it, and as a number."""

    text: str
    high: int


class MessageUUID(uuid.UUID):
    """The uuid of a mail's message, with its text at hand: every mail needs it several times."""

    __slots__ = ("_text",)
    _text: str

    @classmethod
    def of(cls, origin: _Origin, number: int) -> MessageUUID:
        """Return the uuid of the row with this number."""
        low = _VARIANT | number & _NUMBER
        digits = f"{low:016x}"
        # Past a constructor that takes ten times as long, and past the guard that keeps uuids from being changed.
        made = object.__new__(cls)
        object.__setattr__(made, "int", origin.high | low)
        object.__setattr__(made, "is_safe", uuid.SafeUUID.unknown)
        object.__setattr__(made, "_text", f"{origin.text}{digits[:4]}-{digits[4:]}")
        return made

    def __str__(self) -> str:
        return self._text

    def __reduce__(self) -> tuple[type[uuid.UUID], tuple[str]]:
        # A copy is an ordinary uuid.
        return uuid.UUID, (self._text,)


@lru_cache(maxsize=256)
def _origin(created_at: datetime) -> _Origin:
    """Return what the uuids begin with of the rows that were claimed at one moment: those of one claim."""
    told = blake2b(created_at.astimezone(UTC).isoformat().encode(), digest_size=8).hexdigest()
    # Of version 8 (RFC 9562, 5.8).
    return _Origin(f"{told[:8]}-{told[8:12]}-8{told[13:]}-", int(f"{told[:12]}8{told[13:]}", 16) << 64)


class MessageRun(models.Model):
    """One execution of one message for one site and one slot (a day, or a minute).

    `status` is `running` while the audience is read, `planned` when every row is claimed and some are still to be
    sent, `done` when none is, `partial` when planning broke off. Dry runs and runs to an override address leave none.
    """

    RUNNING = "running"
    PLANNED = "planned"
    DONE = "done"
    PARTIAL = "partial"

    message = models.CharField(max_length=100)
    site = models.ForeignKey(Site, on_delete=models.CASCADE)
    slot = models.CharField(max_length=32, help_text=_("The day, or the moment for messages that run often."))
    status = models.CharField(max_length=10, default=RUNNING)
    audience = models.PositiveIntegerField(default=0)
    sent = models.PositiveIntegerField(default=0)
    skipped = models.JSONField(default=dict, help_text=_("Number of people skipped, by reason."))
    stopped = models.PositiveIntegerField(default=0)
    failed = models.PositiveIntegerField(default=0)
    retry = models.PositiveIntegerField(default=0)
    details = models.JSONField(default=dict, help_text=_("What the message's app wants to remember of the run."))
    started_at = models.DateTimeField(default=timezone.now)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["message", "site", "slot"], name="email_run_once_per_slot"),
        ]
        indexes = [models.Index(fields=["status", "id"], name="email_run_status")]

    def __str__(self) -> str:
        return f"{self.message} {self.slot}"


class EmailLog(models.Model):
    """One mail to one person: the memory of what was sent, and the queue of what is to be sent.

    Only `email_automation.pipeline.ledger` writes it. `dedupe_key` is the claim: it is unique, and null once a
    skipped row has given it back; `occasion` keeps its text. `content` is compressed, see `pack_content`.
    `open_priority` is the priority as long as the mail has not ended, and `ended_as` the status once it has: what
    looks for mails by status asks these.
    """

    recipient = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="email_logs")
    email_type = models.CharField(max_length=100, help_text=_("The name of a registered message."))
    to_address = models.CharField(max_length=254)
    target_id = models.BigIntegerField(null=True, blank=True, help_text=_("What the message's resolver was about."))
    category = models.CharField(max_length=20)
    priority = models.PositiveSmallIntegerField(default=words.NORMAL)
    subject = models.CharField(max_length=255, blank=True)
    status = models.CharField(max_length=12, default=words.PENDING)
    reason = models.CharField(max_length=100, blank=True)
    error_message = models.TextField(blank=True)
    dedupe_key = models.CharField(max_length=191, null=True, editable=False)  # noqa: DJ001  (null is no key)
    occasion = models.CharField(max_length=191, blank=True)
    claim_token = models.UUIDField(null=True, editable=False)
    lease_expires_at = models.DateTimeField(null=True, editable=False)
    # Its index is the first column of one of ours.
    run = models.ForeignKey(
        MessageRun, null=True, blank=True, on_delete=models.SET_NULL, related_name="rows", db_index=False
    )
    site = models.ForeignKey(Site, on_delete=models.CASCADE, db_index=False)
    day = models.DateField(
        null=True, blank=True, help_text=_("The run day the mail was planned for; none: an event or a call.")
    )
    instant = models.DateTimeField(help_text=_("The clock reading its conditions are judged by."))
    is_test = models.BooleanField(default=False, help_text=_("Sent to an override address."))
    # Without an index: nearly every mail has one, it is set in the middle of a hand-off, and courses are not deleted.
    course = models.ForeignKey(
        Course, null=True, blank=True, on_delete=models.SET_NULL, related_name="+", db_index=False
    )
    enrollment = models.ForeignKey(
        Enrollment, null=True, blank=True, on_delete=models.SET_NULL, related_name="+", db_index=False
    )
    payment = models.ForeignKey(
        Payment, null=True, blank=True, on_delete=models.SET_NULL, related_name="+", db_index=False
    )
    channel = models.CharField(max_length=50, blank=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    doubts = models.PositiveSmallIntegerField(default=0, help_text=_("How often its outcome was not known."))
    next_attempt_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField()
    message_id = models.CharField(max_length=255, blank=True)
    provider_message_id = models.CharField(max_length=255, blank=True)
    content = models.BinaryField(null=True, editable=False)
    created_at = models.DateTimeField(default=timezone.now, db_index=True)
    updated_at = models.DateTimeField(auto_now=True)
    sent_at = models.DateTimeField(null=True, blank=True)
    delivered_at = models.DateTimeField(null=True, blank=True)
    opened_at = models.DateTimeField(null=True, blank=True)
    clicked_at = models.DateTimeField(null=True, blank=True)
    # No index has `status` itself. PostgreSQL writes into every index of a table when a column of any of them changes,
    # and these two change once in the life of a mail, not at each step.
    open_priority = models.GeneratedField(
        expression=Case(When(status__in=OPEN, then="priority")),
        output_field=models.SmallIntegerField(null=True),
        db_persist=True,
    )
    ended_as = models.GeneratedField(
        expression=Case(When(status__in=OPEN, then=None), default="status"),
        output_field=models.CharField(max_length=12, null=True),
        db_persist=True,
    )

    #: The token under which a worker hands the mail off; of the object, not of the row, see `ledger.lease`.
    worker_token: uuid.UUID | None = None

    class Meta:
        verbose_name = _("e-mail log")
        constraints = [
            # So that PostgreSQL finds a key by its beginning too, without a second index.
            models.UniqueConstraint(fields=["dedupe_key"], name="email_log_once", opclasses=["varchar_pattern_ops"]),
        ]
        indexes = [
            # What is due, in the order in which it goes; the sweep reads nothing else.
            SparseIndex(
                fields=["open_priority", "next_attempt_at", "id"],
                name="email_log_open",
                condition=Q(open_priority__isnull=False),
            ),
            SparseIndex(fields=["ended_as", "id"], name="email_log_ended", condition=Q(ended_as__isnull=False)),
            models.Index(fields=["run", "open_priority"], name="email_log_run_open"),
            models.Index(fields=["email_type", "id"], name="email_log_type"),
            # Not `db_index`, which makes PostgreSQL keep a second one for LIKE.
            models.Index(fields=["to_address"], name="email_log_address"),
            SparseIndex(
                fields=["provider_message_id"], name="email_log_provider_id", condition=~Q(provider_message_id="")
            ),
            # For accounts that are deleted. MariaDB makes its own for each foreign key.
            models.Index(fields=["enrollment"], name="email_log_enrollment", condition=Q(enrollment__isnull=False)),
            models.Index(fields=["payment"], name="email_log_payment", condition=Q(payment__isnull=False)),
        ]
        permissions = [
            ("explain_email", "Can see why a person got a mail or did not"),
            ("resend_email", "Can send a mail of the log again"),
        ]

    def __str__(self) -> str:
        return f"{self.email_type} #{self.pk}"

    @cached_property
    def message_uuid(self) -> MessageUUID:
        """The ACE message's uuid: made from the row, so that a second attempt carries the same one.

        Its first half no other installation's row with this number has, and its second half is the number, by which the
        row is found again without an index.
        """
        return MessageUUID.of(_origin(self.created_at), self.pk)

    @staticmethod
    def number_in(message_uuid: uuid.UUID) -> int:
        """Return the id of the row whose message has this uuid, if it is one of ours."""
        return message_uuid.int & _NUMBER

    def stored_content(self) -> dict[str, Any] | None:
        """Return {subject, html, text, headers} as sent, or None when it was not kept."""
        if self.content is None:
            return None
        content = bytes(self.content)
        digest = body.refers_to(content)
        if digest is None:
            return unpack_content(content)
        packed = body.EmailBody.objects.filter(digest=digest).values_list("packed", flat=True).first()
        if packed is None:
            return None
        return body.restored(content, unpack_content(bytes(packed)), str(self.message_uuid))
