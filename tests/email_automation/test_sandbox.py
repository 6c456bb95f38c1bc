"""What the sandbox makes of values when a mail is sent: never code, never an error, escaped once."""

from __future__ import annotations

import tracemalloc
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from django.utils import translation
from django.utils.safestring import mark_safe

from email_automation.templating.budget import MAX_SIZE, MAX_STEPS
from email_automation.templating.errors import TemplateError
from email_automation.templating.sandbox import Template


def html(source: str, **values: Any) -> str:
    return Template(source).render_values(values, autoescape=True)


def text(source: str, **values: Any) -> str:
    return Template(source).render_values(values, autoescape=False)


class Trap:
    """Something that must be left alone."""

    secret = "leaked"

    def __call__(self) -> str:
        raise AssertionError("called")

    def __str__(self) -> str:
        raise AssertionError("printed")

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise AssertionError(f"asked for {name}")

    def __getitem__(self, key: Any) -> Any:
        raise AssertionError(f"asked for {key}")

    def __len__(self) -> int:
        raise AssertionError("counted")


@pytest.mark.parametrize(
    "source",
    [
        "{{ x }}",
        "{{ x.secret }}",
        "{{ x.0 }}",
        "{{ x|upper }}",
        "{{ x|length }}",
        "{{ x|first }}",
        "{{ x|join:',' }}",
        "{{ x|default:'' }}",
        "{{ x|date }}",
        "{{ x|yesno:'' }}",
        "{% if x %}a{% endif %}",
        "{% if x.secret %}a{% endif %}",
        "{% for y in x %}a{% endfor %}",
        "{% with y=x %}{{ y }}{% endwith %}",
        "{% firstof x y %}",
        "{{ y|default:x }}",
        "{% for y in l %}{{ y }}{% endfor %}",
        "{{ l.0 }}",
        "{{ l|first }}",
        "{{ d.x }}",
        "{{ d.x.secret }}",
        "{% widthratio x x x %}",
        "{% regroup l by secret as g %}{{ g.0.list.0 }}",
        "{% ifchanged x %}{% endifchanged %}",
        "{% if x in l %}{% endif %}",
        "{% if x == y %}a{% endif %}",
    ],
)
def test_what_is_no_plain_value_is_as_good_as_nothing(source: str) -> None:
    assert html(source, x=Trap(), l=[Trap()], d={"x": Trap()}, y="").strip() in ("", "0")


@pytest.mark.parametrize(
    "name",
    [
        "x.upper",
        "x.format",
        "x.0",
        "l.append",
        "l.sort",
        "l.9",
        "l.00000000000",
        "d.items",
        "d.pop",
        "d.keys",
        "n.real",
    ],
)
def test_no_method_and_no_attribute_of_a_plain_value_is_reached(name: str) -> None:
    assert html(f"[{{{{ {name} }}}}]", x="text", l=[1, 2], d={"a": 1}, n=3) == "[]"


def test_a_key_is_reached_also_where_a_method_has_its_name() -> None:
    assert html("{{ d.items }} {{ d.keys.0 }}", d={"items": "mine", "keys": ["k"]}) == "mine k"


@pytest.mark.parametrize(
    "source",
    [
        "{{ p.amount }}",
        "{{ p.amount.x.y }}",
        "{{ p.amount|floatformat:2 }}",
        "{{ p.amount|add:1 }}",
        "{{ p|first }}",
        "{{ p.date|date:'Y' }}",
        "{{ p.l|join:', ' }}",
        "{{ p|dictsort:'a' }}",
        "{{ p.x|slice:':2' }}",
        "{{ nowhere }}",
        "{{ p.amount|divisibleby:2 }}",
        "{% for x in p %}a{% endfor %}",
        "{% for x in p.l %}a{% endfor %}",
        "{{ p }}",
        "{% if p.amount > 3 %}a{% endif %}",
        "{% widthratio p.a p.b p.c %}",
        "{% with x=p.amount %}{{ x }}{% endwith %}",
        "{% firstof p.a p.b %}",
        "{% regroup p.l by x as g %}{% for x in g %}a{% endfor %}",
        "{{ p.x|linebreaks|cut:'<p></p>' }}",
        "{{ p.x|urlencode }}",
        "{{ p.x|truncatewords:2 }}",
        "{{ p.x|pluralize|cut:'s' }}",
        "{{ p.x|title }}",
        "{% ifchanged p.a %}{% endifchanged %}",
        "{{ p.x|default_if_none:'' }}",
        "{{ p.x|linebreaksbr }}",
    ],
)
def test_a_value_that_does_not_apply_is_empty_and_never_an_error(source: str) -> None:
    assert html(source, p=None).strip() in ("", "0", "&lt;p&gt;&lt;/p&gt;")


def test_html_is_escaped_once_and_text_is_not() -> None:
    name = "Ann <b> & \"co\" 'x'"
    for source in (
        "{{ x }}",
        "{{ x|escape }}",
        "{{ x|escape|lower|title|escape }}",
        "{% firstof x %}",
        "{{ l|join:'' }}",
    ):
        made = html(source, x=name, l=[name])
        assert made.lower() == "ann &lt;b&gt; &amp; &quot;co&quot; &#x27;x&#x27;"
    assert text("{{ x }}", x=name) == name
    assert html("{% firstof x as y %}{{ y }}", x="<b>") == "&lt;b&gt;"
    assert html("{% with y=x %}{{ y }}{% endwith %}", x="<b>") == "&lt;b&gt;"


def test_nobody_can_call_a_value_safe() -> None:
    assert html("{{ x }} {{ l.0 }} {{ x|default:'' }}", x=mark_safe("<b>"), l=[mark_safe("<i>")]) == (
        "&lt;b&gt; &lt;i&gt; &lt;b&gt;"
    )
    assert html("{{ '<b>' }}{{ x|default:'<i>' }}{% firstof '<u>' %}", x="") == "&lt;b&gt;&lt;i&gt;&lt;u&gt;"


def test_filters_that_make_html_escape_what_is_put_in_and_nothing_gets_in_after_them() -> None:
    assert html("{{ x|linebreaksbr }}", x="<a>\nb") == "&lt;a&gt;<br>b"
    assert html("{{ x|linebreaks }}", x="<a>\n\nb") == "<p>&lt;a&gt;</p>\n\n<p>b</p>"
    assert html("{{ x|force_escape|linebreaksbr }}", x="<a>\nb") == "&lt;a&gt;<br>b"
    assert html("{{ x|linebreaks|slice:':2' }}", x="a") == "&lt;p"
    assert html("{% with y=x|linebreaksbr %}{{ y }}{% endwith %}", x="<a>\nb") == "&lt;a&gt;<br>b"
    assert text("{{ x|linebreaksbr }}", x="<a>\nb") == "<a><br>b"


def test_numbers_and_dates_follow_the_language() -> None:
    values = {"n": 1234.5, "d": date(2026, 3, 2), "t": datetime(2026, 3, 2, 9, 30, tzinfo=UTC), "c": Decimal("9.90")}
    source = "{{ n|floatformat:'2g' }} {{ d|date:'j F Y' }} {{ t|time:'H:i' }} {{ c }}"
    assert text(source, **values) == "1,234.50 2 March 2026 09:30 9.90"
    with translation.override("es"):
        assert text(source, **values).replace("\xa0", ".") == "1.234,50 2 marzo 2026 09:30 9,90"


def test_groups_are_dicts() -> None:
    items = [{"kind": "video", "name": "a"}, {"kind": "video", "name": "b"}, {"kind": "quiz", "name": "c"}]
    source = (
        "{% regroup l by kind as g %}"
        "{% for x in g %}{{ x.grouper }}:{% for y in x.list %}{{ y.name }}{% endfor %} {% endfor %}"
    )
    assert text(source, l=items) == "video:ab quiz:c "
    assert text("{% for x in l|dictsort:'name' %}{{ x.name }}{% endfor %}", l=items[::-1]) == "abc"


def test_what_a_template_sets_stays_inside_it() -> None:
    values = {"x": "outer"}
    template = Template("{% firstof 'inner' as x %}{{ x }}")
    assert template.render_values(values, autoescape=True) == "inner"
    assert values == {"x": "outer"}


def test_it_can_be_rendered_any_number_of_times() -> None:
    template = Template("{% for x in l %}{% ifchanged x %}{{ x }}{% endifchanged %}{% endfor %}")
    assert {template.render_values({"l": "aab"[:2].split() + ["b"]}, autoescape=True) for _ in range(3)} == {"aab"}


def test_long_data_is_stopped_when_it_is_sent() -> None:
    with pytest.raises(TemplateError, match="line 2: the template takes too many steps"):
        html("a\n{% for x in l %}{{ x }}{% endfor %}", l=list(range(MAX_STEPS)))
    with pytest.raises(TemplateError, match="writes more than"):
        html("{{ x }}", x="a" * (MAX_SIZE + 1))
    with pytest.raises(TemplateError, match="writes more than"):
        html("{{ l|join:x }}", l=["a"] * 1000, x="b" * 1000)


def test_loops_are_charged_before_their_first_round() -> None:
    class Counted(list[int]):
        rounds = 0

        def __iter__(self) -> Any:
            type(self).rounds += 1
            return super().__iter__()

    with pytest.raises(TemplateError):
        html("{% for x in l %}{% endfor %}", l=Counted(range(MAX_STEPS + 1)))
    assert Counted.rounds == 0


def test_the_last_step_is_allowed() -> None:
    assert html("{% for x in l %}{% endfor %}", l=[0] * (MAX_STEPS - 2)) == ""
    with pytest.raises(TemplateError):
        html("{% for x in l %}{% endfor %}", l=[0] * (MAX_STEPS - 1))


def test_a_text_that_would_be_too_long_is_never_made() -> None:
    values = {"l": ["a"] * 1000, "x": "b" * 100_000}
    tracemalloc.start()
    try:
        with pytest.raises(TemplateError, match="writes more than"):
            html("{{ l|join:x }}", **values)
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()


def test_spaceless_makes_no_tag_of_what_was_none() -> None:
    assert html("{% spaceless %}< {% endspaceless %}b> <p>a</p>\n <p>b</p>") == "< b> <p>a</p>\n <p>b</p>"
    assert html("{% spaceless %}<p>a</p>\n <p>b</p>{% endspaceless %}") == "<p>a</p><p>b</p>"
