"""Writers that run at the same time …"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.db import connection

from courses import services, signals
from courses.bulk import insert_if_absent, retry_on_deadlock
from courses.models import Course, Enrollment, LearnerProfile
from courses.services import EnrollmentFact
from tests.courses.helpers import heard
from tests.factories import CourseFactory, UserFactory

pytestmark = pytest.mark.django_db(transaction=True)

WRITERS = 4


def at_once(function: Callable[[int], Any]) -> list[Any]:
    """Run a function in several threads that start together, each with its own connection."""
    barrier = Barrier(WRITERS)

    def run(number: int) -> Any:
        try:
            connection.ensure_connection()
            barrier.wait(timeout=20)
            return function(number)
        finally:
            connection.close()

    with ThreadPoolExecutor(WRITERS) as pool:
        return list(pool.map(run, range(WRITERS)))


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
