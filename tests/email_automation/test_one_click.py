"""How each message can be stopped, as a provider or a scanner meets it: from the mail that a real server received."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from datetime import date
from email import policy as email_policy
from email.message import EmailMessage
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.apps import apps
from django.conf import settings as django_settings
from django.contrib.sessions.models import Session
from django.contrib.sites.models import Site
from django.db import connection
from django.test import Client
from django.urls import resolve
from django.utils import timezone

from courses.models import Course
from email_automation import consent, words
from email_automation.models import EmailLog, EmailPreference, EmailTemplate
from email_automation.pipeline import dispatch, message, policy, sweep
from email_automation.pipeline.message import MessageType
from email_automation.services import EmailService
from tests import factories
from tests.message_factories import FACTORIES
from tests.smtp import Received, Server, answers, hangs_up

pytestmark = pytest.mark.django_db

DAY = date(2017, 8, 1)
LABELS = sorted(kind.label() for kind in message.all_messages())
ONE_CLICK = {"data": "List-Unsubscribe=One-Click", "content_type": "application/x-www-form-urlencoded"}
FORM = "multipart/form-data; boundary=x"
PART = '--x\r\nContent-Disposition: form-data; name="List-Unsubscribe"\r\n\r\nOne-Click\r\n--x--\r\n'
BREAKS = ["\r\n", "\n", "\r", "\u2028", "\u2029", "\x85", "\x0b", "\x1f", "\0"]
#: Headers of which a mail has at most one (RFC 5322), and those it must have.
ONCE = ("From", "To", "Subject", "Date", "Message-ID", "Reply-To", "List-Id", "Feedback-ID", "Auto-Submitted")


@pytest.fixture
def server(settings: Any) -> Iterator[Server]:
    with Server.running() as running:
        running.use(settings)
        yield running


@pytest.fixture
def site() -> Site:
    return Site.objects.get(pk=django_settings.SITE_ID)


def brings_own_link(kind: type[MessageType]) -> bool:
    """Return whether a message's header leads to a page of its app, whose tests say what it does."""
    return kind.headers.__func__ is not MessageType.headers.__func__  # type: ignore[attr-defined]


@pytest.fixture(params=LABELS)
def kind(request: pytest.FixtureRequest) -> type[MessageType]:
    return message.get(request.param)


@pytest.fixture
def engines_link(kind: type[MessageType]) -> None:
    """Leave out the messages that bring a link of their own."""
    if brings_own_link(kind):
        pytest.skip(f"{kind.label()} brings a link of its own")


@pytest.fixture
def people(kind: type[MessageType], site: Site) -> list[Any]:
    """Two people to whom the message is due."""
    factory = FACTORIES[kind.label()]()
    factory.switch(site, enqueue=True, deliver=True)
    return factory.due(2, day=DAY, site=site)


@pytest.fixture
def visitor() -> Client:
    """A browser or a provider: no cookies, and CSRF is checked as in life."""
    return Client(enforce_csrf_checks=True)


def run(kind: type[MessageType]) -> dispatch.Summary:
    return dispatch.run_daily(kind, django_settings.SITE_ID, day=DAY)


def mail_of(server: Server, person: Any) -> Received:
    (received,) = [received for received in server.received if received.recipients == [person.email]]
    return received


def link_of(received: Received) -> str:
    """Return where the header leads, on this machine."""
    found = re.fullmatch(r"<(https://[^<>\s]+)>", str(received.message["List-Unsubscribe"]))
    assert found, received.message["List-Unsubscribe"]
    return urlsplit(found[1]).path


def token_of(link: str) -> str:
    """Return the engine's token of a link."""
    match = resolve(link)
    assert match.view_name == "email_automation:unsubscribe"
    return str(match.kwargs["token"])


def wanted(kind: type[MessageType], person: Any) -> bool:
    return not policy.verdict_of(kind, person.pk).refusal


def everything_stored() -> dict[str, int]:
    """Return how many rows each table has."""
    return {model._meta.label: model._default_manager.count() for model in apps.get_models() if model._meta.managed}


def swapped(token: str, payload: list[Any]) -> str:
    """Return another payload under this one's signature."""
    forged = base64.urlsafe_b64encode(json.dumps(payload, separators=(",", ":")).encode()).rstrip(b"=").decode()
    return f"{forged}:{token.rpartition(':')[2]}"


def test_every_message_is_here() -> None:
    assert set(FACTORIES) == set(LABELS)


def test_the_mail_has_one_link_to_stop_it_and_each_header_once(
    kind: type[MessageType], people: list[Any], server: Server, site: Site
) -> None:
    factories.SiteConfigurationFactory(site=site, reply_to="help@example.com", platform_name="Harbour")
    assert run(kind).sent == 2
    for person in people:
        received = mail_of(server, person)
        parsed = received.message
        names = [name.lower() for name in parsed]
        assert names.count("list-unsubscribe") == names.count("list-unsubscribe-post") == 1
        assert parsed["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
        assert all(names.count(name.lower()) == 1 for name in ONCE)
        assert parsed["To"] == person.email
        assert parsed["Reply-To"] == "help@example.com"
        assert parsed["Auto-Submitted"] == "auto-generated"
        assert parsed["From"].addresses[0].display_name == "Harbour"
        host = site.domain
        assert parsed["List-Id"] == f"<{kind.category}.{host}>"
        assert parsed["Feedback-ID"] == f"{kind.label().replace('.', '-')}:{kind.category}:{host}"
        assert re.fullmatch(rf"<[0-9a-f-]{{36}}@{host}>", parsed["Message-ID"])
        row = EmailLog.objects.get(recipient=person)
        assert parsed["Message-ID"] == row.message_id
        assert not parsed.defects
        assert link_of(received)
        head = received.raw.partition(b"\r\n\r\n")[0]
        # Folded or encoded, a provider would not find the address in it.
        assert re.search(rb"(?im)^List-Unsubscribe:\s<https://[!-~]+>\r?$", head)
    assert len({mail_of(server, person).message["Message-ID"] for person in people}) == 2
    assert len({link_of(mail_of(server, person)) for person in people}) == 2


@pytest.mark.usefixtures("engines_link")
def test_the_link_stands_in_both_parts_of_the_mail(kind: type[MessageType], people: list[Any], server: Server) -> None:
    run(kind)
    received = mail_of(server, people[0])
    path = link_of(received)
    assert path in received.part("plain")
    assert path in received.part("html")
    assert link_of(mail_of(server, people[1])) not in received.part("plain") + received.part("html")


@pytest.mark.parametrize("body", [ONE_CLICK, {"data": PART, "content_type": FORM}], ids=["urlencoded", "form-data"])
def test_case_018_one_click_answers_200_without_redirect_or_cookie_and_stops_it(
    kind: type[MessageType], people: list[Any], server: Server, visitor: Client, body: dict[str, str]
) -> None:
    run(kind)
    person, other = people
    path = link_of(mail_of(server, person))
    response = visitor.post(path, secure=True, **body)  # type: ignore[arg-type]  # a client takes more than texts
    assert response.status_code == 200
    assert "Location" not in response
    assert not response.cookies
    assert not Session.objects.exists()
    assert wanted(kind, person) == brings_own_link(kind)
    assert wanted(kind, other)
    again = visitor.post(path, secure=True, **body)  # type: ignore[arg-type]
    assert again.status_code == 200
    assert EmailPreference.history.filter(user_id=person.pk).count() <= 1


@pytest.mark.usefixtures("engines_link")
def test_case_018_stopping_it_withdraws_what_waits(
    kind: type[MessageType], people: list[Any], server: Server, visitor: Client
) -> None:
    person, other = people
    server.otherwise = answers("MAIL", "451 4.3.0 later")
    assert run(kind).retry == 2
    server.otherwise = None
    EmailLog.objects.filter(recipient=other).update(next_attempt_at=timezone.now())
    sweep.sweep()
    waiting = EmailLog.objects.get(recipient=person)
    content = waiting.stored_content()
    assert content is not None
    path = urlsplit(content["headers"]["List-Unsubscribe"].strip("<>")).path
    assert visitor.post(path, secure=True, **ONE_CLICK).status_code == 200  # type: ignore[arg-type]
    EmailLog.objects.filter(pk=waiting.pk).update(next_attempt_at=timezone.now())
    sweep.sweep()
    waiting.refresh_from_db()
    assert (waiting.status, waiting.dedupe_key) == (words.SKIPPED, None)
    assert server.addresses == [other.email]


def test_a_hundred_reads_by_scanners_change_nothing(
    kind: type[MessageType], people: list[Any], server: Server, visitor: Client
) -> None:
    run(kind)
    person, _ = people
    path = link_of(mail_of(server, person))
    before = everything_stored()
    # A link of an app's own may be for posting to alone, or lead to a page.
    readable = {200, 302, 405, 429} if brings_own_link(kind) else {200, 429}
    for _ in range(50):
        for read in (visitor.get, visitor.head):
            response = read(path, secure=True)
            assert response.status_code in readable
            assert not response.cookies
    for method in ("OPTIONS", "PUT", "DELETE", "PATCH"):
        response = visitor.generic(method, path, secure=True)
        assert response.status_code in (403, 405) or (method == "OPTIONS" and brings_own_link(kind))
    assert everything_stored() == before
    assert wanted(kind, person)
    assert visitor.post(path, secure=True, **ONE_CLICK).status_code == 200  # type: ignore[arg-type]
    assert wanted(kind, person) == brings_own_link(kind)


@pytest.mark.usefixtures("engines_link")
def test_case_018_a_token_that_is_forged_foreign_or_old_is_a_404_that_changes_nothing(
    kind: type[MessageType], people: list[Any], server: Server, visitor: Client, settings: Any
) -> None:
    settings.EMAIL_PAGES_PER_ADDRESS = 0
    run(kind)
    person, other = people
    link = link_of(mail_of(server, person))
    token = token_of(link)
    # Some mails are about no course; a token for one is foreign all the same.
    course = Course.objects.first() or factories.CourseFactory()
    bad = [
        swapped(token, [other.pk, kind.category, 0]),
        swapped(token, [person.pk, "admin" if kind.category != "admin" else "goal", 0]),
        swapped(token, [person.pk, "course", course.pk, 0]),
        token[:-1] + ("A" if token[-1] != "A" else "B"),
        token.partition(":")[0],
        token + "x",
        "x" * 40,
        consent.preferences_token(person.pk),
    ]
    before = everything_stored()
    for each in bad:
        path = link.replace(token, each)
        for response in (
            visitor.get(path, secure=True),
            visitor.head(path, secure=True),
            visitor.post(path, secure=True, **ONE_CLICK),  # type: ignore[arg-type]
        ):
            assert response.status_code == 404, each
            assert not response.cookies
    assert everything_stored() == before
    assert wanted(kind, person)
    assert wanted(kind, other)
    for value in (False, True):
        consent.set_preferences(person.pk, {f"{kind.category}_emails": value}, source="test")
    for response in (visitor.get(link, secure=True), visitor.post(link, secure=True, **ONE_CLICK)):  # type: ignore[arg-type]
        assert response.status_code == 404
    assert wanted(kind, person)


def test_a_second_attempt_carries_the_same_ids_and_a_link_that_works(
    kind: type[MessageType], people: list[Any], server: Server, visitor: Client
) -> None:
    server.otherwise = answers("END", "451 4.3.0 later")
    run(kind)
    first = dict(EmailLog.objects.values_list("recipient_id", "message_id"))
    assert all(first.values())
    server.otherwise = None
    EmailLog.objects.update(next_attempt_at=timezone.now())
    assert sweep.sweep()[words.SENT] == 2
    for person in people:
        received = mail_of(server, person)
        assert received.message["Message-ID"] == first[person.pk]
        assert visitor.post(link_of(received), secure=True, **ONE_CLICK).status_code == 200  # type: ignore[arg-type]


def test_a_mail_sent_twice_in_doubt_is_the_same_mail(
    kind: type[MessageType], people: list[Any], server: Server
) -> None:
    if not kind.resend_unknown:
        pytest.skip("never sent twice")
    server.script.append(hangs_up("END"))
    run(kind)
    EmailLog.objects.update(next_attempt_at=timezone.now())
    sweep.sweep()
    assert len(server.received) == 3
    twice = [received for received in server.received if server.addresses.count(received.recipients[0]) == 2]
    ids = {(each.message["Message-ID"], each.message["List-Unsubscribe"], each.part("plain")) for each in twice}
    assert len(ids) == 1


def typed_by_eve() -> str:
    """Return what would be a header after any of the breaks, as far as the database stores them."""
    return "Eve" + "".join(f"{each}Bcc:e@x.io" for each in BREAKS if each != "\0" or connection.vendor == "sqlite")


def test_no_line_break_in_a_name_or_title_makes_a_header(
    kind: type[MessageType], people: list[Any], server: Server, site: Site
) -> None:
    evil = typed_by_eve()
    person, _ = people
    type(person).objects.filter(pk=person.pk).update(first_name=evil, last_name=evil)
    factories.SiteConfigurationFactory(site=site)
    for name, fields in TEXTS.items():
        model: Any = apps.get_model(name)
        model.objects.update(**{field: evil[: model._meta.get_field(field).max_length] for field in fields})
    assert run(kind).sent == 2
    received = mail_of(server, person)
    assert received.recipients == [person.email]
    head = received.raw.partition(b"\r\n\r\n")[0]
    parsed = received.message
    assert not parsed.defects
    assert parsed["Bcc"] is None
    assert {name.lower() for name in parsed} <= ALLOWED
    assert parsed["To"] == person.email
    assert [address.addr_spec for address in parsed["From"].addresses] == ["cadence@example.com"]
    assert not re.search(rb"(?im)^bcc", head)
    assert not any(character in str(parsed["Subject"]) for each in BREAKS for character in each)


#: Everything that somebody types and that a mail may show.
TEXTS: dict[str, tuple[str, ...]] = {
    "courses.Course": ("title",),
    "courses.Section": ("title",),
    "courses.ContentItem": ("title",),
    "courses.Meeting": ("title",),
    "courses.Payment": ("method",),
    "courses.SiteConfiguration": ("platform_name", "contact_mailing_address", "reply_to", "list_id"),
}
ALLOWED = {name.lower() for name in ONCE} | {
    "mime-version",
    "content-type",
    "list-unsubscribe",
    "list-unsubscribe-post",
}


@pytest.mark.parametrize("name", ["enrollment", "new_content"])
def test_no_line_break_in_a_context_makes_a_header(server: Server, name: str) -> None:
    evil = typed_by_eve().replace("\0", "")
    ann, course = factories.UserFactory(), factories.CourseFactory(title=evil)
    EmailTemplate.objects.create(
        name="Own",
        email_type=name,
        subject="{{ custom_message }}" if name == "enrollment" else "{{ new_content_description }}",
        html_content="<p>Hello {{ user.first_name }}</p>",
    )
    context = {"custom_message": evil} if name == "enrollment" else {"new_content_description": evil}
    assert EmailService().send_email(ann, name, context, course=course) is True
    (received,) = server.received
    assert received.recipients == [ann.email]
    parsed = received.message
    assert parsed["Bcc"] is None
    assert parsed["Subject"].startswith("Eve Bcc:e@x.io Bcc:e@x.io")
    assert {header.lower() for header in parsed} <= ALLOWED


def test_an_address_with_a_line_break_gets_no_mail(server: Server) -> None:
    ann = factories.UserFactory()
    type(ann).objects.filter(pk=ann.pk).update(email="ann@example.com\r\nBcc: eve@example.com")
    assert EmailService().send_email(ann, "enrollment") is False
    assert EmailLog.objects.get().reason == "no_email_address"
    assert server.received == []


def test_what_was_received_parses_as_strictly_as_it_can_be(server: Server) -> None:
    ann = factories.UserFactory(first_name="Ünïcødé 👩‍🎓", last_name="x" * 150)
    assert EmailService().send_email(ann, "enrollment", course=factories.CourseFactory(title="é" * 255)) is True
    (received,) = server.received
    parsed = received.message
    assert isinstance(parsed, EmailMessage)
    assert parsed.policy == email_policy.default
    assert not parsed.defects
    assert all(len(line) <= 998 for line in received.raw.split(b"\r\n"))
    assert received.raw.partition(b"\r\n\r\n")[0].isascii()
