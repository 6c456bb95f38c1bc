"""How people's HTML looks in the frame of a mail."""

from __future__ import annotations

import pytest

from email_automation.templating import markup
from email_automation.templating.looks import LOOKS, dressed
from email_automation.templating.sandbox import Template
from tests.mail.page import Page, contrast, dark_rules, declarations
from tests.mail.stock import style


def looks(source: str) -> str:
    return dressed(source, markup.scan(Template(source)))


def test_every_element_gets_its_look_once() -> None:
    assert looks("<p>a</p>\n<P>b") == '<p style="margin:0 0 16px;">a</p>\n<P style="margin:0 0 16px;">b'
    for tag, look in LOOKS.items():
        if tag not in ("td", "th"):
            assert f'<{tag} class="{look.name}" style="{look.style}">'.replace(' class=""', "") in looks(
                f"<{tag}></{tag}>"
            )


def test_a_style_of_its_own_stays_and_so_does_a_class() -> None:
    assert looks('<p style="margin:0">a</p>') == '<p style="margin:0">a</p>'
    assert looks('<h2 class="mine">a</h2>') == f'<h2 style="{LOOKS["h2"].style}" class="mine">a</h2>'
    assert looks('<p {% if course %}style="color:red"{% endif %}>a</p>').count("style=") == 1


def test_tags_that_are_no_tags_stay() -> None:
    for source in ("a < b", "<!-- <p> -->", "{# <p> #}", "{% comment %}<p>{% endcomment %}", '{{ x|default:"<p>" }}'):
        assert looks(source) == source
    assert looks("{% verbatim %}<p>{% endverbatim %}") == '{% verbatim %}<p style="margin:0 0 16px;">{% endverbatim %}'


def test_a_table_for_layout_is_left_alone_and_one_for_figures_is_not() -> None:
    for start in ('<table role="presentation">', '<table style="width:10px">'):
        assert looks(f"{start}<tr><td>a</td></tr></table>") == f"{start}<tr><td>a</td></tr></table>"
    html = looks("<table><tr><th>a</th><td>b</td></tr></table>")
    assert html.count("border-bottom") == 2 and "border-collapse:collapse" in html
    nested = looks('<table><tr><td><table role="presentation"><tr><td>a</td></tr></table></td></tr></table>')
    assert nested.count("border-bottom") == 1


@pytest.mark.parametrize("name", ["button", "button quiet", "quiet button"])
def test_a_link_may_be_a_button(name: str) -> None:
    html = looks(f'<div><a class="{name}" href="{{{{ cta_url }}}}">Go <b>on</b></a></div>')
    page = Page(html.replace("{{ cta_url }}", "https://a.example"))
    assert page.links == ["https://a.example"]
    assert html.count("<table") == html.count("</table>") == 1
    assert ("m-quiet" in html) == ("quiet" in name)
    assert "brand.color" not in html or "quiet" not in name


def test_inside_a_sentence_a_button_is_no_table() -> None:
    html = looks('<p>Now <a class="button" href="#">go</a></p>')
    assert "<table" not in html
    assert "display:inline-block" in html and "background-color:{% firstof brand.color" in html
    Page(html)


def test_lines_stay_where_they_are() -> None:
    source = '<h1>a</h1>\n<p>b\n<a class="button" href="#">c</a>\n</p>\n<ul>\n<li>d</ul>\n'
    assert looks(source).count("\n") == source.count("\n")


def test_every_colour_can_be_read_on_light_and_dark_cards() -> None:
    dark = dark_rules(style())
    for look in LOOKS.values():
        color = declarations(look.style).get("color")
        if color:
            assert contrast(color, "#FFFFFF") >= 4.5
            assert any("color" in dark.get(name, {}) for name in look.name.split())


def test_no_look_knows_left_from_right() -> None:
    for look in LOOKS.values():
        assert "left" not in look.style and "right" not in look.style
