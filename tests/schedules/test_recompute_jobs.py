"""A batch job …"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from unittest import mock
from uuid import uuid4

import pytest
from celery import current_app
from django.contrib.auth import get_user_model
from django.db import connection
from django.test.utils import CaptureQueriesContext, override_settings
from django.utils import timezone

from courses.models import Course, Enrollment
from email_automation.pipeline import chores, sweep
from schedules import recompute, services, tasks
from schedules.models import DynamicUpgradeDeadlineConfiguration, Schedule, ScheduleExperience, ScheduleRecompute
from tests import factories

from .scene import at, command, enroll, offered

pytestmark = [pytest.mark.django_db, pytest.mark.every_database, pytest.mark.usefixtures("site")]

DATES, EXPERIENCE, ALL = recompute.DATES, recompute.EXPERIENCE, recompute.EVERYTHING
TRANSACTION_CONTROL = ("SAVEPOINT", "RELEASE", "BEGIN", "COMMIT", "ROLLBACK")


@pytest.fixture(autouse=True)
def _nothing_waits(c: Course) -> None:
    ScheduleRecompute.objects.all().delete()


def crowd(course: Course, number: int) -> list[int]:
    """Give a course schedules, a day early and without experience, and return their ids."""
    users = get_user_model()._default_manager
    users.bulk_create(
        get_user_model()(username=f"{course.pk}-{index}", password="lms$usable") for index in range(number)
    )
    people = users.filter(username__startswith=f"{course.pk}-")
    Enrollment.objects.bulk_create(Enrollment(user=user, course=course, created_at=at("08-01")) for user in people)
    rows = Enrollment.objects.filter(course=course).order_by("pk")
    Schedule.objects.bulk_create(Schedule(enrollment=row, start_date=at("07-31")) for row in rows)
    return list(Schedule.objects.filter(enrollment__course=course).order_by("pk").values_list("pk", flat=True))


def asked(kind: str = DATES, scope: str = ALL) -> ScheduleRecompute:
    recompute.request(kind, scope)
    return ScheduleRecompute.objects.latest("pk")


def figures(job: ScheduleRecompute) -> tuple[str, int, int, int]:
    job.refresh_from_db()
    return job.state, job.done, job.total, job.changed


@contextmanager
def watched(*, breaks_at: int | None = None, error: Exception | None = None) -> Iterator[list[list[int]]]:
    """The batches of ids that are refreshed; the one with number `breaks_at` raises after it has been written."""
    real, batches = services.refresh_dates, list[list[int]]()

    def refresh(schedules: list[Schedule], **options: Any) -> int:
        changed = real(schedules, **options)
        if len(batches) == breaks_at:
            raise error or RuntimeError("boom")
        batches.append([row.pk for row in schedules])
        return changed

    with mock.patch.object(services, "refresh_dates", refresh):
        yield batches


def statements(action: Callable[[], Any]) -> list[str]:
    with CaptureQueriesContext(connection) as captured:
        action()
    return [query["sql"] for query in captured if not query["sql"].startswith(TRANSACTION_CONTROL)]


def test_case_030_does_500_schedules_at_a_time_and_nothing_the_second_time(c: Course) -> None:
    ids = crowd(c, 1200)
    job = asked()
    with watched() as batches:
        assert recompute.run_waiting() == {"done": 1}
    assert batches == [ids[:500], ids[500:1000], ids[1000:]]
    assert figures(job) == ("done", 1200, 1200, 1200)
    assert (job.started_at, job.finished_at, job.error, job.attempts) == (at("08-01"), at("08-01"), "", 0)
    assert set(Schedule.objects.values_list("start_date", "upgrade_deadline")) == {(at("08-01"), at("08-22"))}
    again = asked()
    recompute.run_waiting()
    assert figures(again) == ("done", 1200, 1200, 0)


def test_case_031_goes_on_where_it_broke_and_handles_each_row_once(c: Course, clock: Any) -> None:
    ids = crowd(c, 1200)
    job = asked()
    with watched(breaks_at=1) as first:
        recompute.run_waiting()
    assert figures(job) == ("running", 500, 1200, 500)
    assert job.last_schedule_id == ids[499]
    # What the broken batch had written is undone.
    assert Schedule.objects.filter(start_date=at("07-31")).count() == 700
    clock.shift(timedelta(seconds=30))
    with watched() as second:
        recompute.run_waiting()
    assert first + second == [ids[:500], ids[500:1000], ids[1000:]]
    assert figures(job) == ("done", 1200, 1200, 1200)


def test_of_a_dead_worker_is_taken_over_when_its_lease_has_run_out(c: Course, clock: Any) -> None:
    ids = crowd(c, 1200)
    job = asked()
    with watched(breaks_at=1, error=SystemExit()) as first, pytest.raises(SystemExit):  # type: ignore[arg-type]
        recompute.run_waiting()
    assert figures(job)[:2] == ("running", 500)
    clock.shift(recompute.LEASE)
    assert recompute.run_waiting() == {}
    clock.shift(timedelta(seconds=1))
    with watched() as second:
        assert recompute.run_waiting() == {"done": 1}
    assert first + second == [ids[:500], ids[500:1000], ids[1000:]]
    assert figures(job) == ("done", 1200, 1200, 1200)
    assert job.attempts == 0


def test_that_somebody_took_over_is_left_to_them(c: Course) -> None:
    ids = crowd(c, 600)
    job = asked()
    real = services.refresh_dates

    def refresh(schedules: list[Schedule], **options: Any) -> int:
        if schedules[0].pk == ids[500]:
            ScheduleRecompute.objects.update(claim_token=uuid4())
        return real(schedules, **options)

    # On this connection the take-over is rolled back with the batch; that the batch is, is what counts.
    with mock.patch.object(services, "refresh_dates", refresh):
        assert recompute.run_waiting() == {"running": 1}
    assert figures(job) == ("running", 500, 600, 500)
    assert Schedule.objects.filter(start_date=at("07-31")).count() == 100
    assert job.attempts == 0


@pytest.mark.parametrize("number", [1, 500])
@pytest.mark.parametrize("kind", [DATES, EXPERIENCE])
def test_takes_at_most_8_statements_for_a_batch_of_any_size(kind: str, number: int) -> None:
    courses = [offered(f"S{index}", highlights_enabled_for_messaging=True) for index in range(3)]
    for course in courses:
        factories.SectionFactory(course=course, highlights=["a"])
        factories.SectionFactory(course=course, highlights=["b"])
        crowd(course, -(-number // 3))
    ScheduleRecompute.objects.all().delete()
    extra = Schedule.objects.order_by("pk").values_list("pk", flat=True)[number:]
    Schedule.objects.filter(pk__in=list(extra)).delete()
    asked(kind)
    job = recompute._take()
    assert job is not None
    lines = statements(lambda: recompute._do_batch(job))
    assert len(lines) <= 8, "\n".join(line[:200] for line in lines)
    assert (job.done, job.changed) == (number, number)


def test_writes_500_different_values_in_one_statement(c: Course) -> None:
    crowd(c, 500)
    rows = list(Enrollment.objects.filter(course=c).order_by("pk"))
    for second, row in enumerate(rows):
        row.created_at = at("08-01") + timedelta(seconds=second)
    Enrollment.objects.bulk_update(rows, ["created_at"])
    asked()
    lines = statements(recompute.run_waiting)
    table = connection.ops.quote_name(Schedule._meta.db_table)
    assert len([line for line in lines if line.startswith(f"UPDATE {table}")]) == 1
    wrong = [
        schedule.pk
        for schedule in Schedule.objects.select_related("enrollment")
        if schedule.start_date != schedule.enrollment.created_at
        or schedule.upgrade_deadline != schedule.start_date + timedelta(days=21)
    ]
    assert wrong == []


@pytest.mark.parametrize(("kind", "table"), [(DATES, "section"), (EXPERIENCE, "coursemode")])
def test_reads_only_what_its_kind_needs(c: Course, kind: str, table: str) -> None:
    Course.objects.update(highlights_enabled_for_messaging=True)
    enroll(c)
    asked(kind)
    assert not any(table in line for line in statements(recompute.run_waiting))


def test_writes_experience_rows_only_where_they_say_something(c: Course) -> None:
    crowd(c, 3)
    asked(EXPERIENCE)
    recompute.run_waiting()
    assert not ScheduleExperience.objects.exists()


def test_that_waits_is_not_asked_for_twice(c: Course) -> None:
    for _ in range(2):
        asked()
        asked(EXPERIENCE)
        asked(DATES, recompute.scope_of_course(c.key))
        asked(DATES, recompute.scope_of_course(c.key.lower()))
        asked(DATES, recompute.scope_of_org("edX"))
    rows = ScheduleRecompute.objects.order_by("pk").values_list("kind", "scope", "state")
    assert list(rows) == [
        ("dates", "all", "waiting"), ("experience", "all", "waiting"), ("dates", f"course:{c.key}", "waiting"),
        ("dates", f"course:{c.key.lower()}", "waiting"), ("dates", "org:edX", "waiting"),
    ]  # fmt: skip


def test_equal_to_a_running_one_waits_and_runs_after_it(c: Course, clock: Any) -> None:
    crowd(c, 3)
    first = asked()
    running = recompute._take()
    assert running is not None
    second = asked()
    assert (figures(first)[0], figures(second)[0]) == ("running", "waiting")
    assert asked() == second
    assert recompute._take() is None
    other = asked(EXPERIENCE)
    assert recompute.run_waiting() == {"done": 1}
    assert figures(other)[0] == "done"
    recompute._run(running)
    assert figures(first) == ("done", 3, 3, 3)
    assert recompute.run_waiting() == {"done": 1}
    assert figures(second) == ("done", 3, 3, 0)


def test_equal_to_a_broken_one_waits_until_that_has_ended(c: Course, clock: Any) -> None:
    crowd(c, 3)
    first = asked()
    with watched(breaks_at=0):
        recompute.run_waiting()
    second = asked()
    assert second != first
    assert recompute.run_waiting() == {}
    clock.shift(timedelta(seconds=30))
    assert recompute.run_waiting() == {"done": 2}
    assert [figures(first)[0], figures(second)[0]] == ["done", "done"]


def test_does_the_work_of_equal_ones_that_wait_too(c: Course) -> None:
    # Two transactions that cannot see each other both insert one.
    first, _ = (ScheduleRecompute.objects.create(kind=DATES, scope=ALL) for _ in range(2))
    other = ScheduleRecompute.objects.create(kind=EXPERIENCE, scope=ALL)
    assert recompute.run_waiting() == {"done": 2}
    assert set(ScheduleRecompute.objects.all()) == {first, other}


def test_does_not_begin_beside_an_equal_one_that_began_since_it_was_looked_for(c: Course) -> None:
    rows = {"kind": DATES, "scope": ALL}
    for state in ("running", "done", "failed"):
        ScheduleRecompute.objects.create(state=state, **rows)
    waiting = ScheduleRecompute.objects.create(**rows)
    with mock.patch.object(recompute, "_due", ScheduleRecompute.objects.all):
        assert recompute._claim(waiting.pk) is None
    assert figures(waiting)[0] == "waiting"


def test_is_tried_again_after_30_s_doubling_five_times(c: Course, clock: Any, caplog: Any) -> None:
    crowd(c, 3)
    job = asked()
    with watched(breaks_at=0, error=ValueError("no such thing as ada@example.com\0")):
        for tries, pause in enumerate([30, 60, 120, 240, 480], start=1):
            assert recompute.run_waiting() == {"running": 1}
            assert figures(job)[0] == "running"
            assert (job.attempts, job.next_attempt_at) == (tries, timezone.now() + timedelta(seconds=pause))
            assert job.lease_expires_at is None
            clock.shift(timedelta(seconds=pause - 1))
            assert recompute.run_waiting() == {}
            clock.shift(timedelta(seconds=1))
        assert recompute.run_waiting() == {"failed": 1}
    assert figures(job) == ("failed", 0, 3, 0)
    assert job.finished_at == timezone.now()
    assert job.error.startswith("ValueError: no such thing as <address>")
    assert "ada@example.com" not in caplog.text
    clock.shift(timedelta(days=1))
    assert recompute.run_waiting() == {}


def test_that_went_on_in_the_end_shows_no_error(c: Course, clock: Any) -> None:
    crowd(c, 3)
    job = asked()
    with watched(breaks_at=0):
        recompute.run_waiting()
    job.refresh_from_db()
    assert job.error == "RuntimeError: boom"
    clock.shift(timedelta(seconds=30))
    recompute.run_waiting()
    job.refresh_from_db()
    assert (job.state, job.error, job.attempts) == ("done", "", 1)


def test_that_broke_does_not_keep_others_from_running(c: Course) -> None:
    crowd(c, 1)
    asked(DATES, recompute.scope_of_course(c.key))
    other = asked(EXPERIENCE)
    with watched(breaks_at=0):
        assert recompute.run_waiting() == {"running": 1, "done": 1}
    assert figures(other)[0] == "done"


def test_counts_schedules_made_while_it_ran(c: Course) -> None:
    crowd(c, 2)
    job = asked()
    running = recompute._take()
    assert running is not None
    enroll(c)
    recompute._run(running)
    assert figures(job) == ("done", 3, 3, 2)


@pytest.mark.parametrize(("kind", "scope"), [("dates", "everything"), ("dates", "org:"), ("colours", "all")])
def test_of_unknown_kind_or_scope_cannot_be_asked_for(kind: str, scope: str) -> None:
    with pytest.raises(ValueError, match="allowed are"):
        recompute.request(kind, scope)
    assert not ScheduleRecompute.objects.exists()


def test_is_done_after_the_commit_where_there_is_no_broker(c: Course, django_capture_on_commit_callbacks: Any) -> None:
    enrollment = enroll(c, "08-01")
    with django_capture_on_commit_callbacks(execute=True):
        DynamicUpgradeDeadlineConfiguration.objects.create(enabled=True, deadline_days=7)
        assert ScheduleRecompute.objects.get().state == "waiting"
    assert ScheduleRecompute.objects.get().state == "done"
    assert Schedule.objects.get(enrollment=enrollment).upgrade_deadline == at("08-08")


def test_that_cannot_even_be_looked_for_harms_nobody(
    c: Course, django_capture_on_commit_callbacks: Any, caplog: Any
) -> None:
    with mock.patch.object(recompute, "_take", side_effect=RuntimeError("boom")):  # noqa: SIM117
        with django_capture_on_commit_callbacks(execute=True):
            asked()
    assert ScheduleRecompute.objects.get().state == "waiting"
    assert "waits for process_email_queue" in caplog.text


@override_settings(CELERY_BROKER_URL="redis://localhost/15")
def test_wakes_a_worker_up_where_there_is_a_broker(django_capture_on_commit_callbacks: Any) -> None:
    with mock.patch.object(current_app, "send_task") as send, django_capture_on_commit_callbacks(execute=True):
        asked()
    send.assert_called_once_with("schedules.tasks.recompute_schedules", queue="lifecycle", retry=False)
    assert ScheduleRecompute.objects.get().state == "waiting"
    assert tasks.recompute_schedules() == {"done": 1}


@override_settings(CELERY_BROKER_URL="redis://localhost/15")
def test_waits_for_the_sweep_when_the_broker_is_away(django_capture_on_commit_callbacks: Any, caplog: Any) -> None:
    with mock.patch.object(current_app, "send_task", side_effect=OSError("refused")):  # noqa: SIM117
        with django_capture_on_commit_callbacks(execute=True):
            asked()
    assert "OSError" in caplog.text
    assert ScheduleRecompute.objects.get().state == "waiting"
    sweep.sweep()
    assert ScheduleRecompute.objects.get().state == "done"


def test_is_known_to_celery_by_the_name_it_is_called_by() -> None:
    assert tasks.recompute_schedules.name == recompute.WAKE_UP_TASK
    assert recompute.WAKE_UP_TASK in current_app.tasks


@pytest.mark.parametrize("options", [[], ["--limit", "1"]])
def test_is_done_by_the_sweep_at_any_limit(options: list[str]) -> None:
    asked()
    assert command("process_email_queue", *options).status == 0
    assert ScheduleRecompute.objects.get().state == "done"


def test_is_done_by_a_sweep_whose_other_chores_and_mails_break(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken() -> None:
        raise RuntimeError("boom")

    asked()
    monkeypatch.setattr(chores, "_chores", [])
    for chore in (broken, recompute.run_waiting, recompute.run_waiting):
        chores.also(chore)
    assert chores.chores() == [broken, recompute.run_waiting]
    with mock.patch.object(sweep.ledger, "expire", side_effect=RuntimeError("boom")):
        tally = sweep.sweep()
    assert ScheduleRecompute.objects.get().state == "done"
    assert tally["ours"] == 2
    assert "broken broke off" in caplog.text


def test_is_shown_with_its_progress(c: Course, client: Any) -> None:
    crowd(c, 2)
    asked()
    recompute.run_waiting()
    ScheduleRecompute.objects.create(
        kind=DATES, scope=ALL, state="failed", total=7, done=3, error="x" * 500 + "the end"
    )
    client.force_login(factories.UserFactory(admin=True))
    page = client.get("/admin/schedules/schedulerecompute/").content.decode()
    assert "2 of 2" in page
    assert "3 of 7" in page
    assert "the end" not in page
    job = ScheduleRecompute.objects.latest("pk")
    page = client.get(f"/admin/schedules/schedulerecompute/{job.pk}/change/").content.decode()
    assert "the end" in page
    assert 'name="_save"' not in page
    assert client.get("/admin/schedules/schedulerecompute/add/").status_code == 403
    assert client.post(f"/admin/schedules/schedulerecompute/{job.pk}/delete/").status_code == 403
    found = client.get("/admin/schedules/schedulerecompute/?state__exact=failed").context["cl"].result_list
    assert [row.pk for row in found] == [job.pk]
