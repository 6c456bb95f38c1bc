"""What the upgrade reminder says, beside what every stock mail keeps to."""

from __future__ import annotations

import re

import pytest

from .page import Page, one_line
from .stock import DEADLINES, LANGUAGES, NO_BRAND, PICTURE, REMINDER, ROOT, context, parts, reminder

each_language = pytest.mark.parametrize("language", LANGUAGES)
each_count = pytest.mark.parametrize("courses", [1, 2, 9, 10])
DAYS = {
    "en": ("Last day", "1 day left", "2 days left"),
    "es": ("Último día", "Queda 1 día", "Quedan 2 días"),
    "fr": ("Dernier jour", "Plus que 1 jour", "Plus que 2 jours"),
}
DAYS_IN_BODY = {
    "en": ("Today, August 8, 2017, is the last day.", "There is 1 day left:", "There are 2 days left:"),
    "es": ("Hoy, 8 de agosto de 2017, es el último día.", "Queda 1 día:", "Quedan 2 días:"),
    "fr": ("Aujourd’hui, le 8 août 2017, est le dernier jour.", "Il vous reste 1 jour ", "Il vous reste 2 jours "),
}


@each_language
@pytest.mark.parametrize("days_left", [0, 1, 2])
@pytest.mark.parametrize("courses", [1, 2])
def test_its_subject_counts_the_days_that_are_left(language: str, days_left: int, courses: int) -> None:
    rendered = parts(REMINDER, reminder(courses=courses, days_left=days_left, language=language))
    assert re.match(rf"{DAYS[language][days_left]}\b", rendered["subject.txt"])
    assert Page(rendered["head.html"]).chunks == [one_line(rendered["subject.txt"])]


@each_language
@pytest.mark.parametrize("days_left", [0, 1, 2])
def test_its_body_counts_the_same_days(language: str, days_left: int) -> None:
    text = parts(REMINDER, reminder(days_left=days_left, language=language))["body.txt"]
    assert [sentence in text for sentence in DAYS_IN_BODY[language]] == [days == days_left for days in range(3)]


@each_language
@each_count
def test_its_subject_names_the_course_or_the_platform(language: str, courses: int) -> None:
    subject = parts(REMINDER, reminder(courses=courses, language=language))["subject.txt"]
    assert "\n" not in subject.strip()
    assert ("Tides & Shores" in subject) == (courses == 1)
    assert ("Example Academy" in subject) == (courses > 1)


@each_language
@each_count
def test_it_lists_courses_only_when_there_are_2_to_9(language: str, courses: int) -> None:
    values = reminder(courses=courses, language=language, brand=NO_BRAND)
    rendered = parts(REMINDER, values)
    expected = courses if courses in (2, 9) else 0
    assert rendered["body.html"].count("<li") == expected
    assert rendered["body.html"].count("<ul") == bool(expected)
    assert len(re.findall("^- ", rendered["body.txt"], re.M)) == expected
    assert [link["name"] for link in values["course_links"]] == re.findall("^- (.*)$", rendered["body.txt"], re.M)
    names = ("unsubscribe_url", "preferences_url")
    links = [*(link["url"] for link in values["course_links"]), values["cta_url"], *(values[name] for name in names)]
    assert Page(rendered["body.html"]).links == links


@each_count
def test_it_names_the_first_course_in_bold_or_all_of_them(courses: int) -> None:
    rendered = parts(REMINDER, reminder(courses=courses))
    bold = re.search(r"<strong [^>]*>Tides &amp; Shores</strong>", rendered["body.html"])
    assert bool(bold) == (courses in (1, 10))
    assert ("and other courses" in rendered["body.txt"]) == (courses == 10)
    assert "Tides & Shores" in rendered["body.txt"]


def test_case_064_one_course_leads_to_the_checkout_and_two_to_the_dashboard() -> None:
    one, two = reminder(courses=1), reminder(courses=2)
    assert one["upsell_link"] in parts(REMINDER, one)["body.txt"]
    text = parts(REMINDER, two)["body.txt"]
    assert two["dashboard_url"] in text and two["upsell_link"] not in text
    assert len(re.findall("^- ", text, re.M)) == 2


def test_a_list_escapes_what_authors_wrote() -> None:
    rendered = parts(REMINDER, reminder(courses=2, course_name="<b>Go & see</b>"))
    assert "- <b>Go & see</b>\n" in rendered["body.txt"]
    assert ">&lt;b&gt;Go &amp; see&lt;/b&gt;</a>" in rendered["body.html"]
    assert "<b>Go" not in rendered["body.html"]


@each_language
def test_its_date_is_bold(language: str) -> None:
    for days_left in (0, 1, 2):
        html = parts(REMINDER, reminder(days_left=days_left, language=language))["body.html"]
        assert re.search(rf"<strong [^>]*>{DEADLINES[language]}</strong>", html)


@each_language
def test_the_mail_itself_is_the_upsell(language: str) -> None:
    with_flag, without = (parts(REMINDER, reminder(upsell=flag, language=language)) for flag in (True, False))
    assert with_flag == without
    assert "<h2" not in with_flag["body.html"]
    assert with_flag["body.txt"].count(context()["upsell_link"]) == 1


@each_language
def test_its_picture_has_words_for_those_who_do_not_see_it(language: str) -> None:
    pictures = Page(parts(REMINDER, reminder(language=language, brand=NO_BRAND))["body.html"]).images
    words = {"en": "A verified certificate", "es": "Un certificado verificado", "fr": "Un certificat vérifié"}
    assert [(image["src"], image["alt"]) for image in pictures] == [(PICTURE, words[language])]
    assert pictures[0]["width"] == "518"


def test_nothing_is_said_by_the_picture_alone() -> None:
    with_picture, without = (parts(REMINDER, reminder(cert_image=url)) for url in (PICTURE, ""))
    assert Page(with_picture["body.html"]).chunks == Page(without["body.html"]).chunks
    assert with_picture["body.txt"] == without["body.txt"]
    assert "certificate.png" not in without["body.html"]


def test_the_picture_it_comes_with_is_sharp_and_light() -> None:
    picture = (ROOT / "schedules/static/schedules/certificate.png").read_bytes()
    assert int.from_bytes(picture[16:20], "big") == 2 * 518
    assert len(picture) < 40_000
