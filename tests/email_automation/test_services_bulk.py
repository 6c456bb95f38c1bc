"""The same mail to many: `send_bulk_email` …"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.core import mail
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from waffle.models import Switch

from email_automation import consent, words
from email_automation.events import STOP
from email_automation.models import EmailLog, EmailQueue
from email_automation.pipeline import sweep
from email_automation.services import EmailService
from tests import factories

pytestmark = pytest.mark.django_db

User = get_user_model()
SERVICE = EmailService()
BATCH = 50
NEWS = {"new_content_description": "New Python tutorial series added!"}


@pytest.fixture
def people() -> list[Any]:
    return factories.UserFactory.create_batch(7)


def addresses() -> list[str]:
    return sorted(sent.to[0] for sent in mail.outbox)


@pytest.mark.parametrize(
    "of",
    [
        list,
        tuple,
        set,
        iter,
        lambda people: (person for person in people),
        lambda people: dict.fromkeys(people).keys(),
        lambda people: User.objects.filter(pk__in=[person.pk for person in people]),
        lambda people: User.objects.filter(pk__in=[person.pk for person in people]).order_by("-email"),
        lambda people: User.objects.filter(pk__in=[person.pk for person in people]).select_related("email_preference"),
        lambda people: User.objects.filter(pk__in=[person.pk for person in people]).only("username"),
        lambda people: User.objects.order_by("pk")[:7],
        lambda people: User.objects.prefetch_related("enrollments"),
        lambda people: User.objects.filter(pk=people[0].pk) | User.objects.exclude(pk=people[0].pk),
    ],
)
def test_takes_any_iterable(people: list[Any], of: Callable[[list[Any]], Any]) -> None:
    assert SERVICE.send_bulk_email(of(people), "new_content", NEWS) == {"success": 7, "failed": 0, "skipped": 0}
    assert addresses() == sorted(person.email for person in people)
    assert set(EmailLog.objects.values_list("status", flat=True)) == {words.SENT}


@pytest.mark.parametrize("none", [[], (), iter(()), User.objects.none()])
def test_of_nobody_sends_nothing(none: Any) -> None:
    assert SERVICE.send_bulk_email(none, "enrollment") == {"success": 0, "failed": 0, "skipped": 0}
    assert not EmailQueue.objects.exists()


def test_checks_its_arguments_before_it_reads_anybody() -> None:
    def nobody() -> Iterator[Any]:
        raise AssertionError("somebody was read")
        yield

    with pytest.raises(ValueError, match="email_type"):
        SERVICE.send_bulk_email(nobody(), "nothing")
    with pytest.raises(ValueError, match="context"):
        SERVICE.send_bulk_email(nobody(), "enrollment", {"x": object()})


@pytest.mark.parametrize("recipients", [User.objects.values_list("pk", flat=True), User.objects.values()])
def test_of_what_is_no_person_is_refused(people: list[Any], recipients: Any) -> None:
    with pytest.raises(ValueError, match="recipient: must be a stored user"):
        SERVICE.send_bulk_email(recipients.all(), "enrollment")
    assert mail.outbox == []


def test_sends_one_to_whom_a_join_repeats(people: list[Any]) -> None:
    for _ in range(3):
        factories.EnrollmentFactory(user=people[0])
    repeated = User.objects.filter(enrollments__is_active=True)
    assert repeated.count() == 3
    assert SERVICE.send_bulk_email(repeated, "enrollment") == {"success": 1, "failed": 0, "skipped": 0}
    assert addresses() == [people[0].email]


def test_counts_who_was_skipped_and_says_why(people: list[Any]) -> None:
    gone, silent, nowhere, *others = people
    User.objects.filter(pk=gone.pk).update(is_active=False)
    consent.opt_out(silent.pk, "content", source="test")
    User.objects.filter(pk=nowhere.pk).update(email="")
    assert SERVICE.send_bulk_email(people, "new_content", NEWS) == {"success": 4, "failed": 0, "skipped": 3}
    assert addresses() == sorted(person.email for person in others)
    reasons = EmailLog.objects.filter(status=words.SKIPPED).order_by("recipient_id").values_list("reason", flat=True)
    assert list(reasons) == ["inactive_user", "opted_out:content", "no_email_address"]


def test_counts_as_failed_what_waits_for_another_attempt(people: list[Any]) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("edx_ace.presentation.render", lambda *args: 1 / 0)
        assert SERVICE.send_bulk_email(people, "enrollment") == {"success": 0, "failed": 7, "skipped": 0}
    EmailLog.objects.update(next_attempt_at=timezone.now())
    assert sweep.sweep()[words.SENT] == 7


def test_is_stopped_by_the_messages_switch(people: list[Any]) -> None:
    Switch.objects.create(name=STOP.format("new_content"), active=True)
    assert SERVICE.send_bulk_email(people, "new_content", NEWS) == {"success": 0, "failed": 0, "skipped": 7}
    assert set(EmailLog.objects.values_list("reason", flat=True)) == {words.STOPPED}


def test_skips_who_was_deleted_meanwhile(people: list[Any]) -> None:
    User.objects.filter(pk__in=[people[2].pk, people[5].pk]).delete()
    assert SERVICE.send_bulk_email(people, "enrollment") == {"success": 5, "failed": 0, "skipped": 2}
    assert len(mail.outbox) == 5


def test_shows_each_their_own_name_and_the_same_course(people: list[Any]) -> None:
    course = factories.CourseFactory(title="Tides")
    SERVICE.send_bulk_email(people, "enrollment", course=course)
    for person, sent in zip(people, sorted(mail.outbox, key=lambda sent: sent.to[0]), strict=True):
        assert sent.to == [person.email]
        assert "Tides" in sent.body
    links = {line for sent in mail.outbox for line in sent.body.split() if "/email/unsubscribe/" in line}
    assert len(links) == len(people)
    assert set(EmailLog.objects.values_list("course_id", flat=True)) == {course.pk}


def test_reads_no_further_ahead_than_one_batch_and_keeps_nobody(settings: Any) -> None:
    settings.EMAIL_BATCH_SIZE = BATCH
    settings.EMAIL_BACKEND = "django.core.mail.backends.dummy.EmailBackend"
    factories.UserFactory.create_batch(4 * BATCH)
    ahead, alive = [], []

    def people() -> Iterator[Any]:
        for number, person in enumerate(User.objects.order_by("pk").iterator(chunk_size=1)):
            if number % BATCH == 0:
                ahead.append(number - EmailLog.objects.filter(status=words.SENT).count())
                gc.collect()
                alive.append(sum(isinstance(thing, User) for thing in gc.get_objects()))
            yield person

    before = sum(isinstance(thing, User) for thing in gc.get_objects())
    assert SERVICE.send_bulk_email(people(), "enrollment") == {"success": 4 * BATCH, "failed": 0, "skipped": 0}
    assert ahead == [0, 0, 0, 0]
    assert max(alive) - before <= 2 * BATCH


def test_costs_one_statement_per_mail_beside_a_constant_for_each_batch(settings: Any) -> None:
    settings.EMAIL_BATCH_SIZE = BATCH
    settings.EMAIL_BACKEND = "django.core.mail.backends.dummy.EmailBackend"
    course = factories.CourseFactory()
    costs = []
    # Three, so that what the log keeps of a whole cohort is kept by then.
    for number in (3, BATCH, 2 * BATCH):
        people = factories.UserFactory.create_batch(number)
        with CaptureQueriesContext(connection) as queries:
            SERVICE.send_bulk_email(people, "enrollment", course=course)
        # SQLite takes at most so many parameters in a statement, so there one insert is cut into several.
        inserts = [query for query in queries if query["sql"].startswith("INSERT") and connection.vendor == "sqlite"]
        costs.append(len(queries) - len(inserts))
    assert costs[1] - costs[0] <= BATCH - 3
    assert costs[2] - costs[1] <= costs[0] + BATCH
