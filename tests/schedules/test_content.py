"""A nudge says …"""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit
from zoneinfo import ZoneInfo

import pytest
from django.contrib.sites.models import Site
from django.core import mail
from django.core.checks import run_checks
from django.test.utils import override_settings

from courses.models import Course, CourseMode, Enrollment, SiteConfiguration
from email_automation import words
from email_automation.consent import set_course_opt_out
from email_automation.language import chosen_language, long_date
from email_automation.links import MESSAGE_UUID
from email_automation.models import CourseOptOut, EmailLog
from schedules.models import Schedule
from tests import factories
from tests.mail.stock import FULL_BRAND, parts

from .scene import DAY, DAY3, DAY10, STARTED_FOR, at, drafts, nudge, offered, started

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("site")]

NAMES = {
    "course_name", "course_url", "course_ids", "course_count", "dashboard_url", "cta_url", "show_upsell",
}  # fmt: skip
UPSELL = {"upsell_link", "user_schedule_upgrade_deadline_time"}
each_nudge = pytest.mark.parametrize("name", [DAY3, DAY10])


@pytest.fixture
def user() -> Any:
    return factories.UserFactory()


def draft_of(name: str, site: Site, user: Any, **when: Any) -> Any:
    (draft,) = drafts(name, site, [user], **when)
    return draft


def shared(site: Site, user: Any, name: str = DAY3, **when: Any) -> dict[str, Any]:
    values: dict[str, Any] = draft_of(name, site, user, **when).shared
    return values


@each_nudge
@pytest.mark.parametrize("deadline", ["08-08", None])
def test_nothing_but_the_documented_names(site: Site, c: Course, user: Any, name: str, deadline: str | None) -> None:
    started(c, STARTED_FOR[name], user=user, deadline=deadline)
    values = shared(site, user, name)
    assert set(values) == NAMES | (UPSELL if deadline else set())
    assert json.loads(json.dumps(values)) == values
    assert (values["course_name"], values["course_ids"], values["course_count"]) == ("Course C", [c.key], 1)
    assert values["cta_url"] == values["course_url"]


def test_case_041_everything_about_three_courses_in_one_mail(site: Site, days: Any, user: Any) -> None:
    keys = [started(offered(number), "07-29", user=user).enrollment.course.key for number in "CDE"]
    values = shared(site, user)
    assert values["course_ids"] == keys
    assert values["cta_url"] == values["dashboard_url"]
    nudge()
    (sent,) = mail.outbox
    assert sent.subject == "Carry on learning at Cadence"
    assert f"\n{values['dashboard_url'].split('?')[0]}?" in sent.body


def test_case_044_the_course_that_began_first_comes_first(site: Site, c: Course, d: Course, user: Any) -> None:
    started(c, "07-29 10:00", user=user)
    started(d, "07-29 08:00", user=user)
    values = shared(site, user)
    assert values["course_ids"] == [d.key, c.key]
    assert values["course_name"] == "Course D"


def test_of_courses_that_began_together_the_lower_key_comes_first(site: Site, days: Any, user: Any) -> None:
    keys = ["course-v1:edX+B+1", "course-v1:edX+a+1", "course-v1:edX+A+1", "course-v1:edX+Z+1", "course-v1:edX+é+1"]
    for key in keys:
        started(factories.CourseFactory(key=key), "07-29", user=user)
    assert shared(site, user)["course_ids"] == sorted(keys)


def test_case_045_nothing_of_a_course_that_fails_a_condition(site: Site, c: Course, d: Course, user: Any) -> None:
    started(c, "07-29 01:00", user=user)
    started(d, "07-29 05:00", user=user)
    Course.objects.filter(pk=c.pk).update(self_paced=False)
    values = shared(site, user)
    assert (values["course_ids"], values["course_count"], values["course_name"]) == ([d.key], 1, "Course D")
    assert values["cta_url"] == values["course_url"]


def test_case_047_nothing_of_a_course_opted_out_of(site: Site, c: Course, d: Course, user: Any) -> None:
    started(c, "07-29 01:00", user=user)
    started(d, "07-29 05:00", user=user)
    set_course_opt_out(user.pk, c, True)
    assert shared(site, user)["course_ids"] == [d.key]
    set_course_opt_out(user.pk, d, True)
    assert draft_of(DAY3, site, user).skip == "opted_out:course"
    figures = nudge().figures
    assert (figures["sent"], figures["skipped"], figures["opted_out"]) == (0, 1, 1)
    assert not EmailLog.objects.exclude(dedupe_key=None).exists()


def test_nothing_of_what_somebody_else_opted_out_of(site: Site, c: Course, user: Any) -> None:
    started(c, "07-29", user=user)
    set_course_opt_out(started(c, "07-29").enrollment.user_id, c, True)
    assert shared(site, user)["course_ids"] == [c.key]


@pytest.mark.parametrize(("deadline", "offers"), [(None, False), ("07-25", False), ("08-08", True), ("08-01", False)])
def test_case_056_how_to_upgrade_while_there_is_time(
    site: Site, c: Course, user: Any, deadline: str | None, offers: bool
) -> None:
    started(c, "07-29", user=user, deadline=deadline)
    values = shared(site, user)
    assert values["show_upsell"] is offers
    assert set(values) & UPSELL == (UPSELL if offers else set())


@pytest.mark.parametrize(
    ("mode", "expires", "offers"),
    [
        ("audit", "08-31", True),
        ("honor", None, True),
        ("verified", "08-31", False),
        ("professional", "08-31", False),
        ("audit", "08-01", False),
        ("audit", "08-01 00:00:00.000001", True),
    ],
)
def test_how_to_upgrade_to_those_who_can(
    site: Site, c: Course, user: Any, mode: str, expires: str | None, offers: bool
) -> None:
    started(c, "07-29", user=user, deadline="08-08", mode=mode)
    CourseMode.objects.filter(slug="verified").update(expires_at=at(expires) if expires else None)
    assert shared(site, user)["show_upsell"] is offers


def test_nothing_of_upgrading_where_no_verified_mode_is_left(site: Site, c: Course, user: Any) -> None:
    started(c, "07-29", user=user, deadline="08-08")
    CourseMode.objects.filter(slug="verified").delete()
    factories.CourseModeFactory(course=c, slug="professional")
    assert shared(site, user)["show_upsell"] is False


def test_how_to_upgrade_by_the_instant_of_the_run(site: Site, c: Course, user: Any) -> None:
    started(c, "07-29", user=user, deadline="08-01 12:00")
    assert shared(site, user, now=at("08-01 11:59"))["show_upsell"] is True
    assert shared(site, user, now=at("08-01 12:00"))["show_upsell"] is False


def test_how_to_upgrade_the_first_course_only(site: Site, c: Course, d: Course, user: Any) -> None:
    started(c, "07-29 01:00", user=user, deadline=None)
    started(d, "07-29 02:00", user=user, deadline="08-08")
    assert shared(site, user)["show_upsell"] is False
    # With D first the block speaks of D.
    Enrollment.objects.filter(user=user, course=c).update(is_active=False)
    assert shared(site, user)["show_upsell"] is True


@pytest.mark.parametrize(
    ("language", "expected"),
    [
        ("es", "8 de agosto de 2017"),
        ("es-es", "8 de agosto de 2017"),
        ("es-419", "8 de agosto de 2017"),
        ("ES_mx", "8 de agosto de 2017"),
        ("fr", "8 août 2017"),
        ("", "August 8, 2017"),
        ("tlh", "August 8, 2017"),
    ],
)
def test_case_058_the_deadline_in_the_mails_language(
    site: Site, days: Any, user: Any, language: str, expected: str
) -> None:
    started(offered("C", language=language), "07-29", user=user, deadline="08-08")
    assert shared(site, user)["user_schedule_upgrade_deadline_time"] == expected


@pytest.mark.parametrize(("moment", "expected"), [("08-08 23:59:59.999999", "8 août"), ("08-09", "9 août")])
def test_the_deadlines_date_in_utc(moment: str, expected: str) -> None:
    auckland = at(moment).astimezone(ZoneInfo("Pacific/Auckland"))
    assert long_date(auckland, "fr") == f"{expected} 2017"


@pytest.mark.parametrize(
    ("checkout", "sku", "expected"),
    [
        ("https://pay.example.com/basket", "ABC1", "https://pay.example.com/basket?sku=ABC1"),
        ("https://pay.example.com/basket?a=1", "ABC1", "https://pay.example.com/basket?a=1&sku=ABC1"),
        ("https://pay.example.com/basket?", "ABC1", "https://pay.example.com/basket?sku=ABC1"),
        ("https://pay.example.com/basket#top", "ABC1", "https://pay.example.com/basket?sku=ABC1#top"),
        ("https://pay.example.com/basket", "A B&c=+/é", "https://pay.example.com/basket?sku=A%20B%26c%3D%2B%2F%C3%A9"),
        ("https://pay.example.com/basket", "", "https://example.com/dashboard"),
        ("", "ABC1", "https://example.com/dashboard"),
    ],
)
def test_case_062_where_to_upgrade(site: Site, c: Course, user: Any, checkout: str, sku: str, expected: str) -> None:
    started(c, "07-29", user=user, deadline="08-08")
    CourseMode.objects.filter(slug="verified").update(sku=sku)
    with override_settings(COMMERCE_CHECKOUT_URL=checkout):
        link = urlsplit(shared(site, user)["upsell_link"])
    wanted = urlsplit(expected)
    assert (link.netloc, link.path, link.fragment) == (wanted.netloc, wanted.path, wanted.fragment)
    own = [pair for pair in parse_qsl(link.query) if not pair[0].startswith("utm_")]
    assert own == parse_qsl(wanted.query)
    assert len(parse_qsl(link.query)) == len(own) + 5


def test_case_063_nothing_of_another_learner(site: Site, c: Course, d: Course) -> None:
    first, second = factories.UserFactory(), factories.UserFactory()
    started(c, "07-29", user=first, deadline="08-08")
    started(d, "07-29", user=second, deadline=None)
    one, two = drafts(DAY3, site, [first, second])
    assert one.shared["show_upsell"] is True
    assert set(two.shared) == NAMES
    assert one.shared is not two.shared
    assert one.shared["course_ids"] is not two.shared["course_ids"]
    one.shared["course_ids"].append("x")
    assert two.shared["course_ids"] == [d.key]
    assert "Course C" not in json.dumps(two.shared)
    assert (one.personal, two.personal) == ({}, {})
    nudge()
    bodies = {sent.to[0]: sent.body for sent in mail.outbox}
    assert "August 8, 2017" in bodies[first.email]
    assert "August 8, 2017" not in bodies[second.email]
    assert "Course C" not in bodies[second.email]


def test_what_a_cohort_reads_is_made_once(site: Site, c: Course, d: Course) -> None:
    people = factories.UserFactory.create_batch(6)
    for person in people[:5]:
        started(c, "07-29", user=person, deadline="08-08 09:00")
    started(d, "07-29", user=people[1])
    factories.LearnerProfileFactory(user=people[2], language="fr")
    Schedule.objects.filter(enrollment__user=people[3]).update(upgrade_deadline=at("08-08 18:00"))
    Enrollment.objects.filter(user=people[4]).update(mode="verified")
    started(d, "07-29", user=people[5])
    made = drafts(DAY3, site, people)
    alike, in_two, in_french, until_evening, verified, other = made
    assert until_evening.shared is alike.shared
    assert until_evening.about is alike.about
    for each in (in_two, in_french, verified, other):
        assert each.shared is not alike.shared
        assert each.about is not alike.about
        assert each.shared != alike.shared or each.language != alike.language
    assert len({id(draft.personal) for draft in made}) == len(made)


def test_what_is_edited_shows_in_the_next_slice(site: Site, c: Course, user: Any) -> None:
    started(c, "07-29", user=user, deadline="08-08")
    before = draft_of(DAY3, site, user)
    assert before.shared["show_upsell"] is True
    Course.objects.filter(pk=c.pk).update(title="Other", language="es", price="7.00")
    CourseMode.objects.filter(slug="verified").delete()
    Site.objects.filter(pk=site.pk).update(domain="other.example.com")
    after = draft_of(DAY3, site, user)
    assert (after.shared["course_name"], after.about["course"]["price"], after.language) == ("Other", "7.00", "es")
    assert after.shared["course_url"].startswith("https://other.example.com/")
    assert after.shared["show_upsell"] is False
    CourseOptOut.objects.create(user=user, course=c)
    assert draft_of(DAY3, site, user).skip == words.OPTED_OUT_COURSE


@pytest.mark.parametrize(
    ("learner", "course", "site_language", "expected"),
    [
        ("fr", "es", "", "fr"),
        ("", "es", "", "es"),
        ("", "", "", "en"),
        ("fr-CA", "es", "", "fr"),
        ("tlh", "es", "", "es"),
        ("tlh", "tlh", "", "en"),
        ("", "", "es-mx", "es"),
        ("", "fr", "es", "fr"),
        ("", "", "tlh", "en"),
    ],
)
def test_case_065_it_in_the_learners_language_or_the_courses_or_the_platforms(
    site: Site, days: Any, user: Any, learner: str, course: str, site_language: str, expected: str
) -> None:
    factories.LearnerProfileFactory(user=user, language=learner)
    SiteConfiguration.objects.create(site=site, language=site_language)
    started(offered("C", language=course), "07-29", user=user)
    assert draft_of(DAY3, site, user).language == expected
    nudge()
    subjects = {"en": "Carry on learning: Course C", "es": "Course C", "fr": "Course C"}
    (sent,) = mail.outbox
    assert subjects[expected] in sent.subject
    assert ("Carry on" in sent.subject) is (expected == "en")
    assert f'lang="{expected}"' in sent.alternatives[0][0]


def test_it_in_the_first_courses_language(site: Site, days: Any, user: Any) -> None:
    started(offered("C", language="es"), "07-29 02:00", user=user)
    started(offered("D", language="fr"), "07-29 01:00", user=user)
    assert draft_of(DAY3, site, user).language == "fr"


@override_settings(LANGUAGE_CODE="es-es")
def test_it_in_the_released_language_closest_to_the_platforms() -> None:
    assert chosen_language("", "") == "es"
    assert chosen_language("tlh") == "es"


@override_settings(LANGUAGE_CODE="tlh", LANGUAGES=[("fr", "French")])
def test_it_in_the_platforms_language_even_if_that_is_not_released() -> None:
    assert chosen_language("", "") == "tlh"


@each_nudge
@pytest.mark.parametrize("courses", [1, 3])
@pytest.mark.parametrize("deadline", ["08-08", None])
def test_case_066_it_without_a_stray_brace(
    site: Site, days: Any, user: Any, name: str, courses: int, deadline: str | None
) -> None:
    for number in range(courses):
        started(offered(f"C{number}"), STARTED_FOR[name], user=user, deadline=deadline)
    values = shared(site, user, name)
    # Strictly: what the context lacks is an error.
    frame = {
        "user": {"first_name": "Ann", "last_name": "", "username": "ann", "full_name": "Ann"},
        "site_name": "Example",
        "site_url": "https://example.com",
        "unsubscribe_url": "https://example.com/u",
        "preferences_url": "https://example.com/p",
        "is_test": False,
        "language": "en",
        "direction": "ltr",
    }
    for part, rendered in parts(f"schedules/{name}", {**frame, "brand": FULL_BRAND, **values}).items():
        assert rendered.strip(), part
        assert not re.search(r"\{[{%#]|[#%}]\}|%\(", rendered), part


def test_case_067_an_authors_text_escaped_in_html_and_plain_elsewhere(site: Site, days: Any, user: Any) -> None:
    title = "<b>Go & see</b>"
    started(offered("C", title=title), "07-29", user=user, deadline="08-08")
    nudge()
    (sent,) = mail.outbox
    html = sent.alternatives[0][0]
    assert title in sent.body
    assert title in sent.subject
    assert title not in html
    assert "&lt;b&gt;Go &amp; see&lt;/b&gt;" in html


def test_its_subject_on_one_line(site: Site, days: Any, user: Any) -> None:
    started(offered("C", title="One\nBcc: two@example.com\r\nthree"), "07-29", user=user)
    nudge()
    (sent,) = mail.outbox
    assert sent.subject.endswith("One Bcc: two@example.com three")


STORES = {"google": "https://play.example.com/app", "apple": ""}


@override_settings(MOBILE_STORE_URLS=STORES, CONTACT_MAILING_ADDRESS="", PLATFORM_NAME="Example")
def test_case_068_nothing_of_what_no_setting_gives(site: Site, c: Course, user: Any) -> None:
    started(c, "07-29", user=user)
    assert nudge().figures["sent"] == 1
    (sent,) = mail.outbox
    html = sent.alternatives[0][0]
    assert html.count("https://play.example.com/app") == 1
    assert "App Store" not in html
    assert "App Store" not in sent.body
    assert [warning.id for warning in run_checks() if "CONTACT_MAILING_ADDRESS" in warning.msg] == ["courses.W001"]


@override_settings(CONTACT_MAILING_ADDRESS="12 Harbour Street")
def test_case_068_the_postal_address_without_a_warning(site: Site, c: Course, user: Any) -> None:
    started(c, "07-29", user=user)
    nudge()
    (sent,) = mail.outbox
    assert "12 Harbour Street" in sent.body
    assert "12 Harbour Street" in sent.alternatives[0][0]
    assert not [warning for warning in run_checks() if "CONTACT_MAILING_ADDRESS" in warning.msg]


@each_nudge
def test_links_that_are_absolute_and_tracked(site: Site, c: Course, d: Course, user: Any, name: str) -> None:
    for course in (c, d):
        started(course, STARTED_FOR[name], user=user, deadline="08-08")
    values = shared(site, user, name)
    assert values["course_url"].startswith("https://example.com/courses/course-v1:edX%2BC%2B2017/course/?")
    assert values["dashboard_url"].startswith("https://example.com/dashboard?")
    for link in ("course_url", "dashboard_url", "cta_url", "upsell_link"):
        assert "+" not in values[link]
        assert parse_qs(urlsplit(values[link]).query) == {
            "utm_source": ["schedules"],
            "utm_medium": ["email"],
            "utm_campaign": [name],
            "utm_content": [MESSAGE_UUID],
            "utm_term": ["course-v1:edX+C+2017"],
        }


@override_settings(COMMERCE_CHECKOUT_URL="https://pay.example.com/basket?utm_source=shop&x=&utm_term=a%2Bb")
def test_links_whose_own_values_stay(site: Site, c: Course, user: Any) -> None:
    started(c, "07-29", user=user, deadline="08-08")
    CourseMode.objects.filter(slug="verified").update(sku="S")
    query = parse_qs(urlsplit(shared(site, user)["upsell_link"]).query, keep_blank_values=True)
    assert (query["utm_source"], query["x"], query["utm_term"], query["sku"]) == (["shop"], [""], ["a+b"], ["S"])
    assert query["utm_campaign"] == [DAY3]


@override_settings(SOCIAL_MEDIA_FOOTER_URLS={"facebook": "https://social.example.com/f"}, MOBILE_STORE_URLS=STORES)
def test_links_of_which_only_the_platforms_are_tracked(site: Site, c: Course, user: Any) -> None:
    started(c, "07-29", user=user, deadline="08-08")
    nudge()
    (sent,) = mail.outbox
    links = re.findall(r"https?://\S+", sent.body)
    uuid = str(EmailLog.objects.get().message_uuid)
    tracked = [link for link in links if "utm_" in link]
    assert len(tracked) == 3
    assert all(f"utm_content={uuid}" in link for link in tracked)
    others = " ".join(link for link in links if "utm_" not in link)
    assert "https://social.example.com/f" in others
    assert "https://play.example.com/app" in others
    assert "/email/unsubscribe/" in others
    assert MESSAGE_UUID not in sent.body + sent.alternatives[0][0]


def test_the_sites_own_name_and_address(site: Site, c: Course, user: Any) -> None:
    SiteConfiguration.objects.create(site=site, platform_name="Harbour", from_address="mail@harbour.example")
    started(c, "07-29", user=user)
    nudge()
    (sent,) = mail.outbox
    assert sent.from_email == "Harbour <mail@harbour.example>"
    assert "Harbour" in sent.body


def test_no_distance_that_catching_up_would_make_wrong(site: Site, c: Course, user: Any) -> None:
    started(c, "07-29", user=user)
    nudge()
    (sent,) = mail.outbox
    assert not re.search(r"\b(three|3|ten|10) days\b", sent.body + sent.subject, re.IGNORECASE)
    assert DAY.isoformat() not in sent.body
