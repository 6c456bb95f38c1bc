"""Stock sources: what the files say, in the sandbox's words, and nothing else."""

from __future__ import annotations

import re
from itertools import product
from typing import Any

import pytest
from django.template import engines
from django.utils import translation

from email_automation import values
from email_automation.pipeline import message
from email_automation.pipeline.message import MessageType
from email_automation.templating import stored
from email_automation.templating.backend import EditedPart
from email_automation.templating.checking import problems, samples
from email_automation.templating.edited import Edited
from email_automation.templating.plain import tidy
from email_automation.templating.stock import sources
from email_automation.templating.writer import Unwritable, Writer
from schedules.resolver import ScheduleResolver
from tests.mail.page import Page, one_line
from tests.mail.stock import FULL_BRAND, NO_BRAND
from tests.mail.test_stock_templates import cases

KINDS = list(message.all_messages())
LANGUAGES = ("en", "es", "fr")
each = pytest.mark.parametrize(
    ("kind", "language"), list(product(KINDS, LANGUAGES)), ids=lambda case: getattr(case, "NAME", case)
)


def files(kind: type[MessageType], part: str, given: dict[str, Any]) -> str:
    return engines["django"].get_template(f"{kind.owner()}/edx_ace/{kind.NAME}/email/{part}").render(dict(given))


def edited(kind: type[MessageType], part: str, given: dict[str, Any], made: Edited) -> str:
    return EditedPart(f"{kind.owner()}/edx_ace/{kind.NAME}/email/{part}", part, made).render(dict(given))


def says_the_same(kind: type[MessageType], language: str, given: dict[str, Any]) -> None:
    made = Edited(sources(kind, language))
    with translation.override(language):
        # Blanks of a subject are joined before it goes out.
        for part, plain in (("subject.txt", one_line), ("body.txt", tidy)):
            assert plain(edited(kind, part, given, made)) == plain(files(kind, part, given))
        theirs, ours = (
            Page(render(kind, "body.html", given, *more)) for render, more in ((files, ()), (edited, (made,)))
        )
    assert ours.links == theirs.links
    assert one_line(" ".join(ours.chunks)) == one_line(" ".join(theirs.chunks))
    assert [image["src"] for image in ours.images] == [image["src"] for image in theirs.images]


@each
def test_they_pass_the_check_in_each_language(kind: type[MessageType], language: str) -> None:
    made = sources(kind, language)
    assert problems(kind, subject=made.subject, html=made.html, text=made.text, languages=LANGUAGES) == []


@each
@pytest.mark.parametrize("missing", [(), *((name,) for name in values.ABOUT), values.ABOUT], ids=str)
def test_they_say_what_the_files_say(kind: type[MessageType], language: str, missing: tuple[str, ...]) -> None:
    given = {**samples(kind), "brand": NO_BRAND, "language": language, **dict.fromkeys(missing)}
    says_the_same(kind, language, given)
    empty = {name: type(value)() for name, value in kind.variables.items() if isinstance(value, str | list | bool)}
    says_the_same(kind, language, {**given, **empty, "user": {**given["user"], "first_name": ""}})


@pytest.mark.parametrize(("label", "given"), list(cases()))
def test_they_say_what_the_files_say_for_every_learner(label: str, given: dict[str, Any]) -> None:
    says_the_same(message.get(label.replace("/", ".")), given["language"], given)


@each
def test_they_are_readable(kind: type[MessageType], language: str) -> None:
    made = sources(kind, language)
    assert len(made.subject) <= 1000 and "\n" not in made.subject
    assert "<h1>" in made.html and re.search(r'<a class="button" href="\{\{ \w+ \}\}">', made.html)
    assert "{% trans" not in made.html + made.text and "{% include" not in made.html + made.text
    assert "unsubscribe" not in made.html + made.text
    assert "brand." not in made.html + made.text


def test_a_plural_follows_the_language() -> None:
    kind = message.get("recurringnudge_day3")
    assert "{% if course_count == 1 %}You enrolled" in sources(kind, "en").html
    assert "{% if course_count <= 1 %}Vous avez rejoint" in sources(kind, "fr").html


@pytest.mark.parametrize("kind", [kind for kind in KINDS if issubclass(kind.resolver, ScheduleResolver)])
def test_the_examples_are_complete(kind: type[MessageType]) -> None:
    assert all(value not in ("", [], {}, None) for value in kind.variables.values())
    assert "upsell_link" in kind.variables


@pytest.mark.parametrize(
    ("source", "written"),
    [
        ("{{ user.first_name|upper }}", "{{ user.first_name|upper }}"),
        ("{{ nowhere }}{{ nowhere.a|default:'b' }}", "b"),
        ("{% if nowhere %}a{% else %}b{% endif %}", "b"),
        ("{% if nowhere %}a{% elif user %}b{% else %}c{% endif %}", "{% if user %}b{% else %}c{% endif %}"),
        ("{% if user %}a{% elif not nowhere %}b{% else %}c{% endif %}", "{% if user %}a{% else %}b{% endif %}"),
        ("{% if user and not nowhere %}a{% endif %}", "{% if user %}a{% endif %}"),
        ("{% if user or not nowhere %}a{% endif %}", "a"),
        ("{% if user and nowhere %}a{% endif %}", ""),
        ("{% if not user and course == 1 or is_test %}a{% endif %}",
         "{% if not user and course == 1 or is_test %}a{% endif %}"),
        ("{% if 1 > 2 %}a{% else %}b{% endif %}", "b"),
        ("{% if nowhere %}{% else %}{% if user %}a{% endif %}{% endif %}", "{% if user %}a{% endif %}"),
        ("{% with a='<b>' c=user %}{{ a }}{{ c.d }}{% endwith %}", "{% with c=user %}<b>{{ c.d }}{% endwith %}"),
        ("{% with a='x' %}{% if a %}{{ a|upper }}{% endif %}{% endwith %}", "X"),
        ("{% for a in user.l %}{{ a }}{{ forloop.last }}{% empty %}b{% endfor %}",
         "{% for a in user.l %}{{ a }}{{ forloop.last }}{% empty %}b{% endfor %}"),
        ("{% for a, b in user.l reversed %}{{ b }}{% endfor %}",
         "{% for a, b in user.l reversed %}{{ b }}{% endfor %}"),
        ("{% for a in nowhere %}b{% empty %}c{% endfor %}", "c"),
        ("{% firstof nowhere user.a 'b' user.c %}", "{% firstof user.a 'b' %}"),
        ("{% firstof nowhere 'b' user.a %}", "b"),
        ("{% firstof nowhere %}", ""),
        ("{% comment %}a{% endcomment %}b{# c #}", "b"),
        ("{% spaceless %}{{ user.a }}{% endspaceless %}", "{% spaceless %}{{ user.a }}{% endspaceless %}"),
        ("{% verbatim %}{{ a }}{% endverbatim %}{% templatetag openbrace %}",
         "{% verbatim %}{{ a }}{% endverbatim %}{% templatetag openbrace %}"),
        ("{% load i18n %}{% trans 'Yes' as a %}{{ a }}, {% trans 'No' %}", "Sí, No"),
        ("{% load i18n %}{% blocktrans with a=user.b|upper %}100% {{ a }} {{ site_name }}{% endblocktrans %}",
         "100% {{ user.b|upper }} {{ site_name }}"),
        ("{% load i18n %}{% blocktrans count a=user.b %}{{ a }} x{% plural %}{{ a }} y{% endblocktrans %}",
         "{% if user.b == 1 %}{{ user.b }} x{% else %}{{ user.b }} y{% endif %}"),
        ("{% load i18n %}{% blocktrans asvar a %}b {{ site_name }}{% endblocktrans %}[{{ a }}]", "[b {{ site_name }}]"),
        ("{% load i18n %}{% blocktrans count a=user.b %}x{% plural %}x{% endblocktrans %}", "x"),
    ],
)  # fmt: skip
def test_each_word_of_the_files_is_written_in_those_of_the_sandbox(source: str, written: str) -> None:
    template = engines["django"].from_string(source).template
    known = frozenset({"user", "course", "site_name", "is_test"})
    with translation.override("es"):
        assert Writer(known, html=False).nodes(template.nodelist) == written


@pytest.mark.parametrize(
    "source",
    [
        "{% now 'Y' %}",
        "{% load static %}{% static 'a.png' %}",
        "{{ block.super }}",
        "{% include user.template %}",
        "{% autoescape on %}{{ user }}{% endautoescape %}",
        "{% load i18n %}{% trans 'a' as b %}{{ b|upper }}",
        "{% with a='b' %}{{ user.c|default:a }}{% endwith %}",
    ],
)
def test_what_the_sandbox_has_no_words_for_is_said(source: str) -> None:
    template = engines["django"].from_string(source).template
    with pytest.raises(Unwritable):
        Writer(frozenset({"user"}), html=False).nodes(template.nodelist)


def test_forms_that_the_sandbox_cannot_choose_between_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(translation, "ngettext", lambda one, many, count: str(count % 3))
    template = (
        engines["django"]
        .from_string("{% load i18n %}{% blocktrans count a=user.b %}x{% plural %}y{% endblocktrans %}")
        .template
    )
    with pytest.raises(Unwritable, match="more than two forms"):
        Writer(frozenset({"user"}), html=False).nodes(template.nodelist)


def test_a_full_brand_changes_only_the_frame() -> None:
    kind = message.get("courseupdate")
    given = {**samples(kind), "brand": FULL_BRAND, "language": "en"}
    says_the_same(kind, "en", given)
    html = edited(kind, "body.html", given, Edited(sources(kind, "en")))
    assert html.count(f'bgcolor="{FULL_BRAND["color"]}"') == 2
    assert stored.current(kind.NAME, "en") is None
