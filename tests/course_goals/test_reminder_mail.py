"""The reminder as it arrives …"""

from __future__ import annotations

import re
from typing import Any

import pytest

from course_goals import links
from courses.models import Course
from tests.factories import LearnerProfileFactory

from .reminding import goal_of, remind, studied

pytestmark = pytest.mark.django_db


def test_case_087_both_parts_hold_the_same_links_and_the_goals_own_token(course: Course, mailoutbox: list[Any]) -> None:
    goal = goal_of(course, 3)
    studied(goal, "Mon")
    other = goal_of(course, 1)
    remind("Sat")
    remind("Sun")
    assert [sent.to for sent in mailoutbox] == [[goal.user.email], [other.user.email]]
    for mine, sent, days in ((goal, mailoutbox[0], "3 days a week"), (other, mailoutbox[1], "1 day a week")):
        html = sent.alternatives[0][0].replace("&amp;", "&")
        assert days in sent.body and days in html
        page = f"https://example.com/goal-unsubscribe/{mine.unsubscribe_token}"
        home = f"https://example.com{links.course_home(course.key)}?"
        for part in (sent.body, html):
            assert page in part
            assert home in part
            assert re.search(rf"{re.escape(home)}\S+#weekly-goal", part)
            assert set(re.findall(r"goal-unsubscribe/([0-9a-f-]{36})", part)) == {str(mine.unsubscribe_token)}
        assert sent.extra_headers["List-Unsubscribe"] == (
            f"<https://example.com/api/course_home/unsubscribe_from_course_goal/{mine.unsubscribe_token}>"
        )
        assert sent.extra_headers["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"


def test_case_087_a_course_key_survives_in_its_links(course: Course, mailoutbox: list[Any]) -> None:
    Course.objects.update(key="course-v1:Org+X+2021")
    goal_of(course)
    remind("Tue")
    assert "/courses/course-v1:Org+X+2021/home/?" in mailoutbox[0].body


def test_case_088_names_and_titles_are_escaped_once_and_add_no_header(course: Course, mailoutbox: list[Any]) -> None:
    title = "Tides <b> & shores\r\nBcc: all@example.com"
    Course.objects.update(title=title)
    goal = goal_of(course)
    type(goal.user).objects.update(first_name="Ann <i> & Bo")
    remind("Tue")
    (sent,) = mailoutbox
    html = sent.alternatives[0][0]
    assert "\n" not in sent.subject and "Tides <b> & shores" in sent.subject
    assert "Bcc" not in sent.message()
    assert "Tides &lt;b&gt; &amp; shores" in html and "Ann &lt;i&gt; &amp; Bo" in html
    assert "&amp;amp;" not in html and "<b> &" not in html
    assert "Ann <i> & Bo" in sent.body


def test_it_is_written_in_the_learners_language(course: Course, mailoutbox: list[Any]) -> None:
    goal = goal_of(course)
    LearnerProfileFactory(user=goal.user, language="es-419")
    Course.objects.update(language="fr")
    remind("Tue")
    assert mailoutbox[0].subject.startswith("Aún puedes alcanzar")
