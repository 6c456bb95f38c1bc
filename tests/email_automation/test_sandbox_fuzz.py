"""Random templates: whatever is in them, they end in a text or in the engine's own error, and soon."""

from __future__ import annotations

import time

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from email_automation.pipeline import message
from email_automation.templating import markup
from email_automation.templating.checking import Problem, problems, samples
from email_automation.templating.edited import Edited, Sources
from email_automation.templating.errors import TemplateError
from email_automation.templating.library import register
from email_automation.templating.plain import plain_text
from email_automation.templating.sandbox import Template

KIND = message.get("courseupdate")
NAMES = (
    "user",
    "user.first_name",
    "week_highlights",
    "week_highlights.0",
    "course",
    "payment.amount",
    "week_num",
    "x",
    "y",
    "forloop",
    "forloop.counter",
    "nowhere",
    "None",
    "True",
    "1",
    "-2.5",
    "'a'",
    '"<b>"',
    "x.y.z",
    "x._y",
    "a..b",
)
WORDS = (
    "and",
    "or",
    "not",
    "in",
    "==",
    "<",
    ">=",
    "is",
    "as",
    "by",
    "with",
    "reversed",
    "=",
    "|",
    ":",
    ",",
    ".",
    "_(",
    ")",
)
MARKS = (
    "{{",
    "}}",
    "{%",
    "%}",
    "{#",
    "#}",
    "<",
    ">",
    "</",
    "/>",
    "<!--",
    "-->",
    '"',
    "'",
    "&",
    "\n",
    "\r\n",
    " ",
    "\x00",
    "\\",
)
PIECES = (
    "<p>",
    "</p>",
    "<b>",
    "</b>",
    '<a href="',
    '<a class="button" href="#">',
    "</a>",
    "<table>",
    "<tr>",
    "<td>",
    "</table>",
    "<li>",
    "<ul>",
    "</ul>",
    "<br/>",
    "javascript:",
    "https:",
    "é",
    "👋",
)
TAGS = (*register.tags, *(f"end{tag}" for tag in register.tags), "else", "elif", "empty", "load", "include")

name = st.sampled_from(NAMES)
argument = st.one_of(name, st.sampled_from(WORDS), st.text(max_size=3))
filtered = st.builds(
    lambda value, filters: value + "".join(filters),
    name,
    st.lists(
        st.builds(
            lambda word, given: f"|{word}" + (f":{given}" if given else ""),
            st.sampled_from(sorted(register.filters)),
            st.one_of(st.none(), name),
        ),
        max_size=3,
    ),
)
tag = st.builds(
    lambda word, rest, blank: f"{{% {word}{blank}{blank.join(rest)} %}}",
    st.sampled_from(TAGS),
    st.lists(st.one_of(filtered, argument), max_size=5),
    st.sampled_from((" ", "  ", "\t", "\xa0")),
)
piece = st.one_of(
    st.builds(lambda value: f"{{{{ {value} }}}}", filtered),
    tag,
    st.sampled_from(MARKS),
    st.sampled_from(PIECES),
    st.text(max_size=5),
)
soup = st.lists(piece, max_size=25).map("".join)


@st.composite
def whole(draw: st.DrawFn, depth: int = 0) -> str:
    """Templates that are put together as they should be, so that most of them compile."""
    made = []
    for _ in range(draw(st.integers(0, 4))):
        kind = draw(st.integers(0, 6 if depth < 4 else 2))
        inner = draw(whole(depth + 1)) if kind > 2 else ""
        value = draw(filtered)
        made.append(
            [
                draw(st.sampled_from(PIECES)),
                f"{{{{ {value} }}}}",
                f"{{% firstof {value} 'a' as x %}}",
                f"{{% if {value} {draw(st.sampled_from(WORDS[:8]))} {draw(name)} %}}{inner}{{% else %}}a{{% endif %}}",
                f"{{% for x in {value} %}}{inner}{{% empty %}}b{{% endfor %}}",
                f"{{% with x={value} y={draw(name)} %}}{inner}{{% endwith %}}",
                f"{{% ifchanged {value} %}}{{% spaceless %}}{inner}{{% endspaceless %}}{{% endifchanged %}}",
            ][kind]
        )
    return "".join(made)


sources = st.one_of(soup, whole())
many = settings(
    max_examples=400,
    deadline=1000,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
)


@many
@given(source=sources, escaped=st.booleans())
def test_it_ends_in_a_text_or_in_our_error(source: str, escaped: bool) -> None:
    values = samples(KIND)
    for given_values in (values, {**values, "course": None, "payment": None, "user": None}, {}):
        try:
            made = Template(source).render_values(given_values, autoescape=escaped)
        except TemplateError as error:
            assert error.line >= 0
            continue
        assert type(made) is str


@many
@given(source=sources)
def test_checking_it_gives_problems_and_nothing_else(source: str) -> None:
    started = time.thread_time()
    found = problems(KIND, subject=source, html=source, text=source, languages=["en", "es"])
    assert time.thread_time() - started < 1
    assert all(isinstance(problem, Problem) and problem.message for problem in found)


@many
@given(source=sources)
def test_what_passes_the_check_can_be_sent_whatever_is_missing(source: str) -> None:
    if problems(KIND, subject="a", html=source, text=source, languages=["en"]):
        return
    edited = Edited(Sources("a", source, source))
    values = samples(KIND)
    for missing in ((), ("course",), ("payment",), ("enrollment",), ("course", "enrollment", "payment")):
        without = {**values, **dict.fromkeys(missing)}
        edited.html(without)
        edited.text(without)


@many
@given(source=sources)
def test_its_html_is_read_without_an_error(source: str) -> None:
    try:
        template = Template(source)
    except TemplateError:
        return
    markup.scan(template)
    plain_text(source)


@many
@given(source=sources)
def test_html_that_passes_leaves_the_frame_whole(source: str) -> None:
    if problems(KIND, subject="a", html=source, text="", languages=["en"]):
        return
    made = Edited(Sources("a", source, "")).html(samples(KIND))
    rendered = Template("{% verbatim %}" + made + "{% endverbatim %}", ours=True)
    assert markup.scan(rendered).faults == []
