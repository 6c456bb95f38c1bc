"""The front door for people's own code: `EmailService` sends now, to many, or later …"""

from __future__ import annotations

from collections import UserDict
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import time_machine
from django.contrib.auth import get_user_model
from django.core import mail
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from django.utils.safestring import mark_safe
from django.utils.translation import gettext_lazy

from courses.models import Course
from email_automation import consent, words
from email_automation.models import EmailLog, EmailQueue, WeeklyProgressReport
from email_automation.pipeline import message, sweep
from email_automation.services import LONGEST_KEY, EmailService
from tests import factories

pytestmark = pytest.mark.django_db

NAMES = sorted(kind.NAME for kind in message.all_messages())
SERVICE = EmailService()


@pytest.fixture
def ann() -> Any:
    return factories.UserFactory(first_name="Ann")


@pytest.fixture
def course() -> Any:
    return factories.CourseFactory(title='Tom & "Jerry"', price="49.00", currency="eur")


def the_row() -> EmailLog:
    return EmailLog.objects.get()


def html_of(sent: Any) -> str:
    return str(sent.alternatives[0][0])


class TestSendingNow:
    def test_hands_the_mail_off_and_logs_it(self, ann: Any, course: Any) -> None:
        assert SERVICE.send_email(ann, "enrollment", course=course) is True
        (sent,) = mail.outbox
        row = the_row()
        assert sent.to == [ann.email]
        assert (row.status, row.recipient, row.course) == (words.SENT, ann, course)
        assert (row.subject, row.stored_content()["html"]) == (sent.subject, html_of(sent))  # type: ignore[index]
        assert (row.run, row.day, row.priority) == (None, None, words.HIGH)
        entry = EmailQueue.objects.get()
        assert (entry.is_processed, entry.log, entry.recipient) == (True, row, ann)

    def test_puts_the_callers_words_into_the_mail(self, ann: Any, course: Any) -> None:
        context = {"custom_message": "See you <b>soon</b> & well"}
        assert SERVICE.send_email(ann, "enrollment", course=course, context=context)
        (sent,) = mail.outbox
        assert "See you <b>soon</b> & well" in sent.body
        assert "See you &lt;b&gt;soon&lt;/b&gt; &amp; well" in html_of(sent)

    def test_takes_no_html_on_trust(self, ann: Any, course: Any) -> None:
        SERVICE.send_email(ann, "enrollment", course=course, context={"custom_message": mark_safe("<script>")})
        assert "<script>" not in html_of(mail.outbox[0])

    def test_says_in_the_log_what_the_mail_is_about(self, ann: Any) -> None:
        payment = factories.PaymentFactory(user=ann, is_successful=True)
        enrollment = factories.EnrollmentFactory(user=ann, course=payment.course)
        assert SERVICE.send_email(ann, "payment_confirmation", enrollment=enrollment, payment=payment)
        row = the_row()
        assert (row.course, row.enrollment, row.payment) == (payment.course, enrollment, payment)
        assert payment.txn_ref in mail.outbox[0].body

    def test_takes_the_course_of_an_enrolment_or_a_payment(self, ann: Any, course: Any) -> None:
        enrollment = factories.EnrollmentFactory(user=ann, course=course)
        assert SERVICE.send_email(ann, "enrollment", enrollment=enrollment)
        assert the_row().course == course
        assert 'Tom & "Jerry"' in mail.outbox[0].body

    def test_reads_rows_when_it_sends_and_not_before(self, ann: Any, course: Any) -> None:
        Course.objects.filter(pk=course.pk).update(title="A newer title")
        SERVICE.send_email(ann, "enrollment", context={"course": course})
        assert "A newer title" in mail.outbox[0].body

    def test_needs_no_course_where_the_message_does_not(self, ann: Any) -> None:
        assert SERVICE.send_email(ann, "enrollment", course=None)

    @pytest.mark.parametrize("name", NAMES)
    def test_sends_each_message_or_says_why_not(self, ann: Any, name: str) -> None:
        sent = SERVICE.send_email(ann, name)
        row = the_row()
        assert sent == (row.status == words.SENT)
        if not sent:
            assert row.status == words.SKIPPED
            assert row.reason.startswith("incomplete:")
            assert row.dedupe_key is None

    @pytest.mark.parametrize("name", ["enrollment", "demo_completed", "weekly_progress", "new_content"])
    def test_sends_what_is_given_all_it_is_made_of(self, ann: Any, course: Any, name: str) -> None:
        report = WeeklyProgressReport.objects.create(
            user=ann, course=course, week_start=date(2026, 2, 23), week_end=date(2026, 3, 1), total_videos=4
        )
        context = {"report": report} if name == "weekly_progress" else {}
        assert SERVICE.send_email(ann, name, context, course=course)
        assert (the_row().course, the_row().email_type) == (course, name)

    def test_writes_in_the_recipients_language(self, ann: Any, course: Any) -> None:
        factories.LearnerProfileFactory(user=ann, language="es")
        SERVICE.send_email(ann, "enrollment", course=course)
        assert 'lang="es"' in html_of(mail.outbox[0])

    def test_is_by_the_site_that_owns_the_course(self, ann: Any, course: Any) -> None:
        other = factories.SiteFactory(domain="harbour.example.org")
        factories.SiteConfigurationFactory(site=other, org_filter=["HarbourX"], platform_name="Harbour")
        theirs = factories.CourseFactory(org="HarbourX")
        SERVICE.send_email(ann, "enrollment", course=theirs)
        SERVICE.send_email(ann, "enrollment", enrollment=factories.EnrollmentFactory(user=ann, course=theirs))
        SERVICE.send_email(ann, "enrollment", context={"course": theirs})
        SERVICE.send_email(ann, "enrollment", course=course)
        domains = list(EmailLog.objects.order_by("pk").values_list("site__domain", flat=True))
        assert domains == ["harbour.example.org"] * 3 + ["example.com"]

    @pytest.mark.parametrize(
        ("change", "reason"),
        [({"is_active": False}, "inactive_user"), ({"email": ""}, "no_email_address"), ({"email": "x"}, None)],
    )
    def test_says_in_the_log_why_somebody_gets_none(self, ann: Any, change: dict[str, Any], reason: str | None) -> None:
        for name, value in change.items():
            setattr(ann, name, value)
        ann.save()
        assert SERVICE.send_email(ann, "enrollment") is False
        assert (the_row().status, the_row().reason) == (words.SKIPPED, reason or "no_email_address")
        assert mail.outbox == []

    def test_case_007_one_category_off_skips_its_mail_and_no_other(self, ann: Any) -> None:
        consent.set_preferences(ann.pk, {"payment_emails": False}, source="test")
        payment = factories.PaymentFactory(user=ann, is_successful=True)
        assert SERVICE.send_email(ann, "payment_confirmation", payment=payment) is False
        assert the_row().reason == "opted_out:payment"
        assert SERVICE.send_email(ann, "enrollment") is True

    def test_a_course_opted_out_of_gets_no_lifecycle_mail(self, ann: Any, course: Any) -> None:
        consent.set_course_opt_out(ann.pk, course, True)
        assert SERVICE.send_email(ann, "new_content", course=course) is False
        assert the_row().reason == words.OPTED_OUT_COURSE
        assert SERVICE.send_email(ann, "enrollment", course=course) is True

    def test_a_mail_that_fails_is_false_and_stays_in_the_log(self, ann: Any, monkeypatch: Any) -> None:
        monkeypatch.setattr("edx_ace.presentation.render", lambda *args: 1 / 0)
        assert SERVICE.send_email(ann, "enrollment") is False
        assert (the_row().status, the_row().reason) == (words.PENDING, "render_error")

    def test_a_mail_that_waits_is_drafted_again_from_its_call(self, ann: Any, course: Any) -> None:
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr("edx_ace.presentation.render", lambda *args: 1 / 0)
            SERVICE.send_email(ann, "enrollment", course=course, context={"custom_message": "Still here"})
        EmailLog.objects.update(next_attempt_at=timezone.now())
        assert sweep.sweep()[words.SENT] == 1
        assert "Still here" in mail.outbox[0].body


class TestAKey:
    def test_goes_out_once(self, ann: Any) -> None:
        assert SERVICE.send_email(ann, "enrollment", dedupe_key="welcome:1") is True
        assert SERVICE.send_email(ann, "enrollment", dedupe_key="welcome:1") is False
        assert len(mail.outbox) == EmailLog.objects.count() == 1

    def test_of_a_mail_that_was_skipped_is_given_back(self, ann: Any) -> None:
        consent.opt_out(ann.pk, "enrollment", source="test")
        assert SERVICE.send_email(ann, "enrollment", {"custom_message": "one"}, dedupe_key="welcome:1") is False
        consent.set_preferences(ann.pk, {"enrollment_emails": True}, source="test")
        assert SERVICE.send_email(ann, "enrollment", {"custom_message": "two"}, dedupe_key="welcome:1") is True
        assert "two" in mail.outbox[0].body
        assert SERVICE.send_email(ann, "enrollment", {"custom_message": "three"}, dedupe_key="welcome:1") is False
        assert sorted(EmailLog.objects.values_list("status", flat=True)) == [words.SENT, words.SKIPPED]

    def test_given_back_belongs_to_whoever_uses_it_next(self, ann: Any) -> None:
        other = factories.UserFactory()
        consent.opt_out(ann.pk, "enrollment", source="test")
        SERVICE.send_email(ann, "enrollment", dedupe_key="prize")
        assert SERVICE.send_email(other, "enrollment", dedupe_key="prize") is True
        assert [sent.to for sent in mail.outbox] == [[other.email]]

    def test_of_a_mail_that_waits_for_another_attempt_is_taken(self, ann: Any, monkeypatch: Any) -> None:
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr("edx_ace.presentation.render", lambda *args: 1 / 0)
            assert SERVICE.send_email(ann, "enrollment", {"custom_message": "one"}, dedupe_key="k") is False
        assert SERVICE.send_email(ann, "enrollment", {"custom_message": "two"}, dedupe_key="k") is False
        EmailLog.objects.update(next_attempt_at=timezone.now())
        assert sweep.sweep()[words.SENT] == 1
        assert "one" in mail.outbox[0].body

    @pytest.mark.parametrize(
        "key", ["weekly_progress:x", "weekly_progress:1:2026-99-99", "enrollment:", "queued:1", "é" * 191]
    )
    @pytest.mark.parametrize("name", ["enrollment", "weekly_progress"])
    def test_may_be_any_text(self, ann: Any, course: Any, name: str, key: str) -> None:
        report = WeeklyProgressReport.objects.create(
            user=ann, course=course, week_start=date(2026, 2, 23), week_end=date(2026, 3, 1)
        )
        context = {"report": report} if name == "weekly_progress" else {}
        assert SERVICE.send_email(ann, name, context, course=course, dedupe_key=key) is True
        assert the_row().status == words.SENT

    def test_is_told_from_one_that_looks_alike(self, ann: Any) -> None:
        for key in ("welcome", "Welcome", "wel come", "wélcome", "welcome\u200b"):
            assert SERVICE.send_email(ann, "enrollment", dedupe_key=key) is True, key
            assert SERVICE.send_email(ann, "enrollment", dedupe_key=key) is False, key
        assert len(mail.outbox) == 5

    @pytest.mark.parametrize("key", ["", " ", "a ", 7, "x" * (LONGEST_KEY + 1), "a\0b", "\ud800"])
    def test_that_cannot_be_stored_is_refused(self, ann: Any, key: Any) -> None:
        with pytest.raises(ValueError, match=f"dedupe_key: .*{LONGEST_KEY}"):
            SERVICE.send_email(ann, "enrollment", dedupe_key=key)
        assert not EmailQueue.objects.exists()


LOOP: list[Any] = []
LOOP.append(LOOP)
NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)

# (arguments beside a good recipient and type, what the error names)
BAD: list[tuple[dict[str, Any], str]] = [
    ({"email_type": "enrolment"}, r"email_type: 'enrolment' .*allowed: .*enrollment.*weekly_progress"),
    ({"email_type": ""}, "email_type: '' .*allowed: "),
    ({"email_type": None}, "email_type: None .*allowed: "),
    ({"email_type": 7}, "email_type: 7 .*allowed: "),
    ({"email_type": "schedules.enrollment"}, "email_type: .*allowed: "),
    ({"recipient": None}, "recipient: must be a stored user, not NoneType"),
    ({"recipient": 1}, "recipient: must be a stored user, not int"),
    ({"recipient": "ann@example.com"}, "recipient: must be a stored user, not str"),
    ({"recipient": get_user_model()(username="nobody")}, "recipient: must be a stored user"),
    ({"context": [1]}, "context: must be a dictionary, not list"),
    ({"context": "text"}, "context: must be a dictionary, not str"),
    ({"context": {1: "x"}}, "context: 1 cannot be a variable.*allowed"),
    ({"context": {"a-b": "x"}}, "context: 'a-b' cannot be a variable.*allowed"),
    ({"context": {"_x": "x"}}, "context: '_x' cannot be a variable.*allowed"),
    ({"context": {"$template": 1}}, r"context: '\$template' cannot be a variable.*allowed"),
    ({"context": {"user": "x"}}, "context: 'user' is given by the engine"),
    ({"context": {"unsubscribe_url": "x"}}, "context: 'unsubscribe_url' is given by the engine"),
    ({"context": {"when": NOW}}, "context: 'when' is a datetime; allowed are JSON values and rows of .*Course"),
    ({"context": {"day": NOW.date()}}, "context: 'day' is a date; allowed are JSON values"),
    ({"context": {"price": Decimal("1.00")}}, "context: 'price' is a Decimal; allowed are JSON values"),
    ({"context": {"some": {1, 2}}}, "context: 'some' is a set; allowed are JSON values"),
    ({"context": {"raw": b"x"}}, "context: 'raw' is a bytes; allowed are JSON values"),
    ({"context": {"call": print}}, "context: 'call' is a builtin_function_or_method; allowed are JSON values"),
    ({"context": {"deep": [{"x": [NOW]}]}}, r"context: 'deep'\[0\]\['x'\]\[0\] is a datetime; allowed"),
    ({"context": {"nan": float("nan")}}, "context: 'nan' is a float; allowed are JSON values"),
    ({"context": {"inf": [float("inf")]}}, r"context: 'inf'\[0\] is a float; allowed are JSON values"),
    ({"context": {"text": "a\0b"}}, "context: 'text' .*NUL"),
    ({"context": {"text": {"a\0b": 1}}}, "context: 'text' .*key"),
    ({"context": {"text": "half \ud83d"}}, "context: 'text' .*half a character"),
    ({"context": {"text": {"\ud83d": 1}}}, "context: 'text' .*key"),
    ({"context": {"text": {7: 1}}}, "context: 'text' .*key"),
    ({"context": {"row": {"$row": "courses.course", "id": 1}}}, r"context: 'row' .*key.*\$row"),
    ({"context": {"long": "x" * 100_001}}, "context: .*100000"),
    ({"context": {"huge": 2**63}}, "context: 'huge' is a int; allowed are JSON values"),
    ({"context": {"endless": 10**5000}}, "context: 'endless' is a int; allowed are JSON values"),
    ({"context": {"loop": LOOP}}, "context: .*deep"),
    ({"context": {"users": get_user_model().objects.none()}}, "context: 'users' is a .*QuerySet; allowed"),
    ({"context": {"course": Course(key="x")}}, "context: 'course' is not saved"),
]


def arguments_of(bad: dict[str, Any], recipient: Any) -> dict[str, Any]:
    return {"recipient": recipient, "email_type": "enrollment", **bad}


class TestBadInput:
    @pytest.mark.parametrize(("bad", "names"), BAD)
    def test_is_a_value_error_that_names_the_field_and_writes_nothing(
        self, ann: Any, bad: dict[str, Any], names: str
    ) -> None:
        arguments = arguments_of(bad, ann)
        with pytest.raises(ValueError, match=names):
            SERVICE.send_email(**arguments)
        with pytest.raises(ValueError, match=names):
            SERVICE.queue_email(**arguments, scheduled_at=timezone.now() + timedelta(hours=1))
        with pytest.raises(ValueError, match=names):
            SERVICE.send_bulk_email([arguments.pop("recipient")], **arguments)
        assert not EmailQueue.objects.exists()
        assert not EmailLog.objects.exists()
        assert mail.outbox == []

    @pytest.mark.parametrize("name", ["course", "enrollment", "payment"])
    def test_of_what_the_mail_is_about_is_refused_too(self, ann: Any, name: str) -> None:
        model = {"course": "Course", "enrollment": "Enrollment", "payment": "Payment"}[name]
        for value in (1, "x", ann):
            with pytest.raises(ValueError, match=f"{name}: must be a {model} or None, not "):
                SERVICE.send_email(ann, "enrollment", **{name: value})
        assert not EmailQueue.objects.exists()

    @pytest.mark.parametrize(
        ("bad", "names"),
        [
            ({"priority": "soon"}, "priority: 'soon' .*allowed: urgent, high, normal, low"),
            ({"priority": 10}, "priority: 10 .*allowed: urgent"),
            ({"priority": None}, "priority: None .*allowed: urgent"),
            ({"priority": ["urgent"]}, r"priority: \['urgent'\] .*allowed: urgent"),
            ({"scheduled_at": datetime(2026, 3, 2, 9)}, "scheduled_at: .*time zone"),  # noqa: DTZ001  (that is the point)
            ({"scheduled_at": date(2026, 3, 2)}, "scheduled_at: .*time zone"),
            ({"scheduled_at": None}, "scheduled_at: .*time zone"),
            ({"scheduled_at": "2026-03-02T09:00Z"}, "scheduled_at: .*time zone"),
            ({"expires_at": datetime(2026, 3, 2, 9)}, "expires_at: .*time zone"),  # noqa: DTZ001
            ({"expires_at": NOW}, "expires_at: must be after scheduled_at"),
            ({"expires_at": NOW - timedelta(hours=1)}, "expires_at: must be after scheduled_at"),
        ],
    )
    def test_of_a_queued_mail_is_refused_too(self, ann: Any, bad: dict[str, Any], names: str) -> None:
        with pytest.raises(ValueError, match=names):
            SERVICE.queue_email(ann, "enrollment", **{"scheduled_at": NOW, **bad})
        assert not EmailQueue.objects.exists()

    def test_in_the_middle_of_many_leaves_what_came_before_it_sent(self, settings: Any) -> None:
        settings.EMAIL_BATCH_SIZE = 50
        people = factories.UserFactory.create_batch(60)
        with pytest.raises(ValueError, match="recipient: must be a stored user, not str"):
            SERVICE.send_bulk_email([*people, "somebody"], "enrollment")
        assert len(mail.outbox) == 50

    def test_of_a_person_deleted_meanwhile_is_refused(self, ann: Any) -> None:
        get_user_model().objects.filter(pk=ann.pk).delete()
        with pytest.raises(ValueError, match="recipient: must be a stored user"):
            SERVICE.send_email(ann, "enrollment")
        with pytest.raises(ValueError, match="recipient: must be a stored user"):
            SERVICE.queue_email(ann, "enrollment", timezone.now())
        assert not EmailQueue.objects.exists()


class TestAContext:
    def test_may_hold_any_json_value_and_rows(self, ann: Any, course: Any) -> None:
        item = factories.ContentItemFactory(course=course)
        context = {
            "course": course,
            "list": [item, {"of": [factories.MeetingFactory(course=course)]}],
            "pair": (1, 2.5),
            "nothing": None,
            "yes": True,
            "lazy": gettext_lazy("Hello"),
            "mapping": UserDict(a="b"),
            "emoji": "👩‍🎓",
        }
        entry = SERVICE.queue_email(ann, "enrollment", timezone.now() + timedelta(hours=1), context=context)
        stored = EmailQueue.objects.get(pk=entry.pk).context_data
        assert stored["course"] == {"$row": "courses.course", "id": course.pk}
        assert stored["list"][0] == {"$row": "courses.contentitem", "id": item.pk}
        assert stored["list"][1]["of"][0]["$row"] == "courses.meeting"
        assert (stored["pair"], stored["nothing"], stored["yes"]) == ([1, 2.5], None, True)
        assert (stored["lazy"], stored["mapping"], stored["emoji"]) == ("Hello", {"a": "b"}, "👩‍🎓")

    def test_is_left_as_it_was(self, ann: Any, course: Any) -> None:
        context = {"course": course, "items": [{"title": "One"}]}
        SERVICE.send_email(ann, "new_content", context)
        assert context == {"course": course, "items": [{"title": "One"}]}

    def test_holds_nothing_personal_once_stored(self, ann: Any, course: Any) -> None:
        SERVICE.send_email(ann, "enrollment", {"course": course}, enrollment=factories.EnrollmentFactory(user=ann))
        stored = str(EmailQueue.objects.get().context_data)
        assert not any(text in stored for text in (ann.email, ann.username, ann.first_name))

    @pytest.mark.parametrize("nested", [False, True])
    def test_whose_row_was_deleted_meanwhile_is_skipped(self, ann: Any, course: Any, nested: bool) -> None:
        entry = SERVICE.queue_email(
            ann,
            "enrollment",
            timezone.now() + timedelta(hours=1),
            {"things": [course]} if nested else {"course": course},
        )
        Course.objects.filter(pk=course.pk).delete()
        EmailQueue.objects.filter(pk=entry.pk).update(scheduled_at=timezone.now())
        sweep.sweep()
        assert (the_row().status, the_row().reason) == (words.SKIPPED, words.NO_LONGER_ELIGIBLE)

    def test_whose_person_was_deleted_meanwhile_is_gone_with_it(self, ann: Any, course: Any) -> None:
        SERVICE.queue_email(ann, "enrollment", timezone.now() + timedelta(hours=1), {"course": course})
        ann.delete()
        assert not EmailQueue.objects.exists()
        sweep.sweep()
        assert mail.outbox == []


class TestQueueing:
    def test_case_009_sends_nothing_before_and_one_after(self, ann: Any, course: Any) -> None:
        entry = SERVICE.queue_email(
            ann, "enrollment", timezone.now() + timedelta(hours=2), {"course": course}, priority="high"
        )
        assert (entry.pk, entry.priority, entry.is_processed, entry.log) == (entry.pk, words.HIGH, False, None)
        assert sweep.sweep()[words.SENT] == 0
        with time_machine.travel(timezone.now() + timedelta(hours=1, minutes=59)):
            assert sweep.sweep()[words.SENT] == 0
        assert mail.outbox == []
        with time_machine.travel(timezone.now() + timedelta(hours=2, seconds=1)):
            assert sweep.sweep()[words.SENT] == 1
            assert sweep.sweep()[words.SENT] == 0
        entry.refresh_from_db()
        assert (entry.is_processed, entry.log) == (True, the_row())
        assert len(mail.outbox) == 1

    def test_case_009_what_is_found_too_late_is_skipped_as_expired(self, ann: Any) -> None:
        soon = timezone.now() + timedelta(hours=2)
        SERVICE.queue_email(ann, "enrollment", soon, expires_at=soon + timedelta(minutes=10))
        with time_machine.travel(soon + timedelta(minutes=11)):
            tally = sweep.sweep()
        assert (tally.reasons, the_row().reason, the_row().status) == ({"expired": 1}, "expired", words.SKIPPED)
        assert mail.outbox == []

    def test_just_in_time_is_in_time(self, ann: Any) -> None:
        soon = timezone.now() + timedelta(hours=2)
        SERVICE.queue_email(ann, "enrollment", soon, expires_at=soon + timedelta(minutes=10))
        with time_machine.travel(soon + timedelta(minutes=9)):
            assert sweep.sweep()[words.SENT] == 1

    def test_what_is_due_at_once_goes_at_once(self, ann: Any) -> None:
        SERVICE.queue_email(ann, "enrollment", timezone.now() - timedelta(days=400))
        assert len(mail.outbox) == 1

    def test_asks_for_consent_when_it_sends(self, ann: Any) -> None:
        SERVICE.queue_email(ann, "enrollment", timezone.now() + timedelta(hours=1))
        consent.opt_out(ann.pk, "enrollment", source="one-click")
        with time_machine.travel(timezone.now() + timedelta(hours=1, seconds=1)):
            sweep.sweep()
        assert (the_row().status, the_row().reason) == (words.SKIPPED, "opted_out:enrollment")

    def test_knows_any_zone(self, ann: Any) -> None:
        entry = SERVICE.queue_email(ann, "enrollment", datetime(2040, 1, 1, 12, tzinfo=ZoneInfo("Asia/Kathmandu")))
        entry.refresh_from_db()
        assert entry.scheduled_at == datetime(2040, 1, 1, 6, 15, tzinfo=UTC)


class TestTheSnippetsOfTheDocument:
    """Each as it stands there; the names they use are the public contract."""

    @pytest.fixture(autouse=True)
    def _student(self) -> None:
        factories.UserFactory(pk=1, email="student@example.com", role="student")
        factories.CourseFactory(pk=1, title="Python for everybody")

    def test_manual_sending(self) -> None:
        from django.contrib.auth import get_user_model

        from courses.models import Course
        from email_automation.services import EmailService

        User = get_user_model()
        email_service = EmailService()
        user = User.objects.get(email="student@example.com")
        course = Course.objects.get(id=1)
        success = email_service.send_email(
            recipient=user,
            email_type="enrollment",
            course=course,
            context={"custom_message": "Welcome to our special course!"},
        )
        assert success is True
        assert "Welcome to our special course!" in mail.outbox[0].body
        assert "Python for everybody" in mail.outbox[0].body

    def test_bulk_sending(self) -> None:
        factories.UserFactory.create_batch(3)
        factories.UserFactory(role="teacher")
        User = get_user_model()
        email_service = EmailService()
        users = User.objects.filter(role="student")
        results = email_service.send_bulk_email(
            recipients=users,
            email_type="new_content",
            context={"new_content_description": "New Python tutorial series added!"},
        )
        assert f"Sent: {results['success']}, Failed: {results['failed']}" == "Sent: 4, Failed: 0"
        assert all("New Python tutorial series added!" in sent.body for sent in mail.outbox)

    def test_the_scheduled_queue(self) -> None:
        user, course = get_user_model().objects.get(pk=1), Course.objects.get(pk=1)
        email_service = EmailService()
        scheduled_time = timezone.now() + timedelta(hours=2)
        queued_email = email_service.queue_email(
            recipient=user,
            email_type="enrollment",
            scheduled_at=scheduled_time,
            context={"course": course},
            priority="high",
        )
        assert queued_email == EmailQueue.objects.get()
        assert queued_email.get_priority_display() == "high"
        with time_machine.travel(scheduled_time + timedelta(seconds=1)):
            sweep.sweep()
        assert "Python for everybody" in mail.outbox[0].body

    def test_preferences(self) -> None:
        from email_automation.models import EmailPreference

        user = get_user_model().objects.get(pk=1)
        try:
            prefs = EmailPreference.objects.get(user=user)
        except EmailPreference.DoesNotExist:
            prefs = EmailPreference.objects.create(user=user)
        prefs.progress_emails = False
        prefs.save()
        prefs.unsubscribe()
        assert not any(prefs.can_receive_email(name) for name in NAMES)
        prefs.resubscribe()
        assert [name for name in NAMES if not prefs.can_receive_email(name)] == ["weekly_progress"]

    def test_case_022_without_a_course_it_sends_or_says_why_not(self) -> None:
        User = get_user_model()
        user = User.objects.first()
        service = EmailService()
        assert service.send_email(user, "enrollment", course=None) is True

    def test_case_022_a_task_about_rows_that_are_missing_logs_one_line(self, caplog: Any) -> None:
        from email_automation.tasks import send_enrollment_email

        send_enrollment_email.delay(1, 1, 1)
        (record,) = [record for record in caplog.records if record.name.startswith("email_automation")]
        assert "user_id=1 course_id=1 enrollment_id=1" in record.getMessage()
        assert mail.outbox == []

    def test_a_task_about_rows_that_are_there_sends(self) -> None:
        from email_automation.tasks import send_enrollment_email

        factories.EnrollmentFactory(pk=1, user_id=1, course_id=1, user=None, course=None)
        send_enrollment_email.delay(1, 1, 1)
        assert len(mail.outbox) == 1


def test_queueing_costs_the_same_few_statements_whatever_the_context(ann: Any) -> None:
    costs = []
    for number in (1, 50):
        courses = factories.CourseFactory.create_batch(number)
        with CaptureQueriesContext(connection) as queries:
            SERVICE.queue_email(ann, "enrollment", timezone.now() + timedelta(hours=1), {"courses": courses})
        costs.append(len(queries))
    assert costs[0] == costs[1] <= 8
