"""Edited templates that pass the check: what is filled in equals what is rendered, for every ordinary text."""

from __future__ import annotations

from typing import Any

import attr
import pytest
from edx_ace.renderers import RenderedEmail
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from email_automation import links
from email_automation.pipeline import cohort
from email_automation.pipeline.context import place
from email_automation.pipeline.shape import Shape, token
from email_automation.templating import filling
from email_automation.templating.budget import MAX_SIZE
from email_automation.templating.edited import Edited, Sources
from email_automation.templating.errors import TemplateError
from email_automation.templating.filling import ADDRESS, EMPTY, LONGEST, WORDS
from email_automation.templating.usage import EACH, Misuse, Path
from tests.email_automation import good_templates, test_sandbox_fuzz

UUID = "7b1f8f0e-0000-4000-8000-000000000001"
FIRST, LAST, STOP, NOTE = ("user", "first_name"), ("user", "last_name"), ("unsubscribe_url",), ("note",)
PATHS: tuple[Path, ...] = (FIRST, LAST, STOP, NOTE)
GOES = f"https://a.example/go?utm_content={links.MESSAGE_UUID}"
SHARED = ("course", "url"), ("courses", EACH, "url")
#: Made to be taken for something else: an address, a label, the end of a sign, a role, a word of the template.
CRAFTY = [
    "Ada",
    "Go on",
    "a.example",
    "help@a.example",
    "presentation",
    "lt;",
    "amp",
    "p;",
    "#60;",
    "#x3c",
    "60",
    "#",
    "mailto",
    "http",
    "https",
    "httpAda",
    "&lt;b&gt;",
    "&",
    ";",
    "<b>",
    "> <",
    '"',
    "'",
    "{{ user }}",
    "{% if %}",
    "-",
    "- Ada",
    "1.",
    "None",
    "\u200d",
    "\u202eadA",
    "x" * LONGEST,
    '"' * LONGEST,
]
ADDRESSES = ["https://a.example/", "http://a.example", "https://a.example/?a=1&b=2", "https://"]
words = st.one_of(st.sampled_from(CRAFTY), st.text(max_size=12)).filter(lambda text: filling.manner(text) == WORDS)
addresses = st.sampled_from(ADDRESSES)
OF_MANNER = {EMPTY: st.just(""), WORDS: words, ADDRESS: addresses}


def values(texts: dict[Path, str], uuid: str) -> dict[str, Any]:
    made = {
        "user": {"username": "ada"},
        "course": {"title": "A & B", "url": GOES, "org": ""},
        "courses": [{"title": "A", "url": GOES}, {"title": "<B>", "url": GOES}],
        "week_highlights": ["one", "two", "two"],
        "week_num": 3,
        "site_name": "Example",
        "brand": {"color": "#111111"},
        "nothing": None,
    }
    for path, text in texts.items():
        place(made, path, text)
    return {name: links._replaced(value, uuid) for name, value in made.items()}


def rendered(edited: Edited, given_values: dict[str, Any]) -> RenderedEmail:
    return RenderedEmail(
        from_name="",
        subject=edited.subject(given_values),
        body_html=edited.html(given_values),
        head_html="",
        body=edited.text(given_values),
    )


def shape_of(edited: Edited, texts: dict[Path, str]) -> Shape:
    """Raises Misuse."""
    filling.check_usage(edited, [], [*texts, *SHARED], closed=cohort.WHOLE_MAIL)
    filling.check(edited, texts, lambda marked: values(marked, links.MESSAGE_UUID))
    tokens = {path: token(number) if text else "" for number, (path, text) in enumerate(texts.items())}
    return Shape(rendered(edited, values(tokens, links.MESSAGE_UUID)), len(tokens), "en")


def compare(shape: Shape, edited: Edited, texts: dict[Path, str]) -> None:
    filled = shape.filled(list(texts.values()), UUID, user_id=1)
    assert attr.astuple(filled) == attr.astuple(rendered(edited, values(texts, UUID)))


names = st.sampled_from(
    ["user.first_name", "user.last_name", "unsubscribe_url", "note", "course.url", "course.title", "x.url", "x"]
)
printed = st.one_of(
    names.map("{{{{ {} }}}}".format),
    st.builds("{{{{ {}|default:{} }}}}".format, names, st.one_of(names, st.just("'Go on'"))),
    st.builds("{{{{ {}|default_if_none:'a'|escape }}}}".format, names),
    st.builds("{{% firstof {} {} '&' %}}".format, names, names),
    st.builds("{{% firstof {} {} as x %}}{{{{ x }}}}".format, names, names),
)
literal = st.sampled_from(
    (
        *(
            "Go on",
            "Go on, ",
            "a",
            "-",
            " ",
            "\n",
            "  ",
            ". ",
            "#",
            ": ",
            "://",
            "http",
            "https:",
            "https://a.example/",
        ),
        *("mailto:", "tel:", "&", "&am", "&lt", "&#", "&#6", "&#x3", "&amp;", "&nbsp;"),
    )
)
# Of up to three, so that what stands beside a value is drawn often.
inner = st.lists(st.one_of(printed, literal), max_size=3).map("".join)
address = st.one_of(
    st.builds("{}{}".format, st.sampled_from(["https://a.example/", "mailto:", "tel:", "#", "/", ""]), printed),
    printed,
    st.sampled_from([*ADDRESSES, "mailto:help@a.example", "#"]),
)


def nested(inside: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.builds('<a href="{}">{}</a>'.format, address, inside),
        st.builds('<img alt="{}" src="https://a.example/a.png">'.format, inner),
        st.builds('<table role="{}"><tr><td>{}</td><td>b</td></tr></table>'.format, inner, inside),
        st.builds("<table><tr><td>{}</td><td>{}</td></tr></table>".format, inside, inside),
        st.builds("<ul><li><p>{}</p></li><li>{}</ul>".format, inside, inside),
        st.builds("<pre>{}\n  {}</pre>".format, inside, inside),
        st.builds("<p>{}</p>\n{}<br>{}".format, inside, inside, inside),
        st.builds("{{% spaceless %}}<b>{}</b> <i> {} </i>{{% endspaceless %}}".format, inside, inside),
        st.builds("{{% if {} and {} or not {} %}}{}{{% else %}}{}{{% endif %}}".format, *[names] * 3, inside, inside),
        st.builds("{{% with x={} forloop={} %}}{}{{% endwith %}}".format, names, names, inside),
        st.builds("{{% for x in courses|slice:':1' %}}{}{{% empty %}}a{{% endfor %}}".format, inside),
        st.builds("{{% for y in week_highlights %}}{}{{% endfor %}}".format, inside),
        st.builds("{{% ifchanged {} %}}{}{{% endifchanged %}}".format, st.sampled_from(["week_num", "note"]), inside),
        st.lists(inside, max_size=3).map("".join),
    )


sources = st.recursive(inner, nested, max_leaves=6)
manners_of = st.tuples(
    st.sampled_from([EMPTY, WORDS]),
    st.sampled_from([EMPTY, WORDS]),
    st.sampled_from([EMPTY, ADDRESS]),
    st.sampled_from([EMPTY, WORDS, ADDRESS]),
)
people = manners_of.flatmap(
    lambda manners: st.lists(
        st.tuples(*[OF_MANNER[manner] for manner in manners]).map(lambda texts: dict(zip(PATHS, texts, strict=True))),
        min_size=2,
        max_size=6,
    )
)
many = settings(
    max_examples=600,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
)


def equal_or_refused(made: Sources, known: list[dict[Path, str]]) -> bool:
    """Compare all mails with a shape made for the first; return whether there is one."""
    try:
        edited = Edited(made)
        shape = shape_of(edited, known[0])
    except (TemplateError, Misuse):
        return False
    for texts in known:
        assert filling.manners(texts) == filling.manners(known[0])
        compare(shape, edited, texts)
    return True


@many
@given(subject=inner, html=sources, text=st.one_of(st.just(""), inner, sources), known=people)
def test_what_is_filled_in_equals_what_is_rendered(
    subject: str, html: str, text: str, known: list[dict[Path, str]]
) -> None:
    equal_or_refused(Sources(subject, html, text), known)


@many
@given(source=st.one_of(sources, test_sandbox_fuzz.sources), known=people)
def test_so_it_does_with_all_of_the_sandbox_s_words(source: str, known: list[dict[Path, str]]) -> None:
    equal_or_refused(Sources(source, source, source), known)
    equal_or_refused(Sources("a", source, ""), known)


@many
@given(
    html=st.sampled_from(
        [
            "<p>{}{}</p>",
            '<a href="{}">{}</a>',
            '<p>{0}{1}</p><a href="https://a.example/{0}">{1} {0}</a>',
            '<a href="{0}">{1}</a><a href="{1}">{0}</a>',
            '<table role="{}"><tr><td>{}</td></tr></table>',
        ]
    ),
    one=st.one_of(printed, literal, inner),
    two=st.one_of(printed, literal, inner),
    known=people,
)
def test_so_it_does_where_the_text_is_made_from_the_html(
    html: str, one: str, two: str, known: list[dict[Path, str]]
) -> None:
    equal_or_refused(Sources("a", html.format(one, two), ""), known)


ADA = {FIRST: "Ada", LAST: "B", STOP: "https://a.example/stop/1", NOTE: "a note"}
ORDINARY = [
    "<p>Hi {{ user.first_name }},</p>",
    "<h2>Welcome {{ user.first_name|default:user.last_name }}!</h2>",
    "<p>{% if user.first_name %}Hi {{ user.first_name }},{% else %}Hi there,{% endif %}</p>",
    '<a class="button" href="{{ course.url }}">Go on with {{ course.title }}</a>',
    '<a class="button" href="{{ course.url }}">{{ user.first_name }}, go on: {{ note }}</a>',
    '<p><a href="{{ unsubscribe_url }}">No more mail</a> <a href="{{ unsubscribe_url }}">{{ unsubscribe_url }}</a></p>',
    '<a href="https://a.example/?name={{ user.first_name }}">{{ user.last_name }}</a>',
    '<a href="mailto:help@a.example">Write to us, {{ user.first_name }}</a>',
    '<a href="#">{{ user.first_name }}</a><a>{{ user.first_name }}</a>',
    '{% for course in courses %}<p><a href="{{ course.url }}">{{ course.title|upper }}</a></p>{% endfor %}',
    '{% with one=courses|first %}<a href="{{ one.url }}">{{ one.title|default:"x" }}</a>{% endwith %}',
    '{% firstof user.first_name user.last_name "you" as who %}<img alt="{{ who }}" src="https://a.example/a.png">',
    "<p>{{ course.title|truncatechars:5|lower }} {% widthratio week_num 11 100 %}</p>{{ note|escape }}",
    "{% for x in week_highlights %}{% ifchanged x %}{{ x }} {{ user.first_name }}{% endifchanged %}{% endfor %}",
    "{% regroup week_highlights by 0 as groups %}{{ groups|length }}{{ user.first_name }}",
    "{% spaceless %}<b>{{ user.first_name }}</b> <i>a</i>{% endspaceless %}&nbsp;{{ note }} R&D",
]


@pytest.mark.parametrize("html", ORDINARY)
@pytest.mark.parametrize("text", ["", "Hi {{ user.first_name|default:'there' }}, {{ unsubscribe_url }}"])
def test_ordinary_templates_are_filled_in(html: str, text: str) -> None:
    others = [{path: text if text.startswith("http") else each for path, text in ADA.items()} for each in CRAFTY]
    for one in (ADA, {**ADA, FIRST: ""}):
        known = [one] + [other | ({FIRST: ""} if not one[FIRST] else {}) for other in others]
        same = [texts for texts in known if filling.manners(texts) == filling.manners(one)]
        assert equal_or_refused(Sources("{{ user.first_name }}, {{ course.title }}", html, text), same)


@pytest.mark.parametrize("good", good_templates.GOOD, ids=range(len(good_templates.GOOD)))
def test_the_good_templates_are_filled_in_or_refused(good: good_templates.Good) -> None:
    for subject in good_templates.SUBJECTS:
        for text in good_templates.TEXTS:
            equal_or_refused(Sources(subject, good.source, text), [ADA, {**ADA, FIRST: '"<i>', NOTE: "lt;"}])


REFUSED = {
    "{{ user.first_name|upper }}": "more than printing",
    "{{ user.first_name|default:'a'|upper }}": "more than printing",
    "{{ course.title|default:user.first_name|truncatechars:3 }}": "more than printing",
    "{{ course.title|cut:user.first_name }}": "argument",
    "{{ user.first_name|length }}": "more than printing",
    "{{ user.first_name|force_escape }}": "more than printing",
    "{{ user.first_name|linebreaks }}": "more than printing",
    "{% if user.first_name == 'Ada' %}x{% endif %}": "compared",
    "{% if 'A' in user.first_name %}x{% endif %}": "compared",
    "{% if user.first_name|length > 3 %}x{% endif %}": "more than printing",
    "{% ifchanged user.first_name %}x{% endifchanged %}": "compared",
    "{% ifchanged %}{{ user.first_name }}{% endifchanged %}": "compares what is in it",
    "{% widthratio user.first_name 1 1 %}": "compared",
    "{% regroup courses by url as groups %}": "compared",
    "{% regroup week_highlights by url|default:user.first_name as groups %}": "compared",
    "{{ courses|dictsort:'url' }}": "more than printing",
    "{{ courses|join:', ' }}": "more than printing",
    "{% firstof user.first_name as x %}{{ x|lower }}": "more than printing",
    "{% with x=user %}{{ x.first_name|lower }}{% endwith %}": "more than printing",
    "{% with forloop=user %}{% for x in courses %}{{ forloop.parentloop.first_name|lower }}{% endfor %}{% endwith %}": (
        "a loop's own name"
    ),
    "{% for x in user.first_name %}x{% endfor %}": "gone through",
    "{{ message.uuid }}": "differs from mail to mail",
    "<p>&{{ user.first_name }}</p>": "stands right before it",
    "<p>&am{{ user.first_name }}</p>": "stands right before it",
    "<p>&#{% if course %}6{% endif %}{{ user.first_name }}</p>": "stands right before it",
    '<table role="{{ user.first_name }}"><tr><td>a</td></tr></table>': "the role of an element",
    '<a href="{{ user.first_name }}">a</a>': "may be the address",
    '<a href="mailto:{{ user.first_name }}">a</a>': "may be the address",
    '<a href="http{{ user.first_name }}">{{ user.last_name }}</a>': "may be the address",
    '<a href="https://a.example/">{{ unsubscribe_url }}</a>': "may be the address",
    '<a href="https://a.example/">https://{{ user.first_name }}</a>': "may be the address",
    '<a href="mailto:help@a.example">{{ user.first_name }}</a>': "may be the address",
    '<a href="{{ unsubscribe_url }}">http{{ user.first_name }}://</a>': "may be the address",
}


@pytest.mark.parametrize(("source", "reason"), REFUSED.items())
def test_what_is_no_printing_is_refused(source: str, reason: str) -> None:
    with pytest.raises(Misuse, match=reason):
        shape_of(Edited(Sources("a", source, "")), ADA)


def test_spaceless_is_read_in_html_only() -> None:
    source = "{% spaceless %}{{ user.first_name }}{% endspaceless %}"
    shape_of(Edited(Sources("a", source, "")), ADA)
    for made in (Sources("a", "a", source), Sources(source, "a", "")):
        with pytest.raises(Misuse, match="spaceless"):
            shape_of(Edited(made), ADA)


@pytest.mark.parametrize("number", [10, 45, 55, 200])
def test_the_longest_texts_stay_within_the_budget(number: int) -> None:
    edited = Edited(Sources("a", "<p>{{ user.first_name }}</p>" * number, "a"))
    longest = {**ADA, FIRST: '"' * LONGEST}
    if number * len("&quot;") * LONGEST > MAX_SIZE:
        with pytest.raises(Misuse, match="with long names"):
            shape_of(edited, ADA)
        with pytest.raises(TemplateError, match="writes more than"):
            edited.html(values(longest, UUID))
        return
    compare(shape_of(edited, ADA), edited, longest)


def test_a_budget_that_a_condition_hides_is_none() -> None:
    """Django's conditions go on after an error, and this one writes nothing after it."""
    often = "{% for a in courses %}" * 11
    source = f"a{often}{{% if a.title or note %}}{{% endif %}}" + "{% endfor %}" * 11
    with pytest.raises(Misuse):
        shape_of(Edited(Sources("a", source, "a")), ADA)


@pytest.mark.parametrize(
    ("text", "manner"),
    [
        ("", EMPTY),
        ("Ada", WORDS),
        ("Anne-Marie O’Hara 👩‍🚀", WORDS),
        ("Part 1: the sea / the land", WORDS),
        ("https://a.example/?a=1", ADDRESS),
        ("http://a.example/", ADDRESS),
        (" Ada", None),
        ("Ada ", None),
        ("Ada  B", None),
        ("Ada\nB", None),
        ("Ada\tB", None),
        ("Ada\xa0B", None),
        ("Ada\u2003B", None),
        ("Ada\u2028B", None),
        ("A\x00a", None),
        ("A\x85a", None),
        (" ", None),
        ("a://b", None),
        ("/a", None),
        ("a:", None),
        ("x" * LONGEST, WORDS),
        ("x" * (LONGEST + 1), None),
    ],
)
def test_the_manner_of_a_text(text: str, manner: int | None) -> None:
    assert filling.manner(text) == manner


def test_a_name_that_is_an_address_decides_nothing() -> None:
    assert filling.manners({FIRST: "https://a.example/"}) is None
    assert filling.manners({NOTE: "https://a.example/"}) == (ADDRESS,)
