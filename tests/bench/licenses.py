"""How long planning the notices to administrators takes, and how much memory, beside a loop over administrators.

`CADENCE_BENCH_ENTERPRISES` says how many enterprises there are; everything else follows in proportion.
"""

from __future__ import annotations

import json
import os
import time
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from unittest import mock

from .places import apart, peak_kib

ENTERPRISES: Final = 5_000
ADMINS_EACH: Final = 4
LICENSES_EACH: Final = 400
FEW_LICENSES: Final = 40
#: Weeks that are on record of each administrator.
WEEKS: Final = 12
LOOPED: Final = 2_000
NOW: Final = datetime(2026, 3, 7, 6, tzinfo=UTC)
TABLES: Final = (
    "accounts_user", "license_notifications_customeragreement", "license_notifications_subscriptionplan",
    "license_notifications_license", "license_notifications_enterpriseadmin",
    "license_notifications_notificationtimestamp", "email_automation_emaillog", "email_automation_messagerun",
)  # fmt: skip


def measure() -> None:
    """Print seconds, peak memory and statements of planning both notices, and the ratio to the loop."""
    number = int(os.environ.get("CADENCE_BENCH_ENTERPRISES", ENTERPRISES))
    print(f"\nNotices to administrators of {number:,} enterprises")
    filled(number, licenses_each=FEW_LICENSES)
    planned()
    filled(number, licenses_each=LICENSES_EACH)
    admins = number * ADMINS_EACH
    looped = min(LOOPED, admins)
    started = time.perf_counter()
    due = loop(looped)
    seconds = time.perf_counter() - started
    whole = seconds * admins / looped
    print(f"  one by one: {due:,} due for {looped:,} administrators in {seconds:.1f} s, so {whole:.0f} s for all")
    print(f"  ratio {whole / planned():.0f}")


def filled(number: int, *, licenses_each: int) -> None:
    """Fill the tables, and print how large they are."""
    started = time.perf_counter()
    fill(number, licenses_each=licenses_each)
    print(f"  {number * licenses_each:,} licences (made in {time.perf_counter() - started:.0f} s)")


def planned() -> float:
    """Plan in a process of its own, print what that took, and return its seconds."""
    found = apart("tests.bench.licenses")
    print(
        f"  planned {found['threshold']:,} of thresholds and {found['weekly']:,} weekly ones in "
        f"{found['seconds']:.1f} s by {found['statements']} statements, {found['peak'] / 1024:.0f} MiB at most "
        f"({found['before'] / 1024:.0f} MiB before)"
    )
    return float(found["seconds"])


def plan() -> dict[str, Any]:
    """Do the daily job with its claims, as its command does; no call to the mail service."""
    from django.db import connection

    from email_automation.models import EmailLog
    from email_automation.pipeline.outcome import Tally
    from email_automation.pipeline.patience import Patience
    from license_notifications import job

    statements = 0

    def count(execute: Any, *arguments: Any) -> Any:
        nonlocal statements
        statements += 1
        return execute(*arguments)

    before = peak_kib()
    with ExitStack() as stack:
        stack.enter_context(mock.patch.object(Patience, "deliver", lambda *arguments: Tally()))
        stack.enter_context(connection.execute_wrapper(count))
        started = time.perf_counter()
        result = job.work_through(NOW, say=lambda call: None, sleep=lambda seconds: None)
        seconds = time.perf_counter() - started
    assert not result.exit_code, result.entries
    planned = EmailLog.objects.filter(run=result.record, status="pending")
    return {
        "seconds": seconds, "statements": statements, "peak": peak_kib(), "before": before,
        "threshold": planned.filter(email_type="license_utilization").count(),
        "weekly": planned.filter(email_type="license_weekly_digest").count(),
    }  # fmt: skip


def loop(number: int) -> int:
    """Ask administrator by administrator, in the shape of the ancestor: a handful of queries for each."""
    from license_notifications.models import EnterpriseAdmin, License, NotificationTimestamp, SubscriptionPlan

    due = 0
    for admin in EnterpriseAdmin.objects.filter(listed=True, account_active=True).order_by("pk")[:number]:
        plan = (
            SubscriptionPlan.objects.filter(
                customer_agreement__enterprise_customer_uuid=admin.enterprise_customer_uuid,
                should_auto_apply_licenses=True, is_active=True, start_date__lte=NOW, expiration_date__gte=NOW,
            )
            .order_by("expiration_date", "start_date", "created")
            .first()
        )  # fmt: skip
        if plan is None:
            continue
        total = plan.licenses.exclude(status=License.REVOKED).count()
        allocated = plan.licenses.filter(status__in=License.ALLOCATED).count()
        told = NotificationTimestamp.objects.filter(ecu_id=admin.ecu_id)
        kinds = ["threshold_100"] if allocated >= total else ["threshold_75", "threshold_100"]
        due += 4 * allocated >= 3 * total and not told.filter(kind__in=kinds, plan_uuid=plan.pk).exists()
        weeks = (NOW - admin.anchor_at) // timedelta(days=7) if admin.anchor_at else 0
        due += weeks >= 1 and not told.filter(kind="weekly", slot__gte=weeks).exists()
    return due


def fill(number: int, *, licenses_each: int) -> None:
    """Make enterprises with two plans each, their licences and administrators, and what these were told before."""
    from django.db import connection

    values = {
        "enterprises": number, "admins": number * ADMINS_EACH, "each": ADMINS_EACH, "licenses": licenses_each,
        "now": NOW, "weeks": WEEKS,
    }  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute(f"TRUNCATE {', '.join(TABLES)} CASCADE")
        for statement in STATEMENTS:
            cursor.execute(statement, values)
        for table in TABLES:
            cursor.execute(f"VACUUM ANALYZE {table}")


# `chance(n, m)` is a number from 0 to m - 1 that looks random and is the same every time; `thing(kind, n)` a uuid.
STATEMENTS: Final = (
    """
    CREATE OR REPLACE FUNCTION chance(bigint, integer) RETURNS integer LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
    $$ SELECT (hashint8($1)::bigint & 2147483647)::integer %% $2 $$
    """,
    """
    CREATE OR REPLACE FUNCTION thing(text, bigint) RETURNS uuid LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
    $$ SELECT md5($1 || $2)::uuid $$
    """,
    """
    INSERT INTO accounts_user (id, password, is_superuser, username, first_name, last_name, email, is_staff, is_active,
                               date_joined, role)
    SELECT n, '!', false, 'admin' || n, '', '', 'admin' || n || '@example.com', false, true, now(), 'student'
    FROM generate_series(1, %(admins)s) AS n
    """,
    """
    INSERT INTO license_notifications_customeragreement (uuid, enterprise_customer_uuid, enterprise_customer_name,
                                                         enterprise_customer_slug)
    SELECT thing('agreement', n), thing('enterprise', n), 'Enterprise ' || n, 'enterprise-' || n
    FROM generate_series(1, %(enterprises)s) AS n
    """,
    """
    INSERT INTO license_notifications_subscriptionplan (uuid, customer_agreement_id, title, start_date, expiration_date,
                                                        is_active, should_auto_apply_licenses, created)
    SELECT thing('plan', 2 * n + turn), thing('agreement', n), 'Plan ' || turn, %(now)s - interval '200 days',
           %(now)s + interval '1 day' * (100 + 365 * turn), true, true, now()
    FROM generate_series(1, %(enterprises)s) AS n, generate_series(0, 1) AS turn
    """,
    # Of the first plan anything from half of the licences to all of them is allocated.
    """
    INSERT INTO license_notifications_license (uuid, subscription_plan_id, status, lms_user_id, user_email,
                                               auto_applied, created)
    SELECT gen_random_uuid(), thing('plan', 2 * n),
           CASE WHEN seat * 100 > %(licenses)s * (50 + chance(n, 61)) THEN 'unassigned'
                WHEN chance(seat, 3) = 0 THEN 'assigned' ELSE 'activated' END,
           1000000 + seat, NULL, true, now()
    FROM generate_series(1, %(enterprises)s) AS n, generate_series(1, %(licenses)s) AS seat
    """,
    """
    INSERT INTO license_notifications_enterpriseadmin (id, ecu_id, enterprise_customer_uuid, account_id, lms_user_id,
                                                       user_name, email, account_active, joined_date, anchor_at,
                                                       anchor_source, listed, refreshed_at)
    SELECT n, n, thing('enterprise', 1 + (n - 1) / %(each)s), n, n, 'admin' || n, 'admin' || n || '@example.com',
           chance(n, 50) > 0, joined, joined, 'joined', true, now()
    FROM (SELECT n, %(now)s - interval '1 hour' * (24 * 7 * %(weeks)s + chance(3 * n, 24 * 7)) AS joined
          FROM generate_series(1, %(admins)s::bigint) AS n) AS people
    """,
    # The weeks before this one, of this one six days of seven, and half of the thresholds.
    """
    INSERT INTO license_notifications_notificationtimestamp (enterprise_customer_uuid, ecu_id, lms_user_id, kind,
        plan_uuid, slot, slot_start, state, claimed_from, attempts, resends, allocated, total, channel, dispatch_id,
        last_error, last_sent_at)
    SELECT enterprise_customer_uuid, ecu_id, lms_user_id, 'weekly', '00000000-0000-0000-0000-000000000000', slot,
           anchor_at + interval '7 days' * slot, 'sent', '', 1, 0, 0, 0, 'braze_campaign', '', '', now()
    FROM license_notifications_enterpriseadmin, generate_series(1, %(weeks)s) AS slot
    WHERE slot < %(weeks)s OR chance(5 * ecu_id, 7) > 0
    """,
    """
    INSERT INTO license_notifications_notificationtimestamp (enterprise_customer_uuid, ecu_id, lms_user_id, kind,
        plan_uuid, slot, state, claimed_from, attempts, resends, allocated, total, channel, dispatch_id, last_error,
        last_sent_at)
    SELECT enterprise_customer_uuid, ecu_id, lms_user_id, 'threshold_75',
           thing('plan', 2 * (1 + (ecu_id - 1) / %(each)s)), 0, 'sent', '', 1, 0, 0, 0, 'braze_campaign', '', '', now()
    FROM license_notifications_enterpriseadmin WHERE chance(7 * ecu_id, 2) = 0
    """,
)


if __name__ == "__main__":
    import django

    django.setup()
    print(json.dumps(plan()))
