"""Dispatch: days, figures that add up, brokers, and planning that breaks off."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from io import StringIO
from typing import Any

import pytest
import time_machine
from django.conf import settings as django_settings
from django.contrib.sites.models import Site
from django.core import mail
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from courses.models import Enrollment
from email_automation import words
from email_automation.alerts import Alert
from email_automation.models import EmailLog, MessageRun
from email_automation.pipeline import dispatch, ledger, message, resolver, sweep, wake
from email_automation.pipeline.delivery import deliver
from tests.crowd import learners_due
from tests.message_factories import NudgeDay3

pytestmark = pytest.mark.django_db

DAY = date(2017, 8, 1)
KIND = message.get("recurringnudge_day3")
ALERTS: list[Alert] = []


@pytest.fixture
def site() -> Site:
    return Site.objects.get(pk=django_settings.SITE_ID)


@pytest.fixture
def factory(site: Site) -> NudgeDay3:
    made = NudgeDay3()
    made.switch(site, enqueue=True, deliver=True)
    return made


@pytest.fixture(autouse=True)
def alerts(settings: Any) -> Iterator[list[Alert]]:
    """What people were told."""
    settings.ALERT_SINKS = [f"{__name__}.remember"]
    ALERTS.clear()
    yield ALERTS
    ALERTS.clear()


def remember(alert: Alert) -> None:
    ALERTS.append(alert)


def run(day: date | None = DAY, **options: Any) -> dispatch.Summary:
    summary = dispatch.run_daily(KIND, django_settings.SITE_ID, day=day, **options)
    assert summary.audience == summary.sent + sum(summary.skipped.values()) + summary.failed + summary.retry
    return summary


def on(day: date) -> Any:
    return time_machine.travel(datetime(day.year, day.month, day.day, 6, tzinfo=UTC), tick=False)


def with_broker(settings: Any, monkeypatch: pytest.MonkeyPatch, send: Callable[..., None]) -> None:
    settings.CELERY_BROKER_URL = "memory://"
    monkeypatch.setattr(wake.current_app, "send_task", send)


# Days


def test_case_083_the_same_day_twice_sends_nothing_new(factory: NudgeDay3, site: Site) -> None:
    factory.due(3, day=DAY, site=site)
    assert run().sent == 3
    assert (run().sent, run().skipped) == (0, {"already_sent": 3})
    assert MessageRun.objects.get().sent == 3


def test_case_084_a_missed_day_is_made_up_for(factory: NudgeDay3, site: Site) -> None:
    for day in (30, 31):
        factory.due(1, day=date(2017, 7, day), site=site)
    for day in (1, 2):
        factory.due(1, day=date(2017, 8, day), site=site)
    with on(date(2017, 7, 31)):
        first = run(None, catch_up=False)
    with on(date(2017, 8, 2)):
        second = run(None)
    assert (first.days, first.sent) == ([date(2017, 7, 31)], 1)
    assert (second.days, second.sent) == ([date(2017, 8, 1), date(2017, 8, 2)], 2)


def test_case_084_without_any_run_before_it_goes_back_as_far_as_it_may(factory: NudgeDay3, site: Site) -> None:
    with on(date(2017, 8, 2)):
        assert run(None).days == [date(2017, 7, 31), date(2017, 8, 1), date(2017, 8, 2)]


def test_case_085_what_is_too_late_is_never_sent(factory: NudgeDay3, site: Site) -> None:
    people = [factory.due(1, day=date(2017, 8, day), site=site)[0] for day in (1, 2, 3, 4)]
    with on(date(2017, 7, 31)):
        run(None)
    with on(date(2017, 8, 4)):
        assert run(None).days == [date(2017, 8, 2), date(2017, 8, 3), date(2017, 8, 4)]
    assert sorted(sent.to[0] for sent in mail.outbox) == sorted(person.email for person in people[1:])


def test_case_087_without_catching_up_only_today_is_run(factory: NudgeDay3, site: Site) -> None:
    factory.due(1, day=date(2017, 8, 1), site=site)
    factory.due(1, day=date(2017, 8, 2), site=site)
    with on(date(2017, 8, 2)):
        assert run(None, catch_up=False).days == [date(2017, 8, 2)]
    assert len(mail.outbox) == 1


def test_case_075_a_switch_that_goes_off_before_hand_off_stops_what_is_queued(
    factory: NudgeDay3, site: Site, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    factory.due(5, day=DAY, site=site)
    with_broker(settings, monkeypatch, lambda *args, **kwargs: None)
    assert run().retry == 5
    factory.switch(site, enqueue=True, deliver=False)
    assert deliver(EmailLog.objects.values_list("pk", flat=True)).reasons == {"stopped": 5}
    sweep.sweep()
    record = MessageRun.objects.get()
    assert (record.status, record.sent, record.stopped) == (MessageRun.DONE, 0, 5)


def test_a_run_of_a_day_whose_switch_is_off_closes_the_day(factory: NudgeDay3, site: Site) -> None:
    factory.switch(site, enqueue=False, deliver=True)
    with on(date(2017, 8, 1)):
        assert run(None).audience == 0
    factory.switch(site, enqueue=True, deliver=True)
    with on(date(2017, 8, 2)):
        assert run(None).days == [date(2017, 8, 2)]


# Figures


def test_somebody_who_is_not_due_any_more_after_a_crash_still_adds_up(
    factory: NudgeDay3, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    people = factory.due(4, day=DAY, site=site)
    with monkeypatch.context() as patched:
        patched.setattr(dispatch, "_deliver_here", lambda *args: None)
        assert run().retry == 4
    Enrollment.objects.filter(user=people[0]).update(is_active=False)
    summary = run()
    assert (summary.audience, summary.sent, summary.skipped) == (4, 3, {"active_enrollment": 1})


def test_a_waiting_mail_counts_as_retry_until_it_has_ended(
    factory: NudgeDay3, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    factory.due(3, day=DAY, site=site)
    monkeypatch.setattr(
        dispatch, "_deliver_here", lambda ids, summary, progress: summary.tally.update(deliver(ids[:1]))
    )
    summary = run()
    assert (summary.audience, summary.sent, summary.retry) == (3, 1, 2)


def test_mails_that_workers_send_while_the_command_ends_are_counted(
    factory: NudgeDay3, site: Site, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    factory.due(60, day=DAY, site=site)
    settings.EMAIL_BATCH_SIZE = 50

    def quick_worker(name: str, *, args: Any, **options: Any) -> None:
        if len(args[0]) == 50:
            deliver(args[0])

    with_broker(settings, monkeypatch, quick_worker)
    summary = run()
    assert (summary.audience, summary.sent, summary.retry, summary.already_sent) == (60, 50, 10, 0)


def test_a_dry_run_adds_up_too(factory: NudgeDay3, site: Site) -> None:
    factory.due(2, day=DAY, site=site)
    run()
    factory.due(3, day=DAY, site=site)
    dry = run(dry_run=True)
    assert (dry.audience, dry.sent, dry.skipped) == (5, 3, {"already_sent": 2})


def test_a_large_audience_is_kept_as_ids(factory: NudgeDay3, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resolver, "AUDIENCE_PAGE", 100)
    learners_due(250, day=DAY)
    pages = []
    real = ledger.claim

    def claim(*args: Any, **options: Any) -> list[EmailLog]:
        pages.append(len(args[2]))
        return real(*args, **options)

    monkeypatch.setattr(ledger, "claim", claim)
    monkeypatch.setattr(dispatch, "_deliver_here", lambda ids, *_: pages.append(type(ids[0]).__name__))
    assert run().retry == 250
    assert pages == [100, 100, 50, "int"]


# Pace


def test_a_paced_run_sends_what_is_due_and_the_sweep_the_rest(factory: NudgeDay3, site: Site, settings: Any) -> None:
    settings.EMAIL_RATE_PER_SECOND = 2
    factory.due(10, day=DAY, site=site)
    with on(DAY) as clock:
        first = run()
        assert (first.sent, first.retry, first.ok) == (1, 9, True)
        # A second run waits in the same line and hurries nobody.
        assert run().sent == 0
        sent = []
        for _ in range(5):
            clock.shift(timedelta(seconds=1))
            sent.append(sweep.sweep()[words.SENT])
    assert sent == [2, 2, 2, 2, 1]


# Brokers


@pytest.mark.parametrize("error", [OSError, RuntimeError], ids=lambda error: error.__name__)
def test_a_broker_that_cannot_be_told_costs_time_and_status_1(
    factory: NudgeDay3, site: Site, settings: Any, monkeypatch: pytest.MonkeyPatch, alerts: list[Alert], error: Any
) -> None:
    calls = []

    def fail(*args: Any, **options: Any) -> None:
        calls.append(args)
        raise error

    factory.due(120, day=DAY, site=site)
    with_broker(settings, monkeypatch, fail)
    summary = run()
    assert (summary.retry, summary.ok, len(calls)) == (120, False, 1)
    assert [alert.errors for alert in alerts] == [(f"broker: {error.__name__}",)]
    assert MessageRun.objects.get().status == MessageRun.PLANNED
    settings.CELERY_BROKER_URL = ""
    assert sweep.sweep()[words.SENT] == 120
    assert MessageRun.objects.get().status == MessageRun.DONE


@pytest.fixture
def called(settings: Any, monkeypatch: pytest.MonkeyPatch) -> list[list[int]]:
    """A broker, and the ids that workers were woken up for; pages of 100, tasks of 50."""
    told: list[list[int]] = []
    with_broker(settings, monkeypatch, lambda *_, args, **options: told.append(args[0]))
    monkeypatch.setattr(resolver, "AUDIENCE_PAGE", 100)
    settings.EMAIL_BATCH_SIZE = 50
    return told


def rows(**only: Any) -> list[int]:
    return list(EmailLog.objects.filter(**only).order_by("pk").values_list("pk", flat=True))


def test_workers_are_woken_up_page_by_page(
    factory: NudgeDay3, site: Site, called: list[list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    learners_due(230, day=DAY)
    claimed_by_then: list[int] = []
    monkeypatch.setattr(
        wake.current_app,
        "send_task",
        lambda *_, args, **options: (called.append(args[0]), claimed_by_then.append(EmailLog.objects.count())),
    )
    assert run().retry == 230
    assert claimed_by_then == [100, 100, 200, 200, 230]
    assert [len(ids) for ids in called] == [50, 50, 50, 50, 30]
    assert sorted(sum(called, [])) == rows()


def test_what_quick_workers_send_while_planning_goes_on_adds_up(
    factory: NudgeDay3, site: Site, called: list[list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    learners_due(230, day=DAY)
    monkeypatch.setattr(
        wake.current_app, "send_task", lambda *_, args, **options: called.append(args[0]) or deliver(args[0])
    )
    summary = run()
    assert (summary.sent, summary.retry, summary.already_sent) == (230, 0, 0)
    assert len(called) == 5
    record = MessageRun.objects.get()
    assert (record.status, record.sent, record.audience) == (MessageRun.DONE, 230, 230)


def test_a_second_try_wakes_workers_up_for_what_the_first_has_left(
    factory: NudgeDay3, site: Site, called: list[list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    learners_due(230, day=DAY)
    real, pages = ledger.claim, []

    def claim(*args: Any, **options: Any) -> list[EmailLog]:
        pages.append(args[2])
        if len(pages) == 2:
            raise SystemExit(9)
        return real(*args, **options)

    with monkeypatch.context() as patched:
        patched.setattr(ledger, "claim", claim)
        with pytest.raises(SystemExit):
            run()
    assert (sorted(sum(called, [])), MessageRun.objects.get().status) == (rows(), MessageRun.RUNNING)
    # A worker has done the first half of what it was woken up for, and the broker has forgotten the rest.
    deliver(called[0])
    left = called[1]
    called.clear()
    summary = run()
    assert (summary.audience, summary.retry, summary.already_sent) == (230, 180, 50)
    assert sorted(called[0]) == sorted(left)
    assert sorted(sum(called, [])) == rows(status=words.PENDING)
    for ids in called:
        deliver(ids)
    assert len({sent.to[0] for sent in mail.outbox}) == len(mail.outbox) == 230


def test_a_run_with_a_pace_wakes_workers_up_for_what_is_due(
    factory: NudgeDay3, site: Site, called: list[list[int]], settings: Any
) -> None:
    settings.EMAIL_RATE_PER_SECOND = 2
    learners_due(230, day=DAY)
    with on(DAY) as clock:
        assert run().retry == 230
        assert called == [[EmailLog.objects.earliest("next_attempt_at").pk]]
        deliver(called[0])
        clock.shift(timedelta(seconds=10))
        assert sweep.sweep()[words.SENT] == 20


def test_a_test_run_wakes_workers_up_for_its_own_rows_only(
    factory: NudgeDay3, site: Site, called: list[list[int]], settings: Any
) -> None:
    learners_due(3, day=DAY)
    run()
    called.clear()
    summary = run(override="qa@example.com")
    assert (summary.audience, summary.retry) == (3, 3)
    assert called == [rows()[3:]]


def test_a_broker_that_goes_away_while_planning_costs_time_and_is_told_of_once(
    factory: NudgeDay3, site: Site, called: list[list[int]], monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    def fail(*_: Any, args: Any, **options: Any) -> None:
        called.append(args[0])
        if len(called) == 3:
            raise OSError

    learners_due(230, day=DAY)
    monkeypatch.setattr(wake.current_app, "send_task", fail)
    summary = run()
    assert (summary.retry, summary.errors, len(called)) == (230, ["broker: OSError"], 3)
    assert MessageRun.objects.get().status == MessageRun.PLANNED
    for ids in called[:2]:
        deliver(ids)
    settings.CELERY_BROKER_URL = ""
    assert sweep.sweep()[words.SENT] == 130
    assert len({sent.to[0] for sent in mail.outbox}) == 230


def test_a_page_costs_the_same_statements_for_one_and_for_fifty(
    factory: NudgeDay3, site: Site, called: list[list[int]]
) -> None:
    costs = []
    for number in (1, 50):
        factory.due(number, day=DAY, site=site)
        with CaptureQueriesContext(connection) as queries:
            run()
        # SQLite takes at most so many parameters in a statement, so there one insert is cut into several.
        inserts = [query for query in queries if query["sql"].startswith("INSERT") and connection.vendor == "sqlite"]
        costs.append(len(queries) - len(inserts))
    assert costs[1] <= costs[0]


# Planning that breaks off


@pytest.fixture
def second_page_fails(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Break planning after its first page."""
    real = resolver.Resolver.audience

    def audience(self: Any, run: Any) -> Iterator[Any]:
        page = next(iter(real(self, run)))
        yield page[:2]
        raise ZeroDivisionError("ada@example.com")

    context = pytest.MonkeyPatch()
    context.setattr(resolver.Resolver, "audience", audience)
    yield context
    context.undo()


def test_planning_that_breaks_off_leaves_the_day_open_and_loses_nobody(
    factory: NudgeDay3, site: Site, second_page_fails: Any, alerts: list[Alert], caplog: pytest.LogCaptureFixture
) -> None:
    people = factory.due(5, day=DAY, site=site)
    summary = run()
    assert (summary.sent, summary.retry, summary.ok) == (0, 2, False)
    assert MessageRun.objects.get().status == MessageRun.PARTIAL
    (alert,) = alerts
    assert (alert.source, alert.slot, alert.faults) == ("schedules.recurringnudge_day3", "2017-08-01", 0)
    assert "ZeroDivisionError" in str(alert)
    assert "@" not in str(alert) + caplog.text
    second_page_fails.undo()
    assert run().sent == 5
    assert MessageRun.objects.get().status == MessageRun.DONE
    assert sorted(sent.to[0] for sent in mail.outbox) == sorted(person.email for person in people)


def test_the_command_ends_with_1_and_one_line(factory: NudgeDay3, site: Site, second_page_fails: Any) -> None:
    factory.due(3, day=DAY, site=site)
    out, err = StringIO(), StringIO()
    with pytest.raises(SystemExit) as ended:
        call_command("send_recurring_nudge", "example.com", "--date", str(DAY), stdout=out, stderr=err)
    assert ended.value.code == 1
    assert out.getvalue().count("\n") == 1
    assert "ZeroDivisionError" in err.getvalue()


# Alerts


def test_a_run_with_faults_of_ours_is_told_of_once(
    factory: NudgeDay3, site: Site, alerts: list[Alert], monkeypatch: pytest.MonkeyPatch
) -> None:
    factory.due(3, day=DAY, site=site)
    monkeypatch.setattr("edx_ace.presentation.render", lambda *args: 1 / 0)
    run()
    for _ in range(2):
        EmailLog.objects.update(next_attempt_at=timezone.now())
        sweep.sweep()
    run()
    (alert,) = alerts
    record = MessageRun.objects.get()
    assert (alert.faults, alert.run_id, alert.site_id) == (3, record.pk, site.pk)
    assert str(alert) == f"{KIND.label()} run={record.pk} site={site.pk} slot=2017-08-01 faults=3"


def test_a_run_without_faults_is_not_told_of(factory: NudgeDay3, site: Site, alerts: list[Alert]) -> None:
    factory.due(3, day=DAY, site=site)
    run()
    sweep.sweep()
    assert alerts == []
