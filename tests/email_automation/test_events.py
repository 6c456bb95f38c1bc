"""What happens to a learner is mailed about: an enrolment, a payment, a demo class that somebody has left."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from celery import current_app
from django.core import mail
from django.db import connection
from django.test.utils import CaptureQueriesContext
from waffle.models import Switch

from courses import services
from courses.models import Enrollment, Participant, Payment
from courses.services import EnrollmentFact
from email_automation import consent, tasks, words
from email_automation.events import HOLD, STOP
from email_automation.models import EmailLog, EmailQueue, EmailTemplate
from email_automation.pipeline import dispatch, message, sweep, wake
from email_automation.pipeline.run import Run
from tests import factories
from tests.smtp import Server

pytestmark = pytest.mark.django_db

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)

Commit = Callable[[], AbstractContextManager[Any]]


@dataclass(frozen=True)
class Kind:
    """One message about an event: its name, its category, how the event comes about, and the task that mails it."""

    name: str
    category: str
    model: Any
    #: Makes the event happen to a learner in a course, by the factory, with what the factory is to be told besides.
    make: Callable[..., Any]
    #: The same by the service, which may be told it again.
    record: Callable[..., Any]
    task: Any
    arguments: Callable[[Any], tuple[int, ...]]


def _leave(user: Any, course: Any, **options: Any) -> Any:
    meeting, _ = services.record_meeting(f"demo {course.pk}", title="A first look", is_demo=True, course=course)
    return services.record_attendance(meeting, user, left_at=NOON, **options)[0]


def _left(user: Any, course: Any, **options: Any) -> Any:
    meeting = factories.MeetingFactory(course=course, is_demo=True, title="A first look")
    return factories.ParticipantFactory(meeting=meeting, user=user, left_at=NOON, **options)


KINDS = [
    Kind(
        "enrollment",
        "enrollment",
        Enrollment,
        lambda user, course, **options: factories.EnrollmentFactory(user=user, course=course, **options),
        lambda user, course, **options: services.record_enrollment(user, course, **options)[0],
        tasks.send_enrollment_email,
        lambda row: (row.user_id, row.course_id, row.pk),
    ),
    Kind(
        "payment_confirmation",
        "payment",
        Payment,
        lambda user, course, **options: factories.PaymentFactory(
            user=user, course=course, is_successful=True, **options
        ),
        lambda user, course, **options: services.record_payment(
            user,
            amount=Decimal("49"),
            currency="eur",
            txn_ref=f"TX {user.pk}",
            course=course,
            is_successful=True,
            **options,
        )[0],
        tasks.send_payment_confirmation_email,
        lambda row: (row.user_id, row.pk),
    ),
    Kind(
        "demo_completed",
        "demo",
        Participant,
        _left,
        _leave,
        tasks.send_demo_completed_email,
        lambda row: (row.user_id, row.meeting.course_id, row.meeting_id),
    ),
]
EACH = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)


@pytest.fixture
def committed(django_capture_on_commit_callbacks: Any) -> Commit:
    """Have a block's transaction commit."""
    return lambda: django_capture_on_commit_callbacks(execute=True)


@pytest.fixture
def ann() -> Any:
    return factories.UserFactory(first_name="Ann")


@pytest.fixture
def course() -> Any:
    return factories.CourseFactory(title="Coastal Navigation", price="49.00", currency="eur")


@EACH
def test_it_is_mailed_about_once_it_has_happened(kind: Kind, ann: Any, course: Any, committed: Commit) -> None:
    with committed():
        row = kind.make(ann, course, announce=True)
        assert mail.outbox == []
    (sent,) = mail.outbox
    assert sent.to == [ann.email]
    assert "Coastal Navigation" in sent.body
    logged = EmailLog.objects.get()
    assert (logged.status, logged.email_type, logged.target_id) == (words.SENT, kind.name, row.pk)
    assert (logged.course, logged.category, logged.subject) == (course, kind.category, sent.subject)
    assert logged.stored_content()["text"] == sent.body  # type: ignore[index]
    assert (logged.run, logged.day) == (None, None)


@EACH
def test_it_is_mailed_about_by_the_services_too_and_told_twice_it_is_mailed_about_once(
    kind: Kind, ann: Any, course: Any, committed: Commit
) -> None:
    for _ in range(3):
        with committed():
            kind.record(ann, course)
    assert [sent.to for sent in mail.outbox] == [[ann.email]]
    assert EmailQueue.objects.count() == EmailLog.objects.count() == 1


@EACH
def test_saving_it_again_sends_nothing(kind: Kind, ann: Any, course: Any, committed: Commit) -> None:
    with committed():
        row = kind.make(ann, course, announce=True)
    for _ in range(2):
        with committed():
            row.save()
            kind.model.objects.get(pk=row.pk).save()
            row.save(update_fields=[row.OBSERVED[0]])
    assert len(mail.outbox) == 1
    assert EmailQueue.objects.count() == 1


@EACH
def test_nobody_hears_of_what_was_recorded_silently(kind: Kind, ann: Any, course: Any, committed: Commit) -> None:
    other = factories.UserFactory()
    with committed():
        kind.make(ann, course, announce=False).save()
        kind.record(other, course, announce=False)
        kind.record(other, course)
    assert mail.outbox == []
    assert not EmailQueue.objects.exists()


@EACH
def test_the_clock_finds_what_nobody_was_told_of(kind: Kind, ann: Any, course: Any, committed: Commit) -> None:
    with committed():
        row = kind.make(ann, course, announce=False)
    moment = {"enrollment": "created_at", "payment_confirmation": "paid_at", "demo_completed": "left_at"}[kind.name]
    day = getattr(row, moment).date()
    assert dispatch.run_daily(message.get(kind.name), 1, day=day - timedelta(days=1)).sent == 0
    assert dispatch.run_daily(message.get(kind.name), 1, day=day).sent == 1
    assert dispatch.run_daily(message.get(kind.name), 1, day=day).sent == 0


@EACH
def test_the_clock_looks_up_the_facts_of_its_day(kind: Kind, ann: Any, course: Any) -> None:
    if connection.vendor != "postgresql":
        pytest.skip("plans of PostgreSQL")
    resolver = message.get(kind.name).resolver()
    pattern = kind.make(ann, course, announce=False)
    people = type(ann).objects.bulk_create(type(ann)(username=f"person-{number}") for number in range(3000))
    facts = []
    for number, person in enumerate(people):
        fact = copy.copy(pattern)
        fact.pk, fact.user, fact.txn_ref = None, person, None
        setattr(fact, resolver.date_field, NOON - timedelta(hours=8 * number))
        facts.append(fact)
    kind.model.objects.all().delete()
    kind.model.objects.bulk_create(facts)
    table = kind.model._meta.db_table
    with connection.cursor() as cursor:
        cursor.execute(f"ANALYZE {table}")
    due = resolver.eligible(Run.starting(kind.name, 1, day=NOON.date()))
    assert len(due) == 2
    # Three a day of years: PostgreSQL chooses by itself what costs least.
    (index,) = (index.name for index in kind.model._meta.indexes if index.fields == [resolver.date_field])
    assert index in due.explain()
    assert f"Seq Scan on {table}" not in due.explain()


@pytest.mark.parametrize("name", ["enrollment", "new_content"])
def test_the_clock_takes_those_of_a_course_together(name: str) -> None:
    courses = factories.CourseFactory.create_batch(2)
    made = [factories.EnrollmentFactory(course=courses[number % 2], created_at=NOON) for number in range(6)]
    for course in courses:
        factories.ContentItemFactory(course=course, published_at=NOON)
    pages = message.get(name).resolver().audience(Run.starting(name, 1, day=NOON.date()))
    assert [row.target_id for page in pages for row in page] == [made[number].pk for number in (0, 2, 4, 1, 3, 5)]


@EACH
def test_the_clock_mails_nobody_a_second_time(kind: Kind, ann: Any, course: Any, committed: Commit) -> None:
    with committed():
        row = kind.make(ann, course, announce=True)
    moment = {"enrollment": "created_at", "payment_confirmation": "paid_at", "demo_completed": "left_at"}[kind.name]
    summary = dispatch.run_daily(message.get(kind.name), 1, day=getattr(row, moment).date())
    assert (summary.sent, summary.skipped) == (0, {"already_sent": 1})


@EACH
def test_it_is_mailed_about_by_the_site_that_owns_the_course(
    kind: Kind, ann: Any, course: Any, committed: Commit
) -> None:
    site = factories.SiteFactory(domain="harbour.example.org")
    factories.SiteConfigurationFactory(
        site=site, org_filter=["HarbourX"], platform_name="Harbour", from_address="hello@harbour.example.org"
    )
    other = factories.UserFactory()
    with committed():
        kind.make(ann, factories.CourseFactory(org="HarbourX"), announce=True)
        kind.make(other, course, announce=True)
    by_person = {sent.to[0]: sent for sent in mail.outbox}
    assert by_person[ann.email].from_email == "Harbour <hello@harbour.example.org>"
    assert "harbour.example.org/email/unsubscribe/" in by_person[ann.email].body
    assert by_person[other.email].from_email.endswith("<cadence@example.com>")
    assert "harbour" not in by_person[other.email].body
    sites = EmailLog.objects.values_list("recipient_id", "site__domain")
    assert dict(sites) == {ann.pk: "harbour.example.org", other.pk: "example.com"}


@EACH
def test_a_hold_plans_nothing(kind: Kind, ann: Any, course: Any, committed: Commit) -> None:
    Switch.objects.create(name=HOLD.format(kind.name), active=True)
    with committed():
        kind.make(ann, course, announce=True)
    assert not EmailQueue.objects.exists()
    Switch.objects.update(active=False)
    sweep.sweep()
    assert mail.outbox == []
    with committed():
        kind.make(factories.UserFactory(), course, announce=True)
    assert len(mail.outbox) == 1


@EACH
def test_a_stop_hands_nothing_off_and_gives_the_key_back(kind: Kind, ann: Any, course: Any, committed: Commit) -> None:
    Switch.objects.create(name=STOP.format(kind.name), active=True)
    with committed():
        row = kind.make(ann, course, announce=True)
    logged = EmailLog.objects.get()
    assert (logged.status, logged.reason, logged.dedupe_key) == (words.SKIPPED, words.STOPPED, None)
    Switch.objects.update(active=False)
    with committed():
        assert kind.task.delay(*kind.arguments(row)).get() == {"queued": 1}
    assert len(mail.outbox) == 1


@EACH
def test_switches_of_other_messages_do_not_matter(kind: Kind, ann: Any, course: Any, committed: Commit) -> None:
    for other in KINDS:
        if other is not kind:
            Switch.objects.create(name=HOLD.format(other.name), active=True)
            Switch.objects.create(name=STOP.format(other.name), active=True)
    with committed():
        kind.make(ann, course, announce=True)
    assert len(mail.outbox) == 1


@EACH
def test_case_007_one_category_off_skips_its_mail_with_a_reason(
    kind: Kind, ann: Any, course: Any, committed: Commit
) -> None:
    consent.set_preferences(ann.pk, {f"{kind.category}_emails": False}, source="test")
    with committed():
        for each in KINDS:
            each.make(ann, course, announce=True)
    reasons = dict(EmailLog.objects.values_list("email_type", "reason"))
    assert reasons == {each.name: f"opted_out:{kind.category}" if each is kind else "" for each in KINDS}
    assert len(mail.outbox) == len(KINDS) - 1


def test_case_007_everything_off_skips_everything_and_coming_back_restores(
    ann: Any, course: Any, committed: Commit
) -> None:
    preference = consent.set_preferences(ann.pk, {"is_subscribed": False}, source="test")
    with committed():
        for kind in KINDS:
            kind.make(ann, course, announce=True)
    assert set(EmailLog.objects.values_list("status", "reason")) == {(words.SKIPPED, words.UNSUBSCRIBED)}
    preference.resubscribe()
    with committed():
        for kind in KINDS:
            kind.record(ann, factories.CourseFactory())
    assert len(mail.outbox) == len(KINDS)


@EACH
def test_a_course_opted_out_of_is_no_reason_to_keep_it_from_a_learner(
    kind: Kind, ann: Any, course: Any, committed: Commit
) -> None:
    consent.set_course_opt_out(ann.pk, course, True)
    with committed():
        kind.make(ann, course, announce=True)
    assert len(mail.outbox) == 1


@EACH
def test_an_account_switched_off_meanwhile_gets_none(kind: Kind, ann: Any, course: Any, committed: Commit) -> None:
    with committed():
        kind.make(ann, course, announce=True)
        type(ann).objects.filter(pk=ann.pk).update(is_active=False)
    assert mail.outbox == []
    assert EmailLog.objects.get().status == words.SKIPPED


@EACH
def test_a_fact_that_is_gone_by_then_is_not_mailed_about(kind: Kind, ann: Any, course: Any, committed: Commit) -> None:
    with committed():
        row = kind.make(ann, course, announce=True)
        type(row).objects.filter(pk=row.pk).delete()
    assert mail.outbox == []
    assert EmailLog.objects.get().reason == words.NO_LONGER_ELIGIBLE


@EACH
def test_a_mistake_of_ours_breaks_no_save(kind: Kind, ann: Any, course: Any, committed: Commit, caplog: Any) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("email_automation.pipeline.outbox.trigger", lambda *args, **kwargs: 1 / 0)
        with committed():
            row = kind.make(ann, course, announce=True)
    assert kind.model.objects.filter(pk=row.pk).exists()
    assert "ZeroDivisionError" in caplog.text
    assert mail.outbox == []


@EACH
def test_a_mail_that_cannot_be_made_breaks_no_save(
    kind: Kind, ann: Any, course: Any, committed: Commit, monkeypatch: Any
) -> None:
    monkeypatch.setattr("edx_ace.presentation.render", lambda *args: 1 / 0)
    with committed():
        row = kind.make(ann, course, announce=True)
    assert kind.model.objects.filter(pk=row.pk).exists()
    assert (EmailLog.objects.get().status, EmailLog.objects.get().reason) == (words.PENDING, "render_error")


@EACH
def test_only_the_entrys_id_crosses_the_broker(
    kind: Kind, ann: Any, course: Any, committed: Commit, settings: Any, monkeypatch: Any
) -> None:
    woken: list[Any] = []
    monkeypatch.setattr(wake.current_app, "send_task", lambda name, **options: woken.append((name, options)))
    settings.CELERY_BROKER_URL = "memory://"
    with committed():
        kind.make(ann, course, announce=True)
    entry = EmailQueue.objects.get()
    assert woken == [(wake.OUTBOX_TASK, {"args": [[entry.pk]], "queue": "transactional", "retry": False})]
    assert mail.outbox == []
    assert tasks.process_queued([entry.pk])[words.SENT] == 1
    assert tasks.process_queued([entry.pk]).get(words.SENT, 0) == 0


@EACH
def test_a_broker_that_is_away_costs_time_only(
    kind: Kind, ann: Any, course: Any, committed: Commit, settings: Any, monkeypatch: Any, caplog: Any
) -> None:
    def away(*args: Any, **options: Any) -> None:
        raise ConnectionError("redis is down")

    monkeypatch.setattr(wake.current_app, "send_task", away)
    settings.CELERY_BROKER_URL = "redis://127.0.0.1:1/0"
    with committed():
        row = kind.make(ann, course, announce=True)
    assert kind.model.objects.filter(pk=row.pk).exists()
    assert "the broker is away (ConnectionError)" in caplog.text
    assert mail.outbox == []
    assert sweep.sweep()[words.SENT] == 1


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("send_enrollment_email", "user_id, course_id, enrollment_id"),
        ("send_payment_confirmation_email", "user_id, payment_id"),
        ("send_demo_completed_email", "user_id, course_id, meeting_id"),
        ("send_new_content_notification", "course_id, content_description"),
        ("generate_weekly_progress_reports", ""),
        ("send_weekly_progress_email", "report_id"),
        ("process_email_queue", ""),
        ("cleanup_old_email_logs", ""),
    ],
)
def test_tasks_keep_their_names_and_arguments(name: str, arguments: str) -> None:
    task = current_app.tasks[f"email_automation.tasks.{name}"]
    assert getattr(tasks, name).name == task.name
    assert ", ".join(inspect.signature(task.run).parameters) == arguments
    assert (task.acks_late, task.reject_on_worker_lost) == (True, True)


@EACH
def test_its_task_keeps_its_name_and_sends_nothing_twice(kind: Kind, ann: Any, course: Any, committed: Commit) -> None:
    name = f"email_automation.tasks.{kind.task.__name__}"
    assert current_app.tasks[name].name == name
    with committed():
        row = kind.make(ann, course, announce=False)
    for queued in (1, 0, 0):
        with committed():
            assert current_app.tasks[name].delay(*kind.arguments(row)).get() == {"queued": queued}
    assert len(mail.outbox) == 1


@EACH
def test_its_task_asked_about_somebody_elses_row_logs_one_line_and_sends_nothing(
    kind: Kind, ann: Any, course: Any, committed: Commit, caplog: Any
) -> None:
    with committed():
        row = kind.make(ann, course, announce=False)
    _, *others = kind.arguments(row)
    with committed():
        assert kind.task.delay(ann.pk + 1, *others).get() == {"queued": 0}
        assert kind.task.delay(ann.pk, *[number + 1 for number in others]).get() == {"queued": 0}
    lines = [record for record in caplog.records if record.name == "email_automation.tasks"]
    assert len(lines) == 2
    assert all("there is no such row" in line.getMessage() for line in lines)
    assert mail.outbox == []


@EACH
def test_it_costs_the_writer_the_same_few_statements_each_time(
    kind: Kind, course: Any, committed: Commit, settings: Any, monkeypatch: Any
) -> None:
    settings.CELERY_BROKER_URL = "memory://"
    monkeypatch.setattr(wake.current_app, "send_task", lambda *args, **options: None)
    costs = []
    for announce in (False, True):
        person = factories.UserFactory()
        row = kind.make(person, course, announce=False)
        kind.model.objects.filter(pk=row.pk).delete()
        row.pk, row._state.adding = None, True
        with CaptureQueriesContext(connection) as queries:
            row.save(force_insert=True, announce=announce)
        costs.append(len(queries))
    assert costs[1] - costs[0] <= 12


def test_case_002_an_enrolment_that_is_not_active_is_not_mailed_about(ann: Any, course: Any, committed: Commit) -> None:
    with committed():
        enrollment, _ = services.record_enrollment(ann, course, is_active=False)
    with committed():
        services.record_enrollment(ann, course, is_active=True)
        enrollment.refresh_from_db()
    assert mail.outbox == []
    assert not EmailQueue.objects.exists()


def test_an_enrolment_ended_before_its_mail_went_out_says_why_it_did_not(
    ann: Any, course: Any, committed: Commit
) -> None:
    with committed():
        services.record_enrollment(ann, course)
        services.end_enrollment(ann, course)
    assert mail.outbox == []
    assert EmailLog.objects.get().reason == "active_enrollment"


def test_many_enrolments_are_mailed_about_each_once(course: Any, committed: Commit) -> None:
    people = factories.UserFactory.create_batch(60)
    facts = [EnrollmentFact(user_id=person.pk, course=course) for person in people]
    for _ in range(2):
        with committed():
            services.record_enrollments(facts)
    assert sorted(sent.to[0] for sent in mail.outbox) == sorted(person.email for person in people)


def test_many_enrolments_recorded_silently_are_not_mailed_about(course: Any, committed: Commit) -> None:
    facts = [EnrollmentFact(user_id=person.pk, course=course) for person in factories.UserFactory.create_batch(3)]
    with committed():
        services.record_enrollments(facts, announce=False)
    assert not EmailQueue.objects.exists()


def test_many_enrolments_cost_the_same_statements_as_one(settings: Any, monkeypatch: Any) -> None:
    settings.CELERY_BROKER_URL = "memory://"
    monkeypatch.setattr(wake.current_app, "send_task", lambda *args, **options: None)
    costs = []
    for number in (1, 50):
        course = factories.CourseFactory()
        facts = [
            EnrollmentFact(user_id=person.pk, course=course) for person in factories.UserFactory.create_batch(number)
        ]
        with CaptureQueriesContext(connection) as queries:
            services.record_enrollments(facts)
        # SQLite takes at most so many parameters in a statement, so there one insert is cut into several.
        costs.append(len([query for query in queries if not query["sql"].startswith("INSERT")]))
    assert costs[0] == costs[1]


def test_case_003_a_payment_is_confirmed_when_it_becomes_successful_and_not_before(
    ann: Any, course: Any, committed: Commit
) -> None:
    with committed():
        payment = factories.PaymentFactory(user=ann, course=course, is_successful=False, announce=True)
    assert mail.outbox == []
    with committed():
        payment.is_successful = True
        payment.save()
    assert len(mail.outbox) == 1
    assert payment.txn_ref in mail.outbox[0].body
    with committed():
        payment.save()
        Payment.objects.get(pk=payment.pk).save()
    with committed():
        payment.is_successful = False
        payment.save()
        payment.is_successful = True
        payment.save()
    assert len(mail.outbox) == 1
    with committed():
        factories.PaymentFactory(user=ann, course=course, is_successful=True, announce=True)
    assert len(mail.outbox) == 2


def test_case_003_a_payment_without_a_course_is_confirmed_by_the_default_site(ann: Any, committed: Commit) -> None:
    with committed():
        services.record_payment(ann, amount=Decimal("7.5"), currency="usd", is_successful=True)
    (sent,) = mail.outbox
    assert "7.50" in sent.body
    assert "USD" in sent.body
    row = EmailLog.objects.get()
    assert (row.course, row.site_id, row.payment) == (None, 1, Payment.objects.get())


def test_a_payment_taken_back_before_its_mail_went_out_is_not_confirmed(
    ann: Any, course: Any, committed: Commit
) -> None:
    with committed():
        payment = factories.PaymentFactory(user=ann, course=course, is_successful=True, announce=True)
        payment.is_successful = False
        payment.save()
    assert mail.outbox == []
    assert EmailLog.objects.get().reason == "successful"


def test_case_004_leaving_a_demo_class_is_mailed_about_once(ann: Any, course: Any, committed: Commit) -> None:
    meeting = factories.MeetingFactory(course=course, is_demo=True, title="A first look")
    with committed():
        participant = factories.ParticipantFactory(meeting=meeting, user=ann, joined_at=NOON, announce=True)
    assert mail.outbox == []
    with committed():
        participant.left_at = NOON + timedelta(hours=1)
        participant.save()
    assert len(mail.outbox) == 1
    assert "A first look" in mail.outbox[0].body
    with committed():
        participant.left_at = NOON + timedelta(hours=2)
        participant.save()
    assert len(mail.outbox) == 1


@pytest.mark.parametrize("fields", [{"title": "demo day"}, {"title": "Demo", "is_demo": True, "course": None}])
def test_case_004_leaving_another_meeting_is_not_mailed_about(
    ann: Any, committed: Commit, fields: dict[str, Any]
) -> None:
    meeting = factories.MeetingFactory(**fields)
    with committed():
        factories.ParticipantFactory(meeting=meeting, user=ann, left_at=NOON, announce=True)
    assert mail.outbox == []
    assert not EmailQueue.objects.exists()
    with committed():
        assert tasks.send_demo_completed_email(ann.pk, meeting.course_id or 0, meeting.pk) == {"queued": 0}


@pytest.fixture
def server(settings: Any) -> Any:
    with Server.running() as running:
        running.use(settings)
        yield running


@EACH
def test_case_016_names_and_titles_are_escaped_once_in_html_and_raw_elsewhere(
    kind: Kind, committed: Commit, server: Server
) -> None:
    ann = factories.UserFactory(first_name="Ann <b>", last_name="O'Neill & Sons")
    course = factories.CourseFactory(title='Tom & "Jerry"')
    with committed():
        kind.make(ann, course, announce=True)
    (received,) = server.received
    html, text = received.part("html"), received.part("plain")
    assert "Ann &lt;b&gt;" in html
    assert "Ann <b>" in text
    assert "Ann <b>" not in html
    assert "Tom &amp; &quot;Jerry&quot;" in html
    assert 'Tom & "Jerry"' in text
    for twice in ("&amp;amp;", "&amp;lt;", "&amp;quot;", "&amp;#"):
        assert twice not in html
    assert "&amp;" not in text + received.message["Subject"]
    assert "&quot;" not in text + received.message["Subject"]


@EACH
@pytest.mark.parametrize("breaks", ["\r\n", "\n", "\r", "\u2028", "\x0b", "\x85"])
def test_case_016_a_line_break_in_a_name_or_title_makes_no_header(
    kind: Kind, committed: Commit, server: Server, breaks: str
) -> None:
    evil = f"Ann{breaks}Bcc: eve@example.com{breaks}{breaks}body"
    ann = factories.UserFactory(first_name=evil, last_name=evil)
    with committed():
        kind.make(ann, factories.CourseFactory(title=evil), announce=True)
    (received,) = server.received
    assert received.recipients == [ann.email]
    assert received.message["Bcc"] is None
    assert not [name for name in received.message if name.lower() in ("bcc", "body", "eve@example.com")]
    assert received.message["To"] == ann.email


@EACH
def test_case_017_the_learners_language_is_used_and_a_template_of_another_does_not_shadow_it(
    kind: Kind, ann: Any, course: Any, committed: Commit
) -> None:
    factories.LearnerProfileFactory(user=ann, language="es")
    html = '<p>Edited. {{ user.first_name }} <a href="{{ unsubscribe_url }}">x</a></p>'
    EmailTemplate.objects.create(
        name="English", email_type=kind.name, language="en", subject="Edited in English", html_content=html
    )
    with committed():
        kind.make(ann, course, announce=True)
    (sent,) = mail.outbox
    assert 'lang="es"' in sent.alternatives[0][0]
    assert sent.subject != "Edited in English"
    EmailTemplate.objects.create(
        name="All", email_type=kind.name, language="", subject="Edited for all", html_content=html
    )
    with committed():
        kind.record(factories.LearnerProfileFactory(language="es").user, factories.CourseFactory())
    assert mail.outbox[-1].subject == "Edited for all"
    assert "Edited. Ada" in mail.outbox[-1].body
