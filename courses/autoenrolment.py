"""Automatic enrolment after a granted subsidy: decided once for each request, tried three times, told to nobody.

It is off unless an enterprise wants it, and refuses wherever it would overwhelm a learner or choose a run for them.
`consider` is called with the grant; what it writes commits with that, and the enrolment follows the commit.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any, Final
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from courses import alerts, commits, platform_enrolment, runs, services, signals
from courses.alerts import Alert, Entry
from courses.bulk import insert_if_absent, locked, retry_on_deadlock
from courses.logs import trace
from courses.models import AutoEnrolment, Course, Enrollment, LearnerProfile

logger = logging.getLogger(__name__)

EMBEDDED: Final = "embedded"
LMS: Final = "lms"
BACKENDS: Final = (EMBEDDED, LMS)

MAX_ATTEMPTS: Final = 3
PAUSE: Final = timedelta(minutes=5)
RECENT: Final = timedelta(hours=24)
FULL_DISCOUNT: Final = Decimal(100)
PAGE: Final = 100

NO_COURSE: Final = "no_course"
PARTIAL_DISCOUNT: Final = "partial_discount"
MULTIPLE_REQUESTS: Final = "multiple_requests"
RECENT_AUTO_ENROLMENT: Final = "recent_auto_enrolment"
ALREADY_ENROLLED: Final = "already_enrolled"
RUN_NOT_OPEN: Final = "run_not_open"
AMBIGUOUS_RUN: Final = "ambiguous_run"
LEARNER_UNKNOWN: Final = "learner_unknown"


def consider(
    *,
    subsidy_request_uuid: UUID,
    enterprise_customer_uuid: UUID,
    lms_user_id: int,
    course_id: str | None,
    learner_requests_in_action: int,
    discount_percent: Decimal | None = None,
    license_uuid: UUID | None = None,
) -> AutoEnrolment:
    """Decide whether a learner is enrolled after a grant, and do it; return the row of the request.

    Called inside the grant's transaction, or after it, and only where the event says `attempt_auto_enrollment`. The
    first call for a request counts. `discount_percent` is the coupon's, None for a licence.
    """
    now = timezone.now()
    reason = _reason_of_request(course_id, learner_requests_in_action, discount_percent)
    row = AutoEnrolment(
        subsidy_request_uuid=subsidy_request_uuid,
        enterprise_customer_uuid=enterprise_customer_uuid,
        lms_user_id=lms_user_id,
        license_uuid=license_uuid,
        course=course_id or "",
        state=AutoEnrolment.SKIPPED if reason else AutoEnrolment.PENDING,
        reason=reason,
        next_attempt_at=None if reason else now,
        created_at=now,
        decided_at=now if reason else None,
        ended_at=now if reason else None,
    )
    if insert_if_absent(AutoEnrolment, [row], unique_field="subsidy_request_uuid") and not reason:
        # Whoever dies before it leaves a row that is due.
        commits.after_commit(partial(carry_out, row.pk))
    return AutoEnrolment.objects.get(subsidy_request_uuid=subsidy_request_uuid)


def retry_due(now: datetime | None = None) -> Counter[str]:
    """Go on with every enrolment that is due: undecided ones, and those whose pause of 5 minutes has passed.

    Returns how many ended as which state; one that is to be tried again counts as `pending`.
    """
    due = AutoEnrolment.objects.filter(state=AutoEnrolment.PENDING, next_attempt_at__lte=now or timezone.now())
    counts: Counter[str] = Counter()
    last = 0
    while page := list(due.filter(pk__gt=last).order_by("pk").values_list("pk", flat=True)[:PAGE]):
        for pk in page:
            try:
                counts[carry_out(pk, now=now)] += 1
            except Exception as error:
                logger.error("automatic enrolment %d broke off: %s", pk, trace(error))
        last = page[-1]
    return counts


def carry_out(pk: int, *, now: datetime | None = None) -> str:
    """Decide about an enrolment that is not decided yet, try it if it is due, and return its state."""
    now = now or timezone.now()
    _decide(pk, now)
    row = _claimed(pk, now)
    if row is not None:
        _try(row, now)
    return str(AutoEnrolment.objects.values_list("state", flat=True).get(pk=pk))


def _reason_of_request(course_id: str | None, in_action: int, discount: Decimal | None) -> str:
    if not course_id:
        return NO_COURSE
    if discount is not None and discount < FULL_DISCOUNT:
        return PARTIAL_DISCOUNT
    return MULTIPLE_REQUESTS if in_action > 1 else ""


@retry_on_deadlock
def _decide(pk: int, now: datetime) -> None:
    """Choose the run, or skip with the first reason that applies; one decision at a time for each learner."""
    with transaction.atomic():
        lms_user_id = AutoEnrolment.objects.values_list("lms_user_id", flat=True).get(pk=pk)
        learner = locked(LearnerProfile.objects.filter(lms_user_id=lms_user_id)).first()
        undecided = AutoEnrolment.objects.filter(pk=pk, state=AutoEnrolment.PENDING, run="")
        row = locked(undecided).first()
        if row is None:
            return
        if learner is None:
            _end(row, now, state=AutoEnrolment.FAILED, reason=LEARNER_UNKNOWN)
            commits.after_commit(partial(_tell, row))
            return
        known = runs.runs_of(row.course)
        open_runs = [run for run in known if runs.is_open(run, now)]
        reason = _reason_of_learner(row, learner, known, now) or _reason_of_runs(open_runs)
        if reason:
            _end(row, now, state=AutoEnrolment.SKIPPED, reason=reason)
            return
        _write(row, run=open_runs[0].key, mode=runs.mode_of(open_runs[0], now), decided_at=now)


def _reason_of_learner(row: AutoEnrolment, learner: LearnerProfile, known: list[Course], now: datetime) -> str:
    others = AutoEnrolment.objects.filter(lms_user_id=row.lms_user_id, created_at__gt=now - RECENT).exclude(pk=row.pk)
    # One that is not decided yet has no run, and will be asked about us in its turn.
    if others.filter(state__in=(AutoEnrolment.ENROLLED, AutoEnrolment.PENDING)).exclude(run="").exists():
        return RECENT_AUTO_ENROLMENT
    if Enrollment.objects.filter(user_id=learner.user_id, course__in=known, is_active=True).exists():
        return ALREADY_ENROLLED
    return ""


def _reason_of_runs(open_runs: list[Course]) -> str:
    if not open_runs:
        return RUN_NOT_OPEN
    return AMBIGUOUS_RUN if len(open_runs) > 1 else ""


def _claimed(pk: int, now: datetime) -> AutoEnrolment | None:
    """Count an attempt before it begins, so that one whose process dies counts too; None where none is due."""
    due = AutoEnrolment.objects.filter(pk=pk, state=AutoEnrolment.PENDING, next_attempt_at__lte=now).exclude(run="")
    if due.filter(attempts__gte=MAX_ATTEMPTS).exists():
        _fail(AutoEnrolment.objects.get(pk=pk), now, "interrupted")
        return None
    if not due.update(attempts=F("attempts") + 1, next_attempt_at=now + PAUSE):
        return None
    return AutoEnrolment.objects.get(pk=pk)


def _try(row: AutoEnrolment, now: datetime) -> None:
    enrol = ENROL[getattr(settings, "SUBSIDY_ENROLMENT_BACKEND", EMBEDDED)]
    try:
        enrol(row, now)
    except Exception as error:
        logger.error("automatic enrolment %d, attempt %d of %d: %s", row.pk, row.attempts, MAX_ATTEMPTS, trace(error))
        if row.attempts >= MAX_ATTEMPTS:
            _fail(row, now, type(error).__name__)
        else:
            _write(row, reason=type(error).__name__)


@retry_on_deadlock
def _enrol_here(row: AutoEnrolment, now: datetime) -> None:
    """Enrol in our own tables, in one transaction with the note that it is done."""
    with transaction.atomic():
        learner = LearnerProfile.objects.select_related("user").get(lms_user_id=row.lms_user_id)
        course = Course.objects.get(key=row.run)
        services.record_enrollment(learner.user, course, mode=row.mode, is_active=True, announce=False)
        _succeed(row, now)


def _enrol_on_platform(row: AutoEnrolment, now: datetime) -> None:
    """Enrol over HTTP, outside of any transaction; our own tables hear of it as of every enrolment there."""
    platform_enrolment.enrol(row)
    with transaction.atomic():
        _succeed(row, now)


ENROL: Final[dict[str, Callable[[AutoEnrolment, datetime], None]]] = {
    EMBEDDED: _enrol_here,
    LMS: _enrol_on_platform,
}


def _succeed(row: AutoEnrolment, now: datetime) -> None:
    _end(row, now, state=AutoEnrolment.ENROLLED, reason="")
    signals.auto_enrolled.send(sender=AutoEnrolment, enrolments=[row])


def _fail(row: AutoEnrolment, now: datetime, reason: str) -> None:
    _end(row, now, state=AutoEnrolment.FAILED, reason=reason)
    _tell(row)


def _end(row: AutoEnrolment, now: datetime, *, state: str, reason: str) -> None:
    decided_at = row.decided_at or now
    _write(row, state=state, reason=reason, next_attempt_at=None, decided_at=decided_at, ended_at=now)


def _write(row: AutoEnrolment, **fields: Any) -> None:
    for name, value in fields.items():
        setattr(row, name, value)
    row.save(update_fields=list(fields))


def _tell(row: AutoEnrolment) -> None:
    ids = {"row": row.pk, "request": str(row.subsidy_request_uuid), "run": row.run or "-"}
    text = f"automatic enrolment failed: {row.reason}"
    entry = Entry(severity="error", step="enrol", text=text, ids=ids)
    alerts.tell(Alert(source="courses.autoenrolment", faults=1, entries=(entry,)))
