"""What the log keeps of a mail: small, and readable for as long as it is kept."""

from __future__ import annotations

import json
import zlib
from datetime import date
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.contrib.sites.models import Site
from hypothesis import given
from hypothesis import strategies as st

from email_automation.models import EmailLog, pack_content
from email_automation.models.content import dictionaries, unpack_content
from email_automation.pipeline import dispatch, message
from tests.message_factories import FACTORIES

DAY = date(2017, 8, 1)
#: The checksum by which rows name the first dictionary.
FIRST = 1363330291
LANGUAGES = [code for code, _ in django_settings.LANGUAGES]


@given(st.dictionaries(st.text(), st.text()))
def test_what_is_packed_comes_out_again(content: dict[str, str]) -> None:
    assert unpack_content(pack_content(content)) == content


def test_rows_from_before_the_dictionaries_can_be_read() -> None:
    content = {"subject": "Grüße", "html": "<p>" * 100}
    assert unpack_content(zlib.compress(json.dumps(content).encode(), 6)) == content


def test_no_dictionary_is_ever_edited() -> None:
    assert list(dictionaries()) == [FIRST]


@pytest.mark.django_db
@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("label", sorted(FACTORIES))
def test_a_stock_mail_takes_about_a_kilobyte(label: str, language: str, settings: Any) -> None:
    site = Site.objects.get(pk=django_settings.SITE_ID)
    factory = FACTORIES[label]()
    factory.switch(site, enqueue=True, deliver=True)
    factory.due(1, day=DAY, site=site, language=language)
    dispatch.run_daily(message.get(label), site.pk, day=DAY)
    content = EmailLog.objects.get().content
    assert content is not None and len(bytes(content)) < 1150
