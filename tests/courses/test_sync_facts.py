"""sync_courses, told of payments, meetings, content and progress, …"""

from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from courses import signals
from courses.models import Completion, ContentItem, Meeting, Participant, Payment, UserActivity
from courses.sources import ActivityRow, BadRow, CompletionRow, ContentItemRow, CourseRow, LearnerRow, Source
from tests.courses.helpers import heard
from tests.courses.loading import as_lines, run, written
from tests.factories import PaymentFactory

pytestmark = pytest.mark.django_db

KEY = "course-v1:edX+C+2017"
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)

EVERYTHING: dict[str, list[dict[str, Any]]] = {
    "courses": [{"key": KEY, "title": "C"}],
    "learners": [{"username": "ada", "lms_user_id": 1}, {"username": "bob"}],
    "payments": [
        {
            "username": "ada",
            "txn_ref": "t1",
            "amount": "49.00",
            "currency": "usd",
            "course": KEY,
            "method": "card",
            "is_successful": True,
            "paid_at": "2026-03-02T12:00:00Z",
        },
        {"lms_user_id": 1, "txn_ref": "t2", "amount": 5, "currency": "eur"},
    ],
    "meetings": [
        {"key": "room", "course": KEY, "title": "Demo", "is_demo": True, "starts_at": "2026-03-02T11:00:00Z"},
        {"key": "other", "starts_at": None},
    ],
    "participants": [
        {"meeting": "room", "username": "ada", "left_at": "2026-03-02T12:00:00Z"},
        {"meeting": "other", "username": "bob", "joined_at": "2026-03-02T12:00:00Z"},
    ],
    "content_items": [
        {
            "key": "v",
            "course": KEY,
            "type": "video",
            "title": "V",
            "is_published": True,
            "published_at": "2026-03-02T12:00:00Z",
        },
        {"key": "q", "course": KEY, "type": "quiz", "title": "Q", "is_published": False},
    ],
    "completions": [{"item": "v", "username": "ada", "completed_at": "2026-03-02T12:00:00Z"}],
    "activities": [{"course": KEY, "username": "ada", "date": "2026-03-02", "seconds": 60}],
}
ROWS = "payments=2 meetings=2 participants=2 content_items=2 completions=1 activities=1"


@pytest.fixture
def write(tmp_path: Path) -> Any:
    return partial(written, tmp_path)


@pytest.mark.parametrize("name", ["facts.json", "facts.jsonl"])
def test_loads_them_silently_and_the_second_time_not_at_all(write: Any, name: str) -> None:
    path = write(EVERYTHING if name == "facts.json" else as_lines(EVERYTHING), name)
    with (
        heard(signals.payments_completed) as payments,
        heard(signals.participants_left) as participants,
        heard(signals.content_published) as items,
    ):
        output, errors, status = run(path, "--announce")
    assert (errors, status) == ("", 0)
    assert f"certificates=0 {ROWS} created=13 changed=0 removed=0 rejected=0" in output
    assert [call["announce"] for call in payments + participants + items] == [False, False, False]
    assert set(Payment.objects.values_list("user__username", "course__key", "txn_ref", "amount", "paid_at")) == {
        ("ada", KEY, "t1", Decimal("49.00"), NOON),
        ("ada", None, "t2", Decimal("5.00"), None),
    }
    assert set(Meeting.objects.values_list("key", "course__key", "is_demo")) == {
        ("room", KEY, True),
        ("other", None, False),
    }
    assert set(Participant.objects.values_list("meeting__key", "user__username", "joined_at", "left_at")) == {
        ("room", "ada", None, NOON),
        ("other", "bob", NOON, None),
    }
    assert set(ContentItem.objects.values_list("key", "kind", "published_at")) == {
        ("v", "video", NOON),
        ("q", "quiz", None),
    }
    assert Completion.objects.values_list("user__username", "item__key", "completed_at").get() == ("ada", "v", NOON)
    assert UserActivity.objects.values_list("date", "seconds").get() == (date(2026, 3, 2), 60)
    with CaptureQueriesContext(connection) as captured:
        output, _, status = run(path)
    assert f"{ROWS} created=0 changed=0 removed=0 rejected=0" in output
    writes = [q["sql"] for q in captured if q["sql"].startswith(("INSERT", "UPDATE", "DELETE"))]
    # PostgreSQL is asked with an INSERT which rows are new.
    assert [sql for sql in writes if "DO NOTHING" not in sql] == []


def test_repairs_what_differs(write: Any) -> None:
    path = write(EVERYTHING)
    run(path)
    Payment.objects.filter(txn_ref="t1").update(method="wrong", is_successful=False)
    Meeting.objects.filter(key="room").update(course=None)
    Participant.objects.filter(meeting__key="room").update(left_at=None)
    ContentItem.objects.filter(key="v").update(title="wrong", is_published=False, published_at=None)
    Completion.objects.update(completed_at=datetime(2027, 1, 1, tzinfo=UTC))
    UserActivity.objects.update(seconds=0)
    with (
        heard(signals.payments_completed) as payments,
        heard(signals.participants_left) as participants,
        heard(signals.content_published) as items,
    ):
        assert "created=0 changed=6 removed=0 rejected=0" in run(path)[0]
    assert [call["announce"] for call in payments + participants + items] == [False, False, False]
    assert Payment.objects.get(txn_ref="t1").method == "card"
    assert Meeting.objects.get(key="room").course is not None


@pytest.mark.parametrize(
    ("kind", "row", "message"),
    [
        ("payments", {"username": "ada", "amount": 1, "currency": "usd"}, "txn_ref: is missing."),
        ("payments", {"username": "ada", "txn_ref": "", "amount": 1, "currency": "usd"}, "txn_ref: must not be empty."),
        ("payments", {"username": "bob", "txn_ref": "t1", "amount": 1, "currency": "usd"}, "txn_ref: is the number of"),
        ("payments", {"username": "ada", "txn_ref": "t", "amount": -1, "currency": "usd"}, "amount: Ensure this value"),
        ("payments", {"username": "ada", "txn_ref": "t", "amount": "1,5", "currency": "usd"}, "amount: '1,5' does not"),
        ("payments", {"username": "eve", "txn_ref": "t", "amount": 1, "currency": "usd"}, "username: unknown."),
        ("meetings", {"key": ""}, "key: must not be empty."),
        ("meetings", {"key": "m", "course": "nowhere"}, "course: 'nowhere' is unknown. Allowed: the course's key"),
        ("participants", {"meeting": "nowhere", "username": "ada"}, "meeting: 'nowhere' is unknown."),
        ("participants", {"meeting": "room", "username": "ada", "left_at": "2026-03-02"}, "left_at: '2026-03-02' does"),
        (
            "content_items",
            {"key": "k", "course": KEY, "type": "podcast", "title": "x"},
            "type: 'podcast' does not fit. Allowed: video, quiz or assignment.",
        ),
        (
            "content_items",
            {"key": "k", "course": KEY, "type": "quiz", "title": ""},
            "title: This field cannot be blank",
        ),
        ("content_items", {"key": "", "course": KEY, "type": "quiz", "title": "x"}, "key: must not be empty."),
        ("completions", {"item": "v", "username": "ada"}, "completed_at: is missing."),
        (
            "completions",
            {"item": "nowhere", "username": "ada", "completed_at": "2026-03-02T12:00:00Z"},
            "item: 'nowhere' is unknown. Allowed: the item's key, stored or in the source.",
        ),
        (
            "activities",
            {"course": KEY, "username": "ada", "date": "2026-02-30"},
            "date: '2026-02-30' does not fit. Allowed: a day such as 2026-03-01.",
        ),
        ("activities", {"course": KEY, "username": "ada", "date": "2026-03-02", "seconds": -1}, "seconds: Ensure this"),
    ],
)
def test_reports_a_bad_row_and_loads_the_others(write: Any, kind: str, row: Any, message: str) -> None:
    good = len(EVERYTHING[kind])
    output, errors, status = run(write(EVERYTHING | {kind: [*EVERYTHING[kind], row]}))
    assert f"{kind} row {good + 1}: {message}" in errors
    assert "created=13 " in output
    assert "rejected=1" in output
    assert status == 1


def test_leaves_a_payment_of_somebody_else_alone(write: Any) -> None:
    payment = PaymentFactory(txn_ref="t2", amount=5, currency="eur")
    other = PaymentFactory(txn_ref="t1")
    assert "rejected=2" in run(write(EVERYTHING))[0]
    assert set(Payment.objects.values_list("user", "is_successful")) == {
        (payment.user_id, False),
        (other.user_id, False),
    }


class Host(Source):
    """What a host would write."""

    def courses(self) -> Iterator[CourseRow | BadRow]:
        yield CourseRow(key=KEY)

    def learners(self) -> Iterator[LearnerRow | BadRow]:
        for number in range(300):
            yield LearnerRow(username=f"u{number}")

    def content_items(self) -> Iterator[ContentItemRow | BadRow]:
        for number in range(2):
            yield ContentItemRow(key=f"i{number}", course=KEY, type="video", title="x")
        yield ContentItemRow(key="bad", course=KEY, type="podcast", title="x")

    def completions(self) -> Iterator[CompletionRow | BadRow]:
        for number in range(600):
            yield CompletionRow(item=f"i{number % 2}", username=f"u{number // 2}", completed_at=NOON)
        yield CompletionRow(item="i0", username="u0", completed_at=NOON.replace(tzinfo=None))

    def activities(self) -> Iterator[ActivityRow | BadRow]:
        for number in range(600):
            yield ActivityRow(course=KEY, username=f"u{number // 2}", date=date(2026, 3, 1 + number % 2))
        yield ActivityRow(course=KEY, username="u0", date=NOON)


def test_reads_a_hosts_own_source_in_chunks() -> None:
    output, errors, status = run("tests.courses.test_sync_facts.Host")
    assert "completions=601 activities=601 created=1503 changed=0 removed=0 rejected=3" in output
    assert [line.split(":")[0] for line in errors.splitlines()[:3]] == [
        "content_items row 3",
        "completions row 601",
        "activities row 601",
    ]
    assert status == 1
    assert "created=0 changed=0" in run("tests.courses.test_sync_facts.Host")[0]


def test_needs_the_same_queries_for_one_known_row_and_for_fifty(write: Any) -> None:
    def facts(number: int) -> dict[str, list[dict[str, Any]]]:
        learners = [f"u{n}" for n in range(number)]
        at = "2026-03-02T12:00:00Z"
        return {
            "courses": [{"key": KEY}],
            "learners": [{"username": name} for name in learners],
            "payments": [
                {"username": name, "txn_ref": name, "amount": 1, "currency": "usd", "course": KEY} for name in learners
            ],
            "meetings": [{"key": name, "course": KEY} for name in learners],
            "participants": [{"meeting": name, "username": name, "left_at": at} for name in learners],
            "content_items": [{"key": name, "course": KEY, "type": "quiz", "title": name} for name in learners],
            "completions": [{"item": name, "username": name, "completed_at": at} for name in learners],
            "activities": [{"course": KEY, "username": name, "date": "2026-03-02"} for name in learners],
        }

    def queries(number: int) -> int:
        path = write(facts(number))
        run(path)
        with CaptureQueriesContext(connection) as captured:
            run(path)
        return len(captured)

    assert queries(1) == queries(50)


def test_needs_not_be_told_of_them() -> None:
    for kind in ("payments", "meetings", "participants", "content_items", "completions", "activities"):
        assert list(getattr(Source(), kind)()) == []
