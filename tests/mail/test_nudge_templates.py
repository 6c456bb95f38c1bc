"""What the nudges say, beside what every stock mail keeps to."""

from __future__ import annotations

import re
from itertools import product

import pytest

from .page import Page, one_line
from .stock import DAY3, DAY10, FULL_BRAND, LANGUAGES, NO_BRAND, context, parts

each_nudge = pytest.mark.parametrize("message", (DAY3, DAY10))


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_day_3_subject_names_the_course_or_the_platform(language: str) -> None:
    one = parts(DAY3, context(courses=1, language=language))
    several = parts(DAY3, context(courses=3, language=language))
    assert "Tides & Shores" in one["subject.txt"] and "Example Academy" not in one["subject.txt"]
    assert "Example Academy" in several["subject.txt"] and "Tides & Shores" not in several["subject.txt"]
    for rendered in (one, several):
        assert "\n" not in rendered["subject.txt"].strip()
        assert Page(rendered["head.html"]).chunks == [one_line(rendered["subject.txt"])]


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_day_10_subject_is_the_same_for_everyone(language: str) -> None:
    subjects = {
        parts(DAY10, context(courses=courses, language=language, brand=brand))["subject.txt"]
        for courses, brand in product((1, 3), (FULL_BRAND, NO_BRAND))
    }
    assert len(subjects) == 1
    assert "\n" not in subjects.pop().strip()


def test_the_day_3_body_recalls_the_first_course_in_bold_and_the_others() -> None:
    one, several = (parts(DAY3, context(courses=courses, upsell=False)) for courses in (1, 2))
    for rendered in (one, several):
        assert re.search(r"<strong [^>]*>Tides &amp; Shores</strong>", rendered["body.html"])
    assert "and other courses" not in one["body.txt"]
    assert "Tides & Shores and other courses at Example Academy" in several["body.txt"]


def test_the_day_10_body_names_the_course_only_when_it_is_the_only_one() -> None:
    assert "Tides & Shores" in parts(DAY10, context(courses=1, upsell=False))["body.txt"]
    assert "Tides & Shores" not in parts(DAY10, context(courses=2, upsell=False))["body.txt"]


@each_nudge
@pytest.mark.parametrize("language", LANGUAGES)
def test_the_upsell_names_the_first_course_and_the_date(message: str, language: str) -> None:
    values = context(courses=3, language=language)
    text = parts(message, values)["body.txt"]
    paragraph = next(line for line in text.splitlines() if values["user_schedule_upgrade_deadline_time"] in line)
    assert "Tides & Shores" in paragraph
    assert values["upsell_link"] in text
    assert "pay.example.com" not in parts(message, context(upsell=False))["body.txt"]


@each_nudge
@pytest.mark.parametrize("courses", [1, 3])
def test_no_distance_in_days_is_stated(message: str, courses: int) -> None:
    rendered = parts(message, context(courses=courses, upsell=False, course_name="C", brand=NO_BRAND))
    assert not re.search(r"\b(?:\d+|three|ten|few) days?\b|\bago\b|yesterday|last week", rendered["body.txt"])
