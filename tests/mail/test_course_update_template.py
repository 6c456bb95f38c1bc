"""What a course update says, beside what every stock mail keeps to."""

from __future__ import annotations

import re

import pytest

from .page import Page, one_line
from .stock import DEADLINES, HIGHLIGHTS, LANGUAGES, NO_BRAND, UPDATE, parts, update

each_language = pytest.mark.parametrize("language", LANGUAGES)
SUBJECTS = {
    "en": "Week {} of Tides & Shores",
    "es": "Semana {} del curso Tides & Shores",
    "fr": "Semaine {} du cours Tides & Shores",
}


@each_language
@pytest.mark.parametrize("week", [1, 11])
def test_its_subject_is_the_week_of_the_course(language: str, week: int) -> None:
    rendered = parts(UPDATE, update(week=week, language=language))
    assert rendered["subject.txt"].strip() == SUBJECTS[language].format(week)
    assert Page(rendered["head.html"]).chunks == [one_line(rendered["subject.txt"])]
    assert re.search(rf"<h1 [^>]*>[^<]* {week}</h1>", rendered["body.html"])


@each_language
@pytest.mark.parametrize("count", [1, 2, 10])
def test_it_lists_the_highlights_in_the_author_s_order(language: str, count: int) -> None:
    highlights = [f"Highlight {number}" for number in range(count, 0, -1)]
    rendered = parts(UPDATE, update(highlights=highlights, language=language, upsell=False))
    assert re.findall(r"<li [^>]*>(.*)</li>", rendered["body.html"]) == highlights
    assert re.findall("^- (.*)$", rendered["body.txt"], re.M) == highlights


def test_case_067_a_highlight_is_escaped_in_html_and_literal_in_text() -> None:
    rendered = parts(UPDATE, update(highlights=HIGHLIGHTS))
    assert "- <b>Go & see</b>\n" in rendered["body.txt"]
    assert ">&lt;b&gt;Go &amp; see&lt;/b&gt;</li>" in rendered["body.html"]
    assert '- A "quiz", á la carte\n' in rendered["body.txt"]
    assert "<b>Go" not in rendered["body.html"]
    assert "&amp;amp;" not in rendered["body.html"] and "&amp;lt;" not in rendered["body.html"]


def test_its_preview_is_the_first_highlight_escaped_once() -> None:
    html = parts(UPDATE, update(highlights=["<b>Go & see</b>", "Second"]))["body.html"]
    assert re.search(r"<div [^>]*display:none[^>]*>&lt;b&gt;Go &amp; see&lt;/b&gt;</div>", html)


def test_it_greets_names_the_course_in_bold_and_leaves_the_pace_to_the_learner() -> None:
    rendered = parts(UPDATE, update(upsell=False))
    assert re.search(r"<strong [^>]*>Tides &amp; Shores</strong>", rendered["body.html"])
    greeting, bullets, pace = (rendered["body.txt"].index(text) for text in ("Hi Ann,", "- Read", "at your own pace"))
    assert greeting < bullets < pace


def test_its_button_leads_back_to_the_course() -> None:
    values = update(brand=NO_BRAND, upsell=False)
    assert Page(parts(UPDATE, values)["body.html"]).links[0] == values["course_url"]
    assert f"Resume course\n{values['course_url']}\n" in parts(UPDATE, values)["body.txt"]


@each_language
def test_it_sells_only_where_the_learner_can_upgrade(language: str) -> None:
    values = update(language=language)
    text = parts(UPDATE, values)["body.txt"]
    assert DEADLINES[language] in text and values["upsell_link"] in text
    text = parts(UPDATE, update(language=language, upsell=False))["body.txt"]
    assert DEADLINES[language] not in text and values["upsell_link"] not in text


@each_language
def test_it_stays_readable_at_the_longest(language: str) -> None:
    longest = ["w" * 250] * 10
    rendered = parts(UPDATE, update(highlights=longest, language=language))
    assert rendered["body.txt"].count("w" * 250) == 10
    assert "overflow-wrap:break-word" in rendered["body.html"]
