"""Cohorts of mails whose template people have edited: as those of file templates, and changed ones are seen."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from unittest import mock

import attr
import pytest
from django.conf import settings as django_settings
from django.contrib.sites.models import Site
from hypothesis import given, settings
from hypothesis import strategies as st

from email_automation.models import EmailTemplate
from email_automation.pipeline import cohort
from email_automation.templating import stored
from tests.email_automation import good_templates, hostile_templates
from tests.email_automation.test_cohort import NAMES, ODD, Mails, check, names, renderings
from tests.email_automation.test_filling import CRAFTY, inner, sources

pytestmark = pytest.mark.django_db

NUDGE = "recurringnudge_day3"
HTML = (
    "<h1>{{ course_name }}</h1><p>{% if user.first_name %}Hi {{ user.first_name|default:user.username }},{% else %}"
    'Hi there,{% endif %}</p><p><a class="button" href="{{ cta_url }}">Go on</a></p>'
    '<p><a href="{{ unsubscribe_url }}">No more of these</a></p>'
)
TEXT = "Hi {{ user.first_name|default:'there' }},\n\n{{ cta_url }}\n{{ unsubscribe_url }}"


@pytest.fixture
def mails() -> Mails:
    return Mails(f"schedules.{NUDGE}", Site.objects.get(pk=django_settings.SITE_ID), "en")


def edit(
    html: str = HTML, *, subject: str = "{{ user.first_name }}: go on", text: str = "", language: str = ""
) -> None:
    """Have people switch on what they have written, and a new slice begin."""
    EmailTemplate.objects.update_or_create(
        email_type=NUDGE,
        language=language,
        defaults={"name": "Mine", "subject": subject, "html_content": html, "text_content": text, "is_active": True},
    )
    slice_begins()


def switch(*, on: bool, language: str = "") -> None:
    EmailTemplate.objects.filter(email_type=NUDGE, language=language).update(is_active=on)
    slice_begins()


def slice_begins() -> None:
    stored.refresh()
    cohort.look_again()


def is_filled_in(mails: Mails) -> bool:
    """Return whether a further mail of the nudge is filled in, after comparing it."""
    with renderings() as rendered:
        letter = mails.prepared(names("Zoë", "<i>", "zoe"))
        made = rendered.call_count
    check(letter)
    return made == 0


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> Iterator[list[str]]:
    caplog.set_level(logging.WARNING)
    found: list[str] = []
    with mock.patch.object(cohort.log, "warning", lambda text, *values: found.append(text % values)):
        yield found


@pytest.mark.parametrize("text", ["", TEXT])
def test_an_edited_mail_is_rendered_twice_and_equals_full_rendering(mails: Mails, text: str) -> None:
    edit(text=text)
    with renderings() as rendered:
        made = [mails.prepared(names(f"Learner {number}", "B", f"u{number}")) for number in range(50)]
        assert rendered.call_count == 2
    for number, letter in enumerate(made):
        check(letter)
        whole = "".join(attr.astuple(letter.rendered))
        assert f"Learner {number}," in whole
        assert str(letter.row.message_uuid) in whole


@pytest.mark.parametrize("text", ["", TEXT])
def test_whatever_the_names_it_equals_full_rendering(mails: Mails, text: str) -> None:
    edit(text=text)
    for _ in range(2):
        for first, last in (("Ada", "B"), ("", "B"), ("Ada", ""), ("", "")):
            mails.prepared(names(first, last, "ada"))

    @settings(max_examples=60, deadline=None, database=None)
    @given(NAMES, st.one_of(NAMES, st.sampled_from(CRAFTY)), NAMES)
    def compare(first: str, last: str, username: str) -> None:
        check(mails.prepared(names(first, last, username or "u")))

    compare()
    assert is_filled_in(mails)


def test_odd_names_are_rendered_in_full_and_the_others_are_not(mails: Mails, said: list[str]) -> None:
    edit(HTML + '<a href="{{ cta_url }}">{{ user.first_name }}, go on</a>')
    for name in [*ODD, "https://a.example/", "https://b.example/"] * 2:
        check(mails.prepared(names(name, "B", "u")))
    assert is_filled_in(mails)
    assert said == []


@pytest.mark.parametrize("source", ["{{ user.first_name|upper }}", "{% if user.last_name == 'B' %}B{% endif %}"])
def test_a_template_that_does_more_is_rendered_in_full_and_that_is_said_once(
    mails: Mails, said: list[str], source: str
) -> None:
    edit(f"<p>{source}</p>")
    for name in ODD[1:] * 2:
        check(mails.prepared(names(name, "B", "u")))
    assert not is_filled_in(mails)
    (line,) = said
    assert line.startswith(f"message=schedules.{NUDGE} is rendered in full for each learner:")
    edit()
    for name in ("Ada", "Bob"):
        mails.prepared(names(name, "B", "u"))
    assert is_filled_in(mails)


def subjects(mails: Mails, number: int = 3) -> set[str]:
    made = [mails.prepared(names(f"Learner{each}", "B", "u")) for each in range(number)]
    for letter in made:
        check(letter)
    return {letter.rendered.subject.rpartition(": ")[2] for letter in made}


def test_every_change_is_seen_by_the_next_slice(mails: Mails) -> None:
    files = subjects(mails)
    for _ in range(2):
        edit(subject="{{ user.first_name }}: one")
        assert subjects(mails) == {"one"} and is_filled_in(mails)
        edit(subject="{{ user.first_name }}: two")
        assert subjects(mails) == {"two"} and is_filled_in(mails)
        switch(on=False)
        assert subjects(mails) == files and is_filled_in(mails)
        switch(on=True)
        assert subjects(mails) == {"two"}
        edit(subject="{{ user.first_name }}: english", language="en")
        assert subjects(mails) == {"english"} and is_filled_in(mails)
        edit(subject="{{ user.first_name }}: spanish", language="es")
        assert subjects(mails) == {"english"}
        switch(on=False, language="en")
        assert subjects(mails) == {"two"} and is_filled_in(mails)


def test_a_row_for_all_languages_is_read_in_each(mails: Mails) -> None:
    edit("<p>{{ user.first_name }} {{ 1234.5|floatformat:1 }}</p>")
    edit("<p>{{ user.first_name|upper }}</p>", language="es")
    for language in ("en", "es", "en", "es"):
        mails.draft.language = language
        subjects(mails)
        assert is_filled_in(mails) == (language == "en")


def test_a_slice_stays_with_what_it_found_when_another_thread_finds_a_change(mails: Mails) -> None:
    edit("<p>{{ user.first_name }}</p>", subject="{{ user.first_name }}: one")
    mails.prepared(names("Ada", "B", "u"))
    row = EmailTemplate.objects.get(email_type=NUDGE)
    row.subject = "{{ user.first_name }}: {% if user.first_name == 'Dan' %}three{% else %}two{% endif %}"
    row.save()
    stored.refresh()
    # Between the two calls with which a slice of another thread begins.
    for name in ("Bob", "Cyd", "Dan"):
        assert mails.prepared(names(name, "B", "u")).rendered.subject == f"{name}: one"
    cohort.look_again()
    assert subjects(mails) == {"two"} and not is_filled_in(mails)


def test_who_began_to_look_before_a_slice_does_not_answer_for_it(mails: Mails) -> None:
    """Another thread's slice begins, with a change, while this one has found the templates but not said so."""
    edit(subject="{{ user.first_name }}: one")
    found = cohort._templates

    def meanwhile(*given: object) -> object:
        answer = found(*given)  # type: ignore[arg-type]
        if not EmailTemplate.objects.filter(subject__contains="two").exists():
            again = found(*given)  # type: ignore[arg-type]
            edit(subject="{{ user.first_name }}: two")
            return again
        return answer

    with mock.patch.object(cohort, "_templates", meanwhile):
        subjects(mails)
    assert subjects(mails) == {"two"} and is_filled_in(mails)


def test_a_mail_made_of_a_row_that_is_named_leaves_the_cohort_alone(mails: Mails) -> None:
    edit(subject="{{ user.first_name }}: one")
    subjects(mails)
    other = EmailTemplate.objects.create(
        name="Other", email_type=NUDGE, language="es", subject="Other", html_content="<p>a</p>", is_active=False
    )
    mails.draft.template_id = other.pk
    for _ in range(3):
        assert mails.prepared(names("Ada", "B", "u")).rendered.subject == "Other"
    mails.draft.template_id = None
    assert subjects(mails) == {"one"} and is_filled_in(mails)


def test_what_callers_give_in_context_is_shared(mails: Mails) -> None:
    edit("<p>{{ user.first_name }} {{ context.word|upper }} {% if context.word == 'a' %}x{% endif %}</p>")
    plain = dict(mails.draft.shared)
    for word in ("a", "b", "", 1, ["a"], "a", "b") * 3:
        mails.draft.shared = {**plain, "context": {"word": word}}
        check(mails.prepared(names("Ada", "B", "u")))
    assert is_filled_in(mails)


def test_a_mail_near_its_budget_is_sent(mails: Mails, said: list[str]) -> None:
    """With the tokens that stand for the names it would be too large."""
    edit("<p>{{ user.first_name }}</p>" * 900 + "x" * 70_000)
    for name in ("A", "B", "C"):
        assert len(mails.prepared(names(name, "B", "u")).rendered.body_html) > 70_000
    assert len(said) == 1


@pytest.mark.parametrize("kind", ["good", "hostile"])
def test_templates_of_all_kinds_equal_full_rendering(mails: Mails, kind: str) -> None:
    made = good_templates.GOOD if kind == "good" else hostile_templates.HOSTILE[::4]
    for template in made:
        edit(template.source, text=TEXT)
        for name in ("Ada", "Bob", '<"&>', ""):
            try:
                check(mails.prepared(names(name, "B", "u")))
            except AssertionError as error:
                # A bomb, which is refused by its budget for every learner.
                assert "render_error" in str(error), template


def test_made_up_templates_equal_full_rendering(mails: Mails) -> None:
    @settings(max_examples=60, deadline=None, database=None)
    @given(sources, inner, st.one_of(st.just(""), inner), st.lists(NAMES, min_size=3, max_size=5))
    def compare(html: str, subject: str, text: str, known: list[str]) -> None:
        edit(html or "a", subject=subject[:900], text=text)
        for name in known:
            check(mails.prepared(names(name, "B", "u")))

    compare()
