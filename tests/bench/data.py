"""Data for measurements, made by the database itself: a million learners take seconds."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta

from django.conf import settings
from django.contrib.sites.models import Site
from django.db import connection

from courses.models import Course, CourseMode
from schedules.dates import day_start
from schedules.models import ScheduleConfig


def make_courses(number: int) -> list[Course]:
    """Return self-paced courses with a verified mode; those of an earlier measurement, where there was one."""
    courses = []
    for index in range(number):
        course, _ = Course.objects.get_or_create(
            key=f"course-v1:Bench+C{index}+2026",
            defaults={"title": f"Course {index}", "org": "Bench", "self_paced": True},
        )
        CourseMode.objects.get_or_create(course=course, slug="verified", defaults={"sku": f"SKU{index}"})
        courses.append(course)
    with connection.cursor() as cursor:
        # PostgreSQL does so by itself unless it is told not to; it would take them for one course.
        cursor.execute("ANALYZE courses_course, courses_coursemode")
    return courses


def fill(*, due: int, others: int, day: date, courses: list[Course]) -> None:
    """Make `due` learners whose schedule began three days before `day`, and `others` spread over two other years."""
    first = next_id("accounts_user")
    total, wanted = due + others, day_start(day - timedelta(days=3))
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO accounts_user (id, password, is_superuser, username, first_name, last_name, email, is_staff,
                                       is_active, date_joined, role)
            SELECT n, 'bench$usable', false, 'learner' || n, 'Learner', 'Number ' || n,
                   'learner' || n || '@example.com', false, true, now(), 'student'
            FROM generate_series(%s, %s) AS n
            """,
            [first, first + total - 1],
        )
        cursor.execute(
            """
            INSERT INTO courses_enrollment (id, user_id, course_id, mode, is_active, created_at)
            SELECT n, n, (%s::bigint[])[1 + n %% %s], 'audit', true, %s FROM generate_series(%s, %s) AS n
            """,
            [[course.pk for course in courses], len(courses), wanted, first, first + total - 1],
        )
        cursor.execute(
            """
            INSERT INTO schedules_schedule (id, enrollment_id, start_date, upgrade_deadline, active, created, modified)
            SELECT n, n,
                   CASE WHEN n < %s THEN %s + interval '1 second' * (n %% 80000)
                        ELSE %s - interval '1 day' * (30 + n %% 700) END,
                   %s + interval '30 days', true, now(), now()
            FROM generate_series(%s, %s) AS n
            """,
            [first + due, wanted, wanted, wanted, first, first + total - 1],
        )
        cursor.execute(
            """
            INSERT INTO schedules_scheduleexperience (id, schedule_id, experience_type)
            SELECT n, n, 0 FROM generate_series(%s, %s) AS n
            """,
            [first, first + total - 1],
        )
        for table in ("accounts_user", "courses_enrollment", "schedules_schedule", "schedules_scheduleexperience"):
            cursor.execute(f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), {first + total})")
            cursor.execute(f"ANALYZE {table}")


@contextmanager
def built_afterwards(*tables: str) -> Iterator[None]:
    """Take the indexes and constraints of tables away, and make them anew at the end: millions of rows come in faster.

    Primary keys stay. Foreign keys hold for what is written afterwards; those rows that came in meanwhile are trusted.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT conrelid::regclass::text, quote_ident(conname), pg_get_constraintdef(oid), contype = 'f'
            FROM pg_constraint WHERE contype IN ('f', 'u') AND conrelid = ANY(%s::regclass[])
            """,
            [list(tables)],
        )
        constraints = cursor.fetchall()
        for table, name, *_ in constraints:
            cursor.execute(f"ALTER TABLE {table} DROP CONSTRAINT {name}")
        cursor.execute(
            """
            SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid)
            FROM pg_index WHERE NOT indisprimary AND indrelid = ANY(%s::regclass[])
            """,
            [list(tables)],
        )
        indexes = cursor.fetchall()
        for name, _ in indexes:
            cursor.execute(f"DROP INDEX {name}")
        yield
        cursor.execute("SET maintenance_work_mem = '512MB'")
        for _, definition in indexes:
            cursor.execute(definition)
        for table, name, definition, is_foreign in constraints:
            cursor.execute(
                f"ALTER TABLE {table} ADD CONSTRAINT {name} {definition} {'NOT VALID' if is_foreign else ''}"
            )
        cursor.execute("RESET maintenance_work_mem")
        for table in tables:
            cursor.execute(f"VACUUM ANALYZE {table}")


def next_id(table: str) -> int:
    """Return an id above all in use."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT coalesce(max(id), 0) + 1 FROM {table}")
        return int(cursor.fetchone()[0])


def empty() -> None:
    """Take all learners, their mails and runs away, and switch the nudges on."""
    with connection.cursor() as cursor:
        cursor.execute(
            "TRUNCATE schedules_scheduleexperience, schedules_schedule, courses_enrollment, accounts_user, "
            "email_automation_emaillog, email_automation_messagerun CASCADE"
        )
    # The table of switches refers to users, so it went with them.
    ScheduleConfig.objects.create(
        site=Site.objects.get(pk=settings.SITE_ID), enqueue_recurring_nudge=True, deliver_recurring_nudge=True
    )


def bytes_of_a_mail(*, packed: bool = False) -> tuple[int, int]:
    """Return what a mail takes in the log, with the free space around it and its share of a body, and in its indexes.

    Every row is written three times until it is sent. What the older ones took is free for others after a vacuum;
    `packed` is what a mail takes once that has been used again.
    """
    log, bodies = "email_automation_emaillog", "email_automation_emailbody"
    with connection.cursor() as cursor:
        cursor.execute(f"VACUUM {'FULL' if packed else 'ANALYZE'} {log}")
        cursor.execute(
            f"SELECT (pg_total_relation_size('{log}') - pg_indexes_size('{log}') + pg_total_relation_size('{bodies}')) "
            f"/ count(*), pg_indexes_size('{log}') / count(*) FROM {log}"
        )
        row, indexes = cursor.fetchone()
    return int(row), int(indexes)
