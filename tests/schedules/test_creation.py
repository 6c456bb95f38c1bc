"""A new enrolment …"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from math import isfinite
from typing import Any
from unittest import mock

import pytest
from django.contrib.sites.models import Site
from django.core.exceptions import ValidationError
from django.db import DatabaseError, IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext, override_settings

from courses.models import Course, CourseFlag, CourseMode, Enrollment
from courses.services import EnrollmentFact, record_enrollment, record_enrollments
from courses.switches import current_config
from schedules import dates, services
from schedules.models import (
    DynamicUpgradeDeadlineConfiguration,
    Schedule,
    ScheduleConfig,
    ScheduleCreationRecord,
    ScheduleExperience,
)
from tests import factories

from .scene import at, configure, enroll, offered

pytestmark = [pytest.mark.django_db, pytest.mark.every_database, pytest.mark.usefixtures("site")]

FLAG = "schedules.create_schedules_for_course"
UNUSUAL_KEY = "course-v1:Ünï+Ç_1+2017"


def of(enrollment: Enrollment) -> Schedule | None:
    return Schedule.objects.filter(enrollment=enrollment).first()


def with_number(number: int) -> Any:
    return factories.UserFactory(pk=number)


@contextmanager
def failing_insert(*models: Any, error: Exception) -> Iterator[None]:
    real = services.insert_if_absent

    def insert(model: Any, rows: Any, **options: Any) -> Any:
        rows = list(rows)
        if model in models and rows:
            raise error
        return real(model, rows, **options)

    with mock.patch.object(services, "insert_if_absent", insert):
        yield


def test_case_001_starts_the_clock_and_gets_21_days_to_upgrade(c: Course) -> None:
    schedule = of(enroll(c, "08-01 09:30"))
    assert schedule is not None
    assert (schedule.start_date, schedule.upgrade_deadline) == (at("08-01 09:30"), at("08-22 09:30"))
    assert (schedule.active, schedule.experience.experience_type) == (True, ScheduleExperience.NUDGES)


def test_case_002_has_no_deadline_while_the_global_setting_is_off(c: Course) -> None:
    DynamicUpgradeDeadlineConfiguration.objects.create(enabled=False, deadline_days=21)
    schedule = of(enroll(c))
    assert schedule is not None
    assert (schedule.start_date, schedule.upgrade_deadline) == (at("08-01 09:30"), None)


def test_case_003_gets_a_schedule_where_the_flag_lists_the_course(site: Site, c: Course, d: Course) -> None:
    configure(site, create_schedules=False)
    factories.CourseFlagFactory(flag__name=FLAG, course=c)
    assert of(enroll(c)) is not None
    assert of(enroll(d)) is None


def test_case_004_gets_a_schedule_where_the_site_says_so(c: Course) -> None:
    assert of(enroll(c)) is not None


@pytest.mark.parametrize(
    ("everyone", "on", "created"),
    [(None, True, True), (None, False, False), (False, True, False), (True, False, False), (True, None, True)],
)
def test_reads_the_flag_as_a_course_flag(
    site: Site, c: Course, everyone: bool | None, on: bool | None, created: bool
) -> None:
    configure(site, create_schedules=False)
    flag = factories.FlagFactory(name=FLAG, everyone=everyone)
    if on is not None:
        CourseFlag.objects.create(flag=flag, course=c, on=on)
    assert (of(enroll(c)) is not None) is created


def test_is_not_refused_by_a_flag_that_is_off_where_the_site_says_so(c: Course) -> None:
    factories.FlagFactory(name=FLAG, everyone=False)
    assert of(enroll(c)) is not None


def test_case_005_leaves_nothing_behind_where_both_are_off(site: Site, c: Course) -> None:
    configure(site, create_schedules=False)
    assert of(enroll(c)) is None
    assert not ScheduleCreationRecord.objects.exists()


def test_case_006_in_an_instructor_paced_course_gets_none(days: Any) -> None:
    course = offered("C", self_paced=False)
    factories.CourseFlagFactory(flag__name=FLAG, course=course)
    assert of(enroll(course)) is None
    assert not ScheduleCreationRecord.objects.exists()


def test_case_007_gets_course_updates_where_there_are_highlights(days: Any) -> None:
    course = offered("C", highlights_enabled_for_messaging=True)
    factories.SectionFactory(course=course, highlights=[" ", "a"])
    factories.SectionFactory(course=course, highlights=[])
    factories.SectionFactory(course=course, highlights=["b"], visible_to_staff_only=True)
    schedule = of(enroll(course))
    assert schedule is not None
    assert schedule.experience.experience_type == ScheduleExperience.COURSE_UPDATES


@pytest.mark.parametrize(
    ("messaging", "section"),
    [
        (False, {"highlights": ["a"]}),
        (True, {"highlights": []}),
        (True, {"highlights": [" ", "\t"]}),
        (True, {"highlights": ["a"], "hide_from_toc": True}),
        (True, {"highlights": ["a"], "visible_to_staff_only": True}),
    ],
)
def test_case_055_gets_nudges_where_no_learner_sees_a_highlight(
    days: Any, messaging: bool, section: dict[str, Any]
) -> None:
    course = offered("C", highlights_enabled_for_messaging=messaging)
    factories.SectionFactory(course=course, **section)
    schedule = of(enroll(course))
    assert schedule is not None
    assert schedule.experience.experience_type == ScheduleExperience.NUDGES


@pytest.mark.parametrize(("ratio", "created"), [(0.40, True), (0.4529, True), (0.4530, False), (0.50, False)])
def test_case_008_is_held_back_below_the_ratio(site: Site, c: Course, ratio: float, created: bool) -> None:
    configure(site, hold_back_ratio=ratio)
    enrollment = enroll(c, user=with_number(1))
    assert (of(enrollment) is not None) is created
    records = list(ScheduleCreationRecord.objects.values_list("enrollment", "outcome", "ratio", "attempts"))
    assert records == ([] if created else [(enrollment.pk, "held_back", ratio, 1)])
    if not created:
        assert round(ScheduleCreationRecord.objects.get().fraction, 5) == 0.45296


def test_is_created_when_its_fraction_is_the_ratio(site: Site, c: Course) -> None:
    configure(site, hold_back_ratio=services.dates.hold_back_fraction("schedules.hold_back", 1, c.key))
    assert of(enroll(c, user=with_number(1))) is not None


def test_case_009_may_be_held_back_in_one_course_only(site: Site, c: Course, d: Course) -> None:
    configure(site, hold_back_ratio=0.60)
    learner = with_number(2)
    assert of(enroll(c, user=learner)) is None
    assert of(enroll(d, user=learner)) is not None


@pytest.mark.parametrize(("ratio", "created"), [(0, 100), (1, 0)])
def test_case_010_is_held_back_always_or_never(site: Site, c: Course, ratio: float, created: int) -> None:
    configure(site, hold_back_ratio=ratio)
    for _ in range(100):
        enroll(c)
    assert Schedule.objects.count() == created
    assert ScheduleCreationRecord.objects.filter(outcome="held_back").count() == 100 - created


def test_is_held_back_by_another_key_on_another_side(site: Site, c: Course) -> None:
    configure(site, hold_back_ratio=0.5)
    with override_settings(SCHEDULES_HOLD_BACK_KEY="another"):
        first = of(enroll(c, user=with_number(1)))
    assert (first is not None) is (services.dates.hold_back_fraction("another", 1, c.key) >= 0.5)


def test_case_011_stands_when_the_insert_fails(c: Course, caplog: pytest.LogCaptureFixture) -> None:
    with failing_insert(Schedule, error=ValueError("boom of ada@example.com")):
        enrollment = enroll(c)
    assert Enrollment.objects.filter(pk=enrollment.pk).exists()
    assert not Schedule.objects.exists()
    record = ScheduleCreationRecord.objects.get()
    assert (record.enrollment_id, record.outcome, record.attempts) == (enrollment.pk, "failed", 1)
    assert record.error.startswith("ValueError: boom")
    (entry,) = [entry for entry in caplog.records if entry.levelno >= logging.ERROR]
    assert entry.exc_info is not None
    assert entry.exc_info[2] is not None
    assert str(enrollment.pk) in entry.getMessage()
    assert "ada@example.com" not in caplog.text


def test_stands_when_the_database_refuses_the_schedule(c: Course) -> None:
    with mock.patch.object(services.dates, "start_date", return_value=None):
        enrollment = enroll(c)
    assert not Schedule.objects.exists()
    assert ScheduleCreationRecord.objects.get().outcome == "failed"
    # The transaction is usable: this very test runs inside it.
    assert Enrollment.objects.filter(pk=enrollment.pk).exists()


def test_stands_when_the_database_refuses_the_experience(c: Course) -> None:
    def refuse(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if sql.startswith("INSERT") and "schedules_scheduleexperience" in sql:
            sql, params = "INSERT INTO no_such_table VALUES (1)", None
        return execute(sql, params, many, context)

    with connection.execute_wrapper(refuse):
        enrollment = enroll(c)
    # PostgreSQL refuses every further statement of a transaction in which one failed outside of a savepoint.
    assert Enrollment.objects.filter(pk=enrollment.pk).exists()
    assert not Schedule.objects.exists()
    assert ScheduleCreationRecord.objects.get().outcome == "failed"


@pytest.mark.parametrize("text", ["a\0b", "lone \ud800 surrogate", "x" * 100_000], ids=["nul", "surrogate", "long"])
def test_keeps_the_reason_of_a_failure_whatever_it_says(c: Course, text: str, caplog: pytest.LogCaptureFixture) -> None:
    # pytest's own report could not carry these texts.
    caplog.set_level(logging.CRITICAL)
    with failing_insert(Schedule, error=ValueError(text)):
        enroll(c)
    record = ScheduleCreationRecord.objects.get()
    assert record.error.startswith(f"ValueError: {text[0]}")
    assert "\0" not in record.error


def test_stands_when_not_even_the_failure_can_be_recorded(c: Course, caplog: pytest.LogCaptureFixture) -> None:
    with failing_insert(Schedule, ScheduleCreationRecord, error=ValueError("no")):
        enrollment = enroll(c)
    assert Enrollment.objects.filter(pk=enrollment.pk).exists()
    assert not ScheduleCreationRecord.objects.exists()
    assert len([entry for entry in caplog.records if entry.levelno >= logging.ERROR]) == 2


def test_stands_when_the_switches_cannot_be_read(c: Course) -> None:
    with mock.patch.object(services.switches, "courses_with_flag", side_effect=RuntimeError("no flags")):
        enrollment = enroll(c)
    assert ScheduleCreationRecord.objects.get().enrollment_id == enrollment.pk


def test_rolled_back_takes_its_schedule_along(c: Course) -> None:
    with pytest.raises(RuntimeError), transaction.atomic():
        enrollment = enroll(c)
        assert of(enrollment) is not None
        raise RuntimeError
    assert not Schedule.objects.exists()
    assert not Enrollment.objects.exists()


def test_rolled_back_takes_its_record_along(site: Site, c: Course) -> None:
    configure(site, hold_back_ratio=1)
    with pytest.raises(RuntimeError), transaction.atomic():
        enroll(c)
        assert ScheduleCreationRecord.objects.exists()
        raise RuntimeError
    assert not ScheduleCreationRecord.objects.exists()


def test_with_a_schedule_already_counts_as_done(c: Course) -> None:
    enrollment = enroll(c)
    before = Schedule.objects.values().get()
    services.create_schedules([enrollment])
    assert Schedule.objects.values().get() == before
    assert ScheduleExperience.objects.count() == 1
    assert not ScheduleCreationRecord.objects.exists()


def test_with_a_schedule_already_is_not_held_back_later(site: Site, c: Course) -> None:
    enrollment = enroll(c)
    configure(site, hold_back_ratio=1)
    services.create_schedules([enrollment])
    assert not ScheduleCreationRecord.objects.exists()


@pytest.mark.parametrize("ratio", [1.5, -0.1, float("nan"), float("inf")])
def test_case_013_knows_no_ratio_outside_0_to_1(site: Site, ratio: float) -> None:
    with pytest.raises(ValidationError, match="hold_back_ratio"):
        ScheduleConfig(site=site, hold_back_ratio=ratio).full_clean()
    # MariaDB's driver has no text for what is not a number.
    refusal = IntegrityError if isfinite(ratio) else DatabaseError
    with pytest.raises(refusal), transaction.atomic():
        ScheduleConfig.objects.bulk_create([ScheduleConfig(site=site, hold_back_ratio=ratio)])


@pytest.mark.parametrize("ratio", [0, 1, 0.5])
def test_case_013_takes_the_ends_of_the_range(site: Site, ratio: float) -> None:
    row = ScheduleConfig(site=site, hold_back_ratio=ratio)
    row.full_clean()
    row.save()


def test_case_014_coming_back_keeps_its_schedule(c: Course, clock: Any) -> None:
    enrollment = enroll(c)
    before = Schedule.objects.values("pk", "start_date", "upgrade_deadline").get()
    for when, is_active in (("08-02", False), ("08-07", True)):
        clock.move_to(at(when))
        enrollment.is_active = is_active
        enrollment.save()
    assert Schedule.objects.values("pk", "start_date", "upgrade_deadline").get() == before


@pytest.mark.parametrize("change", [{"is_active": True}, {"is_active": True, "mode": "verified"}])
def test_inserted_inactive_gets_no_schedule_by_any_later_change(c: Course, change: dict[str, Any]) -> None:
    enrollment = enroll(c, is_active=False)
    record_enrollment(enrollment.user, c, **change)
    assert not Schedule.objects.exists()


def test_without_a_schedule_gets_none_by_a_change_of_mode(site: Site, c: Course) -> None:
    configure(site, create_schedules=False)
    enrollment = enroll(c)
    configure(site)
    record_enrollment(enrollment.user, c, mode="verified")
    assert not Schedule.objects.exists()


def test_case_015_before_the_start_waits_for_it(days: Any) -> None:
    schedule = of(enroll(offered("C", start=at("08-06")), "08-01"))
    assert schedule is not None
    assert (schedule.start_date, schedule.upgrade_deadline) == (at("08-06"), at("08-27"))


def test_case_016_obeys_the_site_that_owns_the_organisation(site: Site, c: Course) -> None:
    other = factories.SiteConfigurationFactory(org_filter=["orgT"]).site
    configure(other, create_schedules=False)
    assert of(enroll(offered("T", org="orgT"))) is None
    assert of(enroll(c)) is not None


def test_obeys_the_lowest_of_the_sites_that_list_the_organisation(site: Site, days: Any) -> None:
    first = factories.SiteConfigurationFactory(org_filter=["orgT"]).site
    second = factories.SiteConfigurationFactory(org_filter=["other", "orgT"]).site
    configure(second, create_schedules=False)
    course = offered("T", org="orgT")
    # `first` has no configuration row, so it is no candidate; neither is S, which does not list the organisation.
    assert of(enroll(course)) is None
    configure(first)
    assert of(enroll(course)) is not None


def test_obeys_the_owners_ratio(site: Site, c: Course) -> None:
    other = factories.SiteConfigurationFactory(org_filter=["orgT"]).site
    configure(other, hold_back_ratio=1)
    assert of(enroll(offered("T", org="orgT"))) is None
    assert of(enroll(c)) is not None


def test_of_an_organisation_written_otherwise_is_somebody_elses(site: Site, days: Any) -> None:
    other = factories.SiteConfigurationFactory(org_filter=["orgT"]).site
    configure(other, create_schedules=False)
    assert of(enroll(offered("T", org="ORGT"))) is not None


def test_case_017_is_refused_where_no_site_is_configured(c: Course) -> None:
    ScheduleConfig.objects.all().delete()
    assert of(enroll(c)) is None
    assert not ScheduleCreationRecord.objects.exists()


def test_without_an_owner_is_held_back_by_nobody(site: Site, c: Course) -> None:
    ScheduleConfig.objects.all().delete()
    factories.CourseFlagFactory(flag__name=FLAG, course=c)
    assert of(enroll(c)) is not None


def test_obeys_the_later_of_two_rows_of_the_same_instant(site: Site, c: Course) -> None:
    # The clock stands, so all rows have one change_date.
    configure(site)
    configure(site, create_schedules=False)
    assert of(enroll(c)) is None
    newest = current_config(ScheduleConfig, site_id=site.pk)
    assert newest is not None
    assert newest.create_schedules is False
    assert services.current_configs()[site.pk].pk == newest.pk


def test_obeys_the_newest_row_and_not_the_highest_id(site: Site, c: Course) -> None:
    late = configure(site, create_schedules=False)
    ScheduleConfig.objects.filter(pk=late.pk).update(change_date=at("07-01"))
    assert of(enroll(c)) is not None


def test_does_not_ask_whether_the_configuration_is_enabled(site: Site, c: Course) -> None:
    assert ScheduleConfig.objects.get().enabled is False
    assert of(enroll(c)) is not None


def test_sees_a_switch_that_another_process_has_turned(site: Site, c: Course) -> None:
    assert ScheduleConfig.current(site).create_schedules is True
    ScheduleConfig.objects.bulk_create([ScheduleConfig(site=site, change_date=at("08-01"))])
    assert ScheduleConfig.current(site).create_schedules is False
    assert of(enroll(c)) is None


def test_in_a_course_with_letters_of_any_alphabet_gets_a_schedule(days: Any) -> None:
    course = factories.CourseFactory(org="Ünï", key=UNUSUAL_KEY)
    assert of(enroll(course)) is not None


def test_that_comes_in_bulk_gets_its_schedule(c: Course, d: Course) -> None:
    users = factories.UserFactory.create_batch(10)
    facts = [
        EnrollmentFact(user_id=user.pk, course=course, created_at=at("07-30"), is_active=active)
        for user in users
        for course, active in ((c, True), (d, user.pk % 2 == 0))
    ]
    assert record_enrollments(facts)["created"] == 20
    active = Enrollment.objects.filter(is_active=True)
    assert set(Schedule.objects.values_list("enrollment", flat=True)) == set(active.values_list("pk", flat=True))
    assert ScheduleExperience.objects.count() == Schedule.objects.count()
    assert set(Schedule.objects.values_list("start_date", "upgrade_deadline")) == {(at("07-30"), at("08-20"))}


def queries_for(number: int, courses: list[Course]) -> int:
    users = factories.UserFactory.create_batch(number)
    facts = [EnrollmentFact(user_id=user.pk, course=courses[at % len(courses)]) for at, user in enumerate(users)]
    with CaptureQueriesContext(connection) as captured:
        record_enrollments(facts)
    return len(captured)


def test_that_comes_with_49_others_costs_no_more_queries(
    site: Site, c: Course, d: Course, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not connection.features.can_return_rows_from_bulk_insert:
        pytest.skip("this database gives ids to single inserts only")
    configure(site, hold_back_ratio=0.5)
    # Two of any four in a row; by their real fractions all of four are held back now and then, which is less to do.
    monkeypatch.setattr(dates, "hold_back_fraction", lambda key, user_id, course_key: user_id // 2 % 2)
    for course in (c, d):
        course.highlights_enabled_for_messaging = True
        course.save()
        factories.SectionFactory(course=course, highlights=["a"])
    queries_for(4, [c, d])
    # A new connection to MariaDB is first asked what it can do.
    queries_for(2, [c])
    assert queries_for(50, [c, d]) == queries_for(4, [c])


def test_that_comes_with_499_others_is_done_quickly(c: Course) -> None:
    one = queries_for(1, [c])
    many = queries_for(500, [c])
    assert Schedule.objects.count() == 501
    # SQLite cuts an insert of so many values into a few.
    assert many - one < 40 or not connection.features.can_return_rows_from_bulk_insert


def test_that_fails_costs_the_others_of_its_bulk_nothing(c: Course) -> None:
    users = factories.UserFactory.create_batch(5)
    unlucky = users[2].pk
    real = services.dates.hold_back_fraction

    def fraction(key: str, user_id: int, course_key: str) -> float:
        if user_id == unlucky:
            raise ValueError("this one only")
        return real(key, user_id, course_key)

    with mock.patch.object(services.dates, "hold_back_fraction", fraction):
        record_enrollments(EnrollmentFact(user_id=user.pk, course=c) for user in users)
    assert Enrollment.objects.count() == 5
    assert Schedule.objects.count() == ScheduleExperience.objects.count() == 4
    assert ScheduleCreationRecord.objects.get().enrollment.user_id == unlucky


def test_deleted_takes_everything_of_its_schedule_along(site: Site, c: Course) -> None:
    enrollment = enroll(c)
    enrollment.user.delete()
    assert not Schedule.objects.exists()
    assert not ScheduleExperience.objects.exists()


def test_case_018_without_an_open_verified_mode_has_no_deadline(days: Any) -> None:
    course = factories.CourseFactory()
    factories.CourseModeFactory(course=course, slug="audit")
    factories.CourseModeFactory(course=course, slug="professional")
    first = of(enroll(course))
    CourseMode.objects.create(course=course, slug="verified", expires_at=at("07-31"))
    second = of(enroll(course))
    assert first is not None
    assert second is not None
    assert (first.upgrade_deadline, second.upgrade_deadline) == (None, None)


def test_has_a_deadline_beside_a_professional_mode(c: Course) -> None:
    factories.CourseModeFactory(course=c, slug="professional", expires_at=at("08-02"))
    schedule = of(enroll(c))
    assert schedule is not None
    assert schedule.upgrade_deadline == at("08-22 09:30")
