"""A learner's day in a course …"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser
from django.core.cache import cache
from django.db import transaction
from django.test import RequestFactory

from course_goals import activity
from course_goals.services import record_last_seen_zone, record_user_activity
from courses.models import Course, CourseFlag, Enrollment, Flag, UserActivity
from courses.services import record_profile
from tests.factories import UserActivityFactory, UserFactory

from . import scene

pytestmark = pytest.mark.django_db

AT = datetime(2021, 3, 2, 10, tzinfo=UTC)


@pytest.fixture
def committed(django_capture_on_commit_callbacks: Any) -> Any:
    """Return a recording whose transaction is committed."""

    def record(user: Any, course: Course | None, at: datetime | None = None) -> bool:
        with django_capture_on_commit_callbacks(execute=True):
            return record_user_activity(user, course, at)

    return record


def days() -> list[date]:
    return list(UserActivity.objects.order_by("date").values_list("date", flat=True))


class TestRecording:
    @pytest.mark.parametrize(
        "spoil",
        [
            lambda: Enrollment.objects.all().delete(),
            lambda: Enrollment.objects.update(is_active=False),
            lambda: Flag.objects.update(everyone=None),
            lambda: Flag.objects.all().delete(),
            lambda: CourseFlag.objects.create(flag=Flag.objects.get(), course=Course.objects.get(), on=False),
        ],
        ids=["not enrolled", "inactive", "flag unset", "no flag", "course off"],
    )
    def test_case_063_needs_the_flag_and_an_active_enrolment(self, ann: Any, course: Course, spoil: Any) -> None:
        spoil()
        assert record_user_activity(ann, course, AT) is False
        assert days() == []

    def test_case_063_needs_somebody_and_a_course(self, ann: Any, course: Course) -> None:
        for user, where in ((None, course), (AnonymousUser(), course), (ann, None), (UserFactory(), course)):
            assert record_user_activity(user, where, AT) is False
        assert days() == []

    def test_case_064_writes_once_a_day_and_then_asks_nobody(
        self, ann: Any, course: Course, committed: Any, django_assert_num_queries: Any
    ) -> None:
        assert committed(ann, course, AT) is True
        with django_assert_num_queries(0):
            assert record_user_activity(ann, course, AT + timedelta(hours=13, minutes=59)) is False
            assert record_user_activity(ann, course, AT - timedelta(hours=10)) is False
        assert committed(ann, course, AT + timedelta(hours=14)) is True
        assert days() == [date(2021, 3, 2), date(2021, 3, 3)]

    def test_case_065_a_row_without_a_memory_of_it_is_no_error(self, ann: Any, course: Course) -> None:
        UserActivityFactory(user=ann, course=course, date=AT.date(), seconds=90)
        assert record_user_activity(ann, course, AT) is False
        assert UserActivity.objects.get().seconds == 90

    def test_is_now_unless_told(self, ann: Any, course: Course, time_machine: Any) -> None:
        time_machine.move_to(AT)
        assert record_user_activity(ann, course) is True
        assert days() == [AT.date()]

    def test_refuses_a_naive_instant(self, ann: Any, course: Course) -> None:
        with pytest.raises(ValueError, match="aware"):
            record_user_activity(ann, course, AT.replace(tzinfo=None))

    def test_case_038_has_the_date_of_the_learners_clock(self, ann: Any, course: Course) -> None:
        record_profile(ann, time_zone="Asia/Tokyo")
        record_user_activity(ann, course, datetime(2021, 2, 28, 15, tzinfo=UTC))
        assert days() == [date(2021, 3, 1)]

    def test_is_not_remembered_when_its_row_is_rolled_back(
        self, ann: Any, course: Course, django_capture_on_commit_callbacks: Any
    ) -> None:
        with django_capture_on_commit_callbacks(execute=True), pytest.raises(RuntimeError), transaction.atomic():
            record_user_activity(ann, course, AT)
            raise RuntimeError
        assert record_user_activity(ann, course, AT) is True

    def test_follows_a_zone_that_the_browser_reports_meanwhile(
        self, ann: Any, course: Course, committed: Any, django_capture_on_commit_callbacks: Any
    ) -> None:
        late = AT + timedelta(hours=6)
        committed(ann, course, late)
        with django_capture_on_commit_callbacks(execute=True):
            record_last_seen_zone(ann, "Asia/Tokyo")
        assert record_user_activity(ann, course, late) is True
        assert days() == [date(2021, 3, 2), date(2021, 3, 3)]

    def test_is_recorded_although_the_cache_fails(
        self, ann: Any, course: Course, committed: Any, monkeypatch: pytest.MonkeyPatch, caplog: Any
    ) -> None:
        def fail(*args: Any, **kwargs: Any) -> None:
            raise ConnectionError(f"{ann.email} is away")

        for name in ("get", "set"):
            monkeypatch.setattr(activity.cache, name, fail)
        assert committed(ann, course, AT) is True
        assert committed(ann, course, AT) is False
        assert ann.email not in caplog.text


class TestMemory:
    @pytest.mark.parametrize(
        ("zone", "at", "seconds"),
        [
            ("Asia/Tokyo", "2021-03-02T14:50Z", 600),
            ("America/New_York", "2021-07-01T14:00Z", 50_400),
            ("Europe/Berlin", "2021-03-28T00:30Z", 77_400),
            ("Europe/Berlin", "2021-10-31T00:30Z", 81_000),
        ],
    )
    def test_case_047_lasts_until_the_next_local_midnight(
        self,
        ann: Any,
        course: Course,
        committed: Any,
        monkeypatch: pytest.MonkeyPatch,
        zone: str,
        at: str,
        seconds: int,
    ) -> None:
        timeouts = []
        monkeypatch.setattr(activity.cache, "set", lambda key, value, timeout: timeouts.append(timeout))
        record_profile(ann, time_zone=zone)
        committed(ann, course, datetime.fromisoformat(at))
        assert timeouts == [seconds]

    def test_is_of_one_learner_and_course(self, ann: Any, course: Course, committed: Any) -> None:
        other = scene.base_course()
        bob = scene.learner(course)
        Enrollment.objects.create(user=ann, course=other)
        assert [committed(ann, course, AT), committed(ann, other, AT), committed(bob, course, AT)] == [True] * 3

    def test_holds_nothing_about_the_learner(self, ann: Any, course: Course, committed: Any) -> None:
        committed(ann, course, AT)
        assert cache.get(f"course_goals.activity:{ann.pk}:{course.pk}") == (
            datetime(2021, 3, 2, tzinfo=UTC).timestamp(),
            datetime(2021, 3, 3, tzinfo=UTC).timestamp(),
        )


class TestVisit:
    def visit(self, user: Any, course: Course, *, method: str = "get", query: str = "", **headers: str) -> bool:
        request = getattr(RequestFactory(), method)(f"/{query}", headers=headers)
        request.user = user
        return activity.record_visit(request, course)

    def test_case_066_is_a_get(self, ann: Any, course: Course) -> None:
        assert not self.visit(ann, course, method="head")
        assert not self.visit(ann, course, method="post")
        assert days() == []
        assert self.visit(ann, course)

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("sec-purpose", "prefetch"),
            ("sec-purpose", "prefetch;prerender"),
            ("purpose", "prefetch"),
            ("x-moz", "prefetch"),
            ("x-purpose", "preview"),
        ],
    )
    def test_case_066_is_not_what_a_browser_fetches_ahead(
        self, ann: Any, course: Course, name: str, value: str
    ) -> None:
        assert not self.visit(ann, course, **{name: value})
        assert days() == []

    def test_case_063_is_no_preview(self, course: Course) -> None:
        boss = scene.learner(course, is_staff=True)
        assert not self.visit(boss, course, query="?preview=learner")
        assert self.visit(boss, course)

    def test_is_no_preview_for_a_learner(self, ann: Any, course: Course) -> None:
        assert self.visit(ann, course, query="?preview=learner")


class TestStudyDates:
    def test_are_those_of_each_pair_in_one_statement(
        self, ann: Any, course: Course, django_assert_num_queries: Any
    ) -> None:
        other = scene.base_course()
        for user, where, day in ((ann, course, 1), (ann, other, 2), (ann, course, 9), (ann, course, 3)):
            UserActivityFactory(user=user, course=where, date=date(2021, 3, day))
        bob = UserActivityFactory(course=course, date=date(2021, 3, 2)).user
        pairs = [(ann.pk, course.pk), (bob.pk, other.pk)]
        with django_assert_num_queries(1):
            found = activity.study_dates(pairs, date(2021, 3, 1), date(2021, 3, 7))
        assert found == {pairs[0]: {date(2021, 3, 1), date(2021, 3, 3)}, pairs[1]: set()}
