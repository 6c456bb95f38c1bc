"""The closest released language …"""

import pytest

from courses.languages import closest_language

RELEASED = ["en", "es", "fr", "pt-br", "zh-hans", "zh-hant"]


@pytest.mark.parametrize(
    ("wanted", "closest"),
    [
        ("es", "es"),
        ("es-es", "es"),
        ("es-419", "es"),
        ("ES_mx", "es"),
        ("es_ES.UTF-8", "es"),
        (" fr-CA ", "fr"),
        ("pt", "pt-br"),
        ("pt-pt", "pt-br"),
        ("zh-cn", "zh-hans"),
        ("zh-TW", "zh-hant"),
        ("zh-hant-hk", "zh-hant"),
        ("zh", None),
        ("de", None),
        ("e", None),
        ("", None),
        (None, None),
        ("-", None),
        ("est", None),
    ],
)
def test_is_found_for(wanted: str | None, closest: str | None) -> None:
    assert closest_language(wanted, RELEASED) == closest


def test_keeps_the_spelling_of_the_released_code() -> None:
    assert closest_language("pt", ["pt-BR"]) == "pt-BR"


def test_is_none_when_nothing_is_released() -> None:
    assert closest_language("en", []) is None


def test_is_the_first_released_variant() -> None:
    assert closest_language("pt", ["en", "pt-pt", "pt-br"]) == "pt-pt"
