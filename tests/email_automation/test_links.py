"""The links of mails."""

from __future__ import annotations

from datetime import date
from urllib.parse import parse_qs, urlsplit

import pytest
from django.conf import settings
from django.contrib.sites.models import Site

from email_automation.links import MESSAGE_UUID, tracked
from email_automation.models import EmailLog
from email_automation.pipeline import dispatch, message
from tests.message_factories import FACTORIES


def test_a_value_that_is_there_already_stays() -> None:
    url = tracked("https://a.example/x?utm_source=mine&b=1#top", source="s", campaign="c", term="t")
    query = parse_qs(urlsplit(url).query)
    assert (query["utm_source"], query["b"], query["utm_content"]) == (["mine"], ["1"], [MESSAGE_UUID])
    assert urlsplit(url).fragment == "top"


def test_a_mail_about_no_course_names_none() -> None:
    assert "utm_term" not in tracked("https://a.example/", source="s", campaign="c", term="")


@pytest.mark.django_db
def test_the_way_home_is_tracked_like_every_link_to_the_platform() -> None:
    kind, site = message.get("recurringnudge_day3"), Site.objects.get(pk=settings.SITE_ID)
    factory = FACTORIES[kind.label()]()
    factory.switch(site, enqueue=True, deliver=True)
    factory.due(1, day=date(2017, 8, 1), site=site)
    dispatch.run_daily(kind, site.pk, day=date(2017, 8, 1))
    row = EmailLog.objects.select_related("course").get()
    content = row.stored_content()
    assert content is not None and row.course is not None
    home = next(url for url in content["text"].split() if url.startswith(f"https://{site.domain}?"))
    assert parse_qs(urlsplit(home).query) == {
        "utm_source": ["schedules"],
        "utm_medium": ["email"],
        "utm_campaign": [kind.NAME],
        "utm_content": [str(row.message_uuid)],
        "utm_term": [row.course.key],
    }
