"""Calls: a mail that somebody's code asks for is made of what the code handed over, and harms nobody else's."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.core import mail
from django.db import DatabaseError, connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from email_automation import words
from email_automation.models import EmailLog, EmailQueue, EmailTemplate, WeeklyProgressReport
from email_automation.packing import packed
from email_automation.pipeline import message, sweep
from email_automation.pipeline.calls import CallResolver
from email_automation.pipeline.outcome import OURS
from email_automation.services import EmailService
from tests import factories

pytestmark = pytest.mark.django_db

SERVICE = EmailService()


@pytest.fixture
def ann() -> Any:
    return factories.UserFactory(first_name="Ann")


@pytest.fixture
def course() -> Any:
    return factories.CourseFactory(title="Tides", price="49.00", currency="eur")


@pytest.fixture
def report(ann: Any, course: Any) -> WeeklyProgressReport:
    return WeeklyProgressReport.objects.create(
        user=ann, course=course, week_start=date(2026, 2, 23), week_end=date(2026, 3, 1), total_videos=4
    )


def called(recipient: Any, name: str, **context: Any) -> EmailQueue:
    """A call as it waits in the outbox."""
    return EmailQueue.objects.create(recipient=recipient, email_type=name, site_id=1, context_data=packed(context))


@pytest.mark.parametrize(
    ("name", "context"),
    [
        ("new_content", {"items": 5}),
        ("new_content", {"items": "some"}),
        ("new_content", {"items": [{"title": {}}], "new_content_description": 7}),
        ("enrollment", {"course": {"title": "Of my own"}}),
        ("enrollment", {"course": 7, "cta_url": [], "dashboard_url": {}}),
        ("enrollment", {"enrollment": "x", "payment": [1]}),
        ("demo_completed", {"course": [], "meeting": 3}),
        ("payment_confirmation", {"payment": 7}),
        ("weekly_progress", {"course": {"title": "x"}, "report": {"x": 1}}),
        ("weekly_progress", {"course": "x", "report": 3}),
        ("courseupdate", {"course_name": 3, "week_num": [], "week_highlights": 7}),
    ],
)
def test_whatever_one_is_made_of_the_others_go_out(
    ann: Any, course: Any, report: WeeklyProgressReport, name: str, context: dict[str, Any]
) -> None:
    odd = called(factories.UserFactory(), name, **context)
    good = called(ann, "new_content" if name == "courseupdate" else name, course=course, report=report, **paid(ann))
    sweep.sweep()
    good.refresh_from_db()
    odd.refresh_from_db()
    assert good.log is not None
    assert good.log.status == words.SENT, good.log.error_message
    assert odd.log is not None
    assert odd.log.status in (words.SENT, words.SKIPPED, words.PENDING)
    assert (odd.log.status == words.SENT) == (odd.log.reason == "")


def paid(user: Any) -> dict[str, Any]:
    return {"payment": factories.PaymentFactory(user=user, is_successful=True)}


def test_one_about_a_course_of_the_callers_own_leads_to_the_dashboard(ann: Any) -> None:
    assert SERVICE.send_email(ann, "enrollment", {"course": {"title": "Of my own"}}) is True
    assert "Of my own" in mail.outbox[0].body


def test_one_that_cannot_be_drafted_is_skipped_and_named_in_the_log(
    ann: Any, course: Any, monkeypatch: Any, caplog: Any
) -> None:
    kind, called_of = message.get("enrollment"), message.get("enrollment").called

    def picky(given: Any, links: Any) -> dict[str, Any]:
        return called_of(given, links) if "course" in given else 1 / 0  # type: ignore[return-value]

    monkeypatch.setattr(kind, "called", picky)
    bad, good = called(factories.UserFactory(), "enrollment"), called(ann, "enrollment", course=course)
    assert sweep.sweep()[words.SENT] == 1
    assert EmailLog.objects.get(queued=bad).reason == "incomplete:context"
    assert EmailLog.objects.get(queued=good).status == words.SENT
    assert f"email_queue={bad.pk} could not be drafted: ZeroDivisionError" in caplog.text


def test_a_database_that_breaks_skips_nobody(ann: Any, monkeypatch: Any) -> None:
    def broken(self: Any, *args: Any) -> None:
        raise DatabaseError("gone")

    with monkeypatch.context() as patched:
        patched.setattr(CallResolver, "_draft", broken)
        called(ann, "enrollment")
        assert sweep.sweep()[OURS] == 1
    assert EmailLog.objects.get().status == words.PENDING
    EmailLog.objects.update(next_attempt_at=timezone.now())
    assert sweep.sweep()[words.SENT] == 1


@pytest.mark.parametrize("url", ["http://[oops", "javascript:alert(1)", "/relative", "https://a b", "x" * 300])
def test_an_item_whose_address_is_none_is_named_without_a_link(ann: Any, course: Any, url: str) -> None:
    odd = factories.ContentItemFactory(course=course, title="An odd one", url=url)
    fine = factories.ContentItemFactory(course=course, title="A fine one", url="https://video.example.com/1?t=2")
    assert SERVICE.send_email(ann, "new_content", {"items": [odd, fine]}, course=course) is True
    html = mail.outbox[0].alternatives[0][0]
    assert "An odd one" in html
    assert url not in html
    assert "https://video.example.com/1?t=2&amp;utm_source=email_automation" in html


def test_an_item_whose_address_is_none_holds_up_no_announcement(course: Any) -> None:
    learner = factories.EnrollmentFactory(course=course).user
    item = factories.ContentItemFactory(course=course, title="An odd one", url="http://[oops")
    EmailQueue.objects.create(
        email_type="new_content", target_id=course.pk, site_id=1, context_data={"items": [item.pk]}
    )
    assert sweep.sweep()[words.SENT] == 1
    assert mail.outbox[0].to == [learner.email]
    assert "An odd one" in mail.outbox[0].body


def test_drafts_cost_the_same_for_one_and_for_fifty(course: Any) -> None:
    costs = []
    for number in (1, 50):
        entries = [
            called(
                factories.UserFactory(),
                "enrollment",
                course=factories.CourseFactory(),
                things=[factories.MeetingFactory(course=course), factories.ContentItemFactory(course=course)],
                **paid(factories.UserFactory()),
            )
            for _ in range(number)
        ]
        kind = message.get("enrollment")
        with CaptureQueriesContext(connection) as queries:
            drafts = CallResolver(kind).drafts(kind.starting(1), [entry.pk for entry in entries])
        assert len(drafts) == number
        assert not any(draft.skip for draft in drafts)
        costs.append(len(queries))
    assert costs[0] == costs[1] <= 8


def test_case_009_a_template_edited_in_between_is_the_one_used(ann: Any, course: Any) -> None:
    template = EmailTemplate.objects.create(
        name="Own", email_type="enrollment", subject="Before", html_content="<p>Old words</p>"
    )
    SERVICE.queue_email(ann, "enrollment", timezone.now() + timedelta(hours=2), {"course": course})
    template.subject, template.html_content = "After", "<p>New words for {{ user.first_name }}</p>"
    template.save()
    with time_machine.travel(timezone.now() + timedelta(hours=2, seconds=1)):
        sweep.sweep()
    (sent,) = mail.outbox
    assert sent.subject == "After"
    assert "New words for Ann" in sent.body
    assert "Old words" not in sent.body


def test_what_is_asked_for_at_the_end_of_a_day_or_week_is_not_given_up_at_once(
    ann: Any, course: Any, report: WeeklyProgressReport
) -> None:
    sunday = datetime(2026, 3, 8, 23, 59, 59, tzinfo=UTC)
    with time_machine.travel(sunday, tick=False), pytest.MonkeyPatch.context() as patched:
        patched.setattr("edx_ace.presentation.render", lambda *args: 1 / 0)
        assert SERVICE.send_email(ann, "weekly_progress", {"report": report}, course=course) is False
    with time_machine.travel(sunday + timedelta(minutes=5), tick=False):
        assert sweep.sweep()[words.SENT] == 1
    row = EmailLog.objects.get()
    assert row.expires_at == sunday + timedelta(days=1)


def test_what_the_caller_says_about_its_time_counts(ann: Any) -> None:
    now = timezone.now()
    SERVICE.queue_email(ann, "enrollment", now - timedelta(minutes=1), expires_at=now + timedelta(minutes=10))
    assert EmailLog.objects.get().expires_at == now + timedelta(minutes=10)
