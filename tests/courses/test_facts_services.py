"""The writer of payments, meetings, content and progress …"""

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from courses import services, signals
from courses.models import Completion, ContentItem, Meeting, Participant, Payment, UserActivity
from courses.services import ActivityFact, CompletionFact
from tests.courses.helpers import heard
from tests.factories import (
    CompletionFactory,
    ContentItemFactory,
    CourseFactory,
    EnrollmentFactory,
    MeetingFactory,
    PaymentFactory,
    UserActivityFactory,
    UserFactory,
)

pytestmark = pytest.mark.django_db

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
EARLIER, LATER = NOON - timedelta(hours=1), NOON + timedelta(hours=1)
DAY = date(2026, 3, 2)
PRICE: dict[str, Any] = {"amount": Decimal("49.00"), "currency": "usd"}


def writes(captured: CaptureQueriesContext) -> list[str]:
    """Return the statements that write; PostgreSQL is asked with an INSERT which rows are new."""
    found = [query["sql"] for query in captured if query["sql"].startswith(("INSERT", "UPDATE", "DELETE"))]
    return [sql for sql in found if "DO NOTHING" not in sql]


def test_creates_then_changes_then_leaves_alone() -> None:
    user, course, item, meeting = UserFactory(), CourseFactory(), ContentItemFactory(), MeetingFactory()
    enrollment = EnrollmentFactory(user=user, course=course)
    other = CourseFactory()
    calls: list[tuple[Callable[..., Any], dict[str, Any], dict[str, Any]]] = [
        (
            lambda **fields: services.record_payment(user, **PRICE, txn_ref="t", **fields),
            {},
            {"course": course, "enrollment": enrollment, "method": "card", "is_successful": True, "paid_at": NOON},
        ),
        (
            lambda **fields: services.record_meeting("room", **fields),
            {"title": "One"},
            {"title": "Two", "course": course, "is_demo": True, "starts_at": NOON},
        ),
        (
            lambda **fields: services.record_attendance(meeting, user, **fields),
            {},
            {"joined_at": NOON, "left_at": LATER},
        ),
        (
            lambda **fields: services.record_content_item(fields.pop("course", course), "video", **fields),
            {"kind": "video", "title": "One"},
            {"course": other, "title": "Two", "url": "https://example.com/2", "is_published": False},
        ),
        (lambda **fields: services.record_completion(user, item, **fields), {}, {"completed_at": NOON}),
        (lambda **fields: services.record_activity(user, course, DAY, **fields), {}, {"seconds": 60}),
    ]
    for record, first, then in calls:
        assert record(**first)[1] == "created"
        row, word = record(**then)
        assert word == "changed"
        row.refresh_from_db()
        assert {name: getattr(row, name) for name in then} == then
        with CaptureQueriesContext(connection) as captured:
            again, word = record(**then)
        assert (again, word, writes(captured)) == (row, "unchanged", [])
        assert type(row).objects.filter(pk=row.pk).count() == 1


@pytest.mark.parametrize(
    ("record", "field"),
    [
        (lambda: services.record_payment(UserFactory(), amount=-1, currency="usd"), "amount"),
        (lambda: services.record_payment(UserFactory(), amount="much", currency="usd"), "amount"),
        (lambda: services.record_payment(UserFactory(), amount=None, currency="usd"), "amount"),
        (lambda: services.record_payment(UserFactory(), amount=Decimal("1.001"), currency="usd"), "amount"),
        (lambda: services.record_payment(UserFactory(), amount=1, currency=""), "currency"),
        (lambda: services.record_payment(UserFactory(), amount=1, currency="x" * 9, txn_ref="t"), "currency"),
        (lambda: services.record_payment(UserFactory(), **PRICE, txn_ref="x" * 192), "txn_ref"),
        (lambda: services.record_payment(UserFactory(), **PRICE, method="x" * 65), "method"),
        (lambda: services.record_payment(UserFactory(), **PRICE, paid_at=NOON.replace(tzinfo=None)), "paid_at"),
        (lambda: services.record_payment(UserFactory(), **PRICE, is_successful="perhaps"), "is_successful"),
        (lambda: services.record_meeting(""), "key"),
        (lambda: services.record_meeting("x" * 192), "key"),
        (lambda: services.record_meeting("m", starts_at=NOON.replace(tzinfo=None)), "starts_at"),
        (lambda: services.record_meeting("m", title=None), "title"),
        (
            lambda: services.record_attendance(MeetingFactory(), UserFactory(), left_at=NOON.replace(tzinfo=None)),
            "left_at",
        ),
        (lambda: services.record_content_item(CourseFactory(), "", kind="quiz", title="x"), "key"),
        (lambda: services.record_content_item(CourseFactory(), "k", kind="podcast", title="x"), "kind"),
        (lambda: services.record_content_item(CourseFactory(), "k", kind="quiz"), "title"),
        (lambda: services.record_content_item(CourseFactory(), "k", kind="quiz", title="x", url="x"), "url"),
        (
            lambda: services.record_completion(
                UserFactory(), ContentItemFactory(), completed_at=NOON.replace(tzinfo=None)
            ),
            "completed_at",
        ),
        (lambda: services.record_activity(UserFactory(), CourseFactory(), DAY, seconds=-1), "seconds"),
        (lambda: services.record_activity(UserFactory(), CourseFactory(), NOON), "date"),
        (lambda: services.record_activity(UserFactory(), CourseFactory(), None), "date"),
    ],
)
def test_refuses_a_malformed_value_and_names_the_field(record: Any, field: str) -> None:
    models = (Payment, Meeting, Participant, Completion, UserActivity)
    with pytest.raises(ValidationError) as caught:
        record()
    assert list(caught.value.message_dict) == [field]
    assert not any(model.objects.filter().exists() for model in models if model is not Meeting or field == "key")


def test_finds_no_nameless_row_by_an_empty_name() -> None:
    MeetingFactory(key=None, title="stays")
    ContentItemFactory(key=None)
    for record in (
        lambda: services.record_meeting("", title="other"),
        lambda: services.record_content_item(CourseFactory(), "", title="other"),
    ):
        with pytest.raises(ValidationError):
            record()
    assert Meeting.objects.get().title == "stays"


@pytest.mark.parametrize("txn_ref", [None, ""])
def test_makes_a_new_payment_where_no_transaction_is_named(txn_ref: str | None) -> None:
    user = UserFactory()
    words = [services.record_payment(user, **PRICE, txn_ref=txn_ref)[1] for _ in range(2)]
    assert words == ["created", "created"]
    assert set(Payment.objects.values_list("txn_ref", "amount", "is_successful")) == {(None, Decimal("49.00"), False)}


def test_tells_of_a_success_once() -> None:
    user = UserFactory()
    with heard(signals.payments_completed) as calls:
        for is_successful in (None, False, True, True, None):
            payment, _ = services.record_payment(user, **PRICE, txn_ref="t", is_successful=is_successful)
        other, _ = services.record_payment(user, **PRICE, is_successful=True)
    assert [call["payments"] for call in calls] == [[payment], [other]]
    assert all(call["announce"] and call["in_transaction"] for call in calls)


def test_passes_on_that_nobody_shall_hear_of_it() -> None:
    user, course = UserFactory(), CourseFactory()
    paid: dict[str, Any] = {**PRICE, "is_successful": True, "announce": False}
    services.record_payment(user, **PRICE, txn_ref="later")
    services.record_content_item(course, "later", kind="quiz", title="x", is_published=False)
    meeting = MeetingFactory()
    services.record_attendance(meeting, user)
    with (
        heard(signals.payments_completed) as payments,
        heard(signals.content_published) as items,
        heard(signals.participants_left) as participants,
    ):
        for reference in (None, "new", "later"):
            services.record_payment(user, txn_ref=reference, **paid)
        for key in ("new", "later"):
            services.record_content_item(course, key, announce=False, kind="quiz", title="x", is_published=True)
        for person in (UserFactory(), user):
            services.record_attendance(meeting, person, left_at=NOON, announce=False)
    assert [call["announce"] for call in payments] == [False] * 3
    assert [call["announce"] for call in items + participants] == [False] * 4


def test_keeps_what_a_report_of_a_payment_does_not_tell() -> None:
    stored = PaymentFactory(txn_ref="t", is_successful=True, paid_at=NOON)
    assert services.record_payment(stored.user, **PRICE, txn_ref="t")[1] == "unchanged"
    assert Payment.objects.values_list("course", "method", "is_successful", "paid_at").get() == (
        stored.course_id,
        "card",
        True,
        NOON,
    )


def test_ignores_a_report_of_a_payment_older_than_what_is_known() -> None:
    user = UserFactory()
    services.record_payment(user, **PRICE, txn_ref="t", is_successful=True, reported_at=NOON)
    with heard(signals.payments_completed) as calls:
        for reported_at, word in ((EARLIER, "stale"), (LATER, "changed")):
            _, found = services.record_payment(user, **PRICE, txn_ref="t", is_successful=False, reported_at=reported_at)
            assert found == word
    assert calls == []
    assert Payment.objects.get().reported_at == LATER


def test_never_gives_one_learners_payment_to_another() -> None:
    payment = PaymentFactory(txn_ref="t")
    with heard(signals.payments_completed) as calls, pytest.raises(ValidationError) as caught:
        services.record_payment(UserFactory(), **PRICE, txn_ref="t", is_successful=True)
    assert list(caught.value.message_dict) == ["txn_ref"]
    assert calls == []
    assert Payment.objects.values_list("user", "is_successful").get() == (payment.user_id, False)


def test_tells_of_leaving_once_whatever_follows() -> None:
    meeting, user = MeetingFactory(), UserFactory()
    with heard(signals.participants_left) as calls:
        services.record_attendance(meeting, user, joined_at=EARLIER)
        participant, _ = services.record_attendance(meeting, user, left_at=NOON)
        services.record_attendance(meeting, user, left_at=LATER)
        services.record_attendance(meeting, user)
    assert [call["participants"] for call in calls] == [[participant]]
    assert Participant.objects.values_list("joined_at", "left_at").get() == (EARLIER, LATER)


def test_tells_of_content_once_and_moves_it_silently() -> None:
    course, other = CourseFactory(), CourseFactory()
    with heard(signals.content_published) as calls:
        item, _ = services.record_content_item(course, "k", kind="video", title="x")
        for is_published in (False, True):
            services.record_content_item(course, "k", is_published=is_published)
        services.record_content_item(other, "k", title="y")
    assert [call["items"] for call in calls] == [[item]]
    stored = ContentItem.objects.get()
    assert (stored.course, stored.title, stored.kind) == (other, "y", "video")


@pytest.mark.parametrize(
    ("times", "words", "kept"),
    [
        ([NOON, LATER, NOON], ["created", "unchanged", "unchanged"], NOON),
        ([NOON, EARLIER, LATER], ["created", "changed", "unchanged"], EARLIER),
        ([NOON, None], ["created", "unchanged"], NOON),
    ],
)
def test_keeps_the_first_completion(times: list[datetime | None], words: list[str], kept: datetime) -> None:
    user, item = UserFactory(), ContentItemFactory()
    results = [services.record_completion(user, item, completed_at=instant) for instant in times]
    assert [word for _, word in results] == words
    assert results[-1][0].completed_at == Completion.objects.get().completed_at == kept


def test_takes_a_completion_without_a_time_as_one_of_now() -> None:
    row, _ = services.record_completion(UserFactory(), ContentItemFactory())
    assert timezone.now() - row.completed_at < timedelta(minutes=1)


@pytest.mark.parametrize(
    ("told", "words", "kept"),
    [
        ([0, 0], ["created", "unchanged"], 0),
        ([60, 30, 60, 0], ["created", "unchanged", "unchanged", "unchanged"], 60),
        ([0, 60, 90], ["created", "changed", "changed"], 90),
    ],
)
def test_keeps_the_largest_total_of_a_day(told: list[int], words: list[str], kept: int) -> None:
    user, course = UserFactory(), CourseFactory()
    results = [services.record_activity(user, course, DAY, seconds=seconds) for seconds in told]
    assert [word for _, word in results] == words
    assert results[-1][0].seconds == UserActivity.objects.get().seconds == kept


def test_keeps_days_courses_and_learners_apart() -> None:
    users, courses = UserFactory.create_batch(2), CourseFactory.create_batch(2)
    facts = [
        ActivityFact(user_id=user.pk, course_id=course.pk, day=day, seconds=number)
        for user in users
        for course in courses
        for number, day in enumerate((DAY, DAY + timedelta(1), DAY + timedelta(2)))
    ]
    assert services.record_activities(facts[::2]) == {"created": 6}
    assert services.record_activities(facts) == {"created": 6, "unchanged": 6}
    assert services.record_activities(facts) == {"unchanged": 12}
    assert set(UserActivity.objects.values_list("user", "course", "date", "seconds")) == {
        (fact.user_id, fact.course_id, fact.day, fact.seconds) for fact in facts
    }


def test_records_many_completions() -> None:
    first, later, same = CompletionFactory.create_batch(3, completed_at=NOON)
    new, item = UserFactory(), ContentItemFactory()
    facts = [
        CompletionFact(user_id=first.user_id, item_id=first.item_id, completed_at=EARLIER),
        CompletionFact(user_id=later.user_id, item_id=later.item_id, completed_at=LATER),
        CompletionFact(user_id=same.user_id, item_id=same.item_id, completed_at=NOON),
        CompletionFact(user_id=new.pk, item_id=item.pk, completed_at=LATER),
        CompletionFact(user_id=new.pk, item_id=item.pk, completed_at=NOON),
        CompletionFact(user_id=new.pk, item_id=item.pk),
    ]
    counts = services.record_completions(facts)
    assert counts == {"created": 1, "changed": 1, "unchanged": 2}
    for row, completed_at in ((first, EARLIER), (later, NOON), (same, NOON)):
        row.refresh_from_db()
        assert row.completed_at == completed_at
    assert Completion.objects.get(user=new).completed_at == NOON


def test_records_nothing_for_nothing() -> None:
    assert services.record_completions([]) == services.record_activities([]) == {}


def test_writes_nothing_of_500_facts_of_which_one_is_bad() -> None:
    course = CourseFactory()
    users = UserFactory.create_batch(3)
    facts = [
        ActivityFact(user_id=user.pk, course_id=course.pk, day=DAY, seconds=-(number == 2))
        for number, user in enumerate(users)
    ]
    with pytest.raises(ValidationError, match="seconds"):
        services.record_activities(facts)
    assert not UserActivity.objects.exists()


def test_reads_no_further_than_500_facts_ahead() -> None:
    course = CourseFactory()
    users = UserFactory.create_batch(501)
    stored: list[int] = []

    def facts() -> Iterator[ActivityFact]:
        for user in users:
            stored.append(UserActivity.objects.count())
            yield ActivityFact(user_id=user.pk, course_id=course.pk, day=DAY)

    assert services.record_activities(facts()) == {"created": 501}
    assert (stored[499], stored[500]) == (0, 500)


@pytest.mark.parametrize("kind", ["completions", "activities"])
def test_needs_the_same_queries_for_one_row_and_for_fifty(kind: str) -> None:
    users = UserFactory.create_batch(60)
    course, items = CourseFactory(), ContentItemFactory.create_batch(3)

    def queries(first: int, last: int, step: int) -> int:
        people = list(enumerate(users))[first:last]
        completed = [
            CompletionFact(user_id=user.pk, item_id=items[number % 3].pk, completed_at=NOON - timedelta(hours=step))
            for number, user in people
        ]
        days = [
            ActivityFact(user_id=user.pk, course_id=course.pk, day=DAY + timedelta(number % 3), seconds=step)
            for number, user in people
        ]
        with CaptureQueriesContext(connection) as captured:
            if kind == "completions":
                services.record_completions(completed)
            else:
                services.record_activities(days)
        return len(captured)

    # New, changed and unchanged.
    for step in (1, 2, 2):
        assert queries(0, 1, step) == queries(10, 60, step)


def test_passes_on_a_learner_that_is_none() -> None:
    with pytest.raises(IntegrityError):
        services.record_activities([ActivityFact(user_id=None, course_id=CourseFactory().pk, day=DAY)])  # type: ignore[arg-type]
    assert not UserActivity.objects.exists()


def test_finds_the_rows_that_others_have_made() -> None:
    completion, activity = CompletionFactory(completed_at=NOON), UserActivityFactory(seconds=5)
    assert services.record_completion(completion.user, completion.item)[0] == completion
    assert services.record_activity(activity.user, activity.course, activity.date)[0] == activity
