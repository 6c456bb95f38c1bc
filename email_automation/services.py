"""The front door for people's own code: send a mail now, to many, or later; and put the stock templates into the admin.

Every mail goes the way of all others: consent is asked, a row of the log holds it, and it is handed off once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib.auth import get_user_model
from django.db.models import QuerySet
from django.db.models.query import ModelIterable
from django.utils import timezone

from courses.bulk import slices
from courses.models import Course, Enrollment, Payment

from . import words
from .conf import setting
from .events import owner_sites
from .models import EmailQueue
from .packing import packed, storable
from .pipeline import message as messages
from .pipeline import outbox, policy, wake
from .pipeline.message import MessageType
from .templating.defaults import create_default_templates

LONGEST_KEY = 191


class EmailService:
    """Sends registered messages with a context of the caller's."""

    def send_email(
        self,
        recipient: Any,
        email_type: str,
        context: Mapping[str, Any] | None = None,
        course: Course | None = None,
        enrollment: Enrollment | None = None,
        payment: Payment | None = None,
        dedupe_key: str | None = None,
    ) -> bool:
        """Send one mail now: True when it was handed off, False when it was skipped or failed; its log row says why.

        `context` holds JSON values and rows of the models in `packing.SHOWN`. A `dedupe_key` goes out once, ever.
        Inside somebody's transaction the mail goes out once that has committed, and True means that it is willing to.
        Raises ValueError that names the argument and what is allowed; nothing is written then.
        """
        call = _checked_call(email_type, context, course=course, enrollment=enrollment, payment=payment)
        entry = call.to(_stored_person(recipient))
        entry.dedupe_key = _checked_key(dedupe_key)
        return _send(call, [entry])[0] in words.HANDED_OFF

    def send_bulk_email(
        self,
        recipients: Iterable[Any],
        email_type: str,
        context: Mapping[str, Any] | None = None,
        course: Course | None = None,
    ) -> dict[str, int]:
        """Send the same to many, in batches: {"success": n, "failed": n, "skipped": n}.

        `recipients` is any iterable of people, read as it is needed; of a queryset, where a join may repeat them, the
        ids are read first and each counts once. `failed` counts what was not handed off now, also where another attempt
        will follow, and `skipped` also whose account is gone by then. Inside somebody's transaction all that are
        willing count as success. Raises ValueError as `send_email` does; what an iterable has given before its faulty
        element is sent.
        """
        call = _checked_call(email_type, context, course=course)
        counts = {"success": 0, "failed": 0, "skipped": 0}
        for people in slices((_checked_person(person) for person in _each(recipients)), setting("EMAIL_BATCH_SIZE")):
            stored = _stored(people)
            counts["skipped"] += len(people) - len(stored)
            for status in _send(call, [call.to(person) for person in stored]):
                counts[_counted_as(status)] += 1
        return counts

    def queue_email(
        self,
        recipient: Any,
        email_type: str,
        scheduled_at: datetime,
        context: Mapping[str, Any] | None = None,
        priority: str = "normal",
        expires_at: datetime | None = None,
    ) -> EmailQueue:
        """Have one mail sent later, as templates, rows and consent are by then; returns its outbox row.

        `priority` is urgent, high, normal or low. What `expires_at` finds waiting is skipped as `expired`. Raises
        ValueError as `send_email` does.
        """
        entry = _checked_call(email_type, context).to(_stored_person(recipient))
        if not isinstance(priority, str) or priority not in words.PRIORITIES:
            raise ValueError(f"priority: {priority!r} is unknown; allowed: {', '.join(words.PRIORITIES)}.")
        entry.priority = words.PRIORITIES[priority]
        entry.scheduled_at = _checked_moment("scheduled_at", scheduled_at)
        if expires_at is not None:
            entry.expires_at = _checked_moment("expires_at", expires_at)
            if entry.expires_at <= entry.scheduled_at:
                raise ValueError("expires_at: must be after scheduled_at, or the mail could never go out.")
        return outbox.add([entry])[0]


class EmailTemplateService:
    """Looks after the templates that people edit."""

    @staticmethod
    def create_default_templates() -> int:
        """Put what the files say into the admin, a row for each message and language; returns how many were new."""
        return create_default_templates()


@dataclass(frozen=True)
class _Call:
    """What somebody's code asks for, checked: the same mail for one person or for many."""

    kind: type[MessageType]
    site_id: int
    data: dict[str, Any]

    def to(self, recipient: Any) -> EmailQueue:
        """Return the outbox row for one person, not stored."""
        return EmailQueue(
            recipient=recipient,
            email_type=self.kind.NAME,
            site_id=self.site_id,
            context_data=self.data,
            priority=self.kind.priority,
            scheduled_at=timezone.now(),
        )


def _checked_call(
    email_type: str,
    context: Mapping[str, Any] | None,
    *,
    course: Course | None = None,
    enrollment: Enrollment | None = None,
    payment: Payment | None = None,
) -> _Call:
    kind = _checked_type(email_type)
    about: dict[str, Any] = {}
    for name, row, model in (
        ("course", course, Course),
        ("enrollment", enrollment, Enrollment),
        ("payment", payment, Payment),
    ):
        if row is not None and not isinstance(row, model):
            raise ValueError(f"{name}: must be a {model.__name__} or None, not {type(row).__name__}.")
        if row is not None:
            about[name] = row
    data = packed({**(context or {}), **about} if context is None or isinstance(context, Mapping) else context)
    whose = course or getattr(enrollment, "course", None) or getattr(payment, "course", None)
    if whose is None and isinstance(context, Mapping) and isinstance(context.get("course"), Course):
        whose = context["course"]
    return _Call(kind, owner_sites([whose])[whose.pk if whose else None], data)


def _send(call: _Call, entries: Sequence[EmailQueue]) -> list[str]:
    """Return what became of each entry; inside somebody's transaction, what will become of it as things are."""
    if not wake.in_transaction():
        return outbox.send_now(entries)
    written = outbox.add(entries, again=True)
    addressees = [policy.Addressee(entry.recipient_id or 0) for entry in entries]
    people = policy.verdicts(call.kind, addressees)
    willing = [entry in written and not people[whom].refusal for entry, whom in zip(entries, addressees, strict=True)]
    return [words.SENT if sends else words.SKIPPED for sends in willing]


def _checked_type(email_type: str) -> type[MessageType]:
    try:
        return messages.get(email_type)
    except (ValueError, AttributeError):
        allowed = ", ".join(kind.NAME for kind in messages.all_messages())
        raise ValueError(f"email_type: {email_type!r} is not a registered message; allowed: {allowed}.") from None


def _checked_person(person: Any) -> Any:
    if not isinstance(person, get_user_model()) or person.pk is None:
        raise ValueError(f"recipient: must be a stored user, not {type(person).__name__}.")
    return person


def _each(recipients: Iterable[Any]) -> Iterable[Any]:
    """Return the people one by one; of a queryset only their ids are read, to the end of the statement.

    One that stayed open for as long as the mails take would keep a connection to SQLite from seeing what others write,
    and elsewhere be gone with a connection that breaks.
    """
    if not isinstance(recipients, QuerySet) or recipients._iterable_class is not ModelIterable:
        return recipients
    ids = dict.fromkeys(recipients.values_list("pk", flat=True))
    return (recipients.model(pk=pk) for pk in ids)


def _stored_person(person: Any) -> Any:
    if not _stored([_checked_person(person)]):
        raise ValueError("recipient: must be a stored user, and this one has been deleted.")
    return person


def _stored(people: Sequence[Any]) -> list[Any]:
    """Return those whose accounts are still there: between reading many people and mailing the last lie hours."""
    found = get_user_model()._default_manager.filter(pk__in=[person.pk for person in people])
    ids = set(found.values_list("pk", flat=True))
    return [person for person in people if person.pk in ids]


def _checked_moment(name: str, moment: Any) -> datetime:
    if not isinstance(moment, datetime) or moment.tzinfo is None:
        raise ValueError(f"{name}: must be a datetime with a time zone, for example timezone.now(), not {moment!r}.")
    return moment


def _checked_key(key: str | None) -> str | None:
    if key is None:
        return None
    # MariaDB does not tell a key from one with a blank behind it.
    if not isinstance(key, str) or not 0 < len(key) <= LONGEST_KEY or not storable(key) or key != key.strip():
        raise ValueError(
            f"dedupe_key: must be a text of 1 to {LONGEST_KEY} characters without NUL and outer blanks, or None."
        )
    return key


def _counted_as(status: str) -> str:
    if status in words.HANDED_OFF:
        return "success"
    return "skipped" if status == words.SKIPPED else "failed"
