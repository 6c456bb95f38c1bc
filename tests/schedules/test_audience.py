"""A nudge is due …"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.sites.models import Site
from django.core.exceptions import ValidationError
from django.db import connection
from django.test.utils import CaptureQueriesContext

from courses.bulk import slices
from courses.models import Course, Enrollment, SiteConfiguration
from email_automation.pipeline import message
from schedules.models import Schedule
from tests import factories

from .scene import DAY, DAY3, DAY10, STARTED_FOR, at, configure, crowd, drafts, due, nudge, offered, run_of, started

pytestmark = [pytest.mark.django_db, pytest.mark.every_database]

each_nudge = pytest.mark.parametrize("name", [DAY3, DAY10])


def learners(*schedules: Schedule) -> list[int]:
    return sorted(schedule.enrollment.user_id for schedule in schedules)


def test_case_032_on_the_whole_day_that_lies_three_days_back(site: Site, c: Course) -> None:
    started(c, "07-28 23:59:59.999999")
    inside = started(c, "07-29"), started(c, "07-29 23:59:59.999999")
    started(c, "07-30")
    assert due(DAY3, site) == learners(*inside)


def test_on_the_whole_day_that_lies_ten_days_back(site: Site, c: Course) -> None:
    started(c, "07-21 23:59:59.999999")
    inside = started(c, "07-22"), started(c, "07-22 23:59:59.999999")
    started(c, "07-23")
    assert due(DAY10, site) == learners(*inside)


def test_case_033_exactly_once_per_nudge(site: Site, c: Course, clock: Any) -> None:
    schedule = started(c, "08-01 09:30", experience=0)
    found = [
        (name, day.isoformat())
        for day in (DAY + timedelta(days=step) for step in range(30))
        for name in (DAY3, DAY10)
        if due(name, site, day=day, now=at("08-01") + (day - DAY)) == learners(schedule)
    ]
    assert found == [(DAY3, "2017-08-04"), (DAY10, "2017-08-11")]


@each_nudge
def test_case_036_only_to_active_accounts_and_enrolments_with_a_password(site: Site, c: Course, name: str) -> None:
    when = STARTED_FOR[name]
    due_one = started(c, when)
    started(c, when, user=factories.UserFactory(is_active=False))
    started(c, when, user=factories.UserFactory(without_password=True))
    Enrollment.objects.filter(pk=started(c, when).enrollment_id).update(is_active=False)
    assert due(name, site) == learners(due_one)


@pytest.mark.parametrize(("password", "usable"), [("", True), ("md5$a$b", True), ("!", False), ("!x", False)])
def test_by_what_django_calls_a_usable_password(site: Site, c: Course, password: str, usable: bool) -> None:
    user = factories.UserFactory(password=password)
    assert user.has_usable_password() is usable
    started(c, "07-29", user=user)
    assert due(DAY3, site) == ([user.pk] if usable else [])


@each_nudge
@pytest.mark.parametrize(("end", "number"), [("07-30", 0), ("08-01", 1), ("08-03", 1), ("07-31 23:59:59.999999", 0)])
def test_case_037_until_the_course_has_ended(site: Site, days: Any, name: str, end: str, number: int) -> None:
    started(offered("C", end=at(end)), STARTED_FOR[name])
    assert len(due(name, site)) == number


@pytest.mark.parametrize(("now", "number"), [("08-01 09:00", 1), ("08-01 10:00", 1), ("08-01 12:00", 0)])
def test_case_038_by_the_clock_of_a_daily_run(site: Site, days: Any, now: str, number: int) -> None:
    started(offered("C", end=at("08-01 10:00")), "07-29")
    assert len(due(DAY3, site, now=at(now))) == number


def test_case_039_only_while_the_course_is_self_paced(site: Site, c: Course) -> None:
    started(c, "07-29")
    c.self_paced = False
    c.save()
    assert due(DAY3, site) == []


@pytest.mark.parametrize(("start", "number"), [("08-05", 0), ("08-01", 1), ("08-01 00:00:00.000001", 0), (None, 1)])
def test_case_040_only_once_the_course_has_started(site: Site, c: Course, start: str | None, number: int) -> None:
    started(c, "07-29")
    Course.objects.filter(pk=c.pk).update(start=at(start) if start else None)
    assert len(due(DAY3, site)) == number


@each_nudge
@pytest.mark.parametrize(("experience", "number"), [(0, 1), (1, 0), (None, 1)])
def test_case_052_to_experience_0_and_to_a_missing_one(
    site: Site, c: Course, name: str, experience: int | None, number: int
) -> None:
    started(c, STARTED_FOR[name], experience=experience)
    assert len(due(name, site)) == number


def test_whether_or_not_the_schedule_is_marked_active(site: Site, c: Course) -> None:
    Schedule.objects.filter(pk=started(c, "07-29").pk).update(active=False)
    assert len(due(DAY3, site)) == 1


def test_in_any_mode(site: Site, c: Course) -> None:
    for mode in ("audit", "honor", "verified", "professional"):
        started(c, "07-29", mode=mode)
    assert len(due(DAY3, site)) == 4


def test_case_041_once_to_a_learner_of_three_courses(site: Site, days: Any) -> None:
    user = factories.UserFactory()
    for number in "CDE":
        started(offered(number), "07-29", user=user)
    assert due(DAY3, site) == [user.pk]


def test_case_043_to_each_of_a_hundred_learners(site: Site, c: Course) -> None:
    everyone = [started(c, "07-29") for _ in range(100)]
    assert due(DAY3, site) == learners(*everyone)
    assert nudge().figures["sent"] == 100


def test_case_046_for_each_course_on_its_own_day(site: Site, c: Course, d: Course) -> None:
    user = factories.UserFactory()
    started(c, "07-29", user=user)
    started(d, "07-22", user=user)
    assert [draft.shared["course_ids"] for draft in drafts(DAY3, site, [user])] == [[c.key]]
    assert [draft.shared["course_ids"] for draft in drafts(DAY10, site, [user])] == [[d.key]]
    assert nudge().figures["sent"] == 2


def two_learners(days: Any) -> tuple[Any, Any]:
    filtered, open_course = offered("F", org="filtered_org"), offered("C")
    one, two = factories.UserFactory(), factories.UserFactory()
    started(filtered, "07-29", user=one)
    started(open_course, "07-29 01:00", user=one)
    started(open_course, "07-29", user=two)
    return one, two


def test_case_048_for_courses_of_the_sites_own_organisations(site: Site, days: Any) -> None:
    one, two = two_learners(days)
    SiteConfiguration.objects.create(site=site, org_filter=["filtered_org"])
    assert due(DAY3, site) == [one.pk]
    (draft,) = drafts(DAY3, site, [one, two])
    assert draft.shared["course_ids"] == ["course-v1:filtered_org+F+2017"]


@pytest.mark.parametrize("with_row", [True, False])
def test_case_049_for_courses_that_no_other_site_lists(site: Site, days: Any, with_row: bool) -> None:
    one, two = two_learners(days)
    if with_row:
        SiteConfiguration.objects.create(site=site)
    factories.SiteConfigurationFactory(org_filter=["filtered_org"])
    assert due(DAY3, site) == [one.pk, two.pk]
    assert [draft.shared["course_ids"] for draft in drafts(DAY3, site, [one, two])] == [["course-v1:edX+C+2017"]] * 2


@pytest.mark.parametrize(
    ("org", "listed"),
    [
        ("edX", ["edx"]), ("edX", ["EDX"]), ("edX", ["ed"]), ("edX", ["edXX"]), ("edX", ["X"]),
        ("a.b", ["aXb"]), ("a_b", ["aXb"]), ("a%b", ["aXXb"]), ("Ünï", ["ünï"]), ("e", ["é"]),
    ],
)  # fmt: skip
def test_for_organisations_spelt_exactly_so(site: Site, days: Any, org: str, listed: list[str]) -> None:
    started(factories.CourseFactory(org=org, key="course-v1:any+C+2017"), "07-29")
    other = factories.SiteConfigurationFactory(org_filter=listed).site
    assert len(due(DAY3, site)) == 1
    assert due(DAY3, other) == []
    other.configuration.org_filter = [*listed, org]
    other.configuration.save()
    assert due(DAY3, site) == []
    assert len(due(DAY3, other)) == 1


def test_case_050_only_once_where_two_sites_list_the_organisation(site: Site, c: Course) -> None:
    SiteConfiguration.objects.create(site=site, org_filter=["edX"])
    other = factories.SiteConfigurationFactory(org_filter=["other", "edX"]).site
    configure(other)
    for _ in range(3):
        started(c, "07-29")
    assert nudge().figures["sent"] == 3
    again = nudge(site=other.domain).figures
    assert (again["audience"], again["sent"], again["already_sent"]) == (3, 0, 3)


@each_nudge
@pytest.mark.parametrize("listed", [[], ["edX"]])
def test_case_090_by_one_query(site: Site, c: Course, name: str, listed: list[str]) -> None:
    SiteConfiguration.objects.create(site=site, org_filter=listed)
    factories.SiteConfigurationFactory(org_filter=["other"])
    for _ in range(3):
        started(c, STARTED_FOR[name])
    with CaptureQueriesContext(connection) as captured:
        assert len(due(name, site)) == 3
    assert len(captured) == 1


@pytest.mark.parametrize("courses", [1, 3, 10])
def test_case_090_and_drafted_by_as_many_queries_for_one_as_for_a_hundred(site: Site, days: Any, courses: int) -> None:
    offers = [offered(f"C{number}", language="es") for number in range(courses)]
    SiteConfiguration.objects.create(site=site, org_filter=["edX"])
    schedules = crowd(offers, 100, "07-29", deadline="08-08")
    users = [schedule.enrollment.user for schedule in schedules[::courses]]
    for user in users:
        factories.LearnerProfileFactory(user=user, language="fr")
    counts = {}
    for number in (1, 10, 100):
        with CaptureQueriesContext(connection) as captured:
            made = drafts(DAY3, site, users[:number])
        assert [len(draft.shared["course_ids"]) for draft in made] == [courses] * number
        counts[number] = len(captured)
    # The same figure stands in the test's other parameters.
    assert counts == dict.fromkeys((1, 10, 100), 3)


def test_in_the_order_of_the_learners(site: Site, c: Course) -> None:
    users = factories.UserFactory.create_batch(5)
    for user in reversed(users):
        started(c, "07-29", user=user)
    assert due(DAY3, site) == [user.pk for user in users]


def test_with_those_of_the_same_course_and_of_several_where_the_first_is(
    site: Site, c: Course, monkeypatch: pytest.MonkeyPatch
) -> None:
    # By the page's edges everything must be as it is within a page.
    monkeypatch.setattr("email_automation.pipeline.resolver.AUDIENCE_PAGE", 2)
    d = offered("D")
    users = factories.UserFactory.create_batch(6)
    for number, user in enumerate(users):
        started(d if number % 2 else c, "07-29", user=user)
    started(c, "07-29", user=users[3])
    started(d, "07-29", user=users[0])
    first, later = [users[0], users[2], users[3], users[4]], [users[1], users[5]]
    assert due(DAY3, site) == [user.pk for user in [*first, *later]]


@each_nudge
def test_in_what_explain_says_too(site: Site, c: Course, name: str) -> None:
    resolver = message.get(name).resolver()
    schedule = started(c, STARTED_FOR[name])
    with CaptureQueriesContext(connection) as captured:
        (finding,) = resolver.explain(run_of(name, site), schedule.enrollment.user_id)
    assert all(holds for _, holds in finding.answers)
    assert [condition.name for condition, _ in finding.answers] == [
        "in_window", "experience", "active_enrollment", "active_user", "usable_password", "self_paced",
        "course_started", "course_not_ended", "org_of_site",
    ]  # fmt: skip
    assert c.key in finding.subject
    assert len(captured) == 1


def changes() -> dict[str, Any]:
    """What makes each condition, and no other, false."""

    def course(**values: Any) -> Any:
        return lambda schedule: Course.objects.update(**values)

    def user(**values: Any) -> Any:
        return lambda schedule: type(schedule.enrollment.user).objects.update(**values)

    return {
        "in_window": lambda schedule: Schedule.objects.update(start_date=at("07-30")),
        "experience": lambda schedule: type(schedule.experience).objects.update(experience_type=1),
        "active_enrollment": lambda schedule: Enrollment.objects.update(is_active=False),
        "active_user": user(is_active=False),
        "usable_password": user(password="!"),
        "self_paced": course(self_paced=False),
        "course_started": course(start=at("08-02")),
        "course_not_ended": course(end=at("07-31")),
        "org_of_site": lambda schedule: factories.SiteConfigurationFactory(org_filter=["edX"]),
    }


@pytest.mark.parametrize("name", sorted(changes()))
def test_no_longer_when_a_condition_fails_before_the_draft(site: Site, c: Course, name: str) -> None:
    schedule = started(c, "07-29")
    user_id = schedule.enrollment.user_id
    assert due(DAY3, site) == [user_id]
    changes()[name](schedule)
    resolver = message.get(DAY3).resolver()
    assert resolver.drafts(run_of(DAY3, site), [user_id]) == []
    assert resolver.failing(run_of(DAY3, site), [user_id]) == {user_id: name}
    (finding,) = resolver.explain(run_of(DAY3, site), user_id)
    assert [condition.name for condition, holds in finding.answers if not holds] == [name]
    assert due(DAY3, site) == []


def test_slices_never_split_a_learner(site: Site, c: Course, d: Course) -> None:
    users = factories.UserFactory.create_batch(3)
    for user in users:
        started(c, "07-29", user=user)
        started(d, "07-29", user=user)
    for batch in slices(due(DAY3, site), 1):
        (draft,) = message.get(DAY3).resolver().drafts(run_of(DAY3, site), batch)
        assert len(draft.shared["course_ids"]) == 2


def test_without_an_organisation_list_that_is_malformed(site: Site) -> None:
    with pytest.raises(ValidationError):
        SiteConfiguration(site=site, org_filter="edX").full_clean()
