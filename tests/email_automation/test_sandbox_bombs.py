"""Sources made to use up a worker end in an ordinary error, and soon."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest

from email_automation.pipeline import message
from email_automation.templating.checking import problems
from email_automation.templating.errors import TemplateError
from email_automation.templating.sandbox import Template

NUMBERS = list(range(1_000))
SOURCES = {
    "10,000 nested ifs": "{% if l %}" * 10_000 + "{% endif %}" * 10_000,
    "10,000 nested ifs without an end": "{% if l %}" * 10_000,
    "900 nested ifs": "{% if l %}" * 450 + "{% endif %}" * 450,
    "900 nested loops": "{% for x in l %}" * 450 + "{% endfor %}" * 450,
    "10,000 negations": "{% if " + "not " * 10_000 + "l %}{% endif %}",
    "10,000 alternatives": "{% if l" + " or l" * 10_000 + " %}{% endif %}",
    "10,000 filters": "{{ l" + "|length" * 10_000 + " }}",
    "10,000 dots": "{{ l" + ".a" * 10_000 + " }}",
    "a number of 5,000 digits": "{{ " + "9" * 5_000 + " }}",
    "5 MB of text": "a" * 5_000_000,
    "5 MB of tags": "{{ l }}" * 700_000,
    "50,000 openings": "{{" * 50_000,
    "50,000 closings": "}}" * 50_000,
    "50,000 beginnings of tags": "{%" * 49_000,
    "openings before a long line": ("{{" * 30 + " " * 60) * 30 + "a" * 90_000,
    "openings that close far away": "{{ l " * 900 + "a" * 90_000 + "}}",
    "blanks inside a tag": "{{ l" + " " * 990 + "x }}",
    "blanks inside 99 tags": ("{{ l" + " " * 990 + "|length }}") * 99,
    "100,000 quotes": '{{ "' + "'\"" * 400 + " }}",
    "backslashes": '{{ "' + "\\" * 900 + " }}",
    "900 comments": "{% comment %}" * 900,
    "900 verbatims": "{% verbatim %}" * 900,
    "a long condition": "{% if " + "l == l and " * 20 + "l %}{% endif %}",
    "loops in loops": "{% for x in l %}" * 3 + "x" + "{% endfor %}" * 3,
    "a text in a loop": "{% for x in l %}" + "x" * 90_000 + "{% endfor %}",
    "numbers in a loop": "{% for x in l %}" + "{{ x }}" * 18 + "{% endfor %}",
    "conditions in a loop": "{% for x in l %}" + "{% if x == 1 %}a{% endif %}" * 18 + "{% endfor %}",
    "joins of joins": "{% with a='" + "x" * 900 + "' %}{{ l|join:a|slice:':900' }}{% endwith %}" * 50,
    "sorting in a loop": "{% for x in l %}{% for y in l|dictsort:'0' %}{% endfor %}{% endfor %}",
    "escapes of escapes": "{% with a='" + "&" * 900 + "' %}{{ a" + "|force_escape" * 70 + " }}{% endwith %}",
    "a date of 900 formats": "{% for x in l %}{{ d|date:'" + "F" * 90 + "' }}{% endfor %}",
    "blanks between tags": "{% spaceless %}" + "<p>" + " " * 90_000 + "{% endspaceless %}",
}
HTML = {
    "90,000 signs": "<" * 90_000,
    "30,000 elements": "<p>" * 30_000,
    "20,000 nested elements": "<div>" * 20_000,
    "30,000 end tags": "</p>" * 25_000,
    "10,000 attributes": "<p" + " a=b" * 20_000 + ">",
    "a long attribute": '<p title="' + "a" * 90_000 + '">a</p>',
    "quotes": "<p " + "'\"" * 40_000,
    "comments": "<!--" * 20_000,
    "blanks": "<p " + " " * 90_000 + ">",
    "900 elements in 900 branches": "{% if user %}<b>{% endif %}" * 450,
}


def seconds(act: Callable[[], Any]) -> float:
    # Of this thread's own work: how busy the machine is otherwise is not the question.
    started = time.thread_time()
    act()
    return time.thread_time() - started


#: Seconds of processor time, on a slow machine beside others. What is not bounded takes minutes.
MOMENT = 3


@pytest.mark.parametrize("name", SOURCES)
@pytest.mark.parametrize("depth", [0, 500], ids=["at the top", "deep in the stack"])
def test_it_is_over_in_a_moment(name: str, depth: int) -> None:
    def tried() -> None:
        with contextlib.suppress(TemplateError):
            Template(SOURCES[name]).render_values({"l": NUMBERS}, autoescape=True)

    def deep(left: int) -> float:
        return deep(left - 1) if left else seconds(tried)

    assert deep(min(depth, sys.getrecursionlimit() - 450)) < MOMENT


@pytest.mark.parametrize("name", [*SOURCES, *HTML])
def test_checking_it_is_over_in_a_moment(name: str) -> None:
    source = {**SOURCES, **HTML}[name]
    kind = message.get("courseupdate")

    def check() -> None:
        problems(kind, subject="a", html=source, text="", languages=["en", "es", "fr"])

    check()
    assert seconds(check) < MOMENT


@pytest.mark.parametrize("name", HTML)
def test_it_is_refused(name: str) -> None:
    kind = message.get("courseupdate")
    found = problems(kind, subject="a", html=HTML[name], text="", languages=["en"])
    assert found or name in ("a long attribute", "10,000 attributes", "blanks")
    assert len(found) <= 20
