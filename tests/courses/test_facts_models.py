"""A payment, a meeting, an item or what a learner did with it …"""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection, transaction
from django.db.models.functions import Now
from django.utils import timezone

from courses.models import Completion, ContentItem, Meeting, Participant, Payment, UserActivity
from tests.factories import (
    CompletionFactory,
    ContentItemFactory,
    CourseFactory,
    EnrollmentFactory,
    MeetingFactory,
    ParticipantFactory,
    PaymentFactory,
    UserActivityFactory,
    UserFactory,
)

pytestmark = pytest.mark.django_db

NOON = datetime(2026, 3, 2, 12, 0, 0, 123456, tzinfo=UTC)
LATER = NOON + timedelta(days=1)

# (factory, the field with the name somebody else gave)
NAMED = [(PaymentFactory, "txn_ref"), (MeetingFactory, "key"), (ContentItemFactory, "key")]
# (factory, what makes it known, the field that tells since when)
DATED = [(PaymentFactory, "is_successful", "paid_at"), (ContentItemFactory, "is_published", "published_at")]


def is_now(instant: datetime | None) -> bool:
    return instant is not None and timedelta(0) <= timezone.now() - instant < timedelta(minutes=1)


@pytest.mark.parametrize(("factory", "field"), NAMED)
def test_has_a_name_that_is_unique_and_null_where_there_is_none(factory: Any, field: str) -> None:
    for name in ("", None, ""):
        row = factory(**{field: name})
        assert getattr(row, field) is None
    assert type(row).objects.filter(**{f"{field}__isnull": True}).count() == 3
    factory(**{field: "a"})
    factory(**{field: "A"})
    with pytest.raises(IntegrityError), transaction.atomic():
        factory(**{field: "a"})


@pytest.mark.parametrize(("factory", "field"), NAMED)
def test_never_stores_an_empty_name(factory: Any, field: str) -> None:
    row = factory(**{field: "a"})
    manager = type(row).objects
    manager.update(**{field: ""})
    setattr(row, field, "")
    row.save(update_fields=[field])
    other = factory.build(**{field: ""}, course=CourseFactory(), **({"user": UserFactory()} if field != "key" else {}))
    manager.bulk_create([other])
    assert manager.filter(**{f"{field}__isnull": True}).count() == manager.filter(**{field: ""}).count() == 2


@pytest.mark.parametrize(("factory", "flag", "time"), DATED)
def test_gets_the_time_of_the_save_that_makes_it_known(factory: Any, flag: str, time: str) -> None:
    assert is_now(getattr(factory(**{flag: True}), time))
    for arguments in ({}, {"update_fields": [flag]}):
        row = factory(**{flag: False})
        assert getattr(row, time) is None
        setattr(row, flag, True)
        row.save(**arguments)
        row.refresh_from_db()
        assert is_now(getattr(row, time))


@pytest.mark.parametrize(("factory", "flag", "time"), DATED)
def test_keeps_a_time_that_is_given(factory: Any, flag: str, time: str) -> None:
    rows = [factory(**{flag: True, time: NOON}), factory(**{flag: False}), factory(**{flag: False})]
    for row, arguments in zip(rows[1:], ({}, {"update_fields": [flag]}), strict=True):
        setattr(row, flag, True)
        setattr(row, time, NOON)
        row.save(**arguments)
    assert set(type(row).objects.values_list(time, flat=True)) == {NOON}


@pytest.mark.parametrize(("factory", "flag", "time"), DATED)
def test_keeps_its_time_when_an_older_copy_is_saved(factory: Any, flag: str, time: str) -> None:
    row = factory(**{flag: False})
    stale = type(row).objects.get()
    setattr(row, flag, True)
    setattr(row, time, NOON)
    row.save()
    setattr(stale, flag, True)
    stale.save()
    assert getattr(stale, time) == NOON
    partial = type(row).objects.defer(time).get()
    partial.save()
    partial.save(update_fields=[flag])
    assert getattr(type(row).objects.get(), time) == NOON


@pytest.mark.parametrize(("factory", "flag", "time"), DATED)
def test_never_loses_its_time_while_it_is_known(factory: Any, flag: str, time: str) -> None:
    row = factory(**{flag: True, time: NOON})
    for arguments in ({}, {"update_fields": [time]}):
        setattr(row, time, None)
        row.save(**arguments)
        row.refresh_from_db()
        assert getattr(row, time) == NOON
    setattr(row, time, LATER)
    row.save()
    assert getattr(type(row).objects.get(), time) == LATER


@pytest.mark.parametrize(("factory", "flag", "time"), DATED)
def test_leaves_the_time_to_the_database_where_it_is_asked_to(factory: Any, flag: str, time: str) -> None:
    row = factory(**{flag: False})
    setattr(row, flag, True)
    setattr(row, time, Now())
    row.save()
    assert is_now(getattr(type(row).objects.get(), time))


def test_remembers_its_first_publication_when_it_is_withdrawn() -> None:
    item = ContentItemFactory(published_at=NOON)
    stale = ContentItem.objects.get()
    stale.is_published, stale.published_at = False, None
    stale.save()
    item.refresh_from_db()
    assert (item.is_published, item.published_at) == (False, NOON)
    item.is_published = True
    item.save()
    assert ContentItem.objects.get().published_at == NOON


def test_has_no_time_of_success_without_one() -> None:
    payment = PaymentFactory(paid_at=NOON)
    payment.paid_at = None
    payment.save()
    assert Payment.objects.get().paid_at is None


@pytest.mark.parametrize(
    ("factory", "fields"),
    [
        (PaymentFactory, {"amount": Decimal("-0.01")}),
        (UserActivityFactory, {"seconds": -1}),
    ],
)
def test_is_checked_by_the_database_too(factory: Any, fields: dict[str, Any]) -> None:
    with pytest.raises(Exception) as caught, transaction.atomic():
        factory(**fields)
    assert type(caught.value).__name__ in ("IntegrityError", "DataError", "OperationalError")


@pytest.mark.parametrize(
    ("row", "field"),
    [
        (lambda: Payment(amount=-1, currency="usd"), "amount"),
        (lambda: Payment(amount=1, currency=""), "currency"),
        (lambda: Payment(amount=Decimal("0.001"), currency="usd"), "amount"),
        (lambda: Payment(amount=1, currency="usd", txn_ref="x" * 192), "txn_ref"),
        (lambda: Meeting(key="x" * 192), "key"),
        (lambda: ContentItem(title="x", kind="podcast"), "kind"),
        (lambda: ContentItem(title="", kind="quiz"), "title"),
        (lambda: ContentItem(title="x", kind="quiz", url="/relative"), "url"),
        (lambda: ContentItem(title="x", kind="quiz", url="javascript:alert(1)"), "url"),
        (lambda: UserActivity(date="today"), "date"),
    ],
)
def test_refuses_a_malformed_value_and_names_the_field(row: Any, field: str) -> None:
    with pytest.raises(ValidationError) as caught:
        row().clean_fields(exclude={"user", "course", "item"})
    assert list(caught.value.message_dict) == [field]


def test_accepts_the_smallest_and_the_fullest_row() -> None:
    course, user = CourseFactory(), UserFactory()
    for row in (
        Payment(user=user, amount=0, currency="usd"),
        Payment(user=user, amount=Decimal("9999999999.99"), currency="usd", txn_ref="x" * 191, method="x" * 64),
        Meeting(),
        Meeting(course=course, title="x", is_demo=True, starts_at=NOON, key="x" * 191),
        ContentItem(course=course, kind="quiz", title="x"),
        ContentItem(
            course=course, kind="assignment", title="x", url="https://example.com/" + "x" * 1980, key="x" * 191
        ),
    ):
        row.full_clean()
        row.save()
        type(row).objects.get(pk=row.pk).full_clean()


def test_is_stored_once() -> None:
    for factory, key in (
        (ParticipantFactory, ("meeting", "user")),
        (CompletionFactory, ("user", "item")),
        (UserActivityFactory, ("user", "course", "date")),
    ):
        row = factory()
        with pytest.raises(IntegrityError), transaction.atomic():
            factory(**{name: getattr(row, name) for name in key})


def test_shows_no_personal_data_as_text() -> None:
    user = UserFactory()
    for factory in (PaymentFactory, ParticipantFactory, CompletionFactory, UserActivityFactory):
        assert user.username not in str(factory(user=user))
    assert "Ada" not in str(MeetingFactory(title="Ada's lesson"))


def test_outlives_the_course_where_it_can() -> None:
    enrollment = EnrollmentFactory()
    course = enrollment.course
    PaymentFactory(user=enrollment.user, course=course, enrollment=enrollment)
    ParticipantFactory(meeting=MeetingFactory(course=course))
    CompletionFactory(item=ContentItemFactory(course=course))
    UserActivityFactory(course=course)
    course.delete()
    assert Payment.objects.values_list("course", "enrollment").get() == (None, None)
    assert Meeting.objects.get().course is None
    assert Participant.objects.count() == 1
    assert not (ContentItem.objects.exists() or Completion.objects.exists() or UserActivity.objects.exists())


def test_goes_with_its_learner() -> None:
    user = UserFactory()
    for factory in (PaymentFactory, ParticipantFactory, CompletionFactory, UserActivityFactory):
        factory(user=user)
    user.delete()
    for model in (Payment, Participant, Completion, UserActivity):
        assert not model.objects.exists()
    assert Meeting.objects.exists() and ContentItem.objects.exists()


def test_has_one_row_for_each_day() -> None:
    activity = UserActivityFactory(date=date(2026, 3, 2))
    UserActivityFactory(user=activity.user, course=activity.course, date=date(2026, 3, 3))
    assert list(activity.user.activities.order_by("date").values_list("date", "seconds")) == [
        (date(2026, 3, 2), 0),
        (date(2026, 3, 3), 0),
    ]


def test_has_an_index_for_what_is_counted_up_to_an_instant() -> None:
    with connection.cursor() as cursor:
        constraints = connection.introspection.get_constraints(cursor, Completion._meta.db_table)
        others = connection.introspection.get_constraints(cursor, ContentItem._meta.db_table)
    columns = [found["columns"] for found in constraints.values() if found["index"]]
    assert ["item_id", "user_id", "completed_at"] in columns
    assert ["course_id", "published_at"] in [found["columns"] for found in others.values()]
