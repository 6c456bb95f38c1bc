"""Several connections at the same jobs: no event waits for another, no change is missed, no two equal jobs at once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any
from unittest import mock

import pytest
from django.db import connection, connections, transaction

from courses import services as facts
from courses.models import Course
from schedules import recompute, services
from schedules.models import DynamicUpgradeDeadlineConfiguration, Schedule, ScheduleRecompute

from .scene import at, enroll

pytestmark = pytest.mark.django_db(transaction=True)

DATES = recompute.DATES
LONG = 20

needs_row_locks = pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite has one writer at a time")


@pytest.fixture(autouse=True)
def _nothing_waits(c: Course, monkeypatch: pytest.MonkeyPatch) -> None:
    """No job is there, and no commit starts one."""
    monkeypatch.setattr(recompute, "wake_up", lambda: None)
    ScheduleRecompute.objects.all().delete()


def beside(action: Callable[[], Any]) -> Any:
    """Do something on a connection of its own, while this one goes on waiting for it."""
    results: list[Any] = []

    def act() -> None:
        try:
            results.append(action())
        except BaseException as error:
            results.append(error)
        finally:
            connections.close_all()

    thread = threading.Thread(target=act)
    thread.start()
    thread.join(LONG)
    assert results, "it waits for a lock"
    if isinstance(results[0], BaseException):
        raise results[0]
    return results[0]


def in_one_transaction(*actions: Callable[[], Any]) -> Callable[[], None]:
    def act() -> None:
        with transaction.atomic():
            for action in actions:
                action()

    return act


def states() -> list[str]:
    return list(ScheduleRecompute.objects.order_by("pk").values_list("state", flat=True))


@needs_row_locks
def test_two_requests_in_concurrent_transactions_do_not_wait_for_each_other(c: Course) -> None:
    scope = recompute.scope_of_course(c.key)
    with transaction.atomic():
        recompute.request(DATES, scope)
        beside(in_one_transaction(lambda: recompute.request(DATES, scope)))
    assert states() == ["waiting", "waiting"]
    assert recompute.run_waiting() == {"done": 1}
    assert states() == ["done"]


@needs_row_locks
def test_a_job_that_somebody_joins_begins_after_their_commit(c: Course) -> None:
    enrollment = enroll(c, "08-01")
    scope = recompute.scope_of_course(c.key)
    recompute.request(DATES, scope)
    with transaction.atomic():
        facts.record_course(c.key, end=at("08-15"))
        assert len(states()) == 1
        assert beside(recompute.run_waiting) == {}
    assert recompute.run_waiting() == {"done": 1}
    assert Schedule.objects.get(enrollment=enrollment).upgrade_deadline == at("08-15")


@needs_row_locks
def test_a_job_does_not_begin_beside_an_equal_one_that_somebody_joins(c: Course) -> None:
    _, other = (ScheduleRecompute.objects.create(kind=DATES, scope=recompute.EVERYTHING) for _ in range(2))
    with transaction.atomic():
        recompute.request(DATES, recompute.EVERYTHING)
        assert beside(lambda: recompute._claim(other.pk)) is None
    assert recompute.run_waiting() == {"done": 1}
    assert states() == ["done"]


@needs_row_locks
def test_a_job_that_began_before_a_change_does_not_swallow_its_request(c: Course) -> None:
    recompute.request(DATES, recompute.EVERYTHING)
    real, asked = ScheduleRecompute.save, threading.Event()

    def save(job: ScheduleRecompute, *args: Any, **options: Any) -> None:
        real(job, *args, **options)
        if not asked.is_set():
            # The worker has the row and has not committed yet.
            asked.set()
            beside(lambda: recompute.request(DATES, recompute.EVERYTHING))

    with mock.patch.object(ScheduleRecompute, "save", save):
        assert recompute.run_waiting() == {"done": 2}
    assert states() == ["done", "done"]


@needs_row_locks
def test_of_two_jobs_over_the_same_schedules_the_later_writer_knows_more(c: Course) -> None:
    enrollment = enroll(c, "08-01")
    real, changed = services.course_facts, threading.Event()
    later = threading.Thread(target=lambda: (recompute.run_waiting(), connections.close_all()))

    def slowly(courses: Any) -> Any:
        found = real(courses)
        if not changed.is_set():
            changed.set()
            beside(lambda: DynamicUpgradeDeadlineConfiguration.objects.create(enabled=True, deadline_days=7))
            later.start()
            later.join(0.5)
            assert later.is_alive()
        return found

    recompute.request(DATES, recompute.scope_of_course(c.key))
    with mock.patch.object(services, "course_facts", slowly):
        recompute.run_waiting()
        later.join(LONG)
    assert states() == ["done", "done"]
    assert Schedule.objects.get(enrollment=enrollment).upgrade_deadline == at("08-08")


def test_many_workers_do_each_job_once_and_no_equal_ones_together(c: Course) -> None:
    for _ in range(20):
        enroll(c, "08-01")
    running, most, lock = [0], [0], threading.Lock()
    real = services.refresh_dates

    def refresh(schedules: list[Schedule], **options: Any) -> int:
        with lock:
            running[0] += 1
            most[0] = max(most[0], running[0])
        try:
            return real(schedules, **options)
        finally:
            with lock:
                running[0] -= 1

    ScheduleRecompute.objects.bulk_create(
        ScheduleRecompute(kind=DATES, scope=recompute.scope_of_course(c.key)) for _ in range(4)
    )
    with mock.patch.object(services, "refresh_dates", refresh):
        threads = [
            threading.Thread(target=lambda: (recompute.run_waiting(), connections.close_all())) for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(LONG)
    recompute.run_waiting()
    assert most == [1]
    assert set(states()) == {"done"}
