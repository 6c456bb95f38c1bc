"""What the engine keeps in the database before it can run by itself: beat entries and preference rows."""

from __future__ import annotations

import json
from datetime import timedelta

from django.contrib.auth import get_user_model
from django.contrib.sites.models import Site
from django.db.models import Exists, OuterRef
from django_celery_beat.models import CrontabSchedule, IntervalSchedule, PeriodicTask

from courses import beats
from courses.bulk import insert_if_absent
from courses.models import SiteConfiguration

from . import words
from .models import EmailPreference
from .pipeline import message
from .pipeline.message import Beat

QUEUE_ENTRY = "email_automation: process the queue"
CLEANUP_ENTRY = "email_automation: clean up the log"
TASKS = "email_automation.tasks"
BATCH = 1000


def create_beat_entries() -> int:
    """Create the entries that are missing, by name, and return how many; an entry somebody edited stays as it is."""
    created = _entry(QUEUE_ENTRY, Beat("*/5 * * * *"), f"{TASKS}.process_email_queue", zone="UTC")
    created += _entry(CLEANUP_ENTRY, Beat("0 2 * * *"), f"{TASKS}.cleanup_old_email_logs", zone="UTC")
    zones = dict(SiteConfiguration.objects.values_list("site_id", "time_zone"))
    for kind in message.all_messages():
        if kind.beat is None:
            continue
        for site in Site.objects.order_by("pk"):
            created += _entry(
                f"{kind.label()} for {site.domain}",
                kind.beat,
                f"{TASKS}.run_message",
                zone=kind.beat.zone or zones.get(site.pk) or "UTC",
                args=[kind.label(), site.domain],
            )
    for wanted in beats.entries():
        beat = Beat(wanted.crontab) if wanted.crontab else timedelta(seconds=wanted.seconds)
        created += _entry(wanted.name, beat, wanted.task, zone="UTC", queue=wanted.queue)
    return created


def _entry(
    name: str,
    beat: Beat | timedelta,
    task: str,
    *,
    zone: str,
    args: list[str] | None = None,
    queue: str = words.LIFECYCLE_QUEUE,
) -> int:
    if PeriodicTask.objects.filter(name=name).exists():
        return 0
    _, created = PeriodicTask.objects.get_or_create(
        name=name,
        defaults={**_schedule(beat, zone), "task": task, "args": json.dumps(args or []), "queue": queue},
    )
    return int(created)


def _schedule(beat: Beat | timedelta, zone: str) -> dict[str, CrontabSchedule | IntervalSchedule | int]:
    if isinstance(beat, timedelta):
        interval = {"every": int(beat.total_seconds()), "period": IntervalSchedule.SECONDS}
        found = IntervalSchedule.objects.filter(**interval).first()
        # What no worker has taken by the next time is of no use: it would only pile up in the broker.
        return {"interval": found or IntervalSchedule.objects.create(**interval), "expire_seconds": interval["every"]}
    minute, hour, day_of_month, month_of_year, day_of_week = beat.crontab.split()
    fields = {
        "minute": minute,
        "hour": hour,
        "day_of_month": day_of_month,
        "month_of_year": month_of_year,
        "day_of_week": day_of_week,
        "timezone": zone,
    }
    crontab = CrontabSchedule.objects.filter(**fields).first() or CrontabSchedule.objects.create(**fields)
    return {"crontab": crontab}


def create_preferences() -> int:
    """Create a preference row for everybody without one, and return how many."""
    missing = (
        get_user_model()
        ._default_manager.filter(~Exists(EmailPreference.objects.filter(user_id=OuterRef("pk"))))
        .order_by("pk")
        .values_list("pk", flat=True)
    )
    created, last = 0, 0
    while batch := list(missing.filter(pk__gt=last)[:BATCH]):
        rows = [EmailPreference(user_id=user_id) for user_id in batch]
        created += len(insert_if_absent(EmailPreference, rows, unique_field="user"))
        last = batch[-1]
    return created
