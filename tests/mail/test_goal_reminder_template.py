"""What the goal's reminder says, beside what every stock mail keeps to."""

from __future__ import annotations

import pytest

from .page import Page, one_line
from .stock import GOAL, LANGUAGES, goal, parts

each_language = pytest.mark.parametrize("language", LANGUAGES)
SUBJECTS = {
    "en": "You can still reach your weekly goal in {}",
    "es": "Aún puedes alcanzar tu objetivo semanal en {}",
    "fr": "Vous pouvez encore atteindre votre objectif hebdomadaire dans {}",
}
A_WEEK = {
    "en": ("1 day a week", "3 days a week"),
    "es": ("1 día a la semana", "3 días a la semana"),
    "fr": ("1 jour par semaine", "3 jours par semaine"),
}
LEFT = {
    "en": ("1 day left", "2 days left"),
    "es": ("Queda 1 día", "Quedan 2 días"),
    "fr": ("reste 1 jour,", "reste 2 jours,"),
}
TODAY = {"en": "Study today", "es": "Estudia hoy", "fr": "Étudiez aujourd’hui"}
ONE = {"days_per_week": 1, "days_done": 0, "days_left": 1}


@each_language
def test_its_subject_names_the_course(language: str) -> None:
    assert parts(GOAL, goal(language=language))["subject.txt"].strip() == SUBJECTS[language].format("Tides & Shores")


@each_language
def test_case_087_its_plurals_are_right(language: str) -> None:
    one, several = (one_line(parts(GOAL, goal(language=language, **values))["body.txt"]) for values in (ONE, {}))
    for text, number in ((one, 0), (several, 1)):
        assert A_WEEK[language][number] in text
        assert LEFT[language][number] in text
    assert TODAY[language] in one
    assert TODAY[language] not in several


@each_language
def test_it_says_how_many_days_are_done_and_left(language: str) -> None:
    values = goal(language=language, days_per_week=6, days_done=2, days_left=4)
    text = one_line(parts(GOAL, values)["body.txt"])
    assert all(f"{number} " in text for number in (6, 2, 4))


def test_it_leads_to_the_course_and_to_the_goal() -> None:
    values = goal()
    rendered = parts(GOAL, values)
    links = Page(rendered["body.html"]).links
    assert links.index(values["cta_url"]) < links.index(values["goal_url"])
    assert values["goal_url"].endswith("#weekly-goal")
    assert f"\n{values['goal_url']}\n" in rendered["body.txt"]
