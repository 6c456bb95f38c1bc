"""The signals of the ground floor and the one way to listen to them.

Every signal is sent inside the transaction of the write it reports, with lists of rows, so what a receiver writes
exists exactly when its fact does. `sender` is always the model class.

=====================  =======================================================================================
signal                 keyword arguments
=====================  =======================================================================================
enrollments_created    enrollments: list[Enrollment]; announce: bool (False: the learner shall not be told)
enrollments_changed    enrollments: list[Enrollment]; changed: {enrolment id: frozenset of field names} out of
                       `is_active`, `mode`, `created_at`
course_changed         course: Course; changed: frozenset of field names
course_modes_changed   course: Course; slugs: frozenset of the modes added, changed or removed
sections_changed       course: Course (a section added, changed or removed)
certificates_changed   certificates: list[Certificate] (new, or with another status)
payments_completed     payments: list[Payment] that are successful now and were not before; announce: bool
participants_left      participants: list[Participant] whose `left_at` is known now and was not, of every kind of
                       meeting; announce: bool
content_published      items: list[ContentItem], published for the first time; announce: bool
auto_enrolled          enrolments: list[AutoEnrolment] that have led to a place in a run
=====================  =======================================================================================
"""

import logging
import re
from collections.abc import Callable
from functools import wraps
from typing import Any

from django.db import DatabaseError, models, transaction
from django.dispatch import Signal

from courses.bulk import transaction_is_lost

logger = logging.getLogger(__name__)

enrollments_created = Signal()
enrollments_changed = Signal()
course_changed = Signal()
course_modes_changed = Signal()
sections_changed = Signal()
certificates_changed = Signal()
payments_completed = Signal()
participants_left = Signal()
content_published = Signal()
auto_enrolled = Signal()

Receiver = Callable[..., Any]

# From where a word begins only: tried at each of its signs, a long word would take the square of its length.
ADDRESS = re.compile(r"(?<!\S)\S+@\S+")
QUOTED = re.compile(r"'[^']*'")


def receiver(signal: Signal) -> Callable[[Receiver], Receiver]:
    """Connect a function to a signal of this module without letting it harm the writer.

    The function runs in a savepoint of the writer's transaction and must be idempotent. Whatever it raises is rolled
    back to the savepoint and logged once with its traceback and the ids of the rows; the writer goes on in a usable
    transaction. Only when the database itself has already thrown the whole transaction away (a deadlock on MariaDB, a
    serialization failure) is the error passed on, so that the writer can be run again.
    """

    def decorate(function: Receiver) -> Receiver:
        name = f"{function.__module__}.{function.__qualname__}"

        @wraps(function)
        def guarded(sender: Any, **kwargs: Any) -> Any:
            try:
                with transaction.atomic():
                    return function(sender, **kwargs)
            except Exception as error:
                if transaction_is_lost(error):
                    raise
                logger.error(
                    "receiver %s failed for %s",
                    name,
                    described(kwargs),
                    exc_info=(type(error), without_personal_data(error), error.__traceback__),
                )
                return None

        signal.connect(guarded, weak=False, dispatch_uid=name)
        return guarded

    return decorate


def described(kwargs: dict[str, Any]) -> str:
    """Name the rows in a signal's arguments by model and id, for a log line."""
    parts = []
    for name, value in kwargs.items():
        rows = value if isinstance(value, list) else [value]
        ids = [str(row.pk) for row in rows if isinstance(row, models.Model)]
        if ids:
            shown = ",".join(ids[:20]) + (f",... ({len(ids)})" if len(ids) > 20 else "")
            parts.append(f"{name}={shown}")
    return " ".join(parts) or "no rows"


def without_personal_data(error: BaseException) -> BaseException:
    """Return the error for a log: addresses and the values that databases quote in their messages taken out."""
    text = str(error)
    cleaned = ADDRESS.sub("<address>", text)
    if isinstance(error, DatabaseError):
        # PostgreSQL puts the offending values on a DETAIL line, MariaDB into quotes.
        cleaned = QUOTED.sub("'...'", cleaned.split("\n", 1)[0])
    if cleaned == text and error.__cause__ is None and error.__context__ is None:
        return error
    return RuntimeError(f"{type(error).__name__}: {cleaned}")
