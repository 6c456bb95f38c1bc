"""What the weekly progress says, beside what every stock mail keeps to."""

from __future__ import annotations

import re
from typing import Any

import pytest

from .page import Page, contrast, dark_rules, one_line
from .stock import FULL_BRAND, LANGUAGES, WEEKLY, WEEKS, parts, style, weekly

each_language = pytest.mark.parametrize("language", LANGUAGES)
NOTHING: dict[str, Any] = {"videos": (0, 0, 0), "quizzes": (0, 0, 0), "assignments": (0, 0, 0)}
QUIET: dict[str, Any] = {"videos": (1, 4, 0), "minutes": 0}
SUBJECTS = {"en": "Your week in {}", "es": "Tu semana en {}", "fr": "Votre semaine dans {}"}
# Everything done, something done that week, nothing done but time spent, a quiet week, nothing there to do.
SENTENCES = {
    "en": (
        "You have completed everything",
        "You completed",
        "You took time",
        "It was a quiet week",
        "There is nothing",
    ),
    "es": (
        "Has completado todo",
        "Completaste",
        "Dedicaste tiempo",
        "Fue una semana tranquila",
        "En este curso todavía",
    ),
    "fr": (
        "Vous avez terminé tout",
        "Bravo",
        "Vous avez pris le temps",
        "La semaine a été calme",
        "Il n’y a encore rien",
    ),
}
WEEKS_OF = (
    {"videos": (4, 4, 1)},
    {"videos": (2, 4, 1)},
    {"videos": (2, 4, 0)},
    QUIET,
    NOTHING,
)
STEPS = {
    "en": ("You completed 1 step.", "You completed 3 steps."),
    "es": ("Completaste 1 paso.", "Completaste 3 pasos."),
    "fr": ("Vous avez terminé 1 étape.", "Vous avez terminé 3 étapes."),
}
MINUTES = {
    "en": ("1 minute that week", "95 minutes that week"),
    "es": ("1 minuto esa semana", "95 minutos esa semana"),
    "fr": ("1 minute cette semaine-là", "95 minutes cette semaine-là"),
}


@each_language
def test_its_subject_names_the_course(language: str) -> None:
    rendered = parts(WEEKLY, weekly(language=language))
    assert rendered["subject.txt"].strip() == SUBJECTS[language].format("Tides & Shores")
    assert Page(rendered["head.html"]).chunks == [one_line(rendered["subject.txt"])]


@each_language
def test_it_says_which_week_it_is_about(language: str) -> None:
    rendered = parts(WEEKLY, weekly(language=language))
    assert re.search(r"<strong [^>]*>Tides &amp; Shores</strong>", rendered["body.html"])
    first, last = (rendered["body.txt"].index(day) for day in WEEKS[language])
    assert first < last


@each_language
@pytest.mark.parametrize("number", range(len(WEEKS_OF)))
def test_each_week_gets_the_one_sentence_that_fits_it(language: str, number: int) -> None:
    text = parts(WEEKLY, weekly(language=language, **WEEKS_OF[number]))["body.txt"]
    assert [sentence in text for sentence in SENTENCES[language]] == [at == number for at in range(len(WEEKS_OF))]


@each_language
def test_it_counts_one_step_and_several(language: str) -> None:
    one = parts(WEEKLY, weekly(language=language))["body.txt"]
    several = parts(WEEKLY, weekly(videos=(2, 4, 2), assignments=(1, 3, 1), language=language))["body.txt"]
    assert STEPS[language][0] in one and STEPS[language][1] in several


@each_language
def test_it_counts_minutes_and_leaves_out_none(language: str) -> None:
    one, many, none = (parts(WEEKLY, weekly(minutes=minutes, language=language))["body.txt"] for minutes in (1, 95, 0))
    assert MINUTES[language][0] in one and MINUTES[language][1] in many
    assert MINUTES[language][0].partition(" ")[2] not in none


@pytest.mark.parametrize("kind", ["videos", "quizzes", "assignments"])
def test_a_kind_the_course_does_not_have_is_left_out(kind: str) -> None:
    there, gone = ({**NOTHING, "videos": (1, 3, 1), kind: counts} for counts in ((1, 2, 1), (0, 0, 0)))
    for part in ("body.html", "body.txt"):
        assert f"{kind.capitalize()}:" in parts(WEEKLY, weekly(**there))[part]
        assert f"{kind.capitalize()}:" not in parts(WEEKLY, weekly(**gone))[part]


def test_case_6_two_of_four_videos_and_the_quiz_are_60_percent() -> None:
    rendered = parts(WEEKLY, weekly(videos=(2, 4, 1), quizzes=(1, 1, 0)))
    assert "60% of the course completed (3 of 5 steps)\n" in rendered["body.txt"]
    assert "Videos: 2 of 4 (1 that week)\nQuizzes: 1 of 1\n" in rendered["body.txt"]
    assert re.search(
        r"<div [^>]*display:none[^>]*>60% of the course completed \(3 of 5 steps\)</div>", rendered["body.html"]
    )


@each_language
def test_its_percentage_is_written_as_the_language_does_and_drawn_as_html_does(language: str) -> None:
    rendered = parts(WEEKLY, weekly(videos=(1, 8, 1), quizzes=(0, 0, 0), language=language))
    expected = {"en": "12.5% of", "es": "12,5\xa0% del", "fr": "12,5\xa0% du"}
    assert expected[language] in rendered["body.txt"]
    assert 'width="12.5%"' in rendered["body.html"] and "width:12.5%;" in rendered["body.html"]


def test_its_bar_needs_no_picture_and_is_silent_because_the_words_say_it() -> None:
    html = parts(WEEKLY, weekly())["body.html"]
    bar = re.search(r'<table role="presentation"[^>]*aria-hidden="true".*?</table>.*?</table>', html, re.S)
    assert bar and "<img" not in bar[0] and Page(bar[0]).words == []


def test_its_bar_shows_on_light_and_dark_whatever_the_brand_s_colour() -> None:
    html = parts(WEEKLY, weekly(brand=FULL_BRAND | {"color": "#F8F6F1"}))["body.html"]
    fill = re.search(r'<td height="14" bgcolor="(#\w{6})" style="[^"]*background-color:\1;', html)[1]
    light = re.search(r'class="m-panel" bgcolor="(#\w{6})"', html)[1]
    assert min(contrast(fill, light), contrast(fill, dark_rules(style())["m-panel"]["background-color"])) >= 3


@pytest.mark.parametrize(("videos", "filled"), [((0, 4, 0), 0), ((1, 4, 1), 1), ((4, 4, 1), 1)])
def test_an_empty_bar_has_no_filled_cell(videos: tuple[int, int, int], filled: int) -> None:
    html = parts(WEEKLY, weekly(videos=videos, quizzes=(0, 0, 0)))["body.html"]
    assert html.count('<td height="14" bgcolor=') == filled


def test_a_course_without_anything_to_complete_has_no_percentage() -> None:
    rendered = parts(WEEKLY, weekly(**NOTHING, minutes=0))
    for part in ("body.html", "body.txt"):
        assert "of the course completed" not in rendered[part] and "0 of 0" not in rendered[part]
    assert "m-panel" not in rendered["body.html"] and "aria-hidden" not in rendered["body.html"]
    spent = parts(WEEKLY, weekly(**NOTHING, minutes=20))
    assert "\n\nTime: 20 minutes that week\n\n" in spent["body.txt"]


def test_a_quiet_week_is_no_reproach() -> None:
    text = parts(WEEKLY, weekly(**QUIET))["body.txt"]
    assert "and that is fine" in text
    assert not re.search(r"\b(?:did not|didn't|only|behind|missed|should|must)\b", text)
