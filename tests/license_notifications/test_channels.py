"""Acceptance cases 44 and 49 to 52: the other channel, workers, switches, and how much it costs."""

from __future__ import annotations

from typing import Any

import pytest
import time_machine
from django.core import mail
from django.db import connection
from django.test.utils import CaptureQueriesContext
from waffle.models import Switch

from courses import alerts
from email_automation.explanation import explain
from email_automation.models import EmailLog, MessageRun
from email_automation.pipeline import dispatch, message, sweep
from license_notifications import parts, services, tasks
from license_notifications.models import (
    EnterpriseAdmin,
    License,
    NotificationPart,
    NotificationRun,
    NotificationTimestamp,
)
from license_notifications.services import Learner
from tests.license_notifications.scene import NOW, Scene

pytestmark = pytest.mark.every_database


@pytest.fixture
def by_mail(scene: Scene, settings: Any) -> None:
    """Have notices go out as ordinary mail."""
    settings.LICENSE_NOTIFICATION_CHANNEL = "email"


@pytest.mark.usefixtures("by_mail")
def test_case_44_the_same_numbers_by_ordinary_mail(scene: Scene) -> None:
    enterprise = scene.enterprise(100, 75, days=7)
    ran = scene.run()
    assert (scene.braze.requests, ran.status, len(ran.lines)) == ([], 0, 2)
    threshold, digest = mail.outbox
    name = enterprise.agreement.enterprise_customer_name
    assert threshold.subject == f"75% of the licences of {name} are allocated"
    assert digest.subject == f"Licences of {name}: 75 of 100 allocated"
    for sent in mail.outbox:
        html = sent.alternatives[0][0]
        for part in (sent.body, html):
            assert "75 of 100 licences allocated (75%)" in part
            assert "2040-01-01" in part
            assert enterprise.plans[0].title in part
            assert f"https://portal.example.com/{enterprise.agreement.enterprise_customer_slug}" in part
    assert {row.channel for row in NotificationTimestamp.objects.all()} == {"email"}
    assert {row.channel for row in EmailLog.objects.all()} == {"django_mail"}
    scene.run(seconds=10)
    assert len(mail.outbox) == 2


@pytest.mark.usefixtures("by_mail")
def test_all_allocated_has_a_text_of_its_own(scene: Scene) -> None:
    scene.enterprise(10, 10)
    scene.run()
    (sent,) = mail.outbox
    assert sent.subject.startswith("All licences of ")
    assert "Every licence that" in sent.body


def test_changing_the_channel_arms_nothing(scene: Scene, settings: Any) -> None:
    scene.enterprise(10, 8, days=8)
    scene.run()
    settings.LICENSE_NOTIFICATION_CHANNEL = "email"
    scene.run(days=1)
    assert mail.outbox == []


def test_case_49_workers_do_what_the_command_does(scene: Scene, settings: Any, monkeypatch: Any) -> None:
    settings.CELERY_BROKER_URL = "memory://"
    for number in (1, 51, 2):
        scene.enterprise(10, 8, admins=number, days=8)
    failing = scene.enterprise(10, 8)
    scene.braze.fail_next(1, status=400, properties={"enterprise_customer_id": str(failing.uuid)})
    waiting: list[int] = []
    told: list[alerts.Alert] = []
    monkeypatch.setattr(alerts, "tell", told.append)
    monkeypatch.setattr("license_notifications.parts.wake.send", lambda task, ids, queue: waiting.extend(ids) or "")
    record = parts.start(NOW)
    assert len(waiting) == NotificationPart.objects.count() == 4
    assert NotificationRun.objects.get().status == MessageRun.RUNNING
    for part_id in (*waiting, waiting[0]):
        tasks.notify_enterprises([part_id])
    assert sorted(scene.kinds) == ["M75"] * 54 + ["W"] * 54
    assert not NotificationPart.objects.exists()
    closed = NotificationRun.objects.get()
    assert (closed.pk, closed.status, closed.exit_code) == (record.pk, MessageRun.DONE, 1)
    assert closed.enterprises[str(failing.uuid)]["administrators"] == 1
    (alert,) = told
    assert [entry.ids["enterprise"] for entry in alert.entries] == [(str(failing.uuid),)]


def test_a_run_whose_worker_never_came_is_closed_after_two_hours(scene: Scene, settings: Any, monkeypatch: Any) -> None:
    settings.CELERY_BROKER_URL = "memory://"
    enterprise = scene.enterprise(10, 8)
    told: list[alerts.Alert] = []
    monkeypatch.setattr(alerts, "tell", told.append)
    monkeypatch.setattr("license_notifications.parts.wake.send", lambda task, ids, queue: "")
    with time_machine.travel(NOW, tick=False) as clock:
        parts.start(NOW)
        clock.shift(7000)
        sweep.sweep()
        assert told == []
        clock.shift(300)
        sweep.sweep()
    (alert,) = told
    (entry,) = alert.entries
    assert (entry.step, entry.ids["enterprise"]) == ("finish", (str(enterprise.uuid),))
    assert NotificationRun.objects.get().exit_code == 1


def test_a_run_with_nobody_to_tell_is_closed_at_once(scene: Scene) -> None:
    scene.enterprise(10, 8, is_active=False)
    record = parts.start(NOW)
    assert NotificationRun.objects.get(pk=record.pk).exit_code == 0


def test_a_broker_that_is_away_leaves_nobody_out(scene: Scene, settings: Any, monkeypatch: Any) -> None:
    settings.CELERY_BROKER_URL = "memory://"
    scene.enterprise(10, 8)
    monkeypatch.setattr("license_notifications.parts.wake.send", lambda task, ids, queue: "OperationalError")
    parts.start(NOW)
    assert scene.kinds == ["M75"]
    assert NotificationRun.objects.get().status == MessageRun.DONE


def test_what_cannot_be_sent_yet_without_waiting_the_sweep_sends(scene: Scene) -> None:
    scene.enterprise(10, 8)
    scene.braze.fail_next(1, status=503)
    with time_machine.travel(NOW, tick=False) as clock:
        tasks.send_license_consumption_notifications()
        assert (scene.kinds, NotificationRun.objects.get().status) == ([], MessageRun.RUNNING)
        clock.shift(5)
        sweep.sweep()
    assert (scene.kinds, NotificationRun.objects.get().exit_code) == (["M75"], 0)


def test_handing_off_reads_the_plans_of_no_other_enterprise(scene: Scene) -> None:
    for _ in range(3):
        scene.enterprise(10, 8, days=8)
    with CaptureQueriesContext(connection) as queries:
        scene.run()
    counting = [query for query in queries.captured_queries if 'FROM "license_notifications_license"' in query["sql"]]
    assert len(scene.braze.requests) == 6
    assert len(counting) <= 1


def test_case_50_a_paused_message_uses_nothing_up(scene: Scene) -> None:
    scene.enterprise(100, 75, days=7)
    switch = Switch.objects.create(name="license_notifications.pause_license_utilization", active=True)
    assert scene.run().status == 0
    assert scene.kinds == ["W"]
    switch.active = False
    switch.save()
    scene.run(days=1)
    assert scene.kinds == ["W", "M75"]


def test_what_is_paused_misses_nothing_of_anybody(scene: Scene) -> None:
    scene.enterprise(100, 10, admins=0).admins(1, joined_date=None)
    Switch.objects.create(name="license_notifications.pause_license_weekly_digest", active=True)
    assert scene.run().alert is None


def test_case_51_a_batch_costs_the_same_for_few_and_for_many(scene: Scene) -> None:
    counts = {}
    for number in (50, 500):
        scene.enterprise(1000, 750, admins=number)
        with CaptureQueriesContext(connection) as queries:
            scene.run()
        counts[number] = len(queries)
    assert len(scene.delivered) == 550
    per_batch = (counts[500] - counts[50]) / 9
    # Leasing, drafting, policy, beginning, finishing, and the line that is printed.
    assert per_batch <= 30, counts


@pytest.mark.parametrize("number", [1, 50])
def test_planning_costs_the_same_for_one_enterprise_and_for_fifty(scene: Scene, number: int) -> None:
    for _ in range(number):
        scene.enterprise(4, 1, days=1)
    scene.run("--dry-run")
    with CaptureQueriesContext(connection) as queries:
        scene.run()
    assert len(queries) <= 40


def test_case_52_a_licence_applied_by_itself_counts_in_the_next_run(scene: Scene) -> None:
    enterprise = scene.enterprise(4, 2)
    later = enterprise.plan(100, 0, expiration_date=NOW.replace(year=2050))
    services.auto_apply(enterprise.agreement, Learner(17, "ada@example.com"), now=NOW)
    assert License.objects.get(lms_user_id=17).subscription_plan_id == enterprise.plans[0].pk != later.pk
    scene.run()
    assert scene.kinds == ["M75"]


def test_the_last_mails_are_known_of_each_administrator(scene: Scene) -> None:
    enterprise = scene.enterprise(100, 75, days=7)
    scene.run()
    (person,) = EnterpriseAdmin.objects.all()
    last = NotificationTimestamp.objects.last_mails(enterprise.uuid, person.ecu_id)
    assert last == (NOW, NOW)


def test_explaining_answers_for_each_ecu(scene: Scene) -> None:
    for allocated in (8, 1):
        scene.enterprise(10, allocated, admins=0).admins(1, lms_user_id=7)
    (account,) = {admin.account for admin in EnterpriseAdmin.objects.all()}
    assert account is not None
    kind = message.get("license_notifications.license_utilization")
    found = explain(kind, account.pk, 1)
    failing = [[rule.name for rule, holds in finding.answers if not holds] for finding in found.findings]
    assert sorted(failing) == [[], ["threshold_reached"]]
    assert found.verdict == "A run of this day would send this mail."


def test_either_message_can_be_run_by_itself(scene: Scene) -> None:
    scene.enterprise(100, 75, days=7)
    for name in ("license_utilization", "license_weekly_digest"):
        kind = message.get(name)
        assert dispatch.run_one(kind, kind.starting(1)).sent == 1
    assert scene.kinds == ["M75", "W"]
