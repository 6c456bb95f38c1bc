"""What the mail about new content says, beside what every stock mail keeps to."""

from __future__ import annotations

import re

import pytest

from .page import Page, one_line
from .stock import CONTENT, ITEMS, LANGUAGES, NO_BRAND, content, parts

each_language = pytest.mark.parametrize("language", LANGUAGES)
KINDS = {
    "en": ("Video", "Quiz", "Assignment"),
    "es": ("Video", "Cuestionario", "Tarea"),
    "fr": ("Vidéo", "Quiz", "Devoir"),
}
COUNTED = {
    "en": ("There is 1 new thing", "There are 2 new things", "There is something new"),
    "es": ("Hay 1 novedad ", "Hay 2 novedades ", "Hay algo nuevo "),
    "fr": ("1 nouveauté vous attend ", "2 nouveautés vous attendent ", "Il y a du nouveau "),
}
PLACES = {
    "en": ("New in Tides & Shores", "New at Example Academy"),
    "es": ("Novedades en Tides & Shores", "Novedades en Example Academy"),
    "fr": ("Du nouveau dans Tides & Shores", "Du nouveau sur Example Academy"),
}
DESCRIPTION = "A <b>new</b> part & more.\nIt is about spring tides."


def preview(html: str) -> str | None:
    """What a mailbox shows beside the subject."""
    found = re.search(r"<div [^>]*display:none[^>]*>([^<]*)</div>", html)
    return found[1] if found else None


@each_language
@pytest.mark.parametrize("titled", [True, False])
def test_its_subject_names_the_course_or_the_platform(language: str, titled: bool) -> None:
    rendered = parts(CONTENT, content(titled=titled, language=language))
    assert rendered["subject.txt"].strip() == PLACES[language][0 if titled else 1]
    assert Page(rendered["head.html"]).chunks == [one_line(rendered["subject.txt"])]


@each_language
@pytest.mark.parametrize("titled", [True, False])
@pytest.mark.parametrize("count", [0, 1, 2])
def test_it_counts_what_is_new(language: str, titled: bool, count: int) -> None:
    text = parts(CONTENT, content(items=ITEMS[:count], titled=titled, language=language))["body.txt"]
    assert [sentence in text for sentence in COUNTED[language]] == [count == 1, count == 2, count == 0]
    assert ("Tides & Shores" in text) == titled


@each_language
def test_it_tells_each_kind_in_words(language: str) -> None:
    rendered = parts(CONTENT, content(language=language))
    items = re.findall(r"^- (.*)\n  (.*)$", rendered["body.txt"], re.M)
    assert items == [(item[0], kind) for item, kind in zip(ITEMS, KINDS[language], strict=True)]
    chunks = Page(rendered["body.html"]).chunks
    assert [chunks[chunks.index(title) + 1] for title, _ in items] == [kind for _, kind in items]


def test_an_item_links_to_itself_where_it_can() -> None:
    values = content(brand=NO_BRAND)
    links = Page(parts(CONTENT, values)["body.html"]).links
    assert links == [ITEMS[0][2], ITEMS[2][2], *(values[n] for n in ("cta_url", "unsubscribe_url", "preferences_url"))]
    assert (
        f"- {ITEMS[0][0]}\n  Video\n  {ITEMS[0][2]}\n- {ITEMS[1][0]}\n  Quiz\n- " in parts(CONTENT, values)["body.txt"]
    )


def test_it_escapes_what_authors_wrote_once() -> None:
    rendered = parts(CONTENT, content(description=DESCRIPTION))
    assert ">A &lt;b&gt;new&lt;/b&gt; part &amp; more.<br>It is about spring tides.</p>" in rendered["body.html"]
    assert f"\n\n{DESCRIPTION}\n\n- Reading a <tide> table\n" in rendered["body.txt"]
    assert ">Reading a &lt;tide&gt; table</span>" in rendered["body.html"]
    assert "&amp;lt;" not in rendered["body.html"] and "<tide>" not in rendered["body.html"]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"description": "A <part> & more.", "items": ITEMS}, "A &lt;part&gt; &amp; more."),
        ({"description": "w" * 500, "items": ()}, "w" * 139 + "…"),
        ({"items": ITEMS}, "Reading a &lt;tide&gt; table"),
        ({"items": ()}, None),
    ],
)
def test_its_preview_is_the_description_or_the_first_title(values: dict, expected: str | None) -> None:
    assert preview(parts(CONTENT, content(**values))["body.html"]) == expected


def test_it_lists_nothing_where_there_are_no_items() -> None:
    rendered = parts(CONTENT, content(items=(), description="A new part."))
    assert "<ul" not in rendered["body.html"] and "m-panel" not in rendered["body.html"]
    assert "\n- " not in rendered["body.txt"] and "\n\nA new part.\n\n" in rendered["body.txt"]
