"""An upgrade reminder …"""

from __future__ import annotations

import json
import logging
import re
from datetime import date, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.contrib.sites.models import Site
from django.core import mail
from django.db import connection
from django.test.utils import CaptureQueriesContext, override_settings

from courses import services
from courses.models import Course, CourseMode, Enrollment, SiteConfiguration
from email_automation.consent import set_course_opt_out
from email_automation.links import MESSAGE_UUID
from email_automation.models import EmailLog
from email_automation.pipeline import message
from email_automation.pipeline.delivery import deliver
from schedules.models import Schedule, ScheduleExperience
from tests import factories

from .scene import (
    DAY,
    DAY3,
    DAY10,
    REMINDER,
    at,
    configure,
    crowd,
    drafts,
    due,
    killed_after,
    nudge,
    offered,
    planned,
    remind,
    run_of,
    started,
    update,
)

pytestmark = [pytest.mark.django_db, pytest.mark.every_database, pytest.mark.usefixtures("site")]

NAMES = {
    "course_name", "course_url", "course_ids", "course_count", "dashboard_url", "cta_url", "show_upsell", "upsell_link",
    "user_schedule_upgrade_deadline_time", "days_left", "first_course_name", "course_links", "cert_image",
}  # fmt: skip


def until(course: Course, deadline: str = "08-03 12:00", **fields: Any) -> Schedule:
    """A learner of the course whose deadline this is, and for whom no nudge is due on 08-01."""
    return started(course, "07-13", deadline=deadline, **fields)


@pytest.fixture
def user() -> Any:
    return factories.UserFactory()


def draft_of(site: Site, user: Any, **when: Any) -> Any:
    (draft,) = drafts(REMINDER, site, [user], **when)
    return draft


def shared(site: Site, user: Any, **when: Any) -> dict[str, Any]:
    values: dict[str, Any] = draft_of(site, user, **when).shared
    return values


def learners(*schedules: Schedule) -> list[int]:
    return sorted(schedule.enrollment.user_id for schedule in schedules)


def test_case_034_is_due_on_the_whole_day_that_lies_two_days_ahead(site: Site, c: Course) -> None:
    until(c, "08-02 23:59:59.999999")
    inside = until(c, "08-03"), until(c, "08-03 23:59:59"), until(c, "08-03 23:59:59.999999")
    until(c, "08-04")
    until(c, None)
    assert due(REMINDER, site) == learners(*inside)


def test_case_033_follows_the_two_nudges_and_is_the_last_mail(site: Site, c: Course, clock: Any) -> None:
    started(c, "08-01 09:30", experience=0)
    for day in (DAY + timedelta(days=step) for step in range(40)):
        clock.move_to(f"{day}T06:00:00Z")
        for run in (nudge, remind, update):
            report = run(date=None)
            assert (report.days, report.status) == (str(day), 0) or day == DAY
    assert list(EmailLog.objects.order_by("pk").values_list("email_type", "day", "status")) == [
        (DAY3, date(2017, 8, 4), "sent"),
        (DAY10, date(2017, 8, 11), "sent"),
        (REMINDER, date(2017, 8, 20), "sent"),
    ]


def test_case_020_follows_the_end_of_the_course_where_that_comes_first(site: Site, days: Any, clock: Any) -> None:
    schedule = started(offered("C", end=at("08-15 12:00")), "08-01")
    assert schedule.upgrade_deadline == at("08-15 12:00")
    found = [day for day in range(1, 32) if due(REMINDER, site, day=date(2017, 8, day))]
    assert found == [13]


def test_case_029_goes_to_nobody_who_has_upgraded(site: Site, c: Course, clock: Any, user: Any) -> None:
    schedule = started(c, "08-01 09:30", user=user)
    dates = (schedule.start_date, schedule.upgrade_deadline)
    clock.move_to(at("08-05"))
    services.record_enrollment(user, c, mode="verified")
    schedule.refresh_from_db()
    assert (schedule.start_date, schedule.upgrade_deadline) == dates == (at("08-01 09:30"), at("08-22 09:30"))
    clock.move_to(at("08-20"))
    assert remind(date=None).figures["audience"] == 0
    assert drafts(REMINDER, site, [user], day=date(2017, 8, 20)) == []


def test_case_036_goes_only_to_active_accounts_and_enrolments_with_a_password(site: Site, c: Course) -> None:
    due_one = until(c)
    until(c, user=factories.UserFactory(is_active=False))
    until(c, user=factories.UserFactory(without_password=True))
    Enrollment.objects.filter(pk=until(c).enrollment_id).update(is_active=False)
    assert due(REMINDER, site) == learners(due_one)


@pytest.mark.parametrize(("end", "number"), [("07-30", 0), ("07-31 23:59:59.999999", 0), ("08-01", 1), ("08-03", 1)])
def test_case_037_goes_out_until_the_course_has_ended(site: Site, days: Any, end: str, number: int) -> None:
    until(offered("C", end=at(end)))
    assert len(due(REMINDER, site)) == number


def test_case_039_goes_out_only_while_the_course_is_self_paced(site: Site, c: Course) -> None:
    until(c)
    services.record_course(c.key, self_paced=False)
    assert due(REMINDER, site) == []


@pytest.mark.parametrize(("experience", "number"), [(0, 1), (1, 0), (None, 1)])
def test_case_053_goes_to_experience_0_and_to_a_missing_one(
    site: Site, c: Course, experience: int | None, number: int
) -> None:
    until(c, experience=experience)
    assert len(due(REMINDER, site)) == number


@pytest.mark.parametrize(("mode", "number"), [("verified", 0), ("audit", 1), ("honor", 1), ("professional", 0)])
def test_case_059_goes_to_the_modes_that_can_be_upgraded(site: Site, c: Course, mode: str, number: int) -> None:
    until(c, mode=mode)
    assert len(due(REMINDER, site)) == number


def test_case_061_goes_to_nobody_when_the_verified_mode_is_gone(site: Site, c: Course) -> None:
    until(c)
    factories.CourseModeFactory(course=c, slug="professional")
    assert len(due(REMINDER, site)) == 1
    CourseMode.objects.filter(course=c, slug="verified").delete()
    assert due(REMINDER, site) == []


@pytest.mark.parametrize(
    ("expires", "number"), [(None, 1), ("08-01 00:00:00.000001", 1), ("08-01", 0), ("07-31", 0), ("08-31", 1)]
)
def test_goes_out_while_the_verified_mode_is_open_at_the_runs_instant(
    site: Site, c: Course, expires: str | None, number: int
) -> None:
    until(c)
    CourseMode.objects.filter(course=c, slug="verified").update(expires_at=at(expires) if expires else None)
    assert len(due(REMINDER, site)) == number


@pytest.mark.parametrize(("now", "number"), [("08-03 11:59:59", 1), ("08-03 12:00", 0), ("08-03 13:00", 0)])
def test_goes_out_only_while_the_deadline_lies_ahead(site: Site, c: Course, now: str, number: int) -> None:
    until(c, "08-03 12:00")
    assert len(due(REMINDER, site, now=at(now))) == number


def test_goes_out_once_where_two_sites_list_the_organisation(site: Site, c: Course) -> None:
    SiteConfiguration.objects.create(site=site, org_filter=["edX"])
    other = factories.SiteConfigurationFactory(org_filter=["edX"]).site
    configure(other)
    until(c)
    assert remind().figures["sent"] == 1
    again = remind(site=other.domain).figures
    assert (again["audience"], again["sent"], again["already_sent"]) == (1, 0, 1)


def test_goes_out_for_courses_of_the_sites_organisations_only(site: Site, c: Course, user: Any) -> None:
    until(c, user=user)
    until(offered("F", org="filtered_org"), user=user)
    factories.SiteConfigurationFactory(org_filter=["filtered_org"])
    assert shared(site, user)["course_ids"] == [c.key]


def changes() -> dict[str, Any]:
    """What makes each of the reminder's own conditions, and no other, false."""
    return {
        "in_window": lambda: Schedule.objects.update(upgrade_deadline=at("08-04")),
        "experience": lambda: ScheduleExperience.objects.update(experience_type=1),
        "upgradeable_mode": lambda: Enrollment.objects.update(mode="verified"),
        "live_verified_mode": lambda: CourseMode.objects.filter(slug="verified").delete(),
    }


@pytest.mark.parametrize("name", sorted(changes()))
def test_is_taken_back_when_a_condition_fails_after_planning(site: Site, c: Course, name: str) -> None:
    schedule = until(c)
    user_id = schedule.enrollment.user_id
    rows = planned(REMINDER, site)
    changes()[name]()
    tally = deliver(rows)
    assert (len(rows), tally["sent"], tally.reasons) == (1, 0, {name: 1})
    (finding,) = message.get(REMINDER).resolver().explain(run_of(REMINDER, site), user_id)
    assert [condition.name for condition, holds in finding.answers if not holds] == [name]
    assert EmailLog.objects.get().dedupe_key is None


def test_is_explained_by_every_condition_in_one_query(site: Site, c: Course) -> None:
    schedule = until(c)
    with CaptureQueriesContext(connection) as captured:
        (finding,) = message.get(REMINDER).resolver().explain(run_of(REMINDER, site), schedule.enrollment.user_id)
    assert len(captured) == 1
    assert [condition.name for condition, _ in finding.answers] == [
        "in_window", "experience", "active_enrollment", "active_user", "usable_password", "self_paced",
        "course_started", "course_not_ended", "org_of_site", "upgradeable_mode", "live_verified_mode", "deadline_ahead",
    ]  # fmt: skip
    assert all(holds for _, holds in finding.answers)
    assert "upgrade by 2017-08-03 12:00Z" in finding.subject


def test_case_042_is_one_mail_about_three_courses(site: Site, days: Any, user: Any) -> None:
    keys = [until(offered(number), user=user).enrollment.course.key for number in "CDE"]
    assert due(REMINDER, site) == [user.pk]
    assert shared(site, user)["course_ids"] == keys
    figures = remind().figures
    assert (figures["audience"], figures["sent"], len(mail.outbox)) == (1, 1, 1)


def test_is_about_the_courses_of_its_own_target_day_only(site: Site, c: Course, d: Course, user: Any) -> None:
    until(c, "08-03", user=user)
    until(d, "08-04", user=user)
    assert shared(site, user)["course_ids"] == [c.key]
    assert shared(site, user, day=date(2017, 8, 2))["course_ids"] == [d.key]


def test_puts_the_course_first_whose_deadline_is_first(site: Site, c: Course, d: Course, user: Any) -> None:
    until(c, "08-03 10:00", user=user)
    until(d, "08-03 08:00", user=user)
    values = shared(site, user)
    assert values["course_ids"] == [d.key, c.key]
    assert (values["course_name"], values["first_course_name"]) == ("Course D", "Course D")
    assert [link["name"] for link in values["course_links"]] == ["Course D", "Course C"]


def test_puts_the_lower_key_first_where_deadlines_are_equal(site: Site, days: Any, user: Any) -> None:
    keys = ["course-v1:edX+B+1", "course-v1:edX+a+1", "course-v1:edX+A+1", "course-v1:edX+é+1"]
    for key in keys:
        course = factories.CourseFactory(key=key)
        factories.CourseModeFactory(course=course)
        until(course, user=user)
    assert shared(site, user)["course_ids"] == sorted(keys)


def test_case_047_leaves_out_the_course_opted_out_of(site: Site, c: Course, d: Course, user: Any) -> None:
    until(c, "08-03 08:00", user=user)
    until(d, "08-03 09:00", user=user)
    set_course_opt_out(user.pk, c, True)
    values = shared(site, user)
    assert (values["course_ids"], values["course_count"], values["course_links"]) == ([d.key], 1, [])
    assert values["cta_url"] == values["upsell_link"]
    set_course_opt_out(user.pk, d, True)
    assert draft_of(site, user).skip == "opted_out:course"
    figures = remind().figures
    assert (figures["sent"], figures["skipped"], figures["opted_out"]) == (0, 1, 1)


def test_case_060_leaves_out_the_courses_already_upgraded(site: Site, days: Any, user: Any) -> None:
    offers = [offered(number) for number in "ABCDE"]
    for hour, course in enumerate(offers):
        mode = "verified" if course in (offers[0], offers[3]) else "audit"
        until(course, f"08-03 0{hour}:00", user=user, mode=mode)
    wanted = [offers[1].key, offers[2].key, offers[4].key]
    assert shared(site, user)["course_ids"] == wanted
    assert remind().figures["sent"] == 1
    (sent,) = mail.outbox
    assert re.findall(r"^- (.*)$", sent.body, re.MULTILINE) == ["Course B", "Course C", "Course E"]
    assert "Course A" not in sent.body and "Course D" not in sent.body


@pytest.mark.parametrize(("courses", "listed"), [(1, 0), (2, 2), (9, 9), (10, 0)])
def test_case_064_lists_two_to_nine_courses(site: Site, days: Any, user: Any, courses: int, listed: int) -> None:
    for number in range(courses):
        until(offered(f"C{number:02}"), user=user)
    values = shared(site, user)
    assert [link["name"] for link in values["course_links"]] == [f"Course C{number:02}" for number in range(listed)]
    assert values["course_count"] == len(values["course_ids"]) == courses
    assert values["cta_url"] == (values["upsell_link"] if courses == 1 else values["dashboard_url"])
    remind()
    (sent,) = mail.outbox
    own = [line for line in sent.body.splitlines() if "/course/?" in line]
    assert len(own) == listed
    button = sent.body.partition("Upgrade now\n")[2].split()[0]
    assert button.startswith("https://example.com/dashboard?")
    assert sent.subject == f"2 days left to upgrade{': Course C00' if courses == 1 else ' at Cadence'}"


def test_says_nothing_but_the_documented_names(site: Site, c: Course, d: Course, user: Any) -> None:
    until(c, user=user)
    until(d, user=user)
    values = shared(site, user)
    assert set(values) == NAMES
    assert values["show_upsell"] is True
    assert json.loads(json.dumps(values)) == values


@pytest.mark.parametrize(
    ("checkout", "sku", "expected"),
    [
        ("https://pay.example.com/basket", "ABC1", "https://pay.example.com/basket?sku=ABC1&"),
        ("https://pay.example.com/basket", "", "https://example.com/dashboard?"),
        ("", "ABC1", "https://example.com/dashboard?"),
    ],
)
def test_case_062_says_where_to_upgrade(
    site: Site, c: Course, user: Any, checkout: str, sku: str, expected: str
) -> None:
    until(c, user=user)
    CourseMode.objects.filter(slug="verified").update(sku=sku)
    with override_settings(COMMERCE_CHECKOUT_URL=checkout):
        values = shared(site, user)
        remind()
    assert values["upsell_link"].startswith(expected)
    assert values["cta_url"] == values["upsell_link"]
    (sent,) = mail.outbox
    assert f"Upgrade now\n{expected}" in sent.body


@override_settings(COMMERCE_CHECKOUT_URL="https://pay.example.com/basket")
def test_case_063_says_nothing_of_another_learner(site: Site, c: Course, d: Course) -> None:
    CourseMode.objects.filter(course=c, slug="verified").update(sku="ABC1")
    first, second = factories.UserFactory(), factories.UserFactory()
    for course in (c, d):
        until(course, "08-03 09:00", user=first)
    until(d, "08-03 09:00", user=second)
    one, two = drafts(REMINDER, site, [first, second])
    assert (len(one.shared["course_links"]), two.shared["course_links"]) == (2, [])
    assert "sku=ABC1" in one.shared["upsell_link"]
    assert "sku" not in two.shared["upsell_link"]
    assert "Course C" not in json.dumps(two.shared)
    assert one.shared["course_links"] is not two.shared["course_links"]
    remind()
    bodies = {sent.to[0]: sent.body for sent in mail.outbox}
    assert "Course C" in bodies[first.email]
    assert "Course C" not in bodies[second.email]
    assert "and other courses" not in bodies[second.email]


@pytest.mark.parametrize(
    ("day", "now", "left"),
    [
        ("08-01", "08-01", 2),
        ("08-01", "08-01 23:59:59.999999", 2),
        ("08-01", "08-02 00:00", 1),
        ("08-01", "08-02 23:59:59", 1),
        ("08-01", "08-03 09:00", 0),
    ],
)
def test_counts_days_from_the_runs_instant(site: Site, c: Course, user: Any, day: str, now: str, left: int) -> None:
    until(c, "08-03 23:59", user=user)
    assert shared(site, user, day=at(day).date(), now=at(now))["days_left"] == left


def test_counts_days_right_when_it_was_caught_up(site: Site, c: Course, clock: Any) -> None:
    until(c, "08-03 12:00")
    until(c, "08-04 12:00")
    clock.move_to(at("08-02 06:00"))
    report = remind(date=None)
    assert (report.days, report.figures["sent"]) == ("2017-08-01,2017-08-02", 2)
    assert [sent.subject.partition(" to ")[0] for sent in mail.outbox] == ["1 day left", "2 days left"]
    assert "August 3, 2017" in mail.outbox[0].body
    assert "August 4, 2017" in mail.outbox[1].body


@pytest.mark.parametrize(
    ("learner", "course", "expected", "subject"),
    [
        ("fr", "es", "fr", "Plus que 2 jours"),
        ("", "es", "es", "Quedan 2 días"),
        ("", "es-419", "es", "Quedan 2 días"),
        ("", "", "en", "2 days left"),
        ("tlh", "", "en", "2 days left"),
    ],
)
def test_case_065_speaks_the_learners_language_or_the_courses_or_the_platforms(
    site: Site, days: Any, user: Any, learner: str, course: str, expected: str, subject: str
) -> None:
    factories.LearnerProfileFactory(user=user, language=learner)
    until(offered("C", language=course), "08-03", user=user)
    remind()
    (sent,) = mail.outbox
    assert sent.subject.startswith(subject)
    dates = {"en": "August 3, 2017", "es": "3 de agosto de 2017", "fr": "3 août 2017"}
    assert dates[expected] in sent.body
    assert dates[expected] in sent.alternatives[0][0]
    assert f'lang="{expected}"' in sent.alternatives[0][0]


@pytest.mark.parametrize("courses", [1, 3])
@pytest.mark.parametrize("language", ["en", "es", "fr"])
def test_case_066_leaves_nothing_unresolved(
    site: Site, days: Any, user: Any, strict_templates: None, courses: int, language: str
) -> None:
    for number in range(courses):
        until(offered(f"C{number}", language=language), user=user)
    figures = remind().figures
    assert (figures["sent"], figures["failed"], figures["retry"]) == (1, 0, 0)
    (sent,) = mail.outbox
    # A style sheet's own braces close its media queries.
    html = re.sub(r"<style>.*?</style>", "", sent.alternatives[0][0], flags=re.DOTALL)
    for part in (sent.subject, sent.from_email, sent.body, html):
        assert part.strip()
        assert not re.search(r"\{[{%#]|[#%}]\}|%\(", part)


@pytest.mark.parametrize("courses", [1, 2])
def test_case_067_escapes_an_authors_text_in_html_and_nowhere_else(
    site: Site, days: Any, user: Any, courses: int
) -> None:
    title = "<b>Go & see</b>"
    for number in range(courses):
        until(offered(f"C{number}", title=title), user=user)
    remind()
    (sent,) = mail.outbox
    html = sent.alternatives[0][0]
    assert sent.body.count(title) == courses
    assert (title in sent.subject) is (courses == 1)
    assert title not in html
    assert "&lt;b&gt;Go &amp; see&lt;/b&gt;" in html


def test_leads_by_links_that_are_absolute_and_tracked(site: Site, c: Course, d: Course, user: Any) -> None:
    until(c, user=user)
    until(d, user=user)
    values = shared(site, user)
    assert [link["url"].partition("?")[0] for link in values["course_links"]] == [
        "https://example.com/courses/course-v1:edX%2BC%2B2017/course/",
        "https://example.com/courses/course-v1:edX%2BD%2B2017/course/",
    ]
    urls = [values["cta_url"], values["upsell_link"], *(link["url"] for link in values["course_links"])]
    for url in urls:
        assert parse_qs(urlsplit(url).query) == {
            "utm_source": ["schedules"],
            "utm_medium": ["email"],
            "utm_campaign": [REMINDER],
            "utm_content": [MESSAGE_UUID],
            "utm_term": [c.key],
        }
    remind()
    (sent,) = mail.outbox
    assert MESSAGE_UUID not in sent.body + sent.alternatives[0][0]
    own = re.findall(r"https://example.com/(?:courses|dashboard)\S*", sent.body)
    assert len(own) == 3
    assert all(f"utm_content={EmailLog.objects.get().message_uuid}" in link for link in own)


@pytest.mark.parametrize(
    ("root", "expected"),
    [
        ("static/", "https://example.com/static/schedules/certificate.png"),
        ("https://cdn.example.net/s/", "https://cdn.example.net/s/schedules/certificate.png"),
        ("//cdn.example.net/s/", "https://cdn.example.net/s/schedules/certificate.png"),
    ],
)
def test_shows_a_certificate_at_an_absolute_address(site: Site, c: Course, user: Any, root: str, expected: str) -> None:
    until(c, user=user)
    with override_settings(STATIC_URL=root):
        assert shared(site, user)["cert_image"] == expected
        remind()
    (sent,) = mail.outbox
    assert f'src="{expected}" alt="A verified certificate"' in sent.alternatives[0][0]


def test_goes_out_without_its_picture_where_static_files_were_not_collected(
    site: Site, c: Course, user: Any, settings: Any, tmp_path: Any
) -> None:
    until(c, user=user)
    settings.DEBUG, settings.STATIC_ROOT = False, str(tmp_path)
    backend = "django.contrib.staticfiles.storage.ManifestStaticFilesStorage"
    settings.STORAGES = settings.STORAGES | {"staticfiles": {"BACKEND": backend}}
    assert shared(site, user)["cert_image"] == ""
    assert remind().figures["sent"] == 1
    (sent,) = mail.outbox
    assert "<img" not in sent.alternatives[0][0]
    assert "Course C" in sent.alternatives[0][0]


def test_case_074_is_not_planned_while_planning_is_off(site: Site, c: Course, caplog: Any) -> None:
    until(c)
    configure(site, enqueue_upgrade_reminder=False)
    caplog.set_level(logging.INFO)
    report = remind()
    assert report.out.startswith(
        "send_upgrade_reminder example.com days=2017-08-01 audience=0 sent=0 skipped=0 failed=0 retry=0 seconds="
    )
    assert report.status == 0
    (line,) = [entry.getMessage() for entry in caplog.records if "switched off" in entry.getMessage()]
    assert f"site={site.pk}" in line
    assert not EmailLog.objects.exists()


@pytest.mark.parametrize("switch", ["enqueue_recurring_nudge", "deliver_course_update", "enqueue_course_update"])
def test_does_not_obey_other_switches(site: Site, c: Course, switch: str) -> None:
    until(c)
    configure(site, **{switch: False})
    assert remind().figures["sent"] == 1


def test_case_075_is_stopped_when_hand_off_goes_off(site: Site, c: Course) -> None:
    for _ in range(5):
        until(c)
    rows = planned(REMINDER, site)
    configure(site, deliver_upgrade_reminder=False)
    tally = deliver(rows)
    assert (tally["sent"], tally["skipped:stopped"], len(mail.outbox)) == (0, 5, 0)
    configure(site)
    assert remind().figures["sent"] == 5


def test_goes_out_when_only_planning_was_switched_off_meanwhile(site: Site, c: Course) -> None:
    until(c)
    rows = planned(REMINDER, site)
    configure(site, enqueue_upgrade_reminder=False)
    assert deliver(rows)["sent"] == 1


def test_case_078_is_judged_by_a_given_day(site: Site, c: Course, clock: Any) -> None:
    people = [until(c, "08-03"), until(c, "08-03 23:59:59")]
    until(c, "08-04")
    clock.move_to(at("12-24"))
    figures = remind().figures
    assert (figures["audience"], figures["sent"]) == (2, 2)
    assert {row.recipient_id for row in EmailLog.objects.all()} == set(learners(*people))
    assert all(sent.subject.startswith("2 days left") for sent in mail.outbox)


def test_case_083_goes_out_once_on_one_day(site: Site, c: Course) -> None:
    for _ in range(3):
        until(c)
    first, second = remind().figures, remind().figures
    assert (first["sent"], second["sent"], second["already_sent"]) == (3, 0, 3)


def test_case_085_is_caught_up_for_one_day_and_no_more(site: Site, c: Course, clock: Any) -> None:
    clock.move_to(at("07-31"))
    remind(date=None)
    late = [until(c, f"08-0{day}") for day in (3, 4)]
    in_time = [until(c, f"08-0{day}") for day in (5, 6)]
    clock.move_to(at("08-04"))
    report = remind(date=None)
    assert (report.days, report.figures["sent"]) == ("2017-08-03,2017-08-04", 2)
    assert [row.recipient_id for row in EmailLog.objects.order_by("pk")] == learners(*in_time)
    # Missed by a daily run, not by an operator who runs the day itself.
    assert remind(date="2017-08-02").figures["sent"] == 1
    assert EmailLog.objects.filter(recipient=late[1].enrollment.user).exists()


def test_case_089_goes_on_where_a_killed_process_left_off(site: Site, c: Course) -> None:
    crowd([c], 100, "07-13", deadline="08-03 12:00")
    with killed_after(40), pytest.raises(KeyboardInterrupt):
        remind()
    assert len(mail.outbox) == 40
    figures = remind().figures
    assert (figures["sent"], figures["already_sent"]) == (60, 40)
    assert len({sent.to[0] for sent in mail.outbox}) == len(mail.outbox) == 100


@pytest.mark.parametrize("listed", [[], ["edX"]])
def test_case_090_is_found_by_one_query(site: Site, c: Course, listed: list[str]) -> None:
    SiteConfiguration.objects.create(site=site, org_filter=listed)
    crowd([c], 10, "07-13", deadline="08-03 12:00")
    with CaptureQueriesContext(connection) as captured:
        assert len(due(REMINDER, site)) == 10
    assert len(captured) == 1


@pytest.mark.parametrize("courses", [1, 3, 10])
def test_case_090_is_drafted_by_as_many_queries_for_one_as_for_a_hundred(site: Site, days: Any, courses: int) -> None:
    offers = [offered(f"C{number}", language="es") for number in range(courses)]
    SiteConfiguration.objects.create(site=site, org_filter=["edX"])
    made = crowd(offers, 100, "07-13", deadline="08-03 12:00")
    users = list({schedule.enrollment.user_id: schedule.enrollment.user for schedule in made}.values())
    counts = {}
    for number in (1, 10, 100):
        with CaptureQueriesContext(connection) as captured:
            found = drafts(REMINDER, site, users[:number])
        assert [len(draft.shared["course_ids"]) for draft in found] == [courses] * number
        counts[number] = len(captured)
    # The same figure stands in the test's other parameters.
    assert counts == dict.fromkeys((1, 10, 100), 3)
