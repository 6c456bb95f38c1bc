"""What people may write: it is accepted, and says what it should."""

from __future__ import annotations

import pytest

from email_automation.models import EmailTemplate
from email_automation.pipeline import message
from email_automation.templating.checking import samples
from email_automation.templating.edited import Edited, Sources
from tests.mail.page import Page

from .good_templates import GOOD, SUBJECTS, TEXTS, Good

pytestmark = pytest.mark.django_db


def row(*, subject: str = "A subject", html: str = "<p>a</p>", text: str = "") -> EmailTemplate:
    return EmailTemplate(name="x", email_type="courseupdate", subject=subject, html_content=html, text_content=text)


def test_there_are_enough_of_them() -> None:
    assert len(GOOD) >= 40


@pytest.mark.parametrize("case", GOOD, ids=lambda case: repr(case.source[:60]))
def test_it_is_accepted_and_reads_well(case: Good) -> None:
    row(html=case.source).full_clean()
    text = Edited(Sources("a", case.source, "")).text(samples(message.get("courseupdate")))
    assert text.startswith(case.text), text


@pytest.mark.parametrize("case", GOOD, ids=lambda case: repr(case.source[:60]))
def test_its_dressed_html_is_whole(case: Good) -> None:
    html = Edited(Sources("a", case.source, "")).html(samples(message.get("courseupdate")))
    ends_everything = all(f"</{tag}>" in case.source for tag in ("p", "li", "td", "tr") if f"<{tag}" in case.source)
    if ends_everything and "/>" not in case.source:
        Page(html)


@pytest.mark.parametrize("subject", SUBJECTS)
def test_a_subject_is_accepted(subject: str) -> None:
    row(subject=subject).full_clean()


@pytest.mark.parametrize("text", TEXTS)
def test_a_text_is_accepted(text: str) -> None:
    row(text=text).full_clean()


def test_a_long_mail_is_accepted() -> None:
    listed = "<ul>{% for x in week_highlights %}<li>{{ x }}</li>{% endfor %}</ul>"
    row(html=f"<h2>{{{{ course.title }}}}</h2><p>{{{{ user.first_name }}}}</p>{listed}" * 100).full_clean()
