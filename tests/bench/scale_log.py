"""How long the log takes to be written, swept and looked at, when it holds a hundred times as many mails."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable
from datetime import date, timedelta
from itertools import count

from django.conf import settings
from django.db import connection
from django.utils import timezone

from courses.models import Course
from email_automation.conf import setting
from email_automation.models import EmailLog, pack_content
from email_automation.pipeline import ledger, message, sweep, waiting
from email_automation.pipeline.resolver import AudienceRow

from . import admin, data

DAY = date(2026, 3, 1)
DAYS = 730
#: Of one learner in two years.
MAILS_EACH = 50
CLAIMED = 1_000
#: Mails that wait to be sent, in a log of any size.
WAITING = 1_000
LOG = "email_automation_emaillog"
#: As much as a stock mail takes against the dictionary.
CONTENT = pack_content(
    {"subject": "Keep going", "html": random.Random(1).randbytes(130).hex(), "text": "Keep going", "headers": {}}
)


def measure(sizes: list[int], courses: list[Course], *, runs: int = 15) -> None:
    """Print the milliseconds of each thing for each size, and the ratio of the largest to the smallest."""
    medians: dict[str, list[float]] = {}
    taken = []
    for size in sizes:
        fill(size, courses)
        taken.append("{} + {}".format(*data.bytes_of_a_mail()))
        for name, once in _things(size).items():
            # The first time reads into memory what the others find there.
            medians.setdefault(name, []).append(statistics.median([once() for _ in range(runs + 1)][1:]))
    print(f"\nThe log of {DAYS} days, {WAITING:,} mails waiting, medians of {runs}")
    print(f"| what | {' | '.join(f'{size:,} rows' for size in sizes)} | ratio |")
    print(f"|---|{'---|' * len(sizes)}---|")
    for name, values in medians.items():
        figures = " | ".join(f"{value * 1000:.1f} ms" for value in values)
        print(f"| {name} | {figures} | {values[-1] / values[0]:.2f} |")
    print(f"| bytes a mail: row + indexes | {' | '.join(taken)} | |", flush=True)


def fill(size: int, courses: list[Course]) -> None:
    """Make so many mails, oldest first: of a hundred 68 sent, 13 delivered, 12 opened, 4 skipped, 2 bounced, 1 failed.

    Beside them `WAITING` are due and not begun. Each has run in one of a day's runs of five messages.
    """
    people = max(size // MAILS_EACH, CLAIMED)
    data.empty()
    with data.built_afterwards("accounts_user", "courses_enrollment", "schedules_schedule"):
        data.fill(due=0, others=people, day=DAY, courses=courses)
    kinds = ["recurringnudge_day3", "recurringnudge_day10", "upgradereminder", "weekly_progress", "goal_reminder"]
    values = {
        "site": settings.SITE_ID, "days": DAYS, "began": timezone.now() - timedelta(days=DAYS), "kinds": kinds,
        "size": size, "people": people, "waiting": WAITING, "content": CONTENT,
        "courses": [course.pk for course in courses],
    }  # fmt: skip
    with data.built_afterwards(LOG), connection.cursor() as cursor:
        for statement in STATEMENTS:
            cursor.execute(statement, values)
        for table in (LOG, "email_automation_messagerun"):
            cursor.execute(f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), (SELECT max(id) FROM {table}))")
            cursor.execute(f"ANALYZE {table}")


STATEMENTS = (
    """
    INSERT INTO email_automation_messagerun (
        id, message, site_id, slot, status, audience, sent, skipped, stopped, failed, retry, details, started_at,
        finished_at)
    SELECT 5 * day + kind, 'bench.' || (%(kinds)s::text[])[kind], %(site)s, ((moment)::date)::text, 'done', 0, 0, '{}',
           0, 0, 0, '{}', moment, moment
    FROM (SELECT day, kind, %(began)s + interval '1 day' * day AS moment
          FROM generate_series(0, %(days)s) AS day, generate_series(1, 5) AS kind) AS runs
    """,
    """
    INSERT INTO email_automation_emaillog (
        id, recipient_id, email_type, to_address, target_id, category, priority, subject, status, reason, error_message,
        dedupe_key, occasion, claim_token, run_id, site_id, day, instant, is_test, course_id, enrollment_id, channel,
        attempts, doubts, next_attempt_at, expires_at, message_id, provider_message_id, content, created_at, updated_at,
        sent_at, delivered_at, opened_at)
    SELECT n, person, kind, 'learner' || person || '@example.com', person, 'reminder', 30,
           CASE WHEN due THEN '' ELSE 'Keep going in a course with an ordinary title' END, status,
           CASE status WHEN 'skipped' THEN 'no_longer_eligible' WHEN 'failed' THEN 'refused' ELSE '' END, '',
           CASE WHEN status <> 'skipped' THEN kind || ':' || n || ':' || (moment)::date END,
           kind || ':' || n || ':' || (moment)::date, gen_random_uuid(), 5 * day + 1 + n %% 5, %(site)s,
           (moment)::date, moment, false, (%(courses)s::bigint[])[1 + person %% 40], person,
           CASE WHEN due THEN '' ELSE 'django_mail' END, CASE WHEN due THEN 0 ELSE 1 END, 0, moment,
           moment + interval '3 days', message_id, '',
           CASE WHEN NOT due THEN %(content)s::bytea END, moment, moment,
           CASE WHEN NOT due THEN moment END, CASE WHEN status IN ('delivered', 'opened') THEN moment END,
           CASE WHEN status = 'opened' THEN moment END
    FROM (
        SELECT n, 1 + (n * 7919) %% %(people)s AS person, (n * %(days)s::bigint / %(size)s)::integer AS day,
               n > %(size)s - %(waiting)s AS due,
               CASE WHEN n <= %(size)s - %(waiting)s THEN '<' || gen_random_uuid() || '@example.com>' ELSE '' END
                   AS message_id,
               CASE WHEN n > %(size)s - %(waiting)s THEN now()
                    ELSE %(began)s + interval '1 second' * (n * %(days)s::bigint * 86400 / %(size)s) END AS moment,
               (%(kinds)s::text[])[1 + n %% 5] AS kind,
               CASE WHEN n > %(size)s - %(waiting)s THEN 'pending' WHEN n %% 100 < 68 THEN 'sent'
                    WHEN n %% 100 < 81 THEN 'delivered' WHEN n %% 100 < 93 THEN 'opened'
                    WHEN n %% 100 < 97 THEN 'skipped' WHEN n %% 100 < 99 THEN 'bounced' ELSE 'failed' END AS status
        FROM generate_series(1, %(size)s::bigint) AS n
    ) AS mails
    """,
)


def _things(size: int) -> dict[str, Callable[[], float]]:
    """Return what is timed, by what it is; each call returns the seconds of doing it once."""
    client = admin.somebody()
    person = EmailLog.objects.only("recipient_id").get(pk=size // 2).recipient_id
    numbers = count(1)
    return {
        f"claim of {CLAIMED:,}": lambda: _claim(next(numbers)),
        "look and lease of a batch, as the sweep does": _look_and_lease,
        "sweep with nothing due": _sweep_nothing,
        "first page in the admin": lambda: admin.seconds_of(client, admin.LOG),
        "exact address in the admin": lambda: admin.seconds_of(client, f"{admin.LOG}?q=learner{person}@example.com"),
    }


def _claim(number: int) -> float:
    kind = message.get("recurringnudge_day3")
    run = kind.starting(settings.SITE_ID, day=DAY)
    rows = [AudienceRow(user, user, f"bench:{number}:{user}") for user in range(1, CLAIMED + 1)]
    addresses = {row.user_id: f"learner{row.user_id}@example.com" for row in rows}
    started = time.perf_counter()
    claimed = ledger.claim(kind, run, rows, addresses=addresses, record=None)
    seconds = time.perf_counter() - started
    assert len(claimed) == CLAIMED
    EmailLog.objects.filter(pk__in=[row.pk for row in claimed]).delete()
    return seconds


def _look_and_lease() -> float:
    batch = setting("EMAIL_BATCH_SIZE")
    started = time.perf_counter()
    leased = ledger.lease(waiting.due_ids(batch))
    seconds = time.perf_counter() - started
    assert len(leased) == batch
    ledger.release(leased)
    return seconds


def _sweep_nothing() -> float:
    later = timezone.now() + timedelta(hours=1)
    EmailLog.objects.filter(status="pending").update(next_attempt_at=later)
    started = time.perf_counter()
    tally = sweep.sweep()
    seconds = time.perf_counter() - started
    assert not tally.total(), tally
    EmailLog.objects.filter(status="pending").update(next_attempt_at=timezone.now())
    return seconds
