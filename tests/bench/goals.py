"""How long planning the reminders of weekly goals takes, and how much memory, beside a loop that asks goal by goal.

`CADENCE_BENCH_GOALS` says how many goals there are; everything else follows in proportion.
"""

from __future__ import annotations

import json
import os
import time
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final
from unittest import mock

from django.conf import settings

from .places import apart, peak_kib

GOALS: Final = 2_300_000
LEARNERS_EACH: Final = 1.9 / 2.3
COURSES: Final = 400
LOOPED: Final = 20_000
SATURDAY: Final = date(2026, 3, 7)
NOW: Final = datetime(2026, 3, 7, 9, 5, tzinfo=UTC)
#: Hours before `NOW` in which runs count, so that no afternoon stands in for its morning.
HOURS_ON_RECORD: Final = 11
ZONES: Final = (
    "Africa/Cairo", "Africa/Johannesburg", "Africa/Lagos", "Africa/Nairobi", "America/Argentina/Buenos_Aires",
    "America/Bogota", "America/Caracas", "America/Chicago", "America/Denver", "America/Halifax", "America/Lima",
    "America/Los_Angeles", "America/Mexico_City", "America/New_York", "America/Santiago", "America/Sao_Paulo",
    "America/St_Johns", "Asia/Calcutta", "Asia/Dhaka", "Asia/Dubai", "Asia/Ho_Chi_Minh", "Asia/Jakarta", "Asia/Karachi",
    "Asia/Kathmandu", "Asia/Manila", "Asia/Riyadh", "Asia/Seoul", "Asia/Shanghai", "Asia/Singapore", "Asia/Tehran",
    "Asia/Tokyo", "Australia/Sydney", "Europe/Berlin", "Europe/Istanbul", "Europe/Kiev", "Europe/London",
    "Europe/Madrid", "Pacific/Auckland", "US/Hawaii", "UTC",
)  # fmt: skip
TABLES: Final = (
    "accounts_user", "courses_learnerprofile", "courses_enrollment", "courses_certificate", "courses_useractivity",
    "course_goals_coursegoal",
)  # fmt: skip


def measure() -> None:
    """Print seconds and peak memory of planning, and the ratio to the loop."""
    number = int(os.environ.get("CADENCE_BENCH_GOALS", GOALS))
    started = time.perf_counter()
    fill(number)
    print(f"\nReminders of {number:,} weekly goals (made in {time.perf_counter() - started:.0f} s)")
    found = apart("tests.bench.goals")
    print(
        f"  planned {found['planned']:,} of {found['due']:,} due in {found['seconds']:.1f} s, "
        f"{found['peak'] / 1024:.0f} MiB at most ({found['before'] / 1024:.0f} MiB before)"
    )
    looped = min(LOOPED, number)
    started = time.perf_counter()
    due = loop(looped)
    seconds = time.perf_counter() - started
    whole = seconds * number / looped
    print(f"  goal by goal: {due:,} due of {looped:,} in {seconds:.1f} s, so {whole:.0f} s for all")
    print(f"  ratio {whole / found['seconds']:.0f}")


def plan() -> dict[str, Any]:
    """Plan one run with its claims; no delivery."""
    from course_goals.messages.goal_reminder import GoalReminder
    from email_automation.pipeline import dispatch, wake
    from email_automation.pipeline.run import Run

    before = peak_kib()
    run = Run.starting(GoalReminder.label(), settings.SITE_ID, now=NOW)
    with mock.patch.object(wake.current_app, "send_task"):
        started = time.perf_counter()
        summary = dispatch.run_one(GoalReminder, run)
        seconds = time.perf_counter() - started
    assert not summary.errors, summary.errors
    return {
        "seconds": seconds, "due": summary.audience, "planned": summary.retry, "peak": peak_kib(), "before": before
    }  # fmt: skip


def loop(number: int) -> int:
    """Ask goal by goal, in the shape of the ancestor: a handful of queries for each."""
    from course_goals.access import FLAG
    from course_goals.conf import access_limits
    from course_goals.models import CourseGoal
    from course_goals.week import Clock, Progress, access_expiry, zone_of
    from courses.models import Certificate, CourseMode, Enrollment, LearnerProfile, UserActivity
    from courses.switches import learner_flag_is_on

    due = 0
    goals = CourseGoal.objects.filter(subscribed_to_reminders=True, days_per_week__gt=0).order_by("pk")
    for goal in goals.select_related("user", "course")[:number]:
        if not learner_flag_is_on(FLAG, goal.course_id, goal.user):
            continue
        theirs = {"user_id": goal.user_id, "course_id": goal.course_id}
        enrollment = Enrollment.objects.filter(**theirs, is_active=True).first()
        profile = LearnerProfile.objects.filter(user_id=goal.user_id).first()
        zone = zone_of(profile and profile.time_zone, profile and profile.last_seen_time_zone)
        clock = Clock.at(NOW, zone)
        if enrollment is None or enrollment.created_at >= clock.week_start or not clock.is_open(zone, [NOW]):
            continue
        expiry = access_expiry(
            mode=enrollment.mode,
            enrolled_at=enrollment.created_at,
            course_start=goal.course.start,
            weeks_to_complete=goal.course.weeks_to_complete,
            verified_mode=CourseMode.objects.filter(course_id=goal.course_id, slug="verified").exists(),
            limits=access_limits(),
        )
        if expiry is not None and expiry < clock.week_end:
            continue
        if Certificate.objects.filter(**theirs, status="downloadable").exists():
            continue
        dates = UserActivity.objects.filter(**theirs, date__gte=clock.monday).values_list("date", flat=True)
        due += Progress.of(clock, goal.days_per_week, dates).outcome == "due"
    return due


def fill(number: int) -> None:
    """Make goals, their learners, enrolments, certificates and the week's activity, by the database itself."""
    from django.db import connection

    from course_goals.access import FLAG
    from courses.models import Course, CourseMode, Flag
    from email_automation.models import MessageRun

    learners = int(number * LEARNERS_EACH)
    with connection.cursor() as cursor:
        cursor.execute(
            f"TRUNCATE {', '.join(TABLES)}, courses_course, email_automation_emaillog, email_automation_messagerun "
            "CASCADE"
        )
    courses = [
        Course(
            key=f"course-v1:Bench+G{index}+2026", title=f"Course {index}", org="Bench",
            start=NOW - timedelta(days=120), weeks_to_complete=4 + index % 9,
        )
        for index in range(COURSES)
    ]  # fmt: skip
    first = Course.objects.bulk_create(courses)[0].pk
    CourseMode.objects.bulk_create(
        [CourseMode(course_id=first + index, slug=slug) for index in range(COURSES) for slug in ("audit", "verified")]
    )
    Flag.objects.update_or_create(name=FLAG, defaults={"everyone": True})
    MessageRun.objects.bulk_create(
        MessageRun(
            message="course_goals.goal_reminder", site_id=settings.SITE_ID, status=MessageRun.DONE,
            slot=f"{NOW - timedelta(hours=hours):%Y-%m-%dT%H:%MZ}",
        )
        for hours in range(1, HOURS_ON_RECORD)
    )  # fmt: skip
    values = {
        "goals": number, "learners": learners, "first": first, "courses": COURSES, "zones": list(ZONES), "now": NOW,
        "monday": SATURDAY - timedelta(days=5), "saturday": SATURDAY,
    }  # fmt: skip
    with connection.cursor() as cursor:
        for statement in STATEMENTS:
            cursor.execute(statement, values)
        for table in TABLES:
            cursor.execute(f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), (SELECT max(id) FROM {table}))")
            cursor.execute(f"VACUUM ANALYZE {table}")


# `chance(n, m)` is a number from 0 to m - 1 that looks random and is the same every time.
STATEMENTS: Final = (
    """
    CREATE OR REPLACE FUNCTION chance(bigint, integer) RETURNS integer LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
    $$ SELECT (hashint8($1)::bigint & 2147483647)::integer %% $2 $$
    """,
    """
    INSERT INTO accounts_user (id, password, is_superuser, username, first_name, last_name, email, is_staff, is_active,
                               date_joined, role)
    SELECT n, 'bench$usable', false, 'learner' || n, 'Learner', 'Number ' || n, 'learner' || n || '@example.com',
           false, true, now(), 'student'
    FROM generate_series(1, %(learners)s) AS n
    """,
    """
    INSERT INTO courses_learnerprofile (id, user_id, language, time_zone, last_seen_time_zone)
    SELECT n, n, '', CASE WHEN chance(n, 10) < 4 THEN zone ELSE '' END,
           CASE WHEN chance(n, 10) < 4 THEN '' ELSE zone END
    FROM (SELECT n, (%(zones)s::text[])[1 + chance(3 * n, 40)] AS zone
          FROM generate_series(1, %(learners)s::bigint) AS n) AS people
    """,
    """
    INSERT INTO course_goals_coursegoal (id, user_id, course_id, days_per_week, subscribed_to_reminders,
                                         unsubscribe_token)
    SELECT n, 1 + (n - 1) %% %(learners)s,
           %(first)s + ((n - 1) %% %(learners)s + CASE WHEN n > %(learners)s THEN 200 ELSE 0 END) %% %(courses)s,
           1 + chance(n, 7), true, gen_random_uuid()
    FROM generate_series(1, %(goals)s::bigint) AS n
    """,
    """
    INSERT INTO courses_enrollment (id, user_id, course_id, mode, is_active, created_at)
    SELECT id, user_id, course_id, CASE WHEN chance(5 * id, 10) < 6 THEN 'audit' ELSE 'verified' END,
           chance(7 * id, 20) > 0, %(now)s - interval '1 hour' * (12 + chance(11 * id, 24 * 50))
    FROM course_goals_coursegoal
    """,
    """
    INSERT INTO courses_certificate (id, user_id, course_id, status, modified)
    SELECT id, user_id, course_id, 'downloadable', now() FROM course_goals_coursegoal WHERE chance(13 * id, 20) = 0
    """,
    """
    INSERT INTO courses_useractivity (id, user_id, course_id, date, seconds)
    SELECT row_number() OVER (), user_id, course_id,
           CASE WHEN day = 6 THEN %(saturday)s::date ELSE %(monday)s::date + day - 1 END, 0
    FROM course_goals_coursegoal,
         generate_series(1, 6) AS day
    WHERE CASE WHEN day = 6 THEN chance(17 * id, 10) = 0 ELSE day <= chance(19 * id, 6) END
    """,
)


if __name__ == "__main__":
    import django

    django.setup()
    print(json.dumps(plan()))
