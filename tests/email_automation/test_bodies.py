"""What the log keeps of a cohort's mails: the body once, of each mail what differs, and all of it can be read again."""

from __future__ import annotations

import uuid
from datetime import date, timedelta
from html import escape
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.contrib.sites.models import Site
from django.core.mail import EmailMultiAlternatives
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from email_automation.models import EmailBody, EmailLog
from email_automation.models.body import Body, refers_to, restored
from email_automation.models.content import unpack_content
from email_automation.pipeline import bodies, cohort, dispatch, ledger, message, sweep
from tests.message_factories import FACTORIES

DAY = date(2017, 8, 1)
UUID = str(uuid.UUID(int=7))
NUDGE = "schedules.recurringnudge_day3"
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
addresses = texts.map(lambda text: f"https://example.com/unsubscribe/{text}")


@given(st.lists(st.tuples(texts | addresses, texts | addresses), min_size=1, max_size=4), st.data())
def test_what_is_kept_of_a_mail_comes_out_again(pairs: list[tuple[str, str]], data: st.DataObject) -> None:
    first, later = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    places = st.lists(texts | st.integers(0, 2 * len(pairs)), max_size=6)
    parts = {"html": data.draw(places), "text": data.draw(places)}
    headers = {"Message-ID": f"<{UUID}@example.com>", "List-Unsubscribe": f"<{first[0]}>", "From": "a@example.com"}
    body = Body.of(parts, headers, first, UUID, day=DAY)
    other = str(uuid.UUID(int=8))
    said = {"Message-ID": f"<{other}@example.com>", "List-Unsubscribe": f"<{later[0]}>", "X-Own": data.draw(texts)}
    subject = data.draw(texts)
    kept = body.difference(later, other, subject=subject, headers=said)
    assert refers_to(kept) == body.digest
    # MariaDB takes no others.
    assert (body.digest.version, body.digest.variant) == (5, uuid.RFC_4122)
    values = [*later, *map(escape, later), other]
    assert restored(kept, {"parts": body.parts, "headers": body.headers, "starts": body.starts}, other) == {
        "subject": subject,
        **{
            name: "".join(piece if isinstance(piece, str) else values[piece] for piece in pieces)
            for name, pieces in parts.items()
        },
        "headers": said,
    }


def test_what_is_packed_whole_refers_to_nothing() -> None:
    assert refers_to(b"x\x9c") is None


@pytest.fixture
def site(db: None) -> Site:
    cohort.forget()
    return Site.objects.get(pk=django_settings.SITE_ID)


def send(label: str, site: Site, number: int, *, language: str = "en") -> list[EmailLog]:
    """Send mails of one cohort, and return their rows."""
    factory = FACTORIES[label]()
    factory.switch(site, enqueue=True, deliver=True)
    factory.due(number, day=DAY, site=site, language=language)
    dispatch.run_daily(message.get(label), site.pk, day=DAY)
    return list(EmailLog.objects.order_by("pk"))


def test_the_log_shows_every_mail_as_it_went_out(site: Site, mailoutbox: list[EmailMultiAlternatives]) -> None:
    rows = send(NUDGE, site, 6)
    refer = [row for row in rows if refers_to(bytes(row.content or b""))]
    # The first was rendered in full and is kept whole.
    assert (len(rows), len(refer), EmailBody.objects.count()) == (6, 5, 1)
    by_address = {mail.to[0]: mail for mail in mailoutbox}
    for row in rows:
        content, mail = row.stored_content(), by_address[row.to_address]
        assert content is not None
        assert (content["subject"], content["text"]) == (mail.subject, mail.body)
        assert content["html"] == mail.alternatives[0].content  # type: ignore[attr-defined]
        assert content["headers"] == {"From": mail.from_email, **mail.extra_headers}
        assert row.to_address not in str(unpack_content(bytes(EmailBody.objects.get().packed)))


@pytest.mark.parametrize("label", sorted(FACTORIES))
def test_a_cohorts_mail_takes_a_third_of_a_kilobyte(label: str, site: Site) -> None:
    sizes = sorted(len(row.content or b"") for row in send(label, site, 4))
    if EmailBody.objects.exists():
        assert sizes[0] < 420
    else:
        # What only one person has in it has no body.
        assert len(sizes) == 4 and all(size > 300 for size in sizes)


def test_what_one_person_gets_again_and_again_makes_no_body(site: Site) -> None:
    send(NUDGE, site, 1)
    # The second would make a shape, and the third be filled in.
    for _ in range(3):
        EmailLog.objects.all().delete()
        assert dispatch.run_daily(message.get(NUDGE), site.pk, day=DAY).sent == 1
    assert not EmailBody.objects.exists()


def test_a_body_stays_as_long_as_a_row_may_need_it(site: Site, settings: Any) -> None:
    send(NUDGE, site, 4)
    body, now = EmailBody.objects.get(), timezone.now()
    keep = settings.EMAIL_LOG_CONTENT_DAYS if hasattr(settings, "EMAIL_LOG_CONTENT_DAYS") else 30
    for age, left in ((keep, 1), (keep + 2, 1), (keep + 3, 0)):
        EmailBody.objects.update(day=(now - timedelta(days=age)).date())
        assert sweep.clean_up()["bodies"] == 1 - left
        assert EmailBody.objects.filter(pk=body.pk).count() == left
    assert EmailLog.objects.order_by("pk").last().stored_content() is None  # type: ignore[union-attr]


def test_another_day_has_a_body_of_its_own(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    send(NUDGE, site, 4)
    tomorrow = timezone.now() + timedelta(days=1)
    EmailLog.objects.all().delete()
    monkeypatch.setattr(timezone, "now", lambda: tomorrow)
    dispatch.run_daily(message.get(NUDGE), site.pk, day=DAY)
    assert sorted(EmailBody.objects.values_list("day", flat=True)) == [
        tomorrow.date() - timedelta(days=1),
        tomorrow.date(),
    ]
    assert all(row.stored_content() for row in EmailLog.objects.all())


@pytest.mark.django_db
@pytest.mark.parametrize("number", [1, 50])
def test_new_bodies_are_written_in_one_statement_and_once(number: int) -> None:
    made = [Body.of({"text": [f"body {each}"]}, {}, [], UUID, day=DAY) for each in range(number)]
    again = Body.of({"text": ["body 0"]}, {}, [], UUID, day=DAY)
    with CaptureQueriesContext(connection) as queries:
        bodies.keep([None, *made, *made, again])
    assert len([each for each in queries if each["sql"].startswith("INSERT")]) == 1
    assert sorted(EmailBody.objects.values_list("digest", flat=True)) == sorted(body.digest for body in made)
    with CaptureQueriesContext(connection) as queries:
        bodies.keep([*made, again])
    assert len(queries) == 0
    # Another worker's, which does not know that the log has it.
    bodies.keep([Body.of({"text": ["body 0"]}, {}, [], UUID, day=DAY)])
    assert EmailBody.objects.count() == number


def test_a_body_is_in_the_log_before_a_row_refers_to_it(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    turn, referred = ledger.turn, []

    def watched(done: Any, beginnings: Any) -> Any:
        for _, prepared, _ in beginnings:
            if digest := refers_to(prepared.content):
                referred.append(EmailBody.objects.filter(digest=digest).exists())
        return turn(done, beginnings)

    monkeypatch.setattr(ledger, "turn", watched)
    send(NUDGE, site, 4)
    assert referred == [True] * 3


def test_a_learner_is_forgotten_with_the_row(site: Site) -> None:
    row = send(NUDGE, site, 4)[-1]
    ledger.forget(row.recipient_id)
    packed = unpack_content(bytes(EmailBody.objects.get().packed))
    assert row.recipient.first_name and row.recipient.first_name not in str(packed)
