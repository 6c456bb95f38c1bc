"""A stored schedule follows what it depends on: after a change, and the job it asks for, …"""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

import pytest
from django.contrib.sites.models import Site
from django.db import transaction

from courses import services as facts
from courses.models import Course, CourseMode, Section
from schedules import recompute
from schedules.models import (
    CourseDynamicUpgradeDeadlineConfiguration,
    DynamicUpgradeDeadlineConfiguration,
    OrgDynamicUpgradeDeadlineConfiguration,
    Schedule,
    ScheduleExperience,
    ScheduleRecompute,
)
from tests import factories

from .scene import DAY3, at, drafts, due, enroll, offered, started

pytestmark = [pytest.mark.django_db, pytest.mark.every_database, pytest.mark.usefixtures("site")]


def follow() -> None:
    """Have the jobs done that were asked for; commits, which would do so, do not happen in a test's transaction."""
    recompute.run_waiting()
    assert set(ScheduleRecompute.objects.values_list("state", flat=True)) <= {"done"}


def asked() -> list[str]:
    """The jobs that wait."""
    rows = ScheduleRecompute.objects.filter(state="waiting").order_by("pk").values_list("kind", "scope")
    return [f"{kind} {scope}" for kind, scope in rows]


def forget() -> None:
    """Forget the jobs that setting the scene asked for."""
    ScheduleRecompute.objects.all().delete()


def of(schedule: Any) -> tuple[datetime, datetime | None]:
    row = Schedule.objects.get(enrollment=getattr(schedule, "enrollment", schedule))
    return row.start_date, row.upgrade_deadline


def experience(schedule: Schedule) -> int:
    return Schedule.objects.get(pk=schedule.pk).experience_type


def test_case_025_starts_later_when_its_course_does(days: Any) -> None:
    DynamicUpgradeDeadlineConfiguration.objects.create(enabled=True, deadline_days=14)
    course = offered("C", start=at("08-06"))
    enrollment = enroll(course, "08-01")
    assert of(enrollment) == (at("08-06"), at("08-20"))
    facts.record_course(course.key, start=at("08-09"))
    follow()
    assert of(enrollment) == (at("08-09"), at("08-23"))


def test_case_026_of_a_late_enroller_keeps_its_start_when_the_course_starts_before(days: Any) -> None:
    course = offered("C", start=at("07-27"))
    p, q = enroll(course, "07-20"), enroll(course, "08-01")
    before = of(q)
    course.start = at("07-30")
    course.save()
    follow()
    assert of(p) == (at("07-30"), at("08-20"))
    assert of(q) == before
    assert before == (at("08-01"), at("08-22"))


def test_starts_with_the_enrolment_when_the_course_has_no_start_any_more(days: Any) -> None:
    course = offered("C", start=at("08-06"))
    enrollment = enroll(course, "08-01")
    facts.record_course(course.key, start=None)
    follow()
    assert of(enrollment)[0] == at("08-01")


def test_has_the_end_of_the_course_as_its_deadline(c: Course) -> None:
    enrollment = enroll(c, "08-01")
    facts.record_course(c.key, end=at("08-15 12:00"))
    follow()
    assert of(enrollment) == (at("08-01"), at("08-15 12:00"))


def test_case_027_has_the_expiry_of_the_verified_mode_as_its_deadline(c: Course) -> None:
    enrollment = enroll(c, "08-01")
    facts.record_mode(c, "verified", expires_at=at("08-10"))
    follow()
    assert of(enrollment)[1] == at("08-10")
    facts.record_mode(c, "verified", expires_at=None)
    follow()
    assert of(enrollment)[1] == at("08-22")


def test_has_a_deadline_exactly_while_there_is_a_verified_mode(c: Course) -> None:
    enrollment = enroll(c, "08-01")
    facts.remove_mode(c, "verified")
    follow()
    assert of(enrollment)[1] is None
    facts.record_mode(c, "verified")
    follow()
    assert of(enrollment)[1] == at("08-22")


def test_case_028_has_more_days_when_the_global_setting_says_so(c: Course) -> None:
    enrollment = enroll(c, "08-01")
    DynamicUpgradeDeadlineConfiguration.objects.create(enabled=True, deadline_days=28)
    follow()
    assert of(enrollment) == (at("08-01"), at("08-29"))


def test_case_029_stays_as_it_is_when_its_learner_upgrades(site: Site, c: Course) -> None:
    enrollment = enroll(c, "08-01 09:30")
    before = of(enrollment)
    forget()
    facts.record_enrollment(enrollment.user, c, mode="verified")
    assert asked() == []
    recompute.request(recompute.DATES, recompute.EVERYTHING)
    follow()
    assert of(enrollment) == before
    assert due("upgradereminder", site, day=date(2017, 8, 20)) == []


def test_case_057_has_no_deadline_and_no_upsell_when_the_global_setting_is_off(site: Site, c: Course) -> None:
    schedule = started(c, "07-29")
    user = schedule.enrollment.user
    assert drafts(DAY3, site, [user])[0].shared["show_upsell"] is True
    DynamicUpgradeDeadlineConfiguration.objects.create(enabled=False, deadline_days=21)
    follow()
    assert of(schedule)[1] is None
    assert drafts(DAY3, site, [user])[0].shared["show_upsell"] is False


@pytest.mark.parametrize("setting", ["global", "org", "course"])
def test_follows_a_setting_within_its_scope_only(days: Any, setting: str) -> None:
    here, neighbour, elsewhere = offered("C"), offered("D"), offered("C", org="Other")
    schedules = [enroll(course, "08-01") for course in (here, neighbour, elsewhere)]
    forget()
    if setting == "global":
        DynamicUpgradeDeadlineConfiguration.objects.create(enabled=True, deadline_days=7)
    elif setting == "org":
        OrgDynamicUpgradeDeadlineConfiguration.objects.create(enabled=True, org_id="edX", deadline_days=7)
    else:
        CourseDynamicUpgradeDeadlineConfiguration.objects.create(enabled=True, course_id=here.key, deadline_days=7)
    number = {"global": 3, "org": 2, "course": 1}[setting]
    assert asked() == [f"dates {({'global': 'all', 'org': 'org:edX', 'course': f'course:{here.key}'})[setting]}"]
    follow()
    job = ScheduleRecompute.objects.get()
    assert (job.total, job.done, job.changed) == (number, number, number)
    assert [of(row)[1] for row in schedules] == [at("08-08")] * number + [at("08-22")] * (3 - number)


def test_of_an_inactive_enrolment_or_switched_off_in_the_admin_follows_too(c: Course) -> None:
    left, off = enroll(c, "08-01"), enroll(c, "08-01")
    facts.end_enrollment(left.user, c)
    Schedule.objects.filter(enrollment=off).update(active=False)
    facts.record_course(c.key, start=at("08-06"))
    follow()
    assert [of(left)[0], of(off)[0]] == [at("08-06")] * 2
    assert Schedule.objects.get(enrollment=off).active is False


def test_edited_for_a_test_mail_is_put_right_and_says_when(c: Course, clock: Any) -> None:
    enrollment, untouched = enroll(c, "08-01"), enroll(c, "08-01")
    before = Schedule.objects.get(enrollment=untouched).modified
    Schedule.objects.filter(enrollment=enrollment).update(start_date=at("07-29"))
    clock.move_to(at("08-01 10:00"))
    recompute.request(recompute.DATES, recompute.scope_of_course(c.key))
    follow()
    assert of(enrollment) == (at("08-01"), at("08-22"))
    assert Schedule.objects.get(enrollment=enrollment).modified == at("08-01 10:00")
    assert Schedule.objects.get(enrollment=untouched).modified == before


def test_follows_the_organisation_its_course_moves_to(c: Course) -> None:
    OrgDynamicUpgradeDeadlineConfiguration.objects.create(enabled=True, org_id="Other", opt_out=True)
    enrollment = enroll(c, "08-01")
    follow()
    facts.record_course(c.key, org="Other")
    follow()
    assert of(enrollment)[1] is None


@pytest.mark.parametrize("change", ["title", "professional mode", "away", "created_at", "course deleted"])
def test_asks_for_nothing_when_what_it_depends_on_stays(c: Course, change: str) -> None:
    factories.SectionFactory(course=c, highlights=["a"])
    enrollment = enroll(c, "08-01")
    forget()
    if change == "title":
        facts.record_course(c.key, title="Another", language="es")
    elif change == "professional mode":
        facts.record_mode(c, "professional", price=10)
    elif change == "away":
        facts.end_enrollment(enrollment.user, c)
    elif change == "created_at":
        facts.record_enrollment(enrollment.user, c, created_at=at("08-02"))
    else:
        c.delete()
        assert not Schedule.objects.exists()
    assert asked() == []


def test_is_not_looked_for_when_its_course_was_deleted_meanwhile(c: Course) -> None:
    enroll(c, "08-01")
    forget()
    facts.record_course(c.key, start=at("08-09"))
    c.delete()
    follow()
    assert ScheduleRecompute.objects.get().total == 0


def test_case_054_gets_updates_when_its_course_gets_highlights(days: Any) -> None:
    course = offered("C", highlights_enabled_for_messaging=True)
    one, other, away, without = (started(course, "07-29") for _ in range(4))
    facts.end_enrollment(away.enrollment.user, course)
    ScheduleExperience.objects.filter(schedule=without).delete()
    factories.SectionFactory(course=course, highlights=["a"])
    assert f"experience course:{course.key}" in asked()
    follow()
    assert [experience(row) for row in (one, other, away, without)] == [1, 1, 0, 1]
    forget()
    facts.record_enrollment(away.enrollment.user, course, is_active=True)
    # In the very transaction, without a job.
    assert experience(away) == 1
    assert asked() == []


@pytest.mark.parametrize(
    "change", ["hide_from_toc", "visible_to_staff_only", "highlights", "section removed", "messaging"]
)
def test_gets_nudges_again_when_nobody_can_read_its_highlights(days: Any, change: str) -> None:
    course = offered("C", highlights_enabled_for_messaging=True)
    section: Section = factories.SectionFactory(course=course, highlights=["a"])
    schedule = started(course, "07-29")
    forget()
    assert experience(schedule) == 1
    if change == "messaging":
        facts.record_course(course.key, highlights_enabled_for_messaging=False)
    elif change == "section removed":
        facts.remove_section(course, section.index)
    else:
        facts.record_section(course, section.index, **{change: [" "] if change == "highlights" else True})
    assert asked() == [f"experience course:{course.key}"]
    follow()
    assert experience(schedule) == 0
    facts.record_course(course.key, highlights_enabled_for_messaging=True)
    facts.record_section(
        course, section.index, highlights=["b"], hide_from_toc=False, visible_to_staff_only=False
    )  # fmt: skip
    follow()
    assert experience(schedule) == 1


def test_of_a_learner_who_comes_back_keeps_its_dates(c: Course) -> None:
    enrollment = enroll(c, "08-01")
    before = of(enrollment)
    facts.end_enrollment(enrollment.user, c)
    facts.record_enrollment(enrollment.user, c, is_active=True)
    assert of(enrollment) == before


def test_of_many_learners_who_come_back_at_once_gets_its_experience(days: Any) -> None:
    course = offered("C", highlights_enabled_for_messaging=True)
    schedules = [started(course, "07-29") for _ in range(5)]
    never = factories.EnrollmentFactory(course=offered("I", self_paced=False))
    people = [row.enrollment for row in schedules]
    for row in (*people, never):
        facts.end_enrollment(row.user, row.course)
    factories.SectionFactory(course=course, highlights=["a"])
    follow()
    assert [experience(row) for row in schedules] == [0] * 5
    facts.record_enrollments(facts.EnrollmentFact(user_id=row.user_id, course=row.course) for row in (*people, never))
    assert [experience(row) for row in schedules] == [1] * 5


def test_is_asked_for_in_the_transaction_of_the_change(c: Course) -> None:
    forget()
    with pytest.raises(RuntimeError), transaction.atomic():
        facts.record_course(c.key, start=at("08-09"))
        DynamicUpgradeDeadlineConfiguration.objects.create(enabled=True, deadline_days=7)
        assert len(asked()) == 2
        raise RuntimeError
    assert asked() == []


def test_follows_a_change_that_some_script_saves(c: Course) -> None:
    forget()
    CourseMode.objects.get(course=c, slug="verified").save()
    assert asked() == []
    mode = CourseMode.objects.get(course=c, slug="verified")
    mode.expires_at = at("08-11")
    mode.save()
    assert asked() == [f"dates course:{c.key}"]


def test_a_setting_whose_followers_cannot_be_asked_for_is_not_saved(days: Any, monkeypatch: Any) -> None:
    def fail(kind: str, scope: str) -> None:
        raise RuntimeError("no table")

    monkeypatch.setattr(recompute, "request", fail)
    with pytest.raises(RuntimeError):
        DynamicUpgradeDeadlineConfiguration.objects.create(enabled=True, deadline_days=7)
    assert DynamicUpgradeDeadlineConfiguration.objects.get().deadline_days == 21


def test_a_change_stands_although_no_job_could_be_asked_for(
    c: Course, monkeypatch: Any, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(kind: str, scope: str) -> None:
        raise RuntimeError("no table")

    monkeypatch.setattr(recompute, "request", fail)
    facts.record_course(c.key, start=at("08-09"))
    assert Course.objects.get(pk=c.pk).start == at("08-09")
    assert "follow_course" in caplog.text
