"""The commands that repair schedules …"""

from __future__ import annotations

import logging
from datetime import datetime
from typing import Any
from unittest import mock

import pytest
from django.contrib.sites.models import Site
from django.core.management import CommandError
from django.db import connection
from django.test.utils import CaptureQueriesContext

from courses import services as facts
from courses.models import Course, Enrollment
from schedules import recompute, services
from schedules.models import (
    DynamicUpgradeDeadlineConfiguration,
    Schedule,
    ScheduleConfig,
    ScheduleCreationRecord,
    ScheduleRecompute,
)
from tests import factories

from .scene import at, command, configure, enroll, offered

pytestmark = [pytest.mark.django_db, pytest.mark.every_database, pytest.mark.usefixtures("site")]

UNKNOWN = "course-v1:edX+Nowhere+2017"


def failed(course: Course, when: str = "08-01 09:30", *, times: int = 1, **fields: Any) -> Enrollment:
    """Enrol a learner whose schedule cannot be made."""
    with mock.patch.object(services, "course_facts", side_effect=ValueError("boom")):
        enrollment = enroll(course, when, **fields)
    ScheduleCreationRecord.objects.filter(enrollment=enrollment).update(attempts=times)
    return enrollment


def silent(course: Course, when: str, **fields: Any) -> Enrollment:
    """An enrolment of which the handlers never heard."""
    row = factories.EnrollmentFactory.build(user=factories.UserFactory(), course=course, created_at=at(when), **fields)
    Enrollment.objects.bulk_create([row])
    return Enrollment.objects.get(user=row.user, course=course)


def start_of(enrollment: Enrollment) -> datetime | None:
    return Schedule.objects.filter(enrollment=enrollment).values_list("start_date", flat=True).first()


def create(*words: str, status: int = 0) -> str:
    """Run `create_missing_schedules` and return its figures."""
    report = command("create_missing_schedules", *words)
    assert (report.status, report.err) == (status, "")
    line, _, seconds = report.out.rpartition(" seconds=")
    assert float(seconds) >= 0
    return line.replace("create_missing_schedules ", "")


def recomputed(*words: str) -> str:
    """Run `recompute_upgrade_deadlines` and return its figures."""
    report = command("recompute_upgrade_deadlines", *words)
    assert (report.status, report.err) == (0, "")
    line, _, seconds = report.out.rpartition(" seconds=")
    assert float(seconds) >= 0
    return line.replace("recompute_upgrade_deadlines ", "")


def test_case_011_make_the_schedule_two_days_later_as_of_the_enrolment(c: Course, clock: Any) -> None:
    enrollment = failed(c, "08-01 09:30")
    assert ScheduleCreationRecord.objects.get().outcome == "failed"
    clock.move_to(at("08-03"))
    assert create() == "created=1 refused=0 held_back=0 failed=0"
    schedule = Schedule.objects.get(enrollment=enrollment)
    assert (schedule.start_date, schedule.upgrade_deadline) == (at("08-01 09:30"), at("08-22 09:30"))
    assert schedule.experience.experience_type == 0
    assert not ScheduleCreationRecord.objects.exists()
    assert create() == "created=0 refused=0 held_back=0 failed=0"


def test_case_012_leave_a_held_back_learner_alone(site: Site, c: Course) -> None:
    configure(site, hold_back_ratio=1)
    enroll(c)
    configure(site)
    before = ScheduleCreationRecord.objects.values().get()
    assert create("--since", "2017-01-01") == "created=0 refused=0 held_back=0 failed=0"
    assert not Schedule.objects.exists()
    assert ScheduleCreationRecord.objects.values().get() == before


def test_hold_back_who_failed_when_the_ratio_says_so_now(site: Site, c: Course) -> None:
    enrollment = failed(c)
    configure(site, hold_back_ratio=1)
    assert create() == "created=0 refused=0 held_back=1 failed=0"
    record = ScheduleCreationRecord.objects.get()
    assert (record.enrollment_id, record.outcome, record.ratio, record.error) == (enrollment.pk, "held_back", 1, "")


@pytest.mark.parametrize("reason", ["switch", "pacing", "left"])
def test_forget_a_failure_that_is_refused_now(site: Site, c: Course, reason: str) -> None:
    enrollment = failed(c)
    if reason == "switch":
        configure(site, create_schedules=False)
    elif reason == "pacing":
        Course.objects.update(self_paced=False)
    else:
        facts.end_enrollment(enrollment.user, c)
    assert create() == "created=0 refused=1 held_back=0 failed=0"
    assert not Schedule.objects.exists()
    assert not ScheduleCreationRecord.objects.exists()


def test_count_a_failure_that_fails_again_and_go_on(c: Course, caplog: pytest.LogCaptureFixture) -> None:
    bad, good = failed(c, times=2), failed(c)
    real = services._decide
    caplog.clear()

    def decide(enrollments: Any) -> Any:
        if enrollments[0].pk == bad.pk:
            raise KeyError("worse")
        return real(enrollments)

    with mock.patch.object(services, "_decide", decide):
        assert create(status=1) == "created=1 refused=0 held_back=0 failed=1"
    assert start_of(good) is not None
    record = ScheduleCreationRecord.objects.get()
    assert (record.enrollment_id, record.outcome, record.attempts) == (bad.pk, "failed", 3)
    assert record.error.startswith("KeyError: 'worse'")
    (entry,) = [entry for entry in caplog.records if entry.levelno >= logging.ERROR]
    assert str(bad.pk) in entry.getMessage()


def test_undo_everything_of_an_enrolment_that_fails_half_way(c: Course) -> None:
    failed(c)
    with mock.patch.object(services.ScheduleExperience.objects, "bulk_create", side_effect=ValueError("boom")):
        assert create(status=1) == "created=0 refused=0 held_back=0 failed=1"
    assert not Schedule.objects.exists()
    assert ScheduleCreationRecord.objects.get().attempts == 2


def test_take_a_schedule_that_is_there_already_for_a_success(c: Course) -> None:
    enrollment = failed(c)
    Schedule.objects.create(enrollment=enrollment, start_date=at("07-20"))
    assert create() == "created=1 refused=0 held_back=0 failed=0"
    assert start_of(enrollment) == at("07-20")
    assert not ScheduleCreationRecord.objects.exists()


def test_also_look_at_enrolments_nobody_decided_about_since_a_day(c: Course, d: Course) -> None:
    before, first, later = (silent(c, when) for when in ("07-30 23:59:59.999999", "07-31 00:00", "08-01 09:30"))
    silent(c, "08-01", is_active=False)
    elsewhere = silent(offered("I", self_paced=False), "08-01")
    enroll(c)
    assert create() == "created=0 refused=0 held_back=0 failed=0"
    assert create("--since", "2017-07-31") == "created=2 refused=1 held_back=0 failed=0"
    assert [start_of(row) for row in (before, first, later, elsewhere)] == [None, at("07-31"), at("08-01 09:30"), None]


def test_record_who_is_held_back_or_fails_among_them(site: Site, c: Course) -> None:
    silent(c, "08-01")
    with mock.patch.object(services, "course_facts", side_effect=ValueError("boom")):
        assert create("--since", "2017-08-01", status=1) == "created=0 refused=0 held_back=0 failed=1"
    configure(site, hold_back_ratio=1)
    assert create() == "created=0 refused=0 held_back=1 failed=0"


def test_keep_to_one_course(c: Course, d: Course) -> None:
    here, there = failed(c), failed(d)
    new_here, new_there = silent(c, "08-01"), silent(d, "08-01")
    assert create("--course", c.key, "--since", "2017-08-01") == "created=2 refused=0 held_back=0 failed=0"
    assert [start_of(row) is not None for row in (here, new_here, there, new_there)] == [True, True, False, False]
    assert ScheduleCreationRecord.objects.get().enrollment_id == there.pk


def test_say_in_a_dry_run_what_would_come_of_it(site: Site, c: Course) -> None:
    failed(c)
    silent(c, "08-01")
    records = list(ScheduleCreationRecord.objects.values())
    with CaptureQueriesContext(connection) as captured:
        line = create("--since", "2017-08-01", "--dry-run")
    assert line == "DRY RUN created=2 refused=0 held_back=0 failed=0"
    assert {query["sql"].split()[0] for query in captured} == {"SELECT"}
    assert list(ScheduleCreationRecord.objects.values()) == records
    with mock.patch.object(services, "course_facts", side_effect=ValueError("boom")):
        assert create("--dry-run", status=1) == "DRY RUN created=0 refused=0 held_back=0 failed=1"
    assert list(ScheduleCreationRecord.objects.values()) == records


def test_go_through_any_number_in_pages(c: Course, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(services, "BATCH", 2)
    people = [failed(c) for _ in range(5)] + [silent(c, "08-01") for _ in range(5)]
    pages = list(services.without_schedule(since=at("08-01")))
    assert [len(page) for page in pages] == [2, 2, 1, 2, 2, 1]
    assert [row.pk for page in pages for row in page] == [row.pk for row in people]
    assert create("--since", "2017-08-01") == "created=10 refused=0 held_back=0 failed=0"


def test_recompute_everything_and_say_how_much_changed(c: Course, d: Course) -> None:
    rows = [enroll(course, "08-01") for course in (c, c, d)]
    Schedule.objects.filter(enrollment__in=rows[:2]).update(upgrade_deadline=None)
    ScheduleRecompute.objects.all().delete()
    assert recomputed("--dry-run") == "DRY RUN all total=3 changed=2"
    assert Schedule.objects.filter(upgrade_deadline=None).count() == 2
    assert recomputed() == "all total=3 changed=2"
    assert not Schedule.objects.filter(upgrade_deadline=None).exists()
    assert recomputed() == "all total=3 changed=0"
    assert not ScheduleRecompute.objects.exists()


def test_recompute_a_course_or_an_organisation_alone(c: Course, d: Course) -> None:
    other = offered("C", org="Other")
    rows = [enroll(course, "08-01") for course in (c, d, other)]
    Schedule.objects.update(start_date=at("07-01"))
    assert recomputed("--course", c.key) == f"course:{c.key} total=1 changed=1"
    assert [start_of(row) for row in rows] == [at("08-01"), at("07-01"), at("07-01")]
    assert recomputed("--org", "edX") == "org:edX total=2 changed=1"
    assert [start_of(row) for row in rows] == [at("08-01"), at("08-01"), at("07-01")]


def test_recompute_a_thousand_in_batches_with_progress(c: Course, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recompute, "BATCH", 2)
    for _ in range(5):
        enroll(c, "08-01")
    DynamicUpgradeDeadlineConfiguration.objects.create(enabled=True, deadline_days=7)
    seen: list[tuple[int, int]] = []
    assert recompute.run_here("all", progress=lambda *figures: seen.append(figures)) == (5, 5)
    assert seen == [(2, 5), (4, 5), (5, 5)]


@pytest.mark.parametrize("name", ["create_missing_schedules", "recompute_upgrade_deadlines"])
@pytest.mark.parametrize(("value", "says"), [("nonsense", "is not a course key"), (UNKNOWN, "unknown course")])
def test_refuse_a_course_they_do_not_know(c: Course, name: str, value: str, says: str) -> None:
    with pytest.raises(CommandError, match=says) as caught:
        command(name, "--course", value)
    assert caught.value.returncode == 2
    assert repr(value) in str(caught.value)


@pytest.mark.parametrize(
    "line",
    [
        ["create_missing_schedules", "--since", "2017-13-01"],
        ["create_missing_schedules", "--since", "01/08/2017"],
        ["recompute_upgrade_deadlines", "--org", "EDX"],
        ["recompute_upgrade_deadlines", "--org", "edX", "--course", "course-v1:edX+C+2017"],
    ],
)
def test_refuse_other_nonsense(c: Course, line: list[str]) -> None:
    failed(c)
    with pytest.raises(CommandError) as caught:
        command(*line)
    assert caught.value.returncode == 2
    assert ScheduleCreationRecord.objects.exists()


def test_decide_as_the_handlers_do_where_no_site_is_configured(c: Course) -> None:
    failed(c)
    ScheduleConfig.objects.all().delete()
    assert create() == "created=0 refused=1 held_back=0 failed=0"
