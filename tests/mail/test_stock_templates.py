"""What every stock mail keeps to: the same facts twice, readable everywhere, nothing undefined, nothing unasked for."""

from __future__ import annotations

import gettext
import re
from collections.abc import Iterator
from itertools import product
from typing import Any

import pytest

from .catalogue import entries, msgids
from .page import Page, contrast, dark_rules, declarations, one_line
from .stock import (
    APPROVED,
    APPS,
    CONTENT,
    DAY3,
    DAY10,
    DECLINED,
    DEMO,
    ENROLLMENT,
    FULL_BRAND,
    GOAL,
    LANGUAGES,
    MESSAGES,
    NO_BRAND,
    OWN,
    PAYMENT,
    REMINDER,
    ROOT,
    TEMPLATES,
    UPDATE,
    VARIANTS,
    WEEKLY,
    context_of,
    parts,
    style,
)


def cases() -> Iterator[tuple[str, dict[str, Any]]]:
    """Every message with every kind of learner, language and site, and with what its own values change."""
    brands = ((FULL_BRAND, False), (NO_BRAND, True), (FULL_BRAND, True))
    for message, language, (brand, test) in product(MESSAGES, LANGUAGES, brands):
        for variant in VARIANTS[message]:
            yield message, context_of(message, language=language, brand=brand, is_test=test, **variant)


PALETTE = (("#0B5C8A", "#FFFFFF"), ("#FFD500", "#111111"), ("#FFFFFF", "#111111"), ("#101425", "#FFFFFF"), ("", ""))
PRINTED = {
    DAY3: ("course_name", "course_count", "site_name", "cta_url"),
    DAY10: ("site_name", "cta_url"),
    REMINDER: (
        "course_name",
        "course_count",
        "first_course_name",
        "course_links",
        "cert_image",
        "days_left",
        "user_schedule_upgrade_deadline_time",
        "cta_url",
    ),
    UPDATE: ("course_name", "week_num", "week_highlights", "cta_url", "upsell_link"),
    ENROLLMENT: ("site_name", "cta_url"),
    PAYMENT: ("site_name", "cta_url"),
    DEMO: ("course", "site_name", "cta_url"),
    CONTENT: ("item_count", "site_name", "cta_url"),
    WEEKLY: ("course", "report", "site_name", "cta_url"),
    GOAL: ("course_name", "days_per_week", "days_done", "days_left", "goal_url", "site_name", "cta_url"),
    APPROVED: ("course_about_page_url", "organization", "site_name"),
    DECLINED: ("enterprise_dashboard_url", "organization", "site_name"),
}
#: Where the button leads, where the value has a name of its own.
TARGETS = {APPROVED: "course_about_page_url", DECLINED: "enterprise_dashboard_url"}
LINK = r"(?:https?://|mailto:)\S+"
# "extends" and "block" make the frame around what is edited, "load" brings the translations.
EDITABLE = {
    "extends",
    "block",
    "load",
    "trans",
    "blocktrans",
    "plural",
    "if",
    "else",
    "for",
    "with",
    "firstof",
    "include",
}
each_mail = pytest.mark.parametrize(("message", "values"), list(cases()))
each_message = pytest.mark.parametrize("message", MESSAGES)
each_variant = pytest.mark.parametrize(
    ("message", "variant"), [(message, variant) for message in MESSAGES for variant in VARIANTS[message]]
)


@each_mail
def test_it_has_five_parts_without_a_stray_brace(message: str, values: dict[str, Any]) -> None:
    for part, text in parts(message, values).items():
        assert text.strip(), part
        assert not re.search(r"\{[{%#]|[#%}]\}|%\(", text), part


@each_mail
def test_its_html_is_balanced_and_has_no_empty_element(message: str, values: dict[str, Any]) -> None:
    rendered = parts(message, values)
    assert Page(rendered["body.html"]).empty == []
    assert Page(rendered["head.html"]).empty == []


@each_mail
def test_html_and_text_hold_the_same_links(message: str, values: dict[str, Any]) -> None:
    rendered = parts(message, values)
    assert set(Page(rendered["body.html"]).links) == set(re.findall(LINK, rendered["body.txt"]))


@each_mail
def test_html_and_text_say_the_same(message: str, values: dict[str, Any]) -> None:
    rendered = parts(message, values)
    chunks, text = Page(rendered["body.html"]).chunks, one_line(rendered["body.txt"])
    assert [chunk for chunk in chunks if chunk not in text] == []
    lines = [re.sub(rf"^- |(\s–\s)?{LINK}", "", line) for line in rendered["body.txt"].splitlines()]
    page = " ".join(chunks)
    assert [line for line in lines if line.strip("- ") and one_line(line) not in page] == []


@each_mail
def test_its_text_has_no_tower_of_blank_lines(message: str, values: dict[str, Any]) -> None:
    text = parts(message, values)["body.txt"]
    assert text == text.lstrip()
    assert "\n\n\n" not in text
    assert not any(line != line.rstrip() for line in text.splitlines())


@each_mail
def test_it_stays_small(message: str, values: dict[str, Any]) -> None:
    rendered = parts(message, values)
    assert len((rendered["head.html"] + style() + rendered["body.html"]).encode()) < 60_000


@each_mail
def test_it_loads_nothing_but_the_logo_and_its_picture(message: str, values: dict[str, Any]) -> None:
    page = Page(parts(message, values)["body.html"])
    expected = [url for url in (values["brand"]["logo_url"], values.get("cert_image")) if url]
    assert [value for tag, name, value in page.attributes if name in ("src", "srcset", "background")] == expected
    assert all(image["alt"] for image in page.images)
    assert not any("url(" in value for _, name, value in page.attributes if name == "style")
    assert "url(" not in style() and "@import" not in style()


@each_mail
def test_its_tables_are_layout_or_name_their_rows_and_its_language_is_told(
    message: str, values: dict[str, Any]
) -> None:
    html = parts(message, values)["body.html"]
    for attributes, inside in re.findall(r"<table ([^>]*)>(.*?)(?=<table|</table>)", html, re.S):
        if 'role="presentation"' not in attributes:
            rows = re.findall(r"<tr>(.*?)</tr>", inside, re.S)
            assert rows and all(re.match(r'<th [^>]*scope="row"', row) for row in rows)
    assert f'lang="{values["language"]}" dir="ltr"' in html
    assert not re.search(r"(?:text-align|float)\s*:|(?:margin|padding|border)-(?:left|right)", html)


@each_message
def test_its_direction_follows_the_language(message: str) -> None:
    assert 'dir="rtl"' in parts(message, context_of(message, direction="rtl"))["body.html"]


@each_variant
@pytest.mark.parametrize(("color", "on_color"), PALETTE)
@pytest.mark.parametrize("dark", [False, True])
def test_every_word_can_be_read(message: str, variant: dict[str, Any], color: str, on_color: str, dark: bool) -> None:
    brand = FULL_BRAND | {"color": color, "on_color": on_color, "logo_url": ""}
    html = parts(message, context_of(message, brand=brand, is_test=True, **variant))["body.html"]
    page = Page(html, rules=dark_rules(style()) if dark else None)
    assert page.words
    assert [word for word in page.words if contrast(word.color, word.background) < 4.5] == []


def test_outlook_gets_the_same_dark_colours() -> None:
    rules = dark_rules(style())
    for prefix, name in (("ogsc", "color"), ("ogsb", "background-color")):
        for chosen, body in re.findall(rf"\[data-{prefix}\] \.([\w-]+)\{{([^}}]*)\}}", style()):
            assert declarations(body)[name] == rules[chosen][name], chosen


@each_variant
def test_its_links_are_big_enough_to_tap(message: str, variant: dict[str, Any]) -> None:
    html = parts(message, context_of(message, brand=FULL_BRAND | {"logo_url": ""}, **variant))["body.html"]
    for attributes in re.findall(r"<a ([^>]*)>", html):
        rules = declarations(re.search(r'style="([^"]*)"', attributes)[1])
        line = re.search(r"(\d+)px", rules.get("line-height", "20px"))
        assert rules["display"] in ("inline-block", "block")
        assert int(line[1]) + 2 * int(rules["padding"].split("px")[0]) >= 44, attributes


@each_message
def test_author_text_is_escaped_once_in_html_and_plain_in_text(message: str) -> None:
    title = 'Tom & "Jerry" <i>'
    values = context_of(message, course_name=title, first_name="Ann <b>", site_name="A & B <s>", **VARIANTS[message][0])
    rendered = parts(message, values)
    for raw, escaped in (
        ("Ann <b>", "Ann &lt;b&gt;"),
        (title, "Tom &amp; &quot;Jerry&quot; &lt;i&gt;"),
        ("A & B <s>", "A &amp; B &lt;s&gt;"),
    ):
        assert raw in rendered["body.txt"]
        assert escaped in rendered["body.html"]
        assert raw not in rendered["body.html"] + rendered["head.html"]
    assert not re.search(r"&(?:amp|lt|gt|quot|#)", rendered["body.txt"] + rendered["subject.txt"])
    assert "&amp;amp;" not in rendered["body.html"] + rendered["head.html"]
    assert rendered["from_name.txt"].strip() == "A & B <s>"


@each_message
def test_the_button_leads_to_the_target_of_the_resolver(message: str) -> None:
    values = context_of(message, brand=NO_BRAND, **VARIANTS[message][-1])
    links = Page(parts(message, values)["body.html"]).links
    further = ["goal_url"] if message == GOAL else []
    target = TARGETS.get(message, "cta_url")
    assert links == [values[name] for name in (target, *further, "unsubscribe_url", "preferences_url")]


@each_message
def test_the_greeting_does_without_a_name(message: str) -> None:
    assert "Hi Ann," in parts(message, context_of(message))["body.txt"]
    assert "Hi there," in parts(message, context_of(message, first_name=""))["body.txt"]


@each_message
def test_what_the_brand_lacks_is_left_out(message: str) -> None:
    google_only = FULL_BRAND | {"stores": FULL_BRAND["stores"][:1], "contact_mailing_address": ""}
    for part in ("body.html", "body.txt"):
        full, some = (parts(message, context_of(message, brand=brand))[part] for brand in (FULL_BRAND, google_only))
        assert "App Store" in full and "12 Harbour Street" in full
        assert "Google Play" in some and "App Store" not in some and "12 Harbour Street" not in some


@each_message
def test_a_test_mail_says_so_and_keeps_its_footer(message: str) -> None:
    for part in ("body.html", "body.txt"):
        assert "This is a test email." in parts(message, context_of(message, is_test=True))[part]
        assert "This is a test email." not in parts(message, context_of(message))[part]
    assert context_of(message)["unsubscribe_url"] in parts(message, context_of(message, is_test=True))["body.txt"]


@pytest.mark.parametrize(("message", "name"), [(message, name) for message in PRINTED for name in PRINTED[message]])
def test_a_missing_variable_is_an_error(message: str, name: str) -> None:
    values = context_of(message)
    del values[name]
    with pytest.raises(LookupError, match=name):
        parts(message, values)


def test_personal_values_are_only_printed_or_asked_whether_they_are_empty() -> None:
    for app in APPS:
        for path in (ROOT / app / "templates" / app / "edx_ace").rglob("*.*"):
            for tag in re.findall(r"\{[{%].*?[}%]\}", path.read_text(encoding="utf-8")):
                names = re.findall(r"(?:user\.\w+|unsubscribe_url|preferences_url)\S*", tag)
                assert not any("|" in name for name in names), (path, tag)
                if tag.startswith("{% if") and names:
                    assert re.fullmatch(r"\{% if \S+ %\}", tag), (path, tag)


@pytest.mark.parametrize("message", OWN)
@pytest.mark.parametrize("part", ["body.html", "body.txt"])
def test_the_engine_s_own_mail_keeps_to_what_an_editable_copy_of_it_can_say(message: str, part: str) -> None:
    path = ROOT / "email_automation/templates/email_automation/edx_ace" / message.partition("/")[2] / "email" / part
    source = path.read_text(encoding="utf-8")
    tags = re.findall(r"\{% *(\w+)(.*?)%\}", source)
    assert {tag.removeprefix("end") for tag, _ in tags} - EDITABLE == set()
    for tag, rest in tags:
        if tag == "include":
            assert re.match(r' "email_automation/edx_ace/base/(?:heading|button|greeting|preheader)\.', rest), rest
        if tag == "load":
            assert rest.split() == ["i18n"]


@pytest.mark.parametrize("language", ["es", "fr"])
@pytest.mark.parametrize("app", APPS)
def test_every_sentence_is_translated(app: str, language: str) -> None:
    folder = ROOT / app / "locale" / language / "LC_MESSAGES"
    known = set()
    for entry in entries(folder / "django.po"):
        assert not entry.fuzzy, entry.msgid
        assert all(entry.texts.values()) and entry.texts, entry.msgid
        expected = set(re.findall(r"%\(\w+\)s", entry.plural or entry.msgid))
        for text in entry.texts.values():
            assert set(re.findall(r"%\(\w+\)s", text)) == expected, entry.msgid
        known |= {entry.msgid, entry.plural}
    home = ROOT / app / "templates"
    for path in (home / app / "edx_ace").rglob("*.*"):
        missing = msgids(TEMPLATES.get_template(str(path.relative_to(home))).template) - known
        assert not missing, path


@pytest.mark.parametrize("language", ["es", "fr"])
@pytest.mark.parametrize("app", APPS)
def test_the_compiled_catalogue_is_up_to_date(app: str, language: str) -> None:
    folder = ROOT / app / "locale" / language / "LC_MESSAGES"
    with (folder / "django.mo").open("rb") as stream:
        compiled = gettext.GNUTranslations(stream)._catalog
    expected = {}
    for entry in entries(folder / "django.po"):
        for number, text in entry.texts.items():
            expected[(entry.msgid, number) if entry.plural else entry.msgid] = text
    compiled.pop("", None)
    assert compiled == expected
