"""A course update …"""

from __future__ import annotations

import json
import logging
import re
from datetime import date, timedelta
from typing import Any

import pytest
from django.contrib.sites.models import Site
from django.core import mail
from django.db import connection
from django.test.utils import CaptureQueriesContext, override_settings

from courses.models import Course, CourseMode, Enrollment, Section, SiteConfiguration
from email_automation.consent import set_course_opt_out
from email_automation.explanation import explain
from email_automation.models import EmailLog
from email_automation.pipeline import message
from email_automation.pipeline.delivery import deliver
from email_automation.pipeline.resolver import Draft
from schedules.messages.course_update import FLAG
from schedules.models import Schedule, ScheduleExperience
from tests import factories

from .scene import DAY, UPDATE, at, configure, crowd, killed_after, nudge, offered, planned, run_of, started, update

pytestmark = [pytest.mark.django_db, pytest.mark.every_database, pytest.mark.usefixtures("site")]

NAMES = {
    "course_name", "course_url", "course_ids", "course_count", "dashboard_url", "cta_url", "show_upsell", "week_num",
    "week_highlights",
}  # fmt: skip
UPSELL = {"upsell_link", "user_schedule_upgrade_deadline_time"}
WEEK_1, WEEK_2, WEEK_3 = "07-25 09:30", "07-18 09:30", "07-11 09:30"


def taught(number: str, *weeks: list[str], **fields: Any) -> Course:
    """A course like C, with messaging on and one section for each list of highlights."""
    course = offered(number, highlights_enabled_for_messaging=True, **fields)
    for index, highlights in enumerate(weeks):
        factories.SectionFactory(course=course, index=index, highlights=highlights)
    return course


def follows(course: Course, when: str = WEEK_1, **fields: Any) -> Schedule:
    """A learner who gets the updates of a course."""
    return started(course, when, **{"experience": 1, **fields})


def due(site: Site, **when: Any) -> list[int]:
    pages = message.get(UPDATE).resolver().audience(run_of(UPDATE, site, **when))
    return [row.target_id for page in pages for row in page]


def drafts(site: Site, *schedules: Schedule, **when: Any) -> list[Draft]:
    """The drafts for some schedules, in their order."""
    ids = [schedule.pk for schedule in schedules]
    made = message.get(UPDATE).resolver().drafts(run_of(UPDATE, site, **when), ids)
    return sorted(made, key=lambda draft: ids.index(draft.target_id))


def draft_of(site: Site, schedule: Schedule, **when: Any) -> Draft:
    (draft,) = drafts(site, schedule, **when)
    return draft


def flag(course: Course | None = None, *, on: bool = True, everyone: bool | None = None) -> None:
    """What the flag says of everyone, and of a course if one is given."""
    row = factories.FlagFactory(name=FLAG, everyone=everyone)
    if course is not None:
        factories.CourseFlagFactory(flag=row, course=course, on=on)


def statuses() -> dict[int | None, tuple[str, str]]:
    return {row.target_id: (row.status, row.reason) for row in EmailLog.objects.all()}


@pytest.fixture
def c(days: Any) -> Course:
    """Course C with highlights for eleven weeks."""
    return taught("C", *[[f"week {number}"] for number in range(1, 12)], start=at("05-01"))


@pytest.fixture
def d(days: Any) -> Course:
    """Course D, like C."""
    return taught("D", *[[f"week {number}"] for number in range(1, 12)], start=at("05-01"))


@pytest.mark.parametrize("week", range(1, 12))
def test_is_due_on_the_whole_day_that_lies_so_many_weeks_back(site: Site, c: Course, week: int) -> None:
    day = at("08-01") - timedelta(weeks=week)
    moment, after = timedelta(microseconds=1), day + timedelta(days=1)
    made = [follows(c) for _ in range(4)]
    for schedule, when in zip(made, (day - moment, day, after - moment, after), strict=True):
        Schedule.objects.filter(pk=schedule.pk).update(start_date=when)
    assert due(site) == [made[1].pk, made[2].pk]
    found = drafts(site, *made)
    assert [draft.shared["week_num"] for draft in found] == [week, week]
    assert [draft.shared["week_highlights"] for draft in found] == [[f"week {week}"]] * 2


def test_those_of_a_course_lie_together(site: Site, c: Course, d: Course) -> None:
    made = [follows(course) for course in (c, d, c, d)]
    assert due(site) == [made[number].pk for number in (0, 2, 1, 3)]


def test_case_035_is_due_for_the_last_time_after_77_days(site: Site, c: Course) -> None:
    last = follows(c, "05-16")
    follows(c, "05-09")
    assert due(site) == [last.pk]
    assert draft_of(site, last).shared["week_num"] == 11


def test_is_due_on_no_other_day(site: Site, c: Course) -> None:
    ages = [0, *range(-3, 0), *(days for days in range(1, 92) if days % 7 or days > 77)]
    for schedule, age in zip([follows(c) for _ in ages], ages, strict=True):
        Schedule.objects.filter(pk=schedule.pk).update(start_date=at("08-01 12:00") - timedelta(days=age))
    assert due(site) == []


def test_case_036_goes_only_to_active_accounts_and_enrolments_with_a_password(site: Site, c: Course) -> None:
    due_one = follows(c)
    follows(c, user=factories.UserFactory(is_active=False))
    follows(c, user=factories.UserFactory(without_password=True))
    Enrollment.objects.filter(pk=follows(c).enrollment_id).update(is_active=False)
    assert due(site) == [due_one.pk]


@pytest.mark.parametrize(("end", "number"), [("07-30", 0), ("07-31 23:59:59.999999", 0), ("08-01", 1), ("08-03", 1)])
def test_case_037_goes_out_until_the_course_has_ended(site: Site, days: Any, end: str, number: int) -> None:
    follows(taught("C", ["a"], end=at(end)))
    assert len(due(site)) == number


def test_case_039_goes_out_only_while_the_course_is_self_paced(site: Site, c: Course) -> None:
    follows(c)
    Course.objects.filter(pk=c.pk).update(self_paced=False)
    assert due(site) == []


def test_case_042_is_a_mail_of_its_own_for_each_of_three_courses(site: Site, days: Any) -> None:
    user = factories.UserFactory()
    made = [follows(taught(number, [f"about {number}"]), "07-25", user=user) for number in "CDE"]
    assert [draft.target_id for draft in drafts(site, *made)] == [schedule.pk for schedule in made]
    figures = update().figures
    assert (figures["audience"], figures["sent"]) == (3, 3)
    assert [sent.subject for sent in mail.outbox] == [f"Week 1 of Course {number}" for number in "CDE"]
    for number, sent in zip("CDE", mail.outbox, strict=True):
        assert re.findall(r"about [A-Z]", sent.body) == [f"about {number}"]


def test_case_051_belongs_to_the_site_that_lists_the_organisation(site: Site, c: Course) -> None:
    other = factories.SiteConfigurationFactory(org_filter=["edX"]).site
    configure(other)
    follows(c)
    assert update().figures["audience"] == 0
    assert update(site=other.domain).figures["audience"] == 1


def test_goes_out_once_where_two_sites_list_the_organisation(site: Site, c: Course) -> None:
    SiteConfiguration.objects.create(site=site, org_filter=["edX"])
    other = factories.SiteConfigurationFactory(org_filter=["edX"]).site
    configure(other)
    follows(c)
    assert update().figures["sent"] == 1
    again = update(site=other.domain).figures
    assert (again["audience"], again["sent"], again["already_sent"]) == (1, 0, 1)


@pytest.mark.parametrize(("experience", "number"), [(0, 0), (1, 1), (None, 0)])
def test_case_053_goes_to_experience_1_only(site: Site, c: Course, experience: int | None, number: int) -> None:
    follows(c, experience=experience)
    assert len(due(site)) == number


def test_goes_out_in_any_mode(site: Site, c: Course) -> None:
    for mode in ("audit", "honor", "verified", "professional"):
        follows(c, mode=mode)
    assert update().figures["sent"] == 4


def test_case_069_lists_the_highlights_of_the_sections_that_have_any(site: Site, days: Any) -> None:
    course = taught("C", ["a", "b", "á"], [], ["x"])
    first, second, third = (follows(course, when) for when in (WEEK_1, WEEK_2, WEEK_3))
    one, two, three = drafts(site, first, second, third)
    assert (one.shared["week_num"], one.shared["week_highlights"]) == (1, ["a", "b", "á"])
    assert (two.shared["week_num"], two.shared["week_highlights"]) == (2, ["x"])
    assert (three.skip, three.shared) == ("no_highlights", {})
    figures = update().figures
    assert (figures["audience"], figures["sent"], figures["skipped"], figures["no_highlights"]) == (3, 2, 1, 1)
    lists = {sent.to[0]: re.findall(r"^- (.*)$", sent.body, re.MULTILINE) for sent in mail.outbox}
    assert lists == {first.enrollment.user.email: ["a", "b", "á"], second.enrollment.user.email: ["x"]}
    # A skip uses nothing up: an author who writes in time is still heard.
    factories.SectionFactory(course=course, index=9, highlights=["late"])
    again = update().figures
    assert (again["sent"], again["already_sent"]) == (1, 2)


def test_lists_nothing_of_sections_that_learners_do_not_see(site: Site, days: Any) -> None:
    course = offered("C", highlights_enabled_for_messaging=True)
    sections: list[dict[str, Any]] = [
        {"highlights": ["staff"], "visible_to_staff_only": True},
        {"highlights": ["hidden"], "hide_from_toc": True},
        {"highlights": ["", " ", "\t\n"]},
        {"highlights": ["one", "  ", "two"]},
        {"highlights": ["both"], "visible_to_staff_only": True, "hide_from_toc": True},
        {"highlights": ["three"]},
    ]
    for index, fields in enumerate(sections):
        factories.SectionFactory(course=course, index=index, **fields)
    made = [follows(course, when) for when in (WEEK_1, WEEK_2, WEEK_3)]
    assert [draft.shared.get("week_highlights") for draft in drafts(site, *made)] == [["one", "two"], ["three"], None]


def test_numbers_sections_by_their_index(site: Site, days: Any) -> None:
    course = offered("C", highlights_enabled_for_messaging=True)
    for index, text in ((7, "third"), (3, "first"), (5, "second")):
        factories.SectionFactory(course=course, index=index, highlights=[text])
    made = [follows(course, when) for when in (WEEK_1, WEEK_2, WEEK_3)]
    assert [draft.shared["week_highlights"] for draft in drafts(site, *made)] == [["first"], ["second"], ["third"]]


def test_lists_nothing_of_another_course(site: Site, days: Any) -> None:
    one, two = follows(taught("C", ["c1"], ["c2"])), follows(taught("D", ["d1"]), WEEK_2)
    first, second = drafts(site, one, two)
    assert first.shared["week_highlights"] == ["c1"]
    assert second.skip == "no_highlights"


@pytest.mark.parametrize("sections", [0, 1])
def test_case_070_is_skipped_where_there_is_nothing_to_list(site: Site, days: Any, sections: int) -> None:
    course = taught("C", *[["a"]] * sections, start=at("05-01"))
    Course.objects.filter(pk=course.pk).update(highlights_enabled_for_messaging=not sections)
    plain = started(course, WEEK_1)
    assert plain.experience.experience_type == ScheduleExperience.NUDGES
    by_hand = follows(course)
    assert draft_of(site, by_hand).skip == "no_highlights"
    figures = update().figures
    assert (figures["audience"], figures["sent"], figures["no_highlights"]) == (1, 0, 1)
    assert EmailLog.objects.get().dedupe_key is None


@pytest.mark.parametrize("change", ["messaging off", "section removed", "section hidden", "texts removed"])
def test_is_skipped_when_there_is_nothing_left_to_list_at_hand_off(site: Site, days: Any, change: str) -> None:
    course = taught("C", ["a"], ["b"])
    first, second = follows(course), follows(course, WEEK_2)
    rows = planned(UPDATE, site)
    match change:
        case "messaging off":
            Course.objects.update(highlights_enabled_for_messaging=False)
        case "section removed":
            Section.objects.filter(index=0).delete()
        case "section hidden":
            Section.objects.filter(index=0).update(hide_from_toc=True)
        case "texts removed":
            Section.objects.filter(index=0).update(highlights=[])
    tally = deliver(rows)
    nothing = ("skipped", "no_highlights")
    if change == "messaging off":
        assert statuses() == {first.pk: nothing, second.pk: nothing}
    else:
        # What was second is first now.
        assert statuses() == {first.pk: ("sent", ""), second.pk: nothing}
        assert re.findall(r"^- (.*)$", mail.outbox[0].body, re.MULTILINE) == ["b"]
    assert sum(tally.reasons.values()) + tally["sent"] == 2


def test_is_a_new_mail_each_week(site: Site, c: Course, clock: Any) -> None:
    schedule = follows(c, "07-25 09:30")
    weeks = []
    for days in range(84):
        clock.move_to(at("08-01 06:00") + timedelta(days=days))
        if update(date=None).figures["sent"]:
            weeks.append(days)
    assert weeks == [7 * week for week in range(11)]
    occasions = EmailLog.objects.order_by("pk").values_list("occasion", flat=True)
    assert list(occasions) == [f"courseupdate:{schedule.pk}:{week}" for week in range(1, 12)]
    assert [sent.subject for sent in mail.outbox] == [f"Week {week} of Course C" for week in range(1, 12)]


def test_takes_the_place_of_nudges(site: Site, c: Course, clock: Any) -> None:
    follows(c, "07-29")
    follows(c, "07-22")
    assert nudge().figures["audience"] == 0


def test_is_not_sent_about_a_course_opted_out_of(site: Site, c: Course, d: Course) -> None:
    user = factories.UserFactory()
    one, two = follows(c, user=user), follows(d, user=user)
    set_course_opt_out(user.pk, c, True)
    first, second = drafts(site, one, two)
    assert (first.skip, second.skip) == ("opted_out:course", "")
    figures = update().figures
    assert (figures["audience"], figures["sent"], figures["opted_out"]) == (2, 1, 1)


@pytest.mark.parametrize("deadline", ["08-08", None])
def test_says_nothing_but_the_documented_names(site: Site, c: Course, deadline: str | None) -> None:
    values = draft_of(site, follows(c, deadline=deadline)).shared
    assert set(values) == NAMES | (UPSELL if deadline else set())
    assert json.loads(json.dumps(values)) == values
    assert (values["course_name"], values["course_ids"], values["course_count"]) == ("Course C", [c.key], 1)
    assert values["cta_url"] == values["course_url"]
    assert values["course_url"].startswith("https://example.com/courses/course-v1:edX%2BC%2B2017/course/?")
    assert "utm_campaign=courseupdate" in values["course_url"]
    assert "utm_term=course-v1%3AedX%2BC%2B2017" in values["course_url"]


@override_settings(COMMERCE_CHECKOUT_URL="https://pay.example.com/basket")
@pytest.mark.parametrize(("mode", "offers"), [("audit", True), ("honor", True), ("verified", False)])
def test_case_062_offers_the_upgrade_to_those_who_can(site: Site, c: Course, mode: str, offers: bool) -> None:
    CourseMode.objects.filter(slug="verified").update(sku="ABC1")
    follows(c, deadline="08-08", mode=mode)
    update()
    (sent,) = mail.outbox
    for part in (sent.body, sent.alternatives[0][0]):
        assert ("August 8, 2017" in part) is offers
        assert ("https://pay.example.com/basket?sku=ABC1" in part) is offers


def test_case_063_says_nothing_of_another_learner(site: Site, c: Course) -> None:
    one, two = follows(c, deadline="08-08"), follows(c, deadline=None)
    first, second = drafts(site, one, two)
    assert set(second.shared) == NAMES
    assert first.shared["week_highlights"] is not second.shared["week_highlights"]
    update()
    bodies = {sent.to[0]: sent.body for sent in mail.outbox}
    assert "August 8, 2017" in bodies[one.enrollment.user.email]
    assert "August 8, 2017" not in bodies[two.enrollment.user.email]


@pytest.mark.parametrize(
    ("learner", "course", "expected", "subject"),
    [
        ("fr", "es", "fr", "Semaine 1 du cours Course C"),
        ("", "es", "es", "Semana 1 del curso Course C"),
        ("", "", "en", "Week 1 of Course C"),
        ("fr-CA", "", "fr", "Semaine 1 du cours Course C"),
    ],
)
def test_case_065_speaks_the_learners_language_or_the_courses_or_the_platforms(
    site: Site, days: Any, learner: str, course: str, expected: str, subject: str
) -> None:
    user = factories.UserFactory()
    factories.LearnerProfileFactory(user=user, language=learner)
    follows(taught("C", ["a"], language=course), user=user)
    update()
    (sent,) = mail.outbox
    assert sent.subject == subject
    assert f'lang="{expected}"' in sent.alternatives[0][0]


@pytest.mark.parametrize("courses", [1, 3])
@pytest.mark.parametrize("language", ["en", "es", "fr"])
@pytest.mark.parametrize("deadline", ["08-08", None])
def test_case_066_leaves_nothing_unresolved(
    site: Site, days: Any, strict_templates: None, courses: int, language: str, deadline: str | None
) -> None:
    user = factories.UserFactory()
    for number in range(courses):
        follows(taught(f"C{number}", ["a", "b"], language=language), user=user, deadline=deadline)
    figures = update().figures
    assert (figures["sent"], figures["failed"], figures["retry"]) == (courses, 0, 0)
    for sent in mail.outbox:
        # A style sheet's own braces close its media queries.
        html = re.sub(r"<style>.*?</style>", "", sent.alternatives[0][0], flags=re.DOTALL)
        for part in (sent.subject, sent.from_email, sent.body, html):
            assert part.strip()
            assert not re.search(r"\{[{%#]|[#%}]\}|%\(", part)


def test_case_067_escapes_an_authors_text_in_html_and_nowhere_else(site: Site, days: Any) -> None:
    text = "<b>Go & see</b>"
    follows(taught("C", [text, "{{ user.username }}", "á" * 250], title='Tom & "Ann"'))
    update()
    (sent,) = mail.outbox
    html = sent.alternatives[0][0]
    assert re.findall(r"^- (.*)$", sent.body, re.MULTILINE) == [text, "{{ user.username }}", "á" * 250]
    assert text not in html
    assert "&lt;b&gt;Go &amp; see&lt;/b&gt;</li>" in html
    assert "{{ user.username }}</li>" in html
    assert sent.subject == 'Week 1 of Tom & "Ann"'


def test_case_073_goes_out_for_the_flagged_course_where_the_site_has_it_off(site: Site, c: Course, d: Course) -> None:
    mine, _ = follows(c), follows(d)
    configure(site, enqueue_course_update=False, deliver_course_update=False)
    flag(c)
    figures = update().figures
    assert (figures["audience"], figures["sent"], figures["skipped"]) == (1, 1, 0)
    assert statuses() == {mine.pk: ("sent", "")}


@pytest.mark.parametrize(
    ("everyone", "on", "sent_to"),
    [
        (None, None, ""),
        (None, True, "C"),
        (None, False, ""),
        (True, None, "CD"),
        (True, True, "CD"),
        (True, False, "D"),
        (False, None, ""),
        (False, True, ""),
        (False, False, ""),
    ],
)
def test_obeys_the_flag_where_the_site_has_it_off(
    site: Site, c: Course, d: Course, everyone: bool | None, on: bool | None, sent_to: str
) -> None:
    follows(c)
    follows(d)
    configure(site, enqueue_course_update=False, deliver_course_update=False)
    flag(c if on is not None else None, on=bool(on), everyone=everyone)
    assert update().figures["audience"] == len(sent_to)
    assert [sent.subject[-1] for sent in mail.outbox] == list(sent_to)


@pytest.mark.parametrize("everyone", [None, False])
def test_needs_no_flag_where_the_site_has_it_on(site: Site, c: Course, everyone: bool | None) -> None:
    follows(c)
    flag(c, on=False, everyone=everyone)
    assert update().figures["sent"] == 1


@pytest.mark.parametrize(
    ("enqueue", "deliver_", "figures"),
    [
        (True, True, {"audience": 2, "sent": 2, "skipped": 0}),
        (True, False, {"audience": 2, "sent": 1, "skipped": 1, "stopped": 1}),
        (False, True, {"audience": 1, "sent": 1, "skipped": 0}),
        (False, False, {"audience": 1, "sent": 1, "skipped": 0}),
    ],
)
def test_obeys_each_switch_but_for_the_flagged_course(
    site: Site, c: Course, d: Course, enqueue: bool, deliver_: bool, figures: dict[str, int]
) -> None:
    follows(c)
    follows(d)
    flag(c)
    configure(site, enqueue_course_update=enqueue, deliver_course_update=deliver_)
    assert update("--dry-run").figures.items() >= figures.items()
    assert update().figures.items() >= figures.items()


def test_case_074_is_not_planned_while_planning_is_off(site: Site, c: Course, caplog: Any) -> None:
    follows(c)
    configure(site, enqueue_course_update=False)
    caplog.set_level(logging.INFO)
    report = update()
    assert report.out.startswith(
        "send_course_update example.com days=2017-08-01 audience=0 sent=0 skipped=0 failed=0 retry=0 seconds="
    )
    assert report.status == 0
    (line,) = [entry.getMessage() for entry in caplog.records if "switched off" in entry.getMessage()]
    assert f"site={site.pk}" in line
    assert not EmailLog.objects.exists()


def test_does_not_obey_an_older_configuration_or_another_sites(site: Site, c: Course) -> None:
    configure(site, enqueue_course_update=False)
    configure(factories.SiteFactory(), enqueue_course_update=False, deliver_course_update=False)
    configure(site)
    follows(c)
    assert update().figures["sent"] == 1


def test_case_075_is_stopped_when_hand_off_goes_off(site: Site, c: Course) -> None:
    for _ in range(5):
        follows(c)
    rows = planned(UPDATE, site)
    configure(site, deliver_course_update=False)
    tally = deliver(rows)
    assert (tally["sent"], tally["skipped:stopped"], len(mail.outbox)) == (0, 5, 0)
    configure(site)
    assert update().figures["sent"] == 5


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"deliver_course_update": False}, "stopped"),
        ({"enqueue_course_update": False}, "updates_allowed"),
        ({"enqueue_course_update": False, "deliver_course_update": False}, "updates_allowed"),
    ],
)
def test_goes_out_for_the_flagged_course_when_the_site_goes_off_after_planning(
    site: Site, c: Course, d: Course, changes: dict[str, bool], reason: str
) -> None:
    flagged, other = follows(c), follows(d)
    flag(c)
    rows = planned(UPDATE, site)
    configure(site, **changes)
    deliver(rows)
    assert statuses() == {flagged.pk: ("sent", ""), other.pk: ("skipped", reason)}


def test_is_taken_back_when_the_flag_goes_off_after_planning(site: Site, c: Course) -> None:
    configure(site, enqueue_course_update=False, deliver_course_update=False)
    flag(c)
    mine = follows(c)
    rows = planned(UPDATE, site)
    factories.FlagFactory._meta.model.objects.update(everyone=False)
    deliver(rows)
    assert statuses() == {mine.pk: ("skipped", "updates_allowed")}
    assert EmailLog.objects.get().dedupe_key is None


def test_is_explained_by_what_a_run_would_do(site: Site, c: Course, d: Course) -> None:
    flagged, other, early = follows(c), follows(d), follows(d, "07-26")
    flag(c)
    configure(site, deliver_course_update=False)
    verdicts = [
        explain(message.get(UPDATE), schedule.enrollment.user_id, site.pk, day=DAY).verdict
        for schedule in (flagged, other, early)
    ]
    assert verdicts == [
        "A run of this day would send this mail.",
        "No mail: stopped.",
        "No mail: condition in_window does not hold.",
    ]
    update()
    after = explain(message.get(UPDATE), flagged.enrollment.user_id, site.pk, day=DAY)
    assert [entry.status for entry in after.entries] == ["sent"]


def test_is_explained_by_every_condition_in_one_query(site: Site, c: Course) -> None:
    schedule = follows(c)
    with CaptureQueriesContext(connection) as captured:
        (finding,) = message.get(UPDATE).resolver().explain(run_of(UPDATE, site), schedule.enrollment.user_id)
    assert len(captured) == 1
    assert [condition.name for condition, _ in finding.answers] == [
        "in_window", "experience", "active_enrollment", "active_user", "usable_password", "self_paced",
        "course_started", "course_not_ended", "org_of_site", "updates_allowed",
    ]  # fmt: skip
    assert all(holds for _, holds in finding.answers)


def test_case_078_is_judged_by_a_given_day(site: Site, c: Course, clock: Any) -> None:
    made = follows(c), follows(c, WEEK_2)
    follows(c, "07-26")
    clock.move_to(at("12-24"))
    assert update().figures["sent"] == 2
    assert set(statuses()) == {schedule.pk for schedule in made}


def test_case_083_goes_out_once_on_one_day(site: Site, c: Course) -> None:
    for _ in range(3):
        follows(c)
    first, second = update().figures, update().figures
    assert (first["sent"], second["sent"], second["already_sent"]) == (3, 0, 3)


def test_case_086_is_caught_up_for_three_days_and_no_more(site: Site, c: Course, clock: Any) -> None:
    clock.move_to(at("07-27"))
    assert update("--no-catch-up", date=None).days == "2017-07-27"
    late, *in_time = [follows(c, f"07-{day}") for day in range(21, 26)]
    clock.move_to(at("08-01"))
    report = update(date=None)
    assert report.days == "2017-07-29,2017-07-30,2017-07-31,2017-08-01"
    assert report.figures["sent"] == 4
    rows = EmailLog.objects.order_by("pk").values_list("target_id", "day")
    assert list(rows) == [(row.pk, date(2017, 7, 29) + timedelta(days=step)) for step, row in enumerate(in_time)]
    assert all(sent.subject == "Week 1 of Course C" for sent in mail.outbox)
    clock.move_to(at("08-02"))
    assert update(date=None).days == "2017-08-02"
    assert late.pk not in statuses()


def test_is_not_caught_up_for_days_on_which_it_was_off(site: Site, c: Course, clock: Any) -> None:
    follows(c)
    configure(site, enqueue_course_update=False)
    update(date=None)
    configure(site)
    clock.move_to(at("08-02"))
    report = update(date=None)
    assert (report.days, report.figures["sent"]) == ("2017-08-02", 0)


def test_case_089_goes_on_where_a_killed_process_left_off(site: Site, c: Course) -> None:
    crowd([c], 100, WEEK_1, deadline="08-08", experience=1)
    with killed_after(40), pytest.raises(KeyboardInterrupt):
        update()
    assert len(mail.outbox) == 40
    figures = update().figures
    assert (figures["sent"], figures["already_sent"]) == (60, 40)
    assert len({sent.to[0] for sent in mail.outbox}) == len(mail.outbox) == 100


@pytest.mark.parametrize("by_flag", [True, False])
@pytest.mark.parametrize("listed", [[], ["edX"]])
def test_case_090_is_found_by_one_query(site: Site, c: Course, listed: list[str], by_flag: bool) -> None:
    SiteConfiguration.objects.create(site=site, org_filter=listed)
    configure(site, enqueue_course_update=not by_flag)
    flag(c)
    for when in (WEEK_1, WEEK_2, WEEK_3):
        crowd([c], 3, when, deadline="08-08", experience=1)
    with CaptureQueriesContext(connection) as captured:
        assert len(due(site)) == 9
    assert len(captured) == 1


@pytest.mark.parametrize("courses", [1, 3, 10])
def test_case_090_is_drafted_by_as_many_queries_for_one_as_for_a_hundred(site: Site, days: Any, courses: int) -> None:
    offers = [taught(f"C{number}", *[["a", "b"]] * 11, language="es") for number in range(courses)]
    SiteConfiguration.objects.create(site=site, org_filter=["edX"])
    made = crowd(offers, 100 // courses + 1, WEEK_1, deadline="08-08", experience=1)
    counts = {}
    for number in (1, 10, 100):
        with CaptureQueriesContext(connection) as captured:
            assert len([draft for draft in drafts(site, *made[:number]) if not draft.skip]) == number
        counts[number] = len(captured)
    # The same figure stands in the test's other parameters.
    assert counts == dict.fromkeys((1, 10, 100), 4)


def test_moves_to_the_week_the_schedule_has_moved_to_before_hand_off(site: Site) -> None:
    schedule = follows(taught("C", ["one"], ["two"]), WEEK_1)
    rows = planned(UPDATE, site)
    Schedule.objects.filter(pk=schedule.pk).update(start_date=at(WEEK_2))
    assert deliver(rows).reasons == {"no_longer_eligible": 1}
    assert EmailLog.objects.get().dedupe_key is None
    assert update().figures["sent"] == 1
    assert EmailLog.objects.get(status="sent").occasion == f"courseupdate:{schedule.pk}:2"
    assert "two" in mail.outbox[0].body
