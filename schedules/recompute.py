"""The batch jobs that keep existing schedules true: asked for by events, done after their commit by any process.

A job is a row of ScheduleRecompute, and the only writer of these rows is this module. Its functions stand in the
order in which a job meets them. Two things make the stored values right in the end, whatever runs at the same time:

* A job begins only when the changes it was asked for are committed. Whoever finds an equal job waiting joins it and
  keeps it locked until the end of its own transaction; whoever cannot lock it asks for one more. So an event never
  waits for another one's transaction.
* A batch locks its schedules first and reads the facts afterwards. Of two jobs over the same schedules the one that
  writes later has read the facts later.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, TypeVar
from uuid import uuid4

from celery import current_app
from django.db import connections, models, transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone

from courses.bulk import locked, retry_on_deadlock
from courses.models import Enrollment
from courses.signals import without_personal_data
from email_automation.conf import setting
from email_automation.pipeline.outcome import trace

from . import services
from .models import Schedule, ScheduleRecompute

Row = TypeVar("Row", bound=models.Model)

log = logging.getLogger(__name__)

DATES, EXPERIENCE = ScheduleRecompute.DATES, ScheduleRecompute.EXPERIENCE
WAITING, RUNNING = ScheduleRecompute.WAITING, ScheduleRecompute.RUNNING
DONE, FAILED = ScheduleRecompute.DONE, ScheduleRecompute.FAILED

EVERYTHING: Final = "all"
WAKE_UP_TASK: Final = "schedules.tasks.recompute_schedules"
QUEUE: Final = "lifecycle"
BATCH: Final = 500
LEASE: Final = timedelta(minutes=5)
FIRST_PAUSE: Final = timedelta(seconds=30)
RETRIES: Final = 5
MAX_ERROR: Final = 2000

REFRESH: Final[dict[str, Callable[[list[Schedule]], int]]] = {
    DATES: lambda schedules: services.refresh_dates(schedules),
    EXPERIENCE: lambda schedules: services.refresh_experiences(schedules),
}


class LeaseLost(Exception):
    """Somebody else has taken the job over."""


def scope_of_org(org: str) -> str:
    """Return the scope "the courses of this organisation"."""
    return f"org:{org}"


def scope_of_course(key: str) -> str:
    """Return the scope "this course"."""
    return f"course:{key}"


def schedules_in(scope: str) -> QuerySet[Schedule]:
    """Return the schedules of a scope. Raises ValueError for a text that is none."""
    what, _, name = scope.partition(":")
    if scope == EVERYTHING:
        return Schedule.objects.all()
    if what not in ("org", "course") or not name:
        raise ValueError(f"{scope!r} is no scope; allowed are all, org:<organisation> and course:<course key>")
    field = "course__org" if what == "org" else "course__key"
    # Not a join: a lock would then hold courses and enrolments too.
    return Schedule.objects.filter(enrollment__in=Enrollment.objects.filter(**{field: name}))


def request(kind: str, scope: str) -> None:
    """Ask for a job once the current transaction, which holds the change, is committed.

    A request equal to one that still waits adds nothing. One equal to a running job waits and runs after it.
    """
    schedules_in(scope)
    if kind not in REFRESH:
        raise ValueError(f"{kind!r} is no kind of job; allowed are {', '.join(REFRESH)}")
    with transaction.atomic():
        waiting = ScheduleRecompute.objects.filter(kind=kind, scope=scope, state=WAITING).order_by("pk")
        # Locked, so that no worker begins before this transaction's change can be seen.
        if _unheld(waiting).first() is None:
            ScheduleRecompute.objects.create(kind=kind, scope=scope)
        transaction.on_commit(wake_up)


def _unheld(rows: QuerySet[Row]) -> QuerySet[Row]:
    """Lock the rows that nobody else has locked, and leave the others out."""
    features = connections[rows.db].features
    return rows.select_for_update(
        skip_locked=features.has_select_for_update_skip_locked, no_key=features.has_select_for_no_key_update
    )


def wake_up() -> None:
    """Have the waiting jobs done: by a worker where there is a broker, else here. Raises nothing.

    What this does not achieve, the next sweep does.
    """
    try:
        if setting("CELERY_BROKER_URL"):
            current_app.send_task(WAKE_UP_TASK, queue=QUEUE, retry=False)
        else:
            run_waiting()
    except Exception as error:  # each broker's client has its own
        log.error("recomputing schedules waits for process_email_queue: %s", trace(error))


def run_waiting() -> dict[str, int]:
    """Do one job after another until none may run now; return how many ended in which state.

    Any number of processes may do so at once. `running` counts the jobs that broke and are tried again later, and
    those that somebody else took over.
    """
    ended: Counter[str] = Counter()
    while (job := _take()) is not None:
        _run(job)
        ended[job.state] += 1
    return dict(ended)


def _take() -> ScheduleRecompute | None:
    """Claim the oldest job that may run now."""
    for pk in list(_due().order_by("pk").values_list("pk", flat=True)):
        job = _claim(pk)
        if job is not None:
            return job
    return None


def _due() -> QuerySet[ScheduleRecompute]:
    """Return the jobs that may run now: new ones, those to be tried again, and those of dead workers."""
    now = timezone.now()
    unfinished = ScheduleRecompute.objects.filter(state__in=(WAITING, RUNNING))
    equal = ScheduleRecompute.objects.filter(kind=OuterRef("kind"), scope=OuterRef("scope"), state=RUNNING)
    unleased = Q(lease_expires_at=None) | Q(lease_expires_at__lt=now)
    return unfinished.filter(
        Q(state=RUNNING) & unleased | Q(state=WAITING) & ~Exists(equal),
        Q(next_attempt_at=None) | Q(next_attempt_at__lte=now),
    )


@retry_on_deadlock
def _claim(pk: int) -> ScheduleRecompute | None:
    """Take a job under a lease. None: somebody holds it, or an equal one."""
    with transaction.atomic(durable=True):
        job = _unheld(_due().filter(pk=pk)).first()
        if job is None or (job.state == WAITING and not _begin(job)):
            return None
        job.claim_token, job.lease_expires_at, job.next_attempt_at = uuid4(), timezone.now() + LEASE, None
        job.save()
        return job


def _begin(job: ScheduleRecompute) -> bool:
    """Make a waiting job a running one, which does the work of all equal ones that wait too.

    False: an equal one runs, is about to in another process, or is being joined. Whoever holds such a row has us
    woken up later. One statement finds them all, or one could pass from waiting to running between two looks.
    """
    unfinished = ScheduleRecompute.objects.filter(kind=job.kind, scope=job.scope, state__in=(WAITING, RUNNING))
    equal = dict(unfinished.exclude(pk=job.pk).values_list("pk", "state"))
    if RUNNING in equal.values():
        return False
    if equal:
        waiting = ScheduleRecompute.objects.filter(pk__in=equal, state=WAITING)
        if len(_unheld(waiting.order_by("pk"))) < len(equal):
            return False
        waiting.delete()
    job.state, job.started_at, job.total = RUNNING, timezone.now(), schedules_in(job.scope).count()
    return True


def _run(job: ScheduleRecompute) -> None:
    """Do batch after batch until the job has ended, breaks, or is somebody else's."""
    try:
        while job.state == RUNNING:
            _do_batch(job)
    except LeaseLost:
        log.warning("recompute %s was taken over after schedule %s", job.pk, job.last_schedule_id)
    except Exception as error:
        _break_off(job, error)


@retry_on_deadlock
def _do_batch(job: ScheduleRecompute) -> None:
    """Refresh the next schedules and note the progress, in one transaction."""
    with transaction.atomic(durable=True):
        batch = refresh_next(schedules_in(job.scope), REFRESH[job.kind], after=job.last_schedule_id)
        now = timezone.now()
        progress: dict[str, Any] = {
            "done": job.done + batch.size,
            "changed": job.changed + batch.changed,
            "last_schedule_id": batch.last_id,
            "lease_expires_at": now + LEASE,
        }
        if batch.is_last:
            # Schedules made since the job began belong to it too.
            total = progress["done"]
            progress |= {"total": total, "error": "", "finished_at": now, "lease_expires_at": None, "state": DONE}
        if not _own(job).update(**progress):
            raise LeaseLost
    for name, value in progress.items():
        setattr(job, name, value)


def _own(job: ScheduleRecompute) -> QuerySet[ScheduleRecompute]:
    return ScheduleRecompute.objects.filter(pk=job.pk, state=RUNNING, claim_token=job.claim_token)


@dataclass(frozen=True, slots=True)
class Batch:
    """What became of up to 500 schedules."""

    size: int
    changed: int
    last_id: int
    is_last: bool


def refresh_next(
    schedules: QuerySet[Schedule], refresh: Callable[[list[Schedule]], int], *, after: int, lock: bool = True
) -> Batch:
    """Refresh the next schedules in the order of their ids; `lock` needs a transaction."""
    rows = schedules.filter(pk__gt=after).order_by("pk")
    page = list((locked(rows) if lock else rows)[:BATCH])
    changed = refresh(page) if page else 0
    return Batch(len(page), changed, page[-1].pk if page else after, len(page) < BATCH)


def _break_off(job: ScheduleRecompute, error: Exception) -> None:
    """Note why a job broke, and when it is tried again, if it is."""
    log.error("recompute %s broke off after schedule %s: %s", job.pk, job.last_schedule_id, trace(error))
    job.attempts += 1
    now = timezone.now()
    outcome: dict[str, Any] = {
        "attempts": job.attempts,
        "error": _described(error),
        "claim_token": None,
        "lease_expires_at": None,
    }
    if job.attempts > RETRIES:
        outcome |= {"finished_at": now, "state": FAILED}
    else:
        outcome["next_attempt_at"] = now + FIRST_PAUSE * 2 ** (job.attempts - 1)
    connection = connections[ScheduleRecompute.objects.db]
    if not connection.in_atomic_block:
        connection.close_if_unusable_or_obsolete()
    try:
        _own(job).update(**outcome)
    except Exception as second:
        log.error("recompute %s keeps its lease: %s", job.pk, trace(second))
        return
    job.state = outcome.get("state", job.state)


def _described(error: Exception) -> str:
    cleaned = without_personal_data(error)
    text = str(cleaned) if cleaned is not error else f"{type(error).__name__}: {error}"
    return services.storable(text)[:MAX_ERROR]


def run_here(
    scope: str, *, dry_run: bool = False, progress: Callable[[int, int], None] = lambda done, total: None
) -> tuple[int, int]:
    """Recompute the dates of a scope in this process, without a job; return how many schedules, and how many changed.

    A dry run writes nothing and locks nothing. `progress` is called with (done, total) after each batch.
    """
    schedules = schedules_in(scope)
    total, done, changed, after, ended = schedules.count(), 0, 0, 0, False
    while not ended:
        batch = _refresh_here(schedules, after=after, dry_run=dry_run)
        done, changed, after, ended = done + batch.size, changed + batch.changed, batch.last_id, batch.is_last
        progress(done, max(total, done))
    return done, changed


@retry_on_deadlock
def _refresh_here(schedules: QuerySet[Schedule], *, after: int, dry_run: bool) -> Batch:
    def refresh(page: list[Schedule]) -> int:
        return services.refresh_dates(page, dry_run=dry_run)

    with transaction.atomic(durable=True):
        return refresh_next(schedules, refresh, after=after, lock=not dry_run)
