"""Previews: the whole mail, made of sample values, whatever the state of the row."""

from __future__ import annotations

from typing import Any

import pytest

from email_automation.models import EmailTemplate
from email_automation.pipeline import message
from email_automation.templating import stored
from email_automation.templating.edited import Sources
from email_automation.templating.errors import TemplateError
from email_automation.templating.preview import preview
from email_automation.templating.stock import sources
from tests import factories

pytestmark = pytest.mark.django_db
KIND = message.get("courseupdate")
MINE = Sources("Mine {{ week_num }}", "<h2>{{ user.first_name }}</h2>", "")


@pytest.mark.parametrize("kind", list(message.all_messages()), ids=lambda kind: kind.NAME)
@pytest.mark.parametrize("language", ["en", "es", "fr"])
def test_it_shows_every_stock_mail(kind: Any, language: str) -> None:
    shown = preview(kind, sources(kind, language), language)
    assert shown.subject and shown.text.strip()
    assert shown.html.startswith("<!DOCTYPE html>") and f'<html lang="{language}"' in shown.html
    assert shown.size == len(shown.html.encode()) < 60_000
    assert f"<title>{shown.subject}</title>".replace("'", "&#x27;") in shown.html


def test_it_shows_sources_and_rows_in_whatever_state() -> None:
    factories.platform_site(name="Harbour")
    for source in (
        MINE,
        EmailTemplate(email_type="courseupdate", is_active=False, subject=MINE.subject, html_content=MINE.html),
    ):
        shown = preview(KIND, source, "es")
        assert shown.subject == "Mine 3"
        assert ">Ada</h2>" in shown.html and "Ada\n" in shown.text
        assert "Recibes este correo" in shown.html
    assert stored.current("courseupdate", "es") is None


def test_it_wears_the_default_sites_brand() -> None:
    site = factories.platform_site(name="Harbour", domain="harbour.example")
    factories.SiteConfigurationFactory(site=site, platform_name="Harbour & Co", primary_color="#123456")
    shown = preview(KIND, MINE, "en")
    assert shown.from_name == "Harbour & Co"
    assert "#123456" in shown.html and "Harbour &amp; Co" in shown.html


def test_it_can_show_the_dark_side() -> None:
    light, dark = (preview(KIND, MINE, "en", dark=dark) for dark in (False, True))
    assert "@media (prefers-color-scheme:dark)" in light.html
    assert "@media all" in dark.html and "prefers-color-scheme" not in dark.html
    assert light.size == dark.size


def test_a_broken_source_is_an_error_with_its_line() -> None:
    with pytest.raises(TemplateError, match="line 2: html_content: {% load %}"):
        preview(KIND, Sources("a", "\n{% load x %}", ""), "en")


def test_it_needs_no_site() -> None:
    from django.contrib.sites.models import Site

    Site.objects.all().delete()
    assert preview(KIND, MINE, "en").subject == "Mine 3"
