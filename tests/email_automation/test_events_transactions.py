"""Facts and their mails exist together or not at all, whatever happens at the same moment."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from django.core import mail
from django.db import transaction
from django.test import Client

from courses import services
from courses.models import Payment
from courses.services import EnrollmentFact
from email_automation import consent, words
from email_automation.models import EmailLog, EmailQueue
from email_automation.pipeline import outbox, sweep
from email_automation.services import EmailService
from tests import factories
from tests.smtp import Server

from .test_events import EACH, Kind
from .test_ledger_races import at_once

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _site() -> None:
    # Emptied with the other tables after each of these tests.
    factories.platform_site()


@pytest.fixture
def ann() -> Any:
    return factories.UserFactory()


@pytest.fixture
def server(settings: Any) -> Iterator[Server]:
    with Server.running() as running:
        running.use(settings)
        yield running


class Undone(Exception):
    """Somebody's change of mind."""


@EACH
def test_it_is_mailed_about_after_the_commit(kind: Kind, ann: Any) -> None:
    course = factories.CourseFactory()
    with transaction.atomic():
        kind.make(ann, course, announce=True)
        assert EmailQueue.objects.count() == 1
        assert mail.outbox == []
    assert [sent.to for sent in mail.outbox] == [[ann.email]]


@EACH
def test_case_002_rolled_back_it_is_not_mailed_about(kind: Kind, ann: Any) -> None:
    course = factories.CourseFactory()
    with pytest.raises(Undone), transaction.atomic():
        kind.make(ann, course, announce=True)
        raise Undone
    assert not EmailQueue.objects.exists()
    sweep.sweep()
    assert mail.outbox == []


@EACH
def test_rolled_back_to_a_savepoint_it_is_not_mailed_about_and_the_rest_is(kind: Kind, ann: Any) -> None:
    course, other = factories.CourseFactory(), factories.UserFactory()
    with transaction.atomic():
        kind.make(ann, course, announce=True)
        with pytest.raises(Undone), transaction.atomic():
            kind.make(other, course, announce=True)
            raise Undone
    assert [sent.to for sent in mail.outbox] == [[ann.email]]


@EACH
def test_a_process_that_dies_after_the_commit_leaves_it_for_the_sweep(
    kind: Kind, ann: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(ids: Any) -> None:
        raise SystemExit

    course = factories.CourseFactory()
    with monkeypatch.context() as patched, pytest.raises(SystemExit):
        patched.setattr(outbox, "process", die)
        kind.make(ann, course, announce=True)
    assert mail.outbox == []
    assert sweep.sweep()[words.SENT] == 1


def test_told_of_by_many_at_once_it_is_mailed_about_once(ann: Any) -> None:
    course = factories.CourseFactory()
    at_once(*[lambda: services.record_enrollment(ann, course)] * 4)
    assert len(mail.outbox) == EmailQueue.objects.count() == 1


def test_a_payment_that_two_report_as_successful_at_once_is_confirmed_once(ann: Any) -> None:
    for number in range(3):
        payment = factories.PaymentFactory(user=ann, is_successful=False)

        def succeed(pk: int = payment.pk) -> None:
            copy = Payment.objects.get(pk=pk)
            copy.is_successful = True
            copy.save()

        at_once(*[succeed] * 4)
        assert len(mail.outbox) == number + 1


def test_case_014_two_who_sweep_at_once_send_each_mail_once() -> None:
    people = factories.UserFactory.create_batch(120)
    at_night = EmailQueue.objects
    at_night.bulk_create(
        EmailQueue(recipient=person, email_type="enrollment", site_id=1, priority=number % 4)
        for number, person in enumerate(people)
    )
    tallies = at_once(*[sweep.sweep] * 3)
    assert sum(tally[words.SENT] for tally in tallies) == 120
    assert sorted(sent.to[0] for sent in mail.outbox) == sorted(person.email for person in people)


@pytest.mark.slow
@pytest.mark.parametrize(("way", "number"), [("one click", 1000), ("everything off", 200)])
def test_case_008_after_an_opt_out_has_committed_nothing_more_is_handed_off(
    server: Server, way: str, number: int
) -> None:
    ann, *others = factories.UserFactory.create_batch(6)
    # Every other mail is Ann's, so at whatever moment she opts out, half of what is on its way is hers.
    EmailQueue.objects.bulk_create(
        EmailQueue(recipient=person, email_type="enrollment", site_id=1)
        for turn in range(number // 2)
        for person in (ann, others[turn % 5])
    )
    url = consent.unsubscribe_url("", ann.pk, "enrollment", {})
    mailed_at_commit: list[int] = []

    def opt_out() -> None:
        while len(server.received) < number // 3:
            assert not over.wait(0.001)
        if way == "one click":
            assert Client().post(url, {"List-Unsubscribe": "One-Click"}).status_code == 200
        else:
            consent.set_preferences(ann.pk, {"is_subscribed": False}, source="test")
        mailed_at_commit.append(server.begun)

    over = threading.Event()

    def send() -> Counter[str]:
        try:
            return sweep.sweep()
        finally:
            over.set()

    tally, _ = at_once(send, opt_out)
    # The one mail whose hand-off had begun by then may still arrive.
    after = server.received[mailed_at_commit[0] + 1 :]
    assert len(after) > number // 4
    assert not [received for received in after if ann.email in received.recipients]
    sent = EmailLog.objects.filter(status=words.SENT)
    assert sent.exclude(recipient=ann).count() == number // 2
    assert 0 < sent.filter(recipient=ann).count() < number // 2
    skipped = EmailLog.objects.filter(recipient=ann, status=words.SKIPPED)
    assert skipped.count() + sent.filter(recipient=ann).count() == number // 2
    reason = "opted_out:enrollment" if way == "one click" else "unsubscribed"
    assert set(skipped.values_list("reason", flat=True)) == {reason}
    assert tally[words.SENT] == len(server.received)


def test_a_bulk_import_that_meets_another_mails_each_learner_once() -> None:
    course, people = factories.CourseFactory(), factories.UserFactory.create_batch(60)
    facts = [EnrollmentFact(user_id=person.pk, course=course) for person in people]
    at_once(
        lambda: services.record_enrollments(facts),
        lambda: services.record_enrollments(facts[::-1]),
        lambda: services.record_enrollments(facts[30:] + facts[:30]),
    )
    assert sorted(sent.to[0] for sent in mail.outbox) == sorted(person.email for person in people)


def test_a_key_given_back_and_used_by_many_at_once_goes_out_once(ann: Any) -> None:
    consent.opt_out(ann.pk, "enrollment", source="test")
    for number in range(5):
        assert not EmailService().send_email(ann, "enrollment", dedupe_key=f"k{number}")
    consent.set_preferences(ann.pk, {"enrollment_emails": True}, source="test")
    for number in range(5):
        found = at_once(*[lambda key=f"k{number}": EmailService().send_email(ann, "enrollment", dedupe_key=key)] * 4)
        assert found.count(True) == 1
        assert len(mail.outbox) == number + 1
    assert not EmailLog.objects.filter(status=words.PENDING).exists()
