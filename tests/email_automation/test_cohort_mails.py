"""Mails of a cohort as a server takes them: byte for byte those that are rendered in full, whatever the names."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from email.utils import parseaddr
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import pytest
from django.contrib.auth import get_user_model
from django.contrib.sites.models import Site
from django.core import mail
from django.db import connection, transaction
from django.template import base
from django.utils.html import escape
from hypothesis import Phase, example, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from course_goals.models import CourseGoal
from courses.models import Course, Meeting, SiteConfiguration
from email_automation import consent, words
from email_automation.models import EmailBody, EmailLog
from email_automation.pipeline import cohort, dispatch, message, wake
from email_automation.pipeline.delivery import deliver
from email_automation.templating import usage
from tests.email_automation.letterbox import Reading, lines, normalised, read, written_by_django
from tests.message_factories import FACTORIES
from tests.relay import Relay
from tests.smtp import Server

pytestmark = pytest.mark.django_db

DAY = date(2017, 8, 1)
LABELS = sorted(kind.label() for kind in message.all_messages())
#: Every payment has a number of its own, and so is a cohort of its own.
PAYMENT = "email_automation.payment_confirmation"
NUDGE = "schedules.recurringnudge_day3"
OWN_TEMPLATES = {
    "subject.txt": "{% autoescape off %}{{ user.first_name }}: {{ course_name }}{% endautoescape %}",
    "from_name.txt": "{{ user.last_name }}",
    "head.html": "<title>{{ user.full_name }}</title>",
    "body.html": "<p>{{ user.first_name }}{% if user.last_name %} {{ user.last_name }}{% endif %} {{ user.username }}"
    "</p>\n<a href='{{ unsubscribe_url }}'>{% autoescape off %}{{ user.full_name }}{% endautoescape %}</a>",
    "body.txt": "{% autoescape off %}{{ user.first_name }}\n{{ user.last_name }}{% endautoescape %}\n"
    "{{ user.username }}\n.\n{{ preferences_url }}",
}
#: Hebrew is read from right to left, and has no catalogue of ours.
LANGUAGES = ("en", "es", "fr", "he")
OF_EACH_LANGUAGE = 5
PEOPLE = len(LANGUAGES) * OF_EACH_LANGUAGE
#: How often a cohort is rendered: once, and its first mail in full where its templates are new.
MOST_RENDERINGS = 2

ADDRESSES = (
    "p{}@example.com",
    "P.{}+Tag@Example.COM",
    "o'hara_{}@sub.example.com",
    "{}=a&b!#$%*/?^`{{|}}~@example.org",
    '"odd@local,{}"@example.com',
    "p{}@exämple.com",
    "p{}@xn--e1afmkfd.xn--p1ai",
    "p{}@[192.0.2.1]",
    "l" * 60 + "{}@example.com",
)
LONGEST = 150
#: PostgreSQL takes every character but this one.
NUL = "" if connection.vendor == "postgresql" else "\x00"
ODD = (
    "",
    "Ada",
    'O\'Hara & <b>"Söhne"</b>',
    "</p><script>alert(1)</script><!-- &amp; &lt; &#39; &nbsp",
    "{{ user.username }}{% now 'Y' %}{# no #}{{",
    "%s %(first_name)s %d %% 100%",
    "two\r\nlines\n\n.\r\n..\n.Bcc: a@example.com\rTo: b@example.com",
    ".",
    "..\r\n.",
    "\u202eadA\u202c \u05e9\u05dc\u05d5\u05dd \u0627\u0644\u0639",
    "e\u0301\u200d\U0001f469\u200d\U0001f680\ufeff\U0010fffd",
    "\u2028\u2029\x85\x0b\x0c\x1b\x7f\t",
    "\\1 \\g<0> \\x00 $& ${x}",
    "=?utf-8?q?x?= =\r\n=20",
    "From me\n>From you\n--=_BOUNDARY--",
    "  \u00a0 ",
    "x" * LONGEST,
    '"' * LONGEST,
    "\U0001f680" * LONGEST,
    f"nu{NUL}l",
)
SIGNS = st.characters(exclude_categories=["Cs"], exclude_characters="" if NUL else "\x00")
NAME = st.one_of(st.sampled_from(ODD), st.text(SIGNS, max_size=LONGEST))
TITLE = st.one_of(st.sampled_from(ODD[1:]), st.text(SIGNS, min_size=1, max_size=60))


class Names(NamedTuple):
    """What one person is called."""

    first: str
    last: str
    username: str

    @property
    def pattern(self) -> tuple[bool, ...]:
        """Which of the names are empty: mails that differ in that are of different cohorts."""
        return bool(self.first), bool(self.last), bool(f"{self.first} {self.last}".strip())


CROWD = st.lists(st.builds(Names, NAME, NAME, NAME), min_size=PEOPLE, max_size=PEOPLE)
#: Everybody is called by something that nobody else is.
TOLD_APART = [Names(f"First{i}q<&>'\"", f"Last{i}q", f"user{i}q") for i in range(PEOPLE)]
EVERY_ODD_ONE = [Names(ODD[1 + i % (len(ODD) - 1)], ODD[-1 - i % len(ODD)], ODD[i % len(ODD)]) for i in range(PEOPLE)]


@dataclass
class Delivery:
    """What came of one delivery: by recipient, what the server took and what the log says of it."""

    raw: dict[str, bytes] = field(default_factory=dict)
    envelopes: dict[str, Any] = field(default_factory=dict)
    outbox: dict[str, Any] = field(default_factory=dict)
    log: dict[str, tuple[Any, ...]] = field(default_factory=dict)
    rows: dict[int, EmailLog] = field(default_factory=dict)
    renderings: int = 0

    @property
    def readings(self) -> dict[str, Reading]:
        """The mails as they read."""
        return {address: read(raw) for address, raw in self.raw.items()}

    @property
    def bytes(self) -> dict[str, bytes]:
        """The mails without their boundaries and dates."""
        return {address: normalised(raw) for address, raw in self.raw.items()}


class Mails:
    """One message's mails to people of several languages, planned once and delivered as often as one likes."""

    def __init__(self, label: str, settings: Any, relay: Relay, server: Server) -> None:
        self.settings, self.relay, self.server = settings, relay, server
        settings.LANGUAGES = [(code, code) for code in LANGUAGES]
        self.site = Site.objects.get(pk=settings.SITE_ID)
        self.look = SiteConfiguration.objects.create(site=self.site, reply_to="Hélp <help@example.org>")
        factory = FACTORIES[label]()
        factory.switch(self.site, enqueue=True, deliver=True)
        self.people: list[Any] = []
        for language in LANGUAGES:
            self.people += factory.due(OF_EACH_LANGUAGE, day=DAY, site=self.site, language=language)
        for number, person in enumerate(self.people):
            factory.readdress(person, ADDRESSES[number % len(ADDRESSES)].format(number))
        # Each has been to a class of its own.
        Meeting.objects.update(title="A first class")
        self.kind = message.get(label)
        self.rows = self._planned()
        assert len(self.rows) == PEOPLE
        self.shared = self._shared()

    def _planned(self) -> list[int]:
        self.settings.CELERY_BROKER_URL = "memory://"
        with mock.patch.object(wake.current_app, "send_task"):
            summary = dispatch.run_daily(self.kind, self.site.pk, day=DAY)
        self.settings.CELERY_BROKER_URL = ""
        assert not summary.errors
        return list(EmailLog.objects.order_by("pk").values_list("pk", flat=True))

    def _shared(self) -> dict[int, str]:
        """Return by person what makes a cohort, apart from which of the names are empty."""
        targets = EmailLog.objects.filter(pk__in=self.rows).values_list("target_id", flat=True)
        drafts = self.kind.resolver().drafts(self.kind.starting(self.site.pk, day=DAY), list(targets))
        return {draft.user_id: json.dumps([draft.language, draft.about, draft.shared]) for draft in drafts}

    def cohorts(self, crowd: list[Names]) -> Counter[Any]:
        """Return how many of the mails are of each cohort."""
        pairs = zip(self.people, crowd, strict=True)
        return Counter((self.shared[person.pk], *names.pattern) for person, names in pairs)

    def call(self, crowd: list[Names], *, title: str, platform: str) -> None:
        """Give everybody names, and the course and the platform theirs."""
        for number, (person, names) in enumerate(zip(self.people, crowd, strict=True)):
            person.first_name, person.last_name = names.first, names.last
            person.username = f"{number:02}{names.username}"[:LONGEST]
        get_user_model()._default_manager.bulk_update(self.people, ["first_name", "last_name", "username"])
        Course.objects.update(title=title)
        SiteConfiguration.objects.filter(pk=self.look.pk).update(platform_name=platform)

    def streamed(self) -> Delivery:
        """Deliver to a server that takes several mails before it answers the first."""
        self.relay.use(self.settings)
        self.relay.taken.clear()
        self.relay.envelopes.clear()
        found = self._delivered()
        for (address, raw), envelope in zip(self.relay.taken, self.relay.envelopes, strict=True):
            assert address not in found.raw
            found.raw[address], found.envelopes[address] = raw, envelope
        return found

    def one_by_one(self) -> Delivery:
        """Deliver to a server of somebody else's, which knows no chunks."""
        self.server.use(self.settings)
        self.server.received.clear()
        found = self._delivered()
        for received in self.server.received:
            (address,) = received.recipients
            assert address not in found.raw
            found.raw[address], found.envelopes[address] = received.raw, received.sender
        return found

    def by_django(self) -> Delivery:
        """Deliver to a backend that keeps Django's own mails."""
        self.settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
        mail.outbox.clear()
        found = self._delivered()
        found.outbox = {each.to[0]: each for each in mail.outbox}
        assert len(found.outbox) == len(mail.outbox)
        return found

    def _delivered(self) -> Delivery:
        """Deliver the rows, and take back what it has written, but for what the process remembers to be there."""
        before = transaction.savepoint()
        try:
            with renderings() as rendered:
                tally = deliver(self.rows)
            rows = list(EmailLog.objects.filter(pk__in=self.rows).select_related("site"))
            said = Counter((row.status, row.reason, row.error_message) for row in rows)
            assert tally[words.SENT] == len(self.rows), said
            bodies = list(EmailBody.objects.all())
        finally:
            transaction.savepoint_rollback(before)
        # This process takes them for kept.
        EmailBody.objects.bulk_create(bodies, ignore_conflicts=True)
        log = {
            row.to_address: (
                row.status,
                row.reason,
                row.error_message,
                row.subject,
                row.message_id,
                row.stored_content(),
            )
            for row in rows
        }
        return Delivery(log=log, rows={row.recipient_id: row for row in rows}, renderings=len(rendered))


@contextmanager
def renderings() -> Iterator[list[str]]:
    """Note each time that the HTML of a mail is rendered by Django."""
    rendered: list[str] = []
    ordinary = base.Template.render

    def render(template: base.Template, context: Any) -> Any:
        if str(template.name).endswith("/email/body.html"):
            rendered.append(str(template.name))
        return ordinary(template, context)

    with mock.patch.object(base.Template, "render", render):
        yield rendered


@contextmanager
def in_full() -> Iterator[None]:
    """Have every mail rendered in full: it cannot be shown of any template that it only prints values."""
    with mock.patch.object(usage, "check", side_effect=usage.Misuse("in a test")):
        cohort.forget()
        yield
    cohort.forget()


@pytest.fixture(scope="module")
def relay() -> Iterator[Relay]:
    with Relay.running() as running:
        yield running


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server.running() as running:
        yield running


def compare(mails: Mails, crowd: list[Names]) -> Delivery:
    """Compare what is delivered in every way, and return it."""
    with in_full():
        whole = mails.streamed()
        django = mails.by_django()
    assert (whole.renderings, django.renderings, len(whole.raw)) == (PEOPLE, PEOPLE, PEOPLE)
    cold, warm, hot = mails.streamed(), mails.one_by_one(), mails.streamed()
    cohorts = mails.cohorts(crowd)
    assert len(cohorts) <= cold.renderings <= MOST_RENDERINGS * len(cohorts)
    assert hot.renderings == 0
    for filled in (cold, warm, hot):
        assert filled.bytes == whole.bytes
        assert filled.log == whole.log == django.log
    assert cold.envelopes == hot.envelopes == whole.envelopes
    by_django = [read(written_by_django(each)) for each in django.outbox.values()]
    assert sorted(cold.readings.values()) == sorted(by_django)
    return cold


@pytest.mark.parametrize("label", LABELS)
def test_a_mail_of_a_cohort_is_that_of_full_rendering_whoever_it_is_to(
    label: str, settings: Any, relay: Relay, server: Server
) -> None:
    holds(Mails(label, settings, relay, server))


def test_so_is_one_of_a_host_s_own_templates_with_names_in_every_part(
    settings: Any, relay: Relay, server: Server, tmp_path: Path
) -> None:
    folder = tmp_path / "schedules/edx_ace/recurringnudge_day3/email"
    folder.mkdir(parents=True)
    for name, text in OWN_TEMPLATES.items():
        (folder / name).write_text(text)
    edited, ordinary = settings.TEMPLATES
    settings.TEMPLATES = [edited, {**ordinary, "DIRS": [tmp_path, *ordinary.get("DIRS", [])]}]
    holds(Mails(NUDGE, settings, relay, server))


def holds(mails: Mails) -> None:
    """Compare the mails to people of many names, about a course and a platform of many names."""

    # Not made smaller: one delivery of many names shows enough, and looking for another takes minutes.
    @examples(max_examples=2, deadline=None, database=None, phases=[Phase.explicit, Phase.generate])
    @given(CROWD, TITLE, TITLE)
    @example(EVERY_ODD_ONE, ODD[2], ODD[4])
    def whatever_the_names(crowd: list[Names], title: str, platform: str) -> None:
        mails.call(crowd, title=title, platform=platform)
        compare(mails, crowd)

    whatever_the_names()


@pytest.mark.parametrize("label", LABELS)
def test_a_mail_of_a_cohort_has_what_is_its_recipient_s_own_and_nobody_else_s(
    label: str, settings: Any, relay: Relay, server: Server
) -> None:
    mails = Mails(label, settings, relay, server)
    mails.call(TOLD_APART, title="Tides & charts", platform="Académie")
    sizes = list(mails.cohorts(TOLD_APART).values())
    assert sizes == ([1] * PEOPLE if label == PAYMENT else [OF_EACH_LANGUAGE] * len(LANGUAGES))
    delivery = mails.streamed()
    read_by = {reading.header("message-id"): (to, reading) for to, reading in delivery.readings.items()}
    greeted = 0
    for number, (person, names) in enumerate(zip(mails.people, TOLD_APART, strict=True)):
        row = delivery.rows[person.pk]
        to, reading = read_by.pop(row.message_id)
        assert row.to_address == ADDRESSES[number % len(ADDRESSES)].format(number)
        assert parseaddr(reading.header("to"))[1] == to == written_address(row.to_address)
        stop, *_ = re.findall(r"<(https:[^>]+)>", reading.header("list-unsubscribe"))
        assert token_of(stop) in reading.text
        assert owner_of(stop) == person.pk
        everything = repr(reading)
        assert set(re.findall(r"(?:First|Last|user)(\d+)q", everything)) <= {str(number)}
        greeted += names.first in reading.text and escape(names.first) in reading.html
        uuids = {str(each.message_uuid) for each in delivery.rows.values()}
        assert set(re.findall(r"[0-9a-f]{8}-[0-9a-f-]{27}", everything)) & uuids == {str(row.message_uuid)}
        content = row.stored_content()
        assert content is not None
        assert (content["subject"], lines(content["text"]), lines(content["html"])) == reading.content
        assert content["subject"] == row.subject
    assert greeted == PEOPLE
    assert read_by == {}


def written_address(address: str) -> str:
    """Return an address as an envelope has it: the domain in ASCII."""
    local, _, domain = address.rpartition("@")
    return f"{local}@{domain if domain.isascii() else domain.encode('idna').decode()}"


def owner_of(stop: str) -> int:
    """Return the id of the person whose mail a link stops."""
    if "course_goal" in stop:
        return CourseGoal.objects.get(unsubscribe_token=token_of(stop)).user_id
    return consent.read_unsubscribe_token(token_of(stop)).user_id


def token_of(link: str) -> str:
    """Return the token at the end of a link."""
    return link.rstrip("/").rpartition("/")[2]
