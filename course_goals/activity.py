"""The days on which learners were in a course: recorded once a day, by the learner's clock, cheaply."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Collection
from datetime import date, datetime
from typing import Any, Final

from django.core.cache import cache
from django.db import transaction
from django.http import HttpRequest
from django.utils import timezone

from courses.models import Course, Enrollment, UserActivity
from courses.services import ActivityFact, record_activities

from . import access
from .clocks import Pair, zone_for
from .week import day_bounds

#: What browsers and their ancestors send when they fetch a page that nobody has opened yet.
FETCHED_AHEAD: Final = ("Sec-Purpose", "Purpose", "X-Purpose", "X-Moz")
AHEAD: Final = ("prefetch", "prerender", "preview")
#: Rows that are deleted at once.
BATCH: Final = 10_000

log = logging.getLogger(__name__)


def record_visit(request: HttpRequest, course: Course) -> bool:
    """Record the day of whoever opens a page of a course, as `record_user_activity` does.

    Opening is a GET: neither a HEAD, nor a browser that fetches ahead, nor staff with a preview.
    """
    announced = " ".join(request.headers.get(name, "") for name in FETCHED_AHEAD).lower()
    if request.method != "GET" or any(word in announced for word in AHEAD) or access.is_preview(request):
        return False
    return record_user_activity(request.user, course)


def record_user_activity(user: access.Person, course: Course | None, at: datetime | None = None) -> bool:
    """Record that a learner is in a course at an aware instant, now unless told; return whether a row was written.

    Nothing for nobody, without a course, with the flag off or without an active enrolment. The day is that of the
    learner's own clock. While `at` lies in a day that is remembered, no statement is made. Raises ValueError for a
    naive instant.
    """
    moment = timezone.now() if at is None else at
    if timezone.is_naive(moment):
        raise ValueError("at: must be aware, a naive instant was given.")
    if not access.signed_in(user) or course is None:
        return False
    key = _key(user.pk, course.pk)
    if _is_remembered(key, moment) or not access.has_goals(user, course):
        return False
    zone = zone_for(user.pk, course)
    day = moment.astimezone(zone).date()
    counts = record_activities([ActivityFact(user_id=user.pk, course_id=course.pk, day=day)])
    first, after = day_bounds(day, zone)
    # Once the row is there for good: a transaction that is rolled back must leave no memory of it.
    transaction.on_commit(lambda: _remember(key, first, after, moment))
    return counts["created"] > 0


def forget(user_id: int) -> None:
    """Forget what is remembered of a learner's days, who goes by another clock now."""
    enrolled = Enrollment.objects.filter(user_id=user_id, is_active=True).values_list("course_id", flat=True)
    keys = [_key(user_id, course_id) for course_id in enrolled]
    transaction.on_commit(lambda: _tried(lambda: cache.delete_many(keys)))


def study_dates(pairs: Collection[Pair], first: date, last: date) -> dict[Pair, set[date]]:
    """Return {(user id, course id): the days from `first` to `last` with activity}, in one statement."""
    rows = UserActivity.objects.filter(
        user_id__in={user_id for user_id, _ in pairs},
        course_id__in={course_id for _, course_id in pairs},
        date__gte=first,
        date__lte=last,
    )
    found: dict[Pair, set[date]] = {pair: set() for pair in pairs}
    for user_id, course_id, day in rows.values_list("user_id", "course_id", "date"):
        # The statement asks for users and courses apart, so it may find a pair nobody asked about.
        if (user_id, course_id) in found:
            found[user_id, course_id].add(day)
    return found


def purge(before: date, *, dry_run: bool) -> int:
    """Delete the days before a date, in one pass over the table, and return how many they are."""
    number, last = 0, 0
    while ids := list(
        UserActivity.objects.filter(date__lt=before, pk__gt=last).order_by("pk").values_list("pk", flat=True)[:BATCH]
    ):
        number, last = number + len(ids), ids[-1]
        if not dry_run:
            UserActivity.objects.filter(pk__in=ids).delete()
    return number


def _key(user_id: int, course_id: int) -> str:
    return f"course_goals.activity:{user_id}:{course_id}"


def _is_remembered(key: str, moment: datetime) -> bool:
    day = _tried(lambda: cache.get(key))
    return day is not None and day[0] <= moment.timestamp() < day[1]


def _remember(key: str, first: datetime, after: datetime, moment: datetime) -> None:
    """Remember a day until it ends, in seconds that really pass."""
    timeout = math.ceil((after - moment).total_seconds())
    _tried(lambda: cache.set(key, (first.timestamp(), after.timestamp()), timeout=timeout))


def _tried(ask: Callable[[], Any]) -> Any:
    """Return what the cache says, or None without one: it saves statements, nothing depends on it."""
    try:
        return ask()
    except Exception as error:
        log.warning("days are recorded without a cache: it does not answer (%s)", type(error).__name__)
        return None
