"""The news of a payment, a meeting or a course's content …"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from django.core import serializers
from django.db import OperationalError, connection, models, transaction
from django.db.models import F
from django.dispatch import Signal
from django.test.utils import CaptureQueriesContext

from courses import signals
from courses.bulk import MARIADB_DEADLOCK
from courses.models import ContentItem, Participant, Payment
from tests.courses.helpers import heard
from tests.factories import (
    ContentItemFactory,
    CourseFactory,
    MeetingFactory,
    ParticipantFactory,
    PaymentFactory,
    SectionFactory,
    UserFactory,
)

pytestmark = pytest.mark.django_db

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
LATER = datetime(2026, 3, 3, 12, tzinfo=UTC)

Make = Callable[..., Any]

# (signal, name of its list, factory, the field that makes the news, no news, news)
NEWS: list[tuple[Signal, str, Make, str, Any, Any]] = [
    (signals.payments_completed, "payments", PaymentFactory, "is_successful", False, True),
    (signals.participants_left, "participants", ParticipantFactory, "left_at", None, NOON),
    (signals.content_published, "items", ContentItemFactory, "is_published", False, True),
]
EACH = pytest.mark.parametrize(
    ("signal", "rows", "make", "field", "none", "news"), NEWS, ids=["payment", "participant", "content"]
)


@EACH
def test_comes_once_with_a_row_that_begins_with_it(
    signal: Signal, rows: str, make: Make, field: str, none: Any, news: Any
) -> None:
    with heard(signal) as calls:
        row = make(announce=True, **{field: news})
        row.save()
    assert calls == [{"sender": type(row), rows: [row], "announce": True, "in_transaction": True}]


@EACH
@pytest.mark.parametrize("partly", [False, True])
def test_comes_once_with_the_change_that_makes_it(
    signal: Signal, rows: str, make: Make, field: str, none: Any, news: Any, partly: bool
) -> None:
    with heard(signal) as calls:
        row = make(**{field: none})
        row.save()
        assert calls == []
        setattr(row, field, news)
        row.save(**{"update_fields": [field]} if partly else {})
        row.save()
        row.save(update_fields=[field])
    assert calls == [{"sender": type(row), rows: [row], "announce": True, "in_transaction": True}]


@EACH
def test_does_not_come_with_a_save_that_leaves_the_change_out(
    signal: Signal, rows: str, make: Make, field: str, none: Any, news: Any
) -> None:
    row = make(**{field: none})
    other = {"payments": "method", "participants": "joined_at", "items": "title"}[rows]
    with heard(signal) as calls:
        setattr(row, field, news)
        row.save(update_fields=[other])
        row.save(update_fields=[])
        type(row).objects.only(other).get(pk=row.pk).save()
        type(row).objects.defer(field).get(pk=row.pk).save()
    assert calls == []
    row.refresh_from_db()
    assert getattr(row, field) == none


@EACH
def test_comes_once_from_two_copies_of_one_row(
    signal: Signal, rows: str, make: Make, field: str, none: Any, news: Any
) -> None:
    row = make(**{field: none})
    copy = type(row).objects.get(pk=row.pk)
    with heard(signal) as calls:
        for instance in (row, copy):
            setattr(instance, field, news)
            instance.save()
    assert len(calls) == 1


@EACH
def test_is_found_by_a_copy_that_was_read_before(
    signal: Signal, rows: str, make: Make, field: str, none: Any, news: Any
) -> None:
    row = make(**{field: news})
    type(row)._base_manager.filter(pk=row.pk).update(
        **{field: none, **({"published_at": None} if rows == "items" else {})}
    )
    with heard(signal) as calls:
        row.save()
    assert len(calls) == 1


@EACH
def test_says_when_nobody_shall_hear_of_it(
    signal: Signal, rows: str, make: Make, field: str, none: Any, news: Any
) -> None:
    new, old = make.build(**{field: news}), make(**{field: none})  # type: ignore[attr-defined]  # a factory has it
    for name in ("user", "course", "meeting"):
        if hasattr(old, name):
            setattr(new, name, getattr(make(), name))
    with heard(signal) as calls:
        new.save(announce=False)
        setattr(old, field, news)
        old.save(announce=False)
    assert [(call[rows], call["announce"]) for call in calls] == [([new], False), ([old], False)]


@EACH
def test_is_not_sent_for_fixtures(signal: Signal, rows: str, make: Make, field: str, none: Any, news: Any) -> None:
    row = make(**{field: news})
    text = serializers.serialize("json", [row])
    row.delete()
    with heard(signal) as calls:
        for loaded in serializers.deserialize("json", text):
            loaded.save()
    assert calls == []
    assert type(row).objects.count() == 1


@pytest.mark.django_db(transaction=True)
@EACH
def test_leaves_nothing_when_the_writer_takes_it_back(
    signal: Signal, rows: str, make: Make, field: str, none: Any, news: Any
) -> None:
    course = CourseFactory()

    def follow(sender: Any, **kwargs: Any) -> None:
        SectionFactory(course=course)

    row = make(**{field: none})
    signal.connect(follow)
    try:
        with pytest.raises(RuntimeError), transaction.atomic():
            setattr(row, field, news)
            row.save()
            assert course.sections.count() == 1
            raise RuntimeError
        assert course.sections.count() == 0
        stored = type(row).objects.get()
        assert getattr(stored, field) == none
        setattr(stored, field, news)
        stored.save()
        assert course.sections.count() == 1
    finally:
        signal.disconnect(follow)


@EACH
def test_costs_one_query_more_than_a_save(
    signal: Signal, rows: str, make: Make, field: str, none: Any, news: Any
) -> None:
    row = make(**{field: news})
    with CaptureQueriesContext(connection) as ours:
        row.save()
    with CaptureQueriesContext(connection) as plain, transaction.atomic():
        models.Model.save(row)
    assert len(ours) == len(plain) + 1


def test_comes_again_with_a_payment_that_succeeds_again() -> None:
    payment = PaymentFactory(is_successful=True)
    with heard(signals.payments_completed) as calls:
        for is_successful in (False, True):
            payment.is_successful = is_successful
            payment.save()
    assert len(calls) == 1


def test_does_not_come_with_other_facts_of_a_successful_payment() -> None:
    payment = PaymentFactory(is_successful=True)
    with heard(signals.payments_completed) as calls:
        payment.amount, payment.paid_at, payment.method = 5, NOON, "transfer"
        payment.save()
    assert calls == []


def test_does_not_come_with_the_time_of_a_payment_without_success() -> None:
    payment = PaymentFactory()
    with heard(signals.payments_completed) as calls:
        payment.paid_at = NOON
        payment.save()
    assert calls == []


def test_understands_a_success_that_the_database_computes() -> None:
    payment = PaymentFactory()
    payment.is_successful = ~F("is_successful")
    with heard(signals.payments_completed) as calls:
        payment.save()
    assert [call["payments"] for call in calls] == [[payment]]
    assert payment.is_successful is True


def test_does_not_come_with_another_time_of_leaving() -> None:
    participant = ParticipantFactory(left_at=NOON)
    with heard(signals.participants_left) as calls:
        participant.left_at = LATER
        participant.save()
        participant.left_at = None
        participant.save()
    assert calls == []


@pytest.mark.parametrize("is_demo", [True, False])
def test_comes_from_every_kind_of_meeting(is_demo: bool) -> None:
    meeting = MeetingFactory(is_demo=is_demo, title="demo day")
    with heard(signals.participants_left) as calls:
        Participant.objects.create(meeting=meeting, user=UserFactory(), left_at=NOON)
    assert len(calls) == 1


def test_does_not_come_with_content_that_is_withdrawn_and_published_again() -> None:
    item = ContentItemFactory()
    with heard(signals.content_published) as calls:
        for is_published in (False, True):
            item.is_published = is_published
            item.save()
            item.save(update_fields=["is_published"])
    assert calls == []


def test_does_not_come_with_another_time_of_publication() -> None:
    item = ContentItemFactory()
    with heard(signals.content_published) as calls:
        item.published_at = NOON
        item.save()
    assert calls == []


def test_does_not_come_again_after_a_copy_that_was_read_before_the_publication() -> None:
    item = ContentItemFactory(is_published=False)
    stale = ContentItem.objects.get()
    item.is_published = True
    item.save()
    with heard(signals.content_published) as calls:
        stale.save()
        stale.is_published = True
        stale.save()
    assert calls == []


@pytest.mark.parametrize("partly", [False, True])
def test_does_not_come_with_content_that_has_a_time_and_is_not_published(partly: bool) -> None:
    item = ContentItemFactory(is_published=False)
    with heard(signals.content_published) as calls:
        ContentItemFactory(is_published=False, published_at=NOON)
        item.published_at = NOON
        item.is_published = partly
        item.save(**{"update_fields": ["published_at"]} if partly else {})
        item.is_published = True
        item.save()
    assert calls == []


def test_understands_a_publication_that_the_database_computes() -> None:
    item = ContentItemFactory(is_published=False)
    item.is_published = ~F("is_published")
    with heard(signals.content_published) as calls:
        item.save()
        item.save()
    assert [call["items"] for call in calls] == [[item]]
    assert ContentItem.objects.get().published_at is not None


@pytest.mark.parametrize("edit", [{"title": "edited"}, {"is_published": False}])
def test_does_not_come_with_an_edit_of_content_that_was_published_past_the_models(edit: dict[str, Any]) -> None:
    course = CourseFactory()
    ContentItem.objects.bulk_create([ContentItem(course=course, kind="video", title="old")])
    item = ContentItem.objects.get()
    with heard(signals.content_published) as calls:
        for changed in (edit, {"is_published": True}):
            for name, value in changed.items():
                setattr(item, name, value)
            item.save()
    assert calls == []
    assert item.published_at is not None


def test_survives_a_receiver_that_fails(caplog: pytest.LogCaptureFixture) -> None:
    def fails(sender: Any, **kwargs: Any) -> None:
        raise ValueError("no mail today")

    signals.receiver(signals.payments_completed)(fails)
    try:
        payment = PaymentFactory(is_successful=True)
    finally:
        signals.payments_completed.disconnect(dispatch_uid=f"{fails.__module__}.{fails.__qualname__}")
    assert Payment.objects.get().is_successful
    assert f"payments={payment.pk}" in caplog.text


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("stored", [False, True])
def test_a_save_whose_receivers_met_a_lock_cycle_starts_again_and_tells_once(stored: bool) -> None:
    item = ContentItemFactory(is_published=False) if stored else ContentItemFactory.build(course=CourseFactory())
    item.is_published = True
    heard_of: list[int] = []

    def given_up_once(items: list[ContentItem], **kwargs: Any) -> None:
        heard_of.append(items[0].pk)
        if len(heard_of) == 1:
            raise OperationalError(MARIADB_DEADLOCK, "Deadlock found when trying to get lock")

    signals.content_published.connect(given_up_once, weak=False)
    try:
        item.save()
    finally:
        signals.content_published.disconnect(given_up_once)
    assert len(heard_of) == 2
    assert ContentItem.objects.get().is_published
    assert ContentItem.objects.get().pk == item.pk == heard_of[1]
