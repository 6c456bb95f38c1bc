"""`setup_email_automation`: what the engine keeps in the database before it can run by itself."""

from __future__ import annotations

import io
import json

import pytest
from django.conf import settings
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django_celery_beat.models import CrontabSchedule, PeriodicTask

from courses import beats
from email_automation import setup, words
from email_automation.models import EmailPreference, EmailTemplate
from email_automation.pipeline import message
from email_automation.pipeline.message import Beat
from tests import factories

pytestmark = pytest.mark.django_db


def run(*arguments: str) -> str:
    out = io.StringIO()
    call_command("setup_email_automation", *arguments, stdout=out)
    return out.getvalue().strip()


def entries() -> dict[str, tuple[str, str, str]]:
    return {
        entry.name: (str(entry.task).rpartition(".")[2], entry.args, str(entry.queue))
        for entry in PeriodicTask.objects.filter(task__startswith="email_automation.")
    }


def test_case_001_run_twice_everything_exists_once_and_an_edit_is_kept() -> None:
    factories.platform_site()
    people = factories.UserFactory.create_batch(3)
    EmailPreference.objects.create(user=people[0], goal_emails=False)
    scheduled = sum(kind.beat is not None for kind in message.all_messages())
    templates = len(list(message.all_messages())) * len(settings.LANGUAGES)
    wanted = scheduled + 2 + len(beats.entries())
    assert run("--create-preferences") == (
        f"setup_email_automation templates={templates} beat_entries={wanted} preferences=2"
    )
    edited = EmailTemplate.objects.get(email_type="enrollment", language="en")
    edited.subject = "Glad you are here"
    edited.save()
    PeriodicTask.objects.filter(name=setup.QUEUE_ENTRY).update(enabled=False)
    before = entries()
    assert run("--create-preferences") == "setup_email_automation templates=0 beat_entries=0 preferences=0"
    assert EmailTemplate.objects.count() == templates
    assert EmailTemplate.objects.get(pk=edited.pk).subject == "Glad you are here"
    assert entries() == before
    assert not PeriodicTask.objects.get(name=setup.QUEUE_ENTRY).enabled
    assert EmailPreference.objects.count() == 3
    assert not EmailPreference.objects.get(user=people[0]).goal_emails


def test_without_the_option_no_preference_is_made() -> None:
    factories.UserFactory()
    run()
    assert not EmailPreference.objects.exists()


def test_the_queue_runs_every_five_minutes_and_the_cleanup_at_two() -> None:
    run()
    found = entries()
    assert found[setup.QUEUE_ENTRY] == ("process_email_queue", "[]", words.LIFECYCLE_QUEUE)
    assert found[setup.CLEANUP_ENTRY] == ("cleanup_old_email_logs", "[]", words.LIFECYCLE_QUEUE)
    queue, cleanup = (PeriodicTask.objects.get(name=name).crontab for name in (setup.QUEUE_ENTRY, setup.CLEANUP_ENTRY))
    assert queue is not None
    assert cleanup is not None
    assert (queue.minute, queue.hour) == ("*/5", "*")
    assert (cleanup.minute, cleanup.hour, str(cleanup.timezone)) == ("0", "2", "UTC")


def test_every_scheduled_message_has_an_entry_per_site() -> None:
    site, other = factories.platform_site(), factories.SiteFactory()
    run()
    found = entries()
    scheduled = [kind for kind in message.all_messages() if kind.beat]
    assert len(scheduled) == len(found) // 2 - 1
    for kind in scheduled:
        for each in (site, other):
            task, args, _ = found[f"{kind.label()} for {each.domain}"]
            assert (task, json.loads(args)) == ("run_message", [kind.label(), each.domain])


def test_a_site_that_is_added_later_gets_its_entries_and_nothing_else_changes() -> None:
    factories.platform_site()
    run()
    before = entries()
    later = factories.SiteFactory()
    run()
    assert {name for name in entries() if name not in before} == {
        f"{kind.label()} for {later.domain}" for kind in message.all_messages() if kind.beat
    }


def test_a_message_without_zone_runs_by_the_clock_of_its_site(monkeypatch: pytest.MonkeyPatch) -> None:
    kind = next(message.all_messages())
    monkeypatch.setattr(kind, "beat", Beat("0 9 * * 1", zone=""))
    madrid = factories.SiteConfigurationFactory(time_zone="Europe/Madrid").site
    plain = factories.SiteFactory()
    run()
    zones = {}
    for site in (madrid, plain):
        crontab = PeriodicTask.objects.get(name=f"{kind.label()} for {site.domain}").crontab
        assert crontab is not None
        assert (crontab.minute, crontab.hour, crontab.day_of_week) == ("0", "9", "1")
        zones[site.pk] = str(crontab.timezone)
    assert zones == {madrid.pk: "Europe/Madrid", plain.pk: "UTC"}


def test_equal_times_share_one_crontab_even_when_there_are_two_already() -> None:
    for _ in range(2):
        CrontabSchedule.objects.create(minute="*/5", hour="*", timezone="UTC")
    before = CrontabSchedule.objects.count()
    setup.create_beat_entries()
    fives = CrontabSchedule.objects.filter(minute="*/5", hour="*", timezone="UTC")
    assert fives.count() == 2
    assert CrontabSchedule.objects.count() > before


def test_preferences_are_made_in_bulk() -> None:
    counts = []
    for number in (10, 60):
        factories.UserFactory.create_batch(number)
        with CaptureQueriesContext(connection) as queries:
            assert setup.create_preferences() == number
        counts.append(len(queries))
    assert counts[0] == counts[1]


def test_more_people_than_one_batch_holds_all_get_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(setup, "BATCH", 4)
    factories.UserFactory.create_batch(10)
    assert setup.create_preferences() == 10
    assert EmailPreference.objects.count() == 10
