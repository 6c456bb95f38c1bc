"""Writers that run at the same time …"""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from threading import Event
from time import sleep
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.db import connection, transaction

from courses import services, signals
from courses.bulk import insert_if_absent, retry_on_deadlock
from courses.models import Completion, Course, Enrollment, LearnerProfile, UserActivity
from courses.services import ActivityFact, CompletionFact, EnrollmentFact
from tests.courses.helpers import at_once, heard
from tests.factories import (
    CompletionFactory,
    ContentItemFactory,
    CourseFactory,
    MeetingFactory,
    ParticipantFactory,
    PaymentFactory,
    UserFactory,
)

pytestmark = pytest.mark.django_db(transaction=True)

WRITERS = 4
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


def test_never_own_one_row_twice() -> None:
    keys = [f"course-v1:edX+C{number}+1" for number in range(40)]

    @retry_on_deadlock
    def insert(number: int) -> list[str]:
        order = keys if number % 2 else list(reversed(keys))
        rows = [Course(key=key, org="edX", title=key) for key in order]
        return [row.key for row in insert_if_absent(Course, rows, unique_field="key")]

    owned = [key for keys_of_one in at_once(insert) for key in keys_of_one]
    assert sorted(owned) == sorted(keys)


def test_never_own_one_token_row_twice() -> None:
    users = UserFactory.create_batch(40)

    @retry_on_deadlock
    def insert(number: int) -> list[int]:
        rows = [LearnerProfile(user=user, lms_user_id=user.pk, language=f"w{number}") for user in users]
        return [
            row.user_id for row in insert_if_absent(LearnerProfile, rows, unique_field="user", token_field="language")
        ]

    owned = [user_id for ids_of_one in at_once(insert) for user_id in ids_of_one]
    assert sorted(owned) == sorted(user.pk for user in users)


def test_tell_of_one_enrolment_once() -> None:
    course, users = CourseFactory(), UserFactory.create_batch(20)
    with heard(signals.enrollments_created) as calls:
        at_once(
            lambda number: (
                services.record_enrollments([EnrollmentFact(user_id=user.pk, course=course) for user in users])
                if number % 2
                else [services.record_enrollment(user, course) for user in users]
            )
        )
    assert Enrollment.objects.count() == len(users)
    assert sum(len(call["enrollments"]) for call in calls) == len(users)


def test_make_one_account_for_one_learner() -> None:
    results = at_once(lambda number: services.record_user("ada", lms_user_id=1, email="ada@example.com"))
    assert get_user_model().objects.count() == 1
    assert {user.pk for user, _word in results} == {get_user_model().objects.get().pk}
    assert sorted(word for _user, word in results) == ["created", "unchanged", "unchanged", "unchanged"]


@pytest.mark.parametrize(
    ("signal", "factory", "name", "before", "after", "time"),
    [
        (signals.payments_completed, PaymentFactory, "is_successful", False, True, "paid_at"),
        (signals.participants_left, ParticipantFactory, "left_at", None, NOON, "left_at"),
        (signals.content_published, ContentItemFactory, "is_published", False, True, "published_at"),
    ],
)
def test_tell_of_one_change_once_and_keep_its_time(
    signal: Any, factory: Any, name: str, before: Any, after: Any, time: str
) -> None:
    row = factory(**{name: before})
    copies = [type(row).objects.get() for _ in range(WRITERS)]

    @retry_on_deadlock
    def write(number: int) -> Any:
        setattr(copies[number], name, after)
        copies[number].save(**{"update_fields": [name]} if number % 2 else {})
        return copies[number]

    with heard(signal) as calls:
        written = at_once(write)
    assert len(calls) == 1
    # A copy that came late and wrote nothing but the one field does not hear of the time.
    assert {getattr(copy, time) for copy in written} - {None} == {getattr(type(row).objects.get(), time)}


def test_record_one_payment_of_one_transaction() -> None:
    user = UserFactory()
    with heard(signals.payments_completed) as calls:
        results = at_once(
            lambda number: services.record_payment(
                user, amount=Decimal("49.00"), currency="usd", txn_ref="t", is_successful=True
            )
        )
    assert len({payment.pk for payment, _word in results}) == len(calls) == 1
    assert sorted(word for _payment, word in results) == ["created", "unchanged", "unchanged", "unchanged"]


def test_record_one_attendance_of_one_meeting() -> None:
    meeting, user = MeetingFactory(), UserFactory()
    with heard(signals.participants_left) as calls:
        at_once(lambda number: services.record_attendance(meeting, user, left_at=NOON))
    assert len(calls) == 1


def test_agree_on_the_first_completion() -> None:
    item, users = ContentItemFactory(), UserFactory.create_batch(20)

    def write(number: int) -> None:
        completed_at = NOON + timedelta(hours=number)
        if number % 2:
            for user in users:
                services.record_completion(user, item, completed_at=completed_at)
        else:
            services.record_completions(
                CompletionFact(user_id=user.pk, item_id=item.pk, completed_at=completed_at) for user in reversed(users)
            )

    at_once(write)
    assert list(Completion.objects.values_list("completed_at", flat=True)) == [NOON] * len(users)


def test_decide_on_what_is_stored_by_then_and_not_on_what_was() -> None:
    stored = CompletionFactory(completed_at=NOON)
    started = Event()

    def write() -> str:
        try:
            started.set()
            completed_at = NOON - timedelta(hours=1)
            return services.record_completion(stored.user, stored.item, completed_at=completed_at)[1]
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            services.record_completion(stored.user, stored.item, completed_at=NOON - timedelta(hours=2))
            other = pool.submit(write)
            started.wait(timeout=20)
            # Time for the other writer to come as far as our lock.
            sleep(0.5)
        assert other.result(timeout=20) == "unchanged"
    assert Completion.objects.get().completed_at == NOON - timedelta(hours=2)


def test_agree_on_the_largest_total_of_a_day() -> None:
    course, users, day = CourseFactory(), UserFactory.create_batch(20), date(2026, 3, 2)

    def write(number: int) -> None:
        if number % 2:
            for user in users:
                services.record_activity(user, course, day, seconds=number)
        else:
            services.record_activities(
                ActivityFact(user_id=user.pk, course_id=course.pk, day=day, seconds=number) for user in reversed(users)
            )

    at_once(write)
    assert list(UserActivity.objects.values_list("seconds", flat=True)) == [WRITERS - 1] * len(users)
