"""Which facts are mailed about: from rows of the ground floor to entries of the outbox, in the caller's transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from courses.models import Enrollment, Meeting, Participant, Payment

from . import progress
from .events import occasion, owner_sites
from .models import EmailQueue, WeeklyProgressReport
from .packing import packed
from .pipeline import message as messages
from .pipeline import outbox
from .pipeline.outbox import Fact

ENROLLMENT, PAYMENT, DEMO = "enrollment", "payment_confirmation", "demo_completed"


def enrollments(rows: Sequence[Enrollment], *, again: bool = False) -> list[EmailQueue]:
    """Have enrolments mailed about; `again`, here and below: also those that were triggered before and not mailed."""
    owners = owner_sites([row.course for row in rows])
    return _trigger(ENROLLMENT, [(row.pk, row.user_id, owners[row.course_id]) for row in rows], again=again)


def payments(rows: Sequence[Payment], *, again: bool = False) -> list[EmailQueue]:
    """Have payments mailed about."""
    owners = owner_sites([row.course for row in rows])
    return _trigger(PAYMENT, [(row.pk, row.user_id, owners[row.course_id]) for row in rows], again=again)


def participations(
    rows: Sequence[Participant], meetings: Mapping[int, Meeting], *, again: bool = False
) -> list[EmailQueue]:
    """Have those who left a demo class of a course mailed about; `meetings` are theirs, by id."""
    demos = [row for row in rows if meetings[row.meeting_id].is_demo and meetings[row.meeting_id].course_id is not None]
    owners = owner_sites([meetings[row.meeting_id].course for row in demos])
    facts = [(row.pk, row.user_id, owners[meetings[row.meeting_id].course_id]) for row in demos]
    return _trigger(DEMO, facts, again=again)


def report(row: WeeklyProgressReport) -> list[EmailQueue]:
    """Have one weekly report mailed as it was kept, unless its mail is out."""
    enrollment = Enrollment.objects.filter(user_id=row.user_id, course_id=row.course_id).first()
    key = progress.occasion(enrollment.pk if enrollment else f"report-{row.pk}", row.week_start)
    kind = messages.get(progress.NAME)
    entry = EmailQueue(
        recipient=row.user,
        email_type=kind.NAME,
        site_id=owner_sites([row.course])[row.course_id],
        context_data=packed({"report": row, "course": row.course}),
        priority=kind.priority,
        dedupe_key=key,
    )
    return outbox.add([entry], again=True)


def _trigger(name: str, facts: Sequence[tuple[int, int, int]], *, again: bool) -> list[EmailQueue]:
    found = [Fact(target_id, user_id, occasion(name, target_id), site_id) for target_id, user_id, site_id in facts]
    return outbox.trigger(messages.get(name), found, again=again)
