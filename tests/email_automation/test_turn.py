"""Turns: a worker that is held up by its provider gives the rest back, and nothing is lost or sent twice."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.core import mail

from email_automation import tasks, words
from email_automation.channels.mail import DjangoMailChannel
from email_automation.models import EmailLog
from email_automation.pipeline import delivery, dispatch, message, sweep, turn, wake
from email_automation.pipeline.delivery import deliver
from email_automation.pipeline.turn import Turn
from schedules.models import ScheduleConfig
from tests.crowd import learners_due
from tests.message_factories import NudgeDay10
from tests.relay import Relay

pytestmark = [pytest.mark.django_db, pytest.mark.every_database]

DAY = date(2017, 8, 1)
KIND, OTHER = message.get("recurringnudge_day3"), message.get("recurringnudge_day10")


@pytest.fixture
def plan(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], list[int]]:
    """Plan some nudges for workers, and return the ids of their rows."""
    ScheduleConfig.objects.create(
        site_id=django_settings.SITE_ID, enqueue_recurring_nudge=True, deliver_recurring_nudge=True
    )

    def planned(number: int) -> list[int]:
        learners_due(number, day=DAY)
        with monkeypatch.context() as patched:
            patched.setattr(dispatch, "_deliver_here", lambda *args: None)
            patched.setattr(django_settings, "CELERY_BROKER_URL", "")
            dispatch.run_daily(KIND, django_settings.SITE_ID, day=DAY)
        return list(EmailLog.objects.order_by("pk").values_list("pk", flat=True))

    return planned


@pytest.fixture
def woken(settings: Any, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str, list[int]]]:
    """A broker, and what it was told: task, queue, ids."""
    told: list[tuple[str, str, list[int]]] = []
    settings.CELERY_BROKER_URL = "memory://"
    monkeypatch.setattr(
        wake.current_app, "send_task", lambda name, *, args, queue, **options: told.append((name, queue, args[0]))
    )
    return told


@pytest.fixture
def no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have every turn end with its first mail."""
    monkeypatch.setattr(turn, "SECONDS", 0)


def at_hand_off(monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]) -> None:
    """Do something right before each mail is handed to the provider."""
    real = DjangoMailChannel.deliver

    def hand_over(*args: Any) -> Any:
        act()
        return real(*args)

    monkeypatch.setattr(DjangoMailChannel, "deliver", hand_over)


def free_and_pending() -> int:
    return EmailLog.objects.filter(status=words.PENDING, lease_expires_at=None, attempts=0).count()


def test_what_a_turn_does_not_come_to_is_named_and_free_at_once(plan: Any) -> None:
    ids = plan(7)
    short = Turn(0)
    assert deliver(ids, turn=short) == {words.SENT: 1}
    assert short.left == ids[1:]
    assert free_and_pending() == 6
    # Whoever comes next has it, in the same moment.
    assert deliver(short.left) == {words.SENT: 6}
    assert len({sent.to[0] for sent in mail.outbox}) == len(mail.outbox) == 7


def test_a_turn_with_time_leaves_nothing(plan: Any) -> None:
    ids, long = plan(7), Turn(60)
    assert deliver(ids, turn=long)[words.SENT] == 7
    assert long.left == []


def test_batches_that_are_not_begun_are_not_leased(plan: Any, settings: Any, monkeypatch: Any) -> None:
    settings.EMAIL_BATCH_SIZE = 3
    ids, short, leased = plan(7), Turn(0), []
    real = delivery.ledger.lease
    monkeypatch.setattr(delivery.ledger, "lease", lambda batch, **held: leased.append(batch) or real(batch, **held))
    assert deliver(ids, turn=short)[words.SENT] == 1
    assert (leased, short.left) == ([ids[:3]], ids[1:])


def test_mails_that_are_not_drafted_together_are_left_too(plan: Any) -> None:
    plan(2)
    NudgeDay10().due(2, day=DAY, site=ScheduleConfig.objects.get().site)
    dispatch.run_daily(OTHER, django_settings.SITE_ID, day=DAY)
    EmailLog.objects.update(status=words.PENDING, attempts=0)
    mail.outbox.clear()
    ids, short = list(EmailLog.objects.values_list("pk", flat=True)), Turn(0)
    assert deliver(ids, turn=short)[words.SENT] == 1
    assert len(short.left) == free_and_pending() == 3
    assert deliver(short.left)[words.SENT] == 3


def test_an_outage_puts_the_rest_off_and_leaves_nothing(plan: Any, settings: Any) -> None:
    ids, short = plan(4), Turn(0)
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 1
    assert deliver(ids, turn=short)[words.PENDING] == 4
    assert (short.left, free_and_pending()) == ([], 0)


def test_mails_on_the_wire_are_waited_for(plan: Any, settings: Any) -> None:
    settings.EMAIL_IN_FLIGHT = 4
    with Relay.running(distance=0.01) as relay:
        relay.use(settings)
        ids, short = plan(9), Turn(0)
        deliver(ids, turn=short)
        assert len(relay.taken) + len(short.left) == 9
        assert EmailLog.objects.filter(status=words.SENT).count() == len(relay.taken) >= 1
        assert free_and_pending() == len(short.left)


class TestTask:
    def test_the_rest_stands_in_line_again_in_pieces_a_turn_is_long(
        self, plan: Any, woken: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        ids = plan(60)
        clock = Turn(60)
        monkeypatch.setattr(wake, "Turn", lambda: clock)
        handed: list[int] = []

        def count() -> None:
            handed.append(1)
            if len(handed) == 25:
                clock._ends = 0

        at_hand_off(monkeypatch, count)
        assert tasks.deliver_mails(ids) == {words.SENT: 25}
        assert woken == [(wake.DELIVER_TASK, "lifecycle", ids[25:50]), (wake.DELIVER_TASK, "lifecycle", ids[50:])]
        for _, _, left in list(woken):
            monkeypatch.setattr(wake, "Turn", lambda: Turn(60))
            tasks.deliver_mails(left)
        assert len({sent.to[0] for sent in mail.outbox}) == len(mail.outbox) == 60
        assert len(woken) == 2

    def test_an_urgent_mail_stays_in_its_queue(self, plan: Any, woken: Any, no_time: None) -> None:
        ids = plan(3)
        EmailLog.objects.filter(pk__in=ids[1:]).update(email_type="payment_confirmation")
        wake.deliver_in_turn(ids)
        assert sorted(queue for _, queue, _ in woken) == ["transactional"]

    def test_a_broker_that_is_away_leaves_the_rest_to_the_sweep(
        self, plan: Any, woken: Any, no_time: None, settings: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        ids = plan(40)
        calls: list[int] = []

        def away(*args: Any, **options: Any) -> None:
            calls.append(1)
            raise OSError

        monkeypatch.setattr(wake.current_app, "send_task", away)
        assert tasks.deliver_mails(ids)[words.SENT] == 1
        assert (len(calls), free_and_pending()) == (1, 39)
        assert sweep.sweep()[words.SENT] == 39
        assert len({sent.to[0] for sent in mail.outbox}) == len(mail.outbox) == 40

    def test_without_a_broker_there_is_no_line_to_stand_in(self, plan: Any, no_time: None) -> None:
        assert tasks.deliver_mails(plan(5))[words.SENT] == 5

    def test_rows_that_are_gone_or_unknown_wake_nobody(self, plan: Any, woken: Any, no_time: None) -> None:
        ids = plan(4)
        EmailLog.objects.filter(pk=ids[-1]).update(email_type="of_an_app_that_is_not_here")
        wake.deliver_in_turn([*ids, 10**9])
        assert woken == [(wake.DELIVER_TASK, "lifecycle", ids[1:3])]


class TestSweep:
    def test_what_is_urgent_and_came_meanwhile_goes_next(
        self, plan: Any, no_time: None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        ids = plan(5)

        def urgent() -> None:
            EmailLog.objects.filter(pk=ids[4]).update(priority=words.URGENT)

        at_hand_off(monkeypatch, urgent)
        assert sweep.sweep()[words.SENT] == 5
        order = [EmailLog.objects.get(to_address=sent.to[0]).pk for sent in mail.outbox]
        assert order == [ids[0], ids[4], *ids[1:4]]

    def test_takes_as_many_at_a_time_as_a_turn_sends(self, plan: Any, no_time: None) -> None:
        plan(5)
        told: list[int] = []
        assert sweep.sweep(progress=told.append)[words.SENT] == 5
        assert told == [1, 1, 1, 1, 1]

    def test_with_a_limit_takes_no_turns(self, plan: Any, no_time: None) -> None:
        plan(5)
        told: list[int] = []
        assert sweep.sweep(limit=3, progress=told.append)[words.SENT] == 3
        assert (told, free_and_pending()) == ([3], 2)


@pytest.mark.parametrize(
    ("given", "left", "fits"),
    [(200, 150, 50), (200, 199, turn.FEWEST), (50, 0, 100), (150, 0, 200), (200, 0, 200), (3, 0, turn.FEWEST)],
)
def test_the_next_turn_is_given_what_it_can_send(settings: Any, given: int, left: int, fits: int) -> None:
    settings.EMAIL_BATCH_SIZE = 200
    ended = Turn(0)
    ended.left = [*range(left)]
    assert ended.fits(given) == fits


def test_no_turn_is_given_more_than_a_batch(settings: Any) -> None:
    settings.EMAIL_BATCH_SIZE = 5
    assert Turn(0).fits(5) == 5
