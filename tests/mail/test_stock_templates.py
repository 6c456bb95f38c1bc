"""What every stock mail keeps to: the same facts twice, readable everywhere, nothing undefined, nothing remote."""

from __future__ import annotations

import gettext
import re
from itertools import product
from typing import Any

import pytest

from .catalogue import entries, msgids
from .page import Page, contrast, dark_rules, declarations, one_line
from .stock import APPS, FULL_BRAND, NO_BRAND, ROOT, TEMPLATES, context, parts, style

DAY3 = "schedules/recurringnudge_day3"
DAY10 = "schedules/recurringnudge_day10"
NUDGES = (DAY3, DAY10)
LANGUAGES = ("en", "es", "fr")
CASES = [
    pytest.param(message, context(courses=courses, upsell=upsell, language=language, brand=brand, is_test=test))
    for message, courses, upsell, language, (brand, test) in product(
        NUDGES, (1, 3), (True, False), LANGUAGES, ((FULL_BRAND, False), (NO_BRAND, True), (FULL_BRAND, True))
    )
]
PALETTE = (("#0B5C8A", "#FFFFFF"), ("#FFD500", "#111111"), ("#FFFFFF", "#111111"), ("#101425", "#FFFFFF"), ("", ""))
each_mail = pytest.mark.parametrize(("message", "values"), CASES)
each_nudge = pytest.mark.parametrize("message", NUDGES)


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
    assert set(Page(rendered["body.html"]).links) == set(re.findall(r"https?://\S+", rendered["body.txt"]))


@each_mail
def test_html_and_text_say_the_same(message: str, values: dict[str, Any]) -> None:
    rendered = parts(message, values)
    chunks, text = Page(rendered["body.html"]).chunks, one_line(rendered["body.txt"])
    assert [chunk for chunk in chunks if chunk not in text] == []
    lines = [re.sub(r"(\s–\s)?https?://\S+", "", line) for line in rendered["body.txt"].splitlines()]
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
def test_it_loads_nothing_but_the_logo(message: str, values: dict[str, Any]) -> None:
    page = Page(parts(message, values)["body.html"])
    expected = [values["brand"]["logo_url"]] if values["brand"]["logo_url"] else []
    assert [value for tag, name, value in page.attributes if name in ("src", "srcset", "background")] == expected
    assert [image["alt"] for image in page.images] == [values["site_name"]] * len(expected)
    assert not any("url(" in value for _, name, value in page.attributes if name == "style")
    assert "url(" not in style() and "@import" not in style()


@each_mail
def test_its_tables_are_layout_and_its_language_is_told(message: str, values: dict[str, Any]) -> None:
    html = parts(message, values)["body.html"]
    assert html.count("<table") == html.count('<table role="presentation"')
    assert f'lang="{values["language"]}" dir="ltr"' in html
    assert not re.search(r"(?:text-align|float)\s*:|(?:margin|padding|border)-(?:left|right)", html)


@each_nudge
def test_its_direction_follows_the_language(message: str) -> None:
    assert 'dir="rtl"' in parts(message, context(direction="rtl"))["body.html"]


@each_nudge
@pytest.mark.parametrize(("color", "on_color"), PALETTE)
@pytest.mark.parametrize("dark", [False, True])
def test_every_word_can_be_read(message: str, color: str, on_color: str, dark: bool) -> None:
    brand = FULL_BRAND | {"color": color, "on_color": on_color, "logo_url": ""}
    html = parts(message, context(brand=brand, is_test=True))["body.html"]
    page = Page(html, rules=dark_rules(style()) if dark else None)
    assert page.words
    assert [word for word in page.words if contrast(word.color, word.background) < 4.5] == []


def test_outlook_gets_the_same_dark_colours() -> None:
    rules = dark_rules(style())
    for prefix, name in (("ogsc", "color"), ("ogsb", "background-color")):
        for chosen, body in re.findall(rf"\[data-{prefix}\] \.([\w-]+)\{{([^}}]*)\}}", style()):
            assert declarations(body)[name] == rules[chosen][name], chosen


@each_nudge
def test_its_links_are_big_enough_to_tap(message: str) -> None:
    html = parts(message, context(brand=FULL_BRAND | {"logo_url": ""}))["body.html"]
    for attributes in re.findall(r"<a ([^>]*)>", html):
        rules = declarations(re.search(r'style="([^"]*)"', attributes)[1])
        line = re.search(r"(\d+)px", rules.get("line-height", "20px"))
        assert rules["display"] == "inline-block"
        assert int(line[1]) + 2 * int(rules["padding"].split("px")[0]) >= 44, attributes


@each_nudge
@pytest.mark.parametrize("courses", [1, 3])
def test_author_text_is_escaped_once_in_html_and_plain_in_text(message: str, courses: int) -> None:
    title = 'Tom & "Jerry" <i>'
    values = context(courses=courses, course_name=title, first_name="Ann <b>", site_name="A & B <s>")
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


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_day_3_subject_names_the_course_or_the_platform(language: str) -> None:
    one = parts(DAY3, context(courses=1, language=language))
    several = parts(DAY3, context(courses=3, language=language))
    assert "Tides & Shores" in one["subject.txt"] and "Example Academy" not in one["subject.txt"]
    assert "Example Academy" in several["subject.txt"] and "Tides & Shores" not in several["subject.txt"]
    for rendered in (one, several):
        assert "\n" not in rendered["subject.txt"].strip()
        assert Page(rendered["head.html"]).chunks == [one_line(rendered["subject.txt"])]


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_day_10_subject_is_the_same_for_everyone(language: str) -> None:
    subjects = {
        parts(DAY10, context(courses=courses, language=language, brand=brand))["subject.txt"]
        for courses, brand in product((1, 3), (FULL_BRAND, NO_BRAND))
    }
    assert len(subjects) == 1
    assert "\n" not in subjects.pop().strip()


def test_the_day_3_body_recalls_the_first_course_in_bold_and_the_others() -> None:
    one, several = (parts(DAY3, context(courses=courses, upsell=False)) for courses in (1, 2))
    for rendered in (one, several):
        assert re.search(r"<strong [^>]*>Tides &amp; Shores</strong>", rendered["body.html"])
    assert "and other courses" not in one["body.txt"]
    assert "Tides & Shores and other courses at Example Academy" in several["body.txt"]


def test_the_day_10_body_names_the_course_only_when_it_is_the_only_one() -> None:
    assert "Tides & Shores" in parts(DAY10, context(courses=1, upsell=False))["body.txt"]
    assert "Tides & Shores" not in parts(DAY10, context(courses=2, upsell=False))["body.txt"]


@each_nudge
@pytest.mark.parametrize("language", LANGUAGES)
def test_the_upsell_names_the_first_course_and_the_date(message: str, language: str) -> None:
    values = context(courses=3, language=language)
    text = parts(message, values)["body.txt"]
    paragraph = next(line for line in text.splitlines() if values["user_schedule_upgrade_deadline_time"] in line)
    assert "Tides & Shores" in paragraph
    assert values["upsell_link"] in text
    assert "pay.example.com" not in parts(message, context(upsell=False))["body.txt"]


@each_nudge
def test_the_button_leads_to_the_target_of_the_resolver(message: str) -> None:
    links = Page(parts(message, context(brand=NO_BRAND, upsell=False))["body.html"]).links
    assert links == [context()[name] for name in ("cta_url", "unsubscribe_url", "preferences_url")]


@each_nudge
def test_the_greeting_does_without_a_name(message: str) -> None:
    assert "Hi Ann," in parts(message, context())["body.txt"]
    assert "Hi there," in parts(message, context(first_name=""))["body.txt"]


@each_nudge
def test_what_the_brand_lacks_is_left_out(message: str) -> None:
    google_only = FULL_BRAND | {"stores": FULL_BRAND["stores"][:1], "contact_mailing_address": ""}
    for part in ("body.html", "body.txt"):
        full, some = (parts(message, context(brand=brand))[part] for brand in (FULL_BRAND, google_only))
        assert "App Store" in full and "12 Harbour Street" in full
        assert "Google Play" in some and "App Store" not in some and "12 Harbour Street" not in some


@each_nudge
def test_a_test_mail_says_so_and_keeps_its_footer(message: str) -> None:
    for part in ("body.html", "body.txt"):
        assert "This is a test email." in parts(message, context(is_test=True))[part]
        assert "This is a test email." not in parts(message, context())[part]
    assert context()["unsubscribe_url"] in parts(message, context(is_test=True))["body.txt"]


@each_nudge
@pytest.mark.parametrize("courses", [1, 3])
def test_no_distance_in_days_is_stated(message: str, courses: int) -> None:
    rendered = parts(message, context(courses=courses, upsell=False, course_name="C", brand=NO_BRAND))
    assert not re.search(r"\b(?:\d+|three|ten|few) days?\b|\bago\b|yesterday|last week", rendered["body.txt"])


def test_a_missing_variable_is_an_error() -> None:
    values = context()
    del values["course_name"]
    with pytest.raises(LookupError, match="course_name"):
        parts(DAY3, values)


def test_personal_values_are_only_printed_or_asked_whether_they_are_empty() -> None:
    for app in APPS:
        for path in (ROOT / app / "templates" / app / "edx_ace").rglob("*.*"):
            for tag in re.findall(r"\{[{%].*?[}%]\}", path.read_text(encoding="utf-8")):
                names = re.findall(r"(?:user\.\w+|unsubscribe_url|preferences_url)\S*", tag)
                assert not any("|" in name for name in names), (path, tag)
                if tag.startswith("{% if") and names:
                    assert re.fullmatch(r"\{% if \S+ %\}", tag), (path, tag)


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
