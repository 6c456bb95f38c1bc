"""How long pages of the log in the admin take, when it holds ten times as many mails."""

from __future__ import annotations

import statistics
import time
from datetime import timedelta

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.hashers import make_password
from django.db import connection
from django.test import Client
from django.utils import timezone

from email_automation.models import EmailLog, pack_content

LOG = "/admin/email_automation/emaillog/"
MAILS_EACH = 10
DAYS = 90
CONTENT = pack_content({"subject": "Keep going", "html": "<p>Keep going</p>" * 50, "text": "Keep going", "headers": {}})


def measure(sizes: tuple[int, ...] = (100_000, 1_000_000), *, runs: int = 15) -> None:
    """Print the milliseconds of each page for each size, and the ratios."""
    medians: dict[str, list[float]] = {}
    for size in sizes:
        fill(size)
        client = somebody()
        for name, url in _pages(size).items():
            medians.setdefault(name, []).append(statistics.median(seconds_of(client, url) for _ in range(runs)))
    print(f"\nPages of the log, median of {runs}")
    for name, values in medians.items():
        figures = "  ".join(f"{value * 1000:6.0f} ms" for value in values)
        print(f"  {name:<32} {figures}  ratio {values[-1] / values[0]:.2f}")


def fill(size: int) -> None:
    """Make so many mails of 90 days, ten to a learner: of a hundred 94 sent, 3 skipped, 2 failed, 1 waiting."""
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE accounts_user, email_automation_emaillog, email_automation_messagerun CASCADE")
        cursor.execute(
            """
            INSERT INTO accounts_user (id, password, is_superuser, username, first_name, last_name, email, is_staff,
                                       is_active, date_joined, role)
            SELECT n, 'bench$usable', false, 'learner' || n, 'Learner', 'Number ' || n,
                   'learner' || n || '@example.com', false, true, now(), 'student'
            FROM generate_series(1, %s) AS n
            """,
            [size // MAILS_EACH],
        )
        cursor.execute(
            """
            INSERT INTO email_automation_messagerun (
                id, message, site_id, slot, status, audience, sent, skipped, stopped, failed, retry, details,
                started_at)
            SELECT n, 'schedules.recurringnudge_day3', %s, 'day ' || n, 'done', 0, 0, '{}', 0, 0, 0, '{}', now()
            FROM generate_series(1, %s) AS n
            """,
            [settings.SITE_ID, DAYS],
        )
        cursor.execute(
            """
            INSERT INTO email_automation_emaillog (
                id, recipient_id, email_type, to_address, target_id, category, priority, subject, status, reason,
                error_message, dedupe_key, occasion, run_id, site_id, day, instant, is_test, channel, attempts, doubts,
                next_attempt_at, expires_at, message_id, provider_message_id, content, created_at, updated_at, sent_at)
            SELECT n, person, kind, 'learner' || person || '@example.com', n, 'reminder', 30, 'Keep going', status, '',
                   '', kind || ':' || n, kind || ':' || n, 1 + day, %s, (moment)::date, moment, false, 'django_mail', 1,
                   0, moment, moment + interval '3 days', '<' || n || '@example.com>', '',
                   %s, moment, moment, moment
            FROM (
                SELECT n, 1 + n %% %s AS person, n * %s / %s AS day,
                       %s + interval '1 second' * (n * %s::bigint * 86400 / %s) AS moment,
                       (ARRAY['recurringnudge_day3', 'recurringnudge_day10', 'upgradereminder', 'weekly_progress',
                              'enrollment'])[1 + n %% 5] AS kind,
                       CASE WHEN n %% 100 < 94 THEN 'sent' WHEN n %% 100 < 97 THEN 'skipped'
                            WHEN n %% 100 < 99 THEN 'failed' ELSE 'pending' END AS status
                FROM generate_series(0, %s) AS n
            ) AS mails
            """,
            [
                settings.SITE_ID, CONTENT, size // MAILS_EACH, DAYS, size, timezone.now() - timedelta(days=DAYS), DAYS,
                size, size - 1,
            ],
        )  # fmt: skip
        for table in ("accounts_user", "email_automation_messagerun", "email_automation_emaillog"):
            cursor.execute(f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), {size + 1})")
            cursor.execute(f"VACUUM ANALYZE {table}")


def somebody() -> Client:
    """Return somebody who may see everything."""
    client = Client()
    client.force_login(
        get_user_model()._default_manager.create(
            username="root", password=make_password(None), is_staff=True, is_superuser=True
        )
    )
    return client


def _pages(size: int) -> dict[str, str]:
    """Return the pages to look at, by what they are."""
    middle = EmailLog.objects.only("created_at").get(pk=size // 2)
    return {
        "first page": LOG,
        "page in the middle": f"{LOG}?before={middle.pk}",
        "status sent": f"{LOG}?status=sent",
        "status failed": f"{LOG}?status=failed",
        "status nobody has": f"{LOG}?status=bounced",
        "message": f"{LOG}?email_type=weekly_progress",
        "message that is not there": f"{LOG}?email_type=new_content",
        "day in the middle": f"{LOG}?day={middle.created_at.date()}",
        "message, status and day": f"{LOG}?email_type=enrollment&status=failed&day={middle.created_at.date()}",
        "exact address": f"{LOG}?q=learner77@example.com",
        "number of a row": f"{LOG}?q={middle.pk}",
        "one row": f"{LOG}{middle.pk}/change/",
    }


def seconds_of(client: Client, url: str) -> float:
    started = time.perf_counter()
    response = client.get(url)
    seconds = time.perf_counter() - started
    assert response.status_code == 200, url
    return seconds
