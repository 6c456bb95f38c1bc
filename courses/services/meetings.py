"""Writing meetings and who was there."""

from datetime import datetime
from typing import Any

from django.contrib.auth.models import AbstractUser

from courses.bulk import retry_on_deadlock
from courses.models import Meeting, Participant
from courses.services.upsert import Word, check_key, record


@retry_on_deadlock
def record_meeting(key: str, **fields: Any) -> tuple[Meeting, Word]:
    """Record a meeting; `fields` are columns of Meeting, those not named stay."""
    check_key("key", key)
    return record(Meeting, {"key": key}, fields)


@retry_on_deadlock
def record_attendance(
    meeting: Meeting,
    user: AbstractUser,
    *,
    joined_at: datetime | None = None,
    left_at: datetime | None = None,
    announce: bool = True,
) -> tuple[Participant, Word]:
    """Record that somebody was in a meeting; None: not told, what is stored stays.

    `announce` False: the person is not told of anything that follows from leaving.
    """
    told = {"joined_at": joined_at, "left_at": left_at}
    fields = {name: instant for name, instant in told.items() if instant is not None}
    return record(Participant, {"meeting": meeting, "user": user}, fields, save={"announce": announce})
