"""Weekly figures: counting what learners did, set by set, and the only writer of WeeklyProgressReport."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from datetime import UTC, date, tzinfo
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.db.models import Count, Q, Sum

from courses.bulk import any_of, insert_if_absent, slices
from courses.models import Completion, ContentItem, Enrollment, SiteConfiguration, UserActivity

from . import words
from .models import EmailLog, WeeklyProgressReport
from .pipeline.resolver import Resolver
from .pipeline.run import Run
from .weeks import Week

NAME = "weekly_progress"
#: As many pairs of learner and course as one statement of SQLite takes, each in a term of its own.
BATCH = 500
KINDS = {"video": "videos", "quiz": "quizzes", "assignment": "assignments"}

Pair = tuple[int, int]


def zone_of(site_id: int) -> tzinfo:
    """Return a site's zone; UTC where it has none, or one that this machine does not know."""
    name = SiteConfiguration.objects.filter(site_id=site_id).values_list("time_zone", flat=True).first()
    try:
        return ZoneInfo(name) if name else UTC
    except (ZoneInfoNotFoundError, ValueError):
        return UTC


def occasion(whose: int | str, week_start: date) -> str:
    """Return what a report's mail is once-only about; it is somebody's, by default an enrolment's, of a week."""
    return f"{NAME}:{whose}:{week_start}"


def reports(enrollments: Collection[Enrollment], week: Week, zone: tzinfo) -> dict[Pair, WeeklyProgressReport]:
    """Return {(user id, course id): report} of a week, as kept or else counted now, in at most four statements."""
    pairs = [(row.user_id, row.course_id) for row in enrollments]
    if not pairs:
        return {}
    kept = WeeklyProgressReport.objects.filter(
        any_of(pairs, attnames=["user_id", "course_id"]), week_start=week.start, report_generated=True
    )
    found = {(row.user_id, row.course_id): row for row in kept}
    return found | counted([pair for pair in pairs if pair not in found], week, zone)


def counted(pairs: Sequence[Pair], week: Week, zone: tzinfo) -> dict[Pair, WeeklyProgressReport]:
    """Return new reports, not stored, of pairs of user and course, in three statements."""
    if not pairs:
        return {}
    first, after = week.first(zone), week.after(zone)
    users, courses = {user for user, _ in pairs}, {course for _, course in pairs}
    published = Q(is_published=True, published_at__lt=after)
    totals: dict[int, dict[str, int]] = defaultdict(dict)
    items = ContentItem.objects.filter(published, course_id__in=courses).order_by()
    for course_id, kind, number in items.values_list("course_id", "kind").annotate(number=Count("pk")):
        totals[course_id][kind] = number
    done: dict[Pair, dict[str, tuple[int, int]]] = defaultdict(dict)
    completions = Completion.objects.filter(
        user_id__in=users,
        item__course_id__in=courses,
        item__is_published=True,
        item__published_at__lt=after,
        completed_at__lt=after,
    ).order_by()
    by_kind = completions.values_list("user_id", "item__course_id", "item__kind").annotate(
        number=Count("pk"), of_week=Count("pk", filter=Q(completed_at__gte=first))
    )
    for user_id, course_id, kind, number, of_week in by_kind:
        done[user_id, course_id][kind] = (number, of_week)
    activity = UserActivity.objects.filter(
        user_id__in=users, course_id__in=courses, date__gte=week.start, date__lte=week.end
    ).order_by()
    seconds = {
        (user_id, course_id): total
        for user_id, course_id, total in activity.values_list("user_id", "course_id").annotate(total=Sum("seconds"))
    }
    return {
        pair: _report(pair, week, totals=totals[pair[1]], done=done[pair], seconds=seconds.get(pair, 0))
        for pair in pairs
    }


def _report(
    pair: Pair, week: Week, *, totals: dict[str, int], done: dict[str, tuple[int, int]], seconds: int
) -> WeeklyProgressReport:
    figures: dict[str, int] = {}
    for kind, name in KINDS.items():
        completed, of_week = done.get(kind, (0, 0))
        figures |= {
            f"{name}_completed": completed,
            f"total_{name}": totals.get(kind, 0),
            f"{name}_this_week": of_week,
        }
    return WeeklyProgressReport(
        user_id=pair[0],
        course_id=pair[1],
        week_start=week.start,
        week_end=week.end,
        time_spent=round(seconds / 60),
        report_generated=True,
        **figures,
    )


def keep_reports(resolver: Resolver, run: Run) -> int:
    """Store the figures of everybody a run is about, and return how many were new; what is stored stays."""
    week, zone = Week.before(run.day), zone_of(run.site_id)
    stored = 0
    for rows in slices((row for page in resolver.audience(run) for row in page), BATCH):
        enrollments = Enrollment.objects.filter(pk__in=[row.target_id for row in rows])
        pairs = list(enrollments.values_list("user_id", "course_id"))
        known = WeeklyProgressReport.objects.filter(
            any_of(pairs, attnames=["user_id", "course_id"]), week_start=week.start
        )
        absent = set(pairs) - set(known.values_list("user_id", "course_id"))
        new = counted(sorted(absent), week, zone).values()
        stored += len(insert_if_absent(WeeklyProgressReport, new, unique_field=("user", "course", "week_start")))
    return stored


def mark_sent(rows: Sequence[EmailLog]) -> None:
    """Remember of which reports the mail has gone out."""
    by_week: dict[date, list[Pair]] = defaultdict(list)
    for row in rows:
        week_start = _week_of(row.occasion)
        if row.status in words.HANDED_OFF and week_start and row.course_id is not None and not row.is_test:
            by_week[week_start].append((row.recipient_id, row.course_id))
    for week, pairs in by_week.items():
        of_pairs: Any = any_of(pairs, attnames=["user_id", "course_id"])
        WeeklyProgressReport.objects.filter(of_pairs, week_start=week).update(email_sent=True)


def _week_of(key: str) -> date | None:
    """Return the week at the end of what `occasion` makes; None for a key of somebody's own, which may begin alike."""
    name, _, rest = key.partition(":")
    try:
        return date.fromisoformat(rest.rpartition(":")[2]) if name == NAME else None
    except ValueError:
        return None


def forget(user_id: int) -> int:
    """Delete every report of a person, and return how many there were."""
    return WeeklyProgressReport.objects.filter(user_id=user_id).delete()[0]
