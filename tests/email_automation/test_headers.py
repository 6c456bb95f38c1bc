"""The headers of a real mail, as the standard library reads them from what a server received."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Any
from uuid import UUID

import pytest
from django.conf import settings as django_settings
from django.contrib.sites.models import Site
from django.utils import timezone

from courses.models import Course, SiteConfiguration
from email_automation import consent, headers, words
from email_automation.models import EmailLog
from email_automation.pipeline import dispatch, message, sweep
from tests.factories import SiteConfigurationFactory
from tests.message_factories import NudgeDay3
from tests.smtp import Received, Server, answers

DAY = date(2017, 8, 1)
KIND = message.get("recurringnudge_day3")
UUID_OF_ROW = UUID("12345678-1234-5678-1234-567812345678")
BREAKS = ["\r\n", "\n", "\r", "\0", "\u2028", "\u2029", "\x85", "\x0b", "\x1f"]


@pytest.fixture
def server(settings: Any) -> Iterator[Server]:
    with Server.running() as running:
        running.use(settings)
        yield running


@pytest.fixture
def person(db: None) -> Any:
    site = Site.objects.get(pk=django_settings.SITE_ID)
    factory = NudgeDay3()
    factory.switch(site, enqueue=True, deliver=True)
    (learner,) = factory.due(1, day=DAY, site=site)
    return learner


def run(**options: Any) -> None:
    assert dispatch.run_daily(KIND, django_settings.SITE_ID, day=DAY, **options).errors == []


def received(server: Server) -> Received:
    (mail,) = server.received
    return mail


def configure(**fields: Any) -> SiteConfiguration:
    return SiteConfigurationFactory(site=Site.objects.get(pk=django_settings.SITE_ID), **fields)


def test_a_mail_has_every_header_it_needs(server: Server, person: Any, settings: Any) -> None:
    settings.UNSUBSCRIBE_MAILTO = "stop@example.com"
    configure(
        platform_name="Université Été",
        from_address="campus@example.org",
        reply_to="help@example.org",
        list_id="nudges.example.org",
    )
    run()
    mail = received(server)
    found, row = mail.message, EmailLog.objects.get()
    assert (found["From"].addresses[0].display_name, found["From"].addresses[0].addr_spec) == (
        "Université Été",
        "campus@example.org",
    )
    assert mail.sender == "campus@example.org"
    assert (found["To"], found["Reply-To"]) == (person.email, "help@example.org")
    assert found["Subject"] == row.subject
    assert found["Message-ID"] == row.message_id == f"<{row.message_uuid}@example.com>"
    assert found["Auto-Submitted"] == "auto-generated"
    assert found["List-Id"] == "<nudges.example.org>"
    assert found["Feedback-ID"] == "schedules-recurringnudge_day3:reminder:example.com"
    https, mailto = found["List-Unsubscribe"].split(", ")
    token = consent.unsubscribe_token(person.pk, "reminder", {})
    assert https == f"<{consent.unsubscribe_url('https://example.com', person.pk, 'reminder', {})}>"
    assert mailto.startswith("<mailto:stop@example.com?subject=unsubscribe%20")
    assert consent.read_unsubscribe_token(token).user_id == person.pk
    assert found["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert found["Date"]
    names = [name.lower() for name in found]
    assert len(names) == len(set(names))
    content = row.stored_content()
    assert content is not None
    assert mail.part("html").rstrip() == content["html"].rstrip()
    assert mail.part("plain").rstrip() == content["text"].rstrip()


def test_the_message_id_is_the_same_after_a_retry(server: Server, person: Any) -> None:
    server.script.append(answers("END", "451 4.3.0 later"))
    run()
    first = EmailLog.objects.get().message_id
    EmailLog.objects.update(next_attempt_at=timezone.now())
    sweep.sweep()
    row = EmailLog.objects.get()
    assert (row.status, row.attempts) == (words.SENT, 2)
    assert received(server).message["Message-ID"] == row.message_id == first


def test_a_test_mail_carries_nothing_that_could_opt_a_learner_out(server: Server, person: Any, settings: Any) -> None:
    settings.UNSUBSCRIBE_MAILTO = "stop@example.com"
    run(override="qa@example.com")
    mail = received(server)
    assert mail.recipients == ["qa@example.com"]
    assert not [name for name in mail.message if name.lower().startswith("list-unsubscribe")]
    assert b"/email/unsubscribe/" not in mail.raw


def test_case_016_names_and_titles_are_escaped_once_in_html_and_plain_elsewhere(server: Server, person: Any) -> None:
    person.first_name = "Ann <b>"
    person.save()
    Course.objects.update(title='Tom & "Jerry"')
    run()
    mail = received(server)
    assert 'Tom & "Jerry"' in str(mail.message["Subject"])
    assert 'Tom & "Jerry"' in mail.part("plain")
    html = mail.part("html")
    assert "Tom &amp; &quot;Jerry&quot;" in html
    assert "&amp;amp;" not in html
    assert "Ann <b>" not in html


@pytest.mark.parametrize("at_break", ["\r\n", "\n", "\r", "\u2028"], ids=repr)
def test_case_016_no_value_of_anybodys_becomes_a_header(server: Server, person: Any, at_break: str) -> None:
    attack = f"Ann{at_break}Bcc: eve@example.com{at_break}{at_break}<p>Owned"
    person.first_name = person.last_name = attack
    person.save()
    Course.objects.update(title=attack)
    configure(platform_name=attack)
    run()
    mail = received(server)
    assert mail.recipients == [person.email]
    assert mail.message["Bcc"] is None
    assert [part.get_content_type() for part in mail.message.walk()] == [
        "multipart/alternative",
        "text/plain",
        "text/html",
    ]
    assert "\n" not in str(mail.message["Subject"])
    assert "\n" not in EmailLog.objects.get().subject


@pytest.mark.parametrize("address", ["ada@bücher.example", "Ada.O'Neil+x@example.com"])
def test_an_unusual_address_is_reached(server: Server, person: Any, address: str) -> None:
    person.email = address
    person.save()
    run()
    expected = "ada@xn--bcher-kva.example" if "ü" in address else address
    assert received(server).recipients == [expected]
    assert EmailLog.objects.get().to_address == address


@pytest.mark.parametrize("at_break", BREAKS, ids=repr)
def test_cleaning_leaves_one_line(at_break: str) -> None:
    assert headers.clean(f" a{at_break}b  c ") == "a b c"


@pytest.mark.parametrize(
    ("address", "name", "expected"),
    [
        ("noreply@example.org", "Cadence", "Cadence <noreply@example.org>"),
        ("Old name <noreply@example.org>", "Cadence", "Cadence <noreply@example.org>"),
        ("noreply@example.org", 'A "B", C', '"A \\"B\\", C" <noreply@example.org>'),
        ("noreply@example.org", "", "noreply@example.org"),
    ],
)
def test_the_sender_has_the_sites_address_and_the_mails_name(address: str, name: str, expected: str) -> None:
    assert headers.sender({"from_address": address}, name) == expected


def test_a_messages_own_header_takes_the_place_of_the_engines() -> None:
    found = headers.Headers(
        brand={}, domain="example.com:8000", label="course_goals.goal_reminder", category="goal"
    ).for_mail(
        UUID_OF_ROW,
        "https://example.com/email/unsubscribe/token/",
        {"List-Unsubscribe": "<https://example.com/own/\r\nBcc: eve@example.com>"},
    )
    assert found["List-Unsubscribe"] == "<https://example.com/own/ Bcc: eve@example.com>"
    assert found["Message-ID"] == f"<{UUID_OF_ROW}@example.com>"
    assert found["List-Id"] == "<goal.example.com>"
    assert found["Feedback-ID"] == "course_goals-goal_reminder:goal:example.com"
