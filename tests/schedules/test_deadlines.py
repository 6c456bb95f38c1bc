"""The upgrade deadline of a new schedule …"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from courses.models import CourseMode
from schedules.models import (
    CourseDynamicUpgradeDeadlineConfiguration,
    DynamicUpgradeDeadlineConfiguration,
    OrgDynamicUpgradeDeadlineConfiguration,
    Schedule,
)

from .scene import at, enroll, offered

pytestmark = [pytest.mark.django_db, pytest.mark.every_database, pytest.mark.usefixtures("site")]

KEY = "course-v1:edX+C+2017"


def everywhere(days: int, **values: Any) -> None:
    DynamicUpgradeDeadlineConfiguration.objects.create(**{"enabled": True, "deadline_days": days, **values})


def for_org(days: int, org: str = "edX", **values: Any) -> None:
    row = {"enabled": True, "org_id": org, "deadline_days": days, **values}
    OrgDynamicUpgradeDeadlineConfiguration.objects.create(**row)


def for_course(days: int, key: str = KEY, **values: Any) -> None:
    row = {"enabled": True, "course_id": key, "deadline_days": days, **values}
    CourseDynamicUpgradeDeadlineConfiguration.objects.create(**row)


def deadline(when: str = "08-01 09:30", *, expires: str | None = "08-31", **course: Any) -> datetime | None:
    made = offered("C", **course)
    CourseMode.objects.filter(course=made, slug="verified").update(expires_at=at(expires) if expires else None)
    return Schedule.objects.get(enrollment=enroll(made, when)).upgrade_deadline


def test_case_019_is_the_modes_expiry_when_that_comes_first() -> None:
    everywhere(21)
    assert deadline("08-01", expires="08-11") == at("08-11")


def test_case_020_is_the_courses_end_when_that_comes_first() -> None:
    everywhere(21)
    assert deadline("08-01", end=at("08-15 12:00")) == at("08-15 12:00")


def test_case_021_counts_the_days_of_the_course_before_those_of_its_organisation() -> None:
    everywhere(21)
    for_org(14)
    for_course(7)
    assert deadline("08-01 09:30") == at("08-08 09:30")


def test_case_022_is_none_when_the_organisation_opts_out() -> None:
    everywhere(21)
    for_org(14, opt_out=True)
    assert deadline() is None


@pytest.mark.parametrize("off", [True, False])
def test_case_023_counts_the_organisations_days_when_the_global_setting_is_off(off: bool) -> None:
    if off:
        everywhere(21, enabled=False)
    for_org(14)
    assert deadline("08-01") == at("08-15")


def test_case_024_is_none_when_the_course_opts_out() -> None:
    everywhere(21)
    for_org(14)
    for_course(7, opt_out=True)
    assert deadline() is None


def test_counts_the_courses_days_where_its_organisation_opts_out() -> None:
    for_org(14, opt_out=True)
    for_course(7)
    assert deadline("08-01") == at("08-08")


def test_does_not_listen_to_a_setting_that_is_off() -> None:
    everywhere(21)
    for_org(14, enabled=False, opt_out=True)
    for_course(7, enabled=False)
    assert deadline("08-01") == at("08-22")


def test_does_not_listen_to_settings_of_others() -> None:
    everywhere(21)
    for_org(14, org="EDX")
    for_course(7, key="course-v1:edX+c+2017")
    assert deadline("08-01") == at("08-22")


def test_counts_the_days_of_the_newest_row_even_among_rows_of_one_instant() -> None:
    # The clock stands.
    everywhere(21)
    everywhere(20)
    assert deadline("08-01") == at("08-21")
    for_org(14)
    for_org(13)
    assert Schedule.objects.get(enrollment=enroll(offered("O"), "08-01")).upgrade_deadline == at("08-14")
    for_course(7, key="course-v1:edX+P+2017")
    for_course(6, key="course-v1:edX+P+2017")
    assert Schedule.objects.get(enrollment=enroll(offered("P"), "08-01")).upgrade_deadline == at("08-07")


def test_counts_the_days_of_the_newest_row_and_not_of_the_highest_id() -> None:
    everywhere(21)
    for model, make in (
        (DynamicUpgradeDeadlineConfiguration, everywhere),
        (OrgDynamicUpgradeDeadlineConfiguration, for_org),
        (CourseDynamicUpgradeDeadlineConfiguration, for_course),
    ):
        make(10)
        make(5)
        newest = model.objects.latest("pk")
        model.objects.filter(pk=newest.pk).update(change_date=at("07-01"))
    assert deadline("08-01") == at("08-11")


def test_may_lie_in_the_past_or_before_the_start() -> None:
    everywhere(21)
    assert deadline("06-01", start=at("05-01")) == at("06-22")
    assert Schedule.objects.get(enrollment=enroll(offered("E", end=at("07-20")), "08-01")).upgrade_deadline == at(
        "07-20"
    )


def test_asks_today_whether_the_verified_mode_is_open_and_not_when_the_course_starts() -> None:
    everywhere(21)
    assert deadline("08-01", expires="08-03", start=at("08-06")) == at("08-03")


def test_ignores_an_expiry_and_an_end_that_are_missing() -> None:
    everywhere(21)
    assert deadline("08-01", expires=None) == at("08-22")


def test_is_none_where_the_verified_mode_expires_at_this_very_instant() -> None:
    everywhere(21)
    assert deadline("07-30", expires="08-01") is None


def test_is_the_end_of_the_calendar_where_no_calendar_reaches_it() -> None:
    everywhere(32767)
    course = offered("C", start=datetime.fromisoformat("9990-01-01T00:00:00+00:00"))
    CourseMode.objects.filter(slug="verified").update(expires_at=None)
    enrollment = enroll(course)
    assert enrollment.schedule.upgrade_deadline == datetime.max.replace(tzinfo=UTC)
