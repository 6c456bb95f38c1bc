"""What the engine does when the ground floor reports a fact: an outbox row, in the fact's own transaction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from courses.models import ContentItem, Enrollment, Meeting, Participant, Payment
from courses.signals import content_published, enrollments_created, participants_left, payments_completed, receiver

from . import announcements, triggers


@receiver(enrollments_created)
def mail_enrollments(sender: Any, enrollments: Sequence[Enrollment], announce: bool, **kwargs: Any) -> None:
    """Have learners who have just enrolled welcomed."""
    if announce:
        triggers.enrollments([row for row in enrollments if row.is_active])


@receiver(payments_completed)
def confirm_payments(sender: Any, payments: Sequence[Payment], announce: bool, **kwargs: Any) -> None:
    """Have payments that have become successful confirmed."""
    if announce:
        triggers.payments(payments)


@receiver(participants_left)
def follow_up_demos(sender: Any, participants: Sequence[Participant], announce: bool, **kwargs: Any) -> None:
    """Have people who have left a demo class of a course written to."""
    if announce:
        meetings = Meeting.objects.select_related("course").in_bulk({row.meeting_id for row in participants})
        triggers.participations(participants, meetings)


@receiver(content_published)
def announce_content(sender: Any, items: Sequence[ContentItem], announce: bool, **kwargs: Any) -> None:
    """Have the learners of a course told what is new in it."""
    if announce:
        announcements.announce(items)
