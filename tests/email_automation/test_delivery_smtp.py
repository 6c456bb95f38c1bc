"""Faults of a real SMTP server, met by the real channel through a real run of a real message."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import date, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from anymail.signals import AnymailTrackingEvent, EventType
from django.conf import settings as django_settings
from django.contrib.sites.models import Site
from django.core.management import call_command
from django.utils import timezone

from email_automation import consent, webhooks, words
from email_automation.models import EmailLog, EmailPreference, MessageRun, SuppressedAddress
from email_automation.pipeline import dispatch, message, sweep
from email_automation.pipeline.outcome import Tally
from tests.message_factories import NudgeDay3
from tests.smtp import Server, answers, hangs_up, stalls

pytestmark = pytest.mark.django_db

DAY = date(2017, 8, 1)
KIND = message.get("recurringnudge_day3")


@pytest.fixture
def server(settings: Any) -> Iterator[Server]:
    with Server.running() as running:
        running.use(settings)
        yield running


@pytest.fixture
def learners() -> Any:
    """Make people due; the site's switches are on."""
    site = Site.objects.get(pk=django_settings.SITE_ID)
    factory = NudgeDay3()
    factory.switch(site, enqueue=True, deliver=True)
    return lambda number: factory.due(number, day=DAY, site=site)


def run() -> dispatch.Summary:
    summary = dispatch.run_daily(KIND, django_settings.SITE_ID, day=DAY)
    assert summary.audience == summary.sent + sum(summary.skipped.values()) + summary.failed + summary.retry
    return summary


def later() -> Tally:
    """Sweep when every retry is due."""
    EmailLog.objects.filter(status=words.PENDING).update(next_attempt_at=timezone.now())
    return sweep.sweep()


def statuses() -> dict[str, int]:
    found: dict[str, int] = {}
    for status in EmailLog.objects.values_list("status", flat=True):
        found[status] = found.get(status, 0) + 1
    return found


def test_case_011_two_refusals_for_now_and_then_one_mail_with_growing_gaps(server: Server, learners: Any) -> None:
    learners(1)
    server.script.extend([answers("END", "451 4.3.0 later"), answers("RCPT", "451 4.2.1 later still")])
    first = run()
    assert (first.sent, first.retry, first.ok) == (0, 1, True)
    gaps = []
    for attempt, text in enumerate(["451 4.3.0 later", "451 4.2.1 later still"], start=1):
        row = EmailLog.objects.get()
        assert (row.status, row.attempts, row.reason, row.error_message) == (words.PENDING, attempt, "try_again", text)
        gaps.append(row.next_attempt_at - row.updated_at)
        assert sweep.sweep()[words.SENT] == 0
        later()
    assert gaps[0] < gaps[1]
    row = EmailLog.objects.get()
    assert (row.status, row.attempts, row.reason, row.error_message) == (words.SENT, 3, "", "")
    assert len(server.received) == 1


@pytest.mark.parametrize(
    "text", ["550 no such user", "550 5.7.1 not from you", "554 5.2.2 full", "550 5.2.1 too many", "550 5.1.2 no host"]
)
def test_case_011_a_refused_mail_fails_at_once_and_suppresses_nobody(server: Server, learners: Any, text: str) -> None:
    refused, *others = learners(3)
    server.refused[refused.email] = text
    summary = run()
    assert (summary.sent, summary.failed, summary.retry, summary.ok) == (2, 1, 0, True)
    assert server.addresses == sorted(other.email for other in others)
    row = EmailLog.objects.get(recipient=refused)
    assert (row.status, row.reason, row.error_message) == (words.FAILED, "refused", text)
    assert row.dedupe_key
    assert not EmailPreference.objects.exists() and not SuppressedAddress.objects.exists()
    later()
    assert len(server.received) == 2


@pytest.mark.parametrize("stage", ["RCPT", "DATA", "END"])
@pytest.mark.parametrize("code", ["5.1.1", "5.1.3", "5.1.6", "5.1.10"])
def test_case_011_a_hard_bounce_fails_at_once_and_suppresses_the_address(
    server: Server, learners: Any, stage: Any, code: str
) -> None:
    people = learners(3)
    server.script.extend([None, answers(stage, f"550 {code} no such user")])
    summary = run()
    assert (summary.sent, summary.failed, summary.retry, summary.ok) == (2, 1, 0, True)
    row = EmailLog.objects.get(status=words.FAILED)
    assert (row.reason, row.error_message, row.attempts) == ("refused", f"550 {code} no such user", 1)
    preference = EmailPreference.objects.get()
    assert (preference.user_id, preference.suppression_reason) == (row.recipient_id, "bounce")
    assert preference.suppressed_at is not None
    assert consent.suppressed_among([person.email for person in people]) == {row.to_address}
    assert len(server.received) == 2


def test_what_else_waits_for_a_bounced_address_is_withdrawn(server: Server, learners: Any) -> None:
    (person,) = learners(1)
    server.otherwise = answers("RCPT", "450 4.2.1 later")
    run()
    other = EmailLog.objects.get()
    other.pk, other.dedupe_key, other.email_type = None, "another", "recurringnudge_day10"
    other.save(force_insert=True)
    server.otherwise = answers("RCPT", "550 5.1.1 no such user")
    later()
    statuses = EmailLog.objects.order_by("pk").values_list("status", "reason")
    assert sorted(statuses) == [(words.FAILED, "refused"), (words.SKIPPED, words.SUPPRESSED)]
    assert server.begun == 2


def test_a_test_mail_that_bounces_suppresses_nobody(server: Server, learners: Any) -> None:
    learners(1)
    server.otherwise = answers("RCPT", "550 5.1.1 no such user")
    summary = dispatch.run_daily(KIND, django_settings.SITE_ID, day=DAY, override="tester@example.com")
    assert summary.failed == 1
    assert not EmailPreference.objects.exists() and not SuppressedAddress.objects.exists()


def test_the_command_ends_with_0_after_a_refused_address(server: Server, learners: Any) -> None:
    refused, _ = learners(2)
    server.refused[refused.email] = "550 5.1.1 no such user"
    out = StringIO()
    call_command("send_recurring_nudge", "example.com", "--date", str(DAY), stdout=out)
    assert "audience=2 sent=1 skipped=0 failed=1 retry=0" in out.getvalue()


def test_a_provider_that_is_reached_by_smtp_reports_by_the_message_id(server: Server, learners: Any) -> None:
    learners(1)
    run()
    message_id = server.received[0].message["Message-ID"]
    event = AnymailTrackingEvent(event_type=EventType.DELIVERED, timestamp=timezone.now(), message_id=message_id)
    webhooks.take(sender=None, event=event, esp_name="SendGrid")
    row = EmailLog.objects.get()
    # The log has the Message-ID once.
    assert (row.status, row.message_id, row.provider_message_id) == (words.DELIVERED, message_id, "")


def test_a_report_by_the_message_id_settles_a_doubt_of_smtp(server: Server, learners: Any) -> None:
    learners(1)
    server.script.append(hangs_up("END"))
    assert run().tally[words.UNKNOWN] == 1
    message_id = EmailLog.objects.get().message_id
    webhooks.take(
        sender=None,
        event=AnymailTrackingEvent(
            event_type=EventType.DELIVERED, timestamp=timezone.now(), message_id=message_id.strip("<>")
        ),
        esp_name="SendGrid",
    )
    assert EmailLog.objects.get().status == words.DELIVERED


@pytest.mark.parametrize("text", ["554 5.7.1 spam", "552 5.3.4 too large"])
def test_a_mail_refused_for_good_after_its_end_fails_alone(server: Server, learners: Any, text: str) -> None:
    learners(3)
    server.script.extend([None, answers("END", text)])
    summary = run()
    assert (summary.sent, summary.failed, summary.ok) == (2, 1, True)
    assert EmailLog.objects.get(status=words.FAILED).error_message == text


@pytest.mark.parametrize("stage", ["MAIL", "RCPT", "DATA", "END"])
@pytest.mark.parametrize("text", ["552 5.3.4 too large", "552 too large"])
def test_a_mail_that_is_too_large_fails_alone_wherever_the_server_says_so(
    server: Server, learners: Any, stage: Any, text: str
) -> None:
    learners(3)
    server.script.extend([None, answers(stage, text)])
    summary = run()
    assert (summary.sent, summary.failed, summary.ok) == (2, 1, True)
    assert EmailLog.objects.get(status=words.FAILED).error_message == text
    assert not SuppressedAddress.objects.exists()
    assert server.connections == 1


@pytest.mark.parametrize("stage", ["MAIL", "RCPT", "DATA", "END"])
def test_451_at_any_stage_is_tried_again_and_holds_up_nobody(server: Server, learners: Any, stage: Any) -> None:
    people = learners(3)
    server.script.extend([None, answers(stage, "451 4.3.0 later")])
    summary = run()
    assert (summary.sent, summary.retry, summary.ok) == (2, 1, True)
    assert server.connections == 1
    assert later()[words.SENT] == 1
    assert server.addresses == sorted(person.email for person in people)


@pytest.mark.parametrize("stage", ["MAIL", "RCPT", "DATA", "END"])
@pytest.mark.parametrize("step", [answers, hangs_up], ids=["421", "hang-up"])
def test_a_new_connection_that_ends_at_once_costs_its_mail_an_attempt(
    server: Server, learners: Any, stage: Any, step: Any
) -> None:
    people = learners(3)
    server.script.append(step(stage, "421 4.3.2 closing") if step is answers else step(stage))
    summary = run()
    if step is hangs_up and stage == "END":
        # Nobody knows of the first, and the rest waits.
        assert (summary.sent, summary.failed, summary.retry, summary.ok) == (0, 1, 2, True)
    else:
        assert (summary.sent, summary.retry, summary.ok) == (2, 1, True)
    for _ in range(2):
        later()
    assert server.addresses == sorted(person.email for person in people)


def test_a_connection_that_breaks_in_the_middle_of_a_small_mail_is_doubt(server: Server, learners: Any) -> None:
    learners(2)
    server.script.extend([None, hangs_up("BODY")])
    assert (run().sent, statuses()) == (1, {words.SENT: 1, words.UNKNOWN: 1})


def test_a_refused_login_waits_and_ends_the_command_with_1(server: Server, learners: Any, settings: Any) -> None:
    learners(3)
    settings.EMAIL_HOST_USER, settings.EMAIL_HOST_PASSWORD = "cadence", "wrong"
    server.login_refused = True
    with pytest.raises(SystemExit) as ended:
        call_command("send_recurring_nudge", "example.com", "--date", str(DAY), stdout=StringIO())
    assert ended.value.code == 1
    assert statuses() == {words.PENDING: 3}
    assert server.connections == 1
    assert EmailLog.objects.filter(next_attempt_at__gt=timezone.now(), reason="unreachable").count() == 3
    server.login_refused = False
    assert later()[words.SENT] == 3


def test_a_refused_sender_waits_for_somebody_to_mend_it(server: Server, learners: Any) -> None:
    learners(3)
    server.script.append(answers("MAIL", "553 5.1.8 sender not allowed"))
    summary = run()
    assert (summary.sent, summary.retry, summary.ok) == (0, 3, False)
    assert server.begun == 1
    assert later()[words.SENT] == 3


def test_case_012_a_server_that_is_down_for_the_run_costs_time_only(server: Server, learners: Any) -> None:
    people = learners(60)
    server.stop()
    summary = run()
    assert (summary.sent, summary.retry, summary.ok) == (0, 60, True)
    assert statuses() == {words.PENDING: 60}
    assert not EmailLog.objects.filter(next_attempt_at__lte=timezone.now()).exists()
    assert MessageRun.objects.get().status == MessageRun.DONE
    assert sweep.sweep()[words.SENT] == 0
    server.start()
    assert later()[words.SENT] == 60
    assert server.addresses == sorted(person.email for person in people)


def test_an_outage_uses_up_nobodys_attempts(server: Server, learners: Any) -> None:
    learners(2)
    server.stop()
    run()
    for _ in range(3 * KIND.max_attempts):
        later()
    assert statuses() == {words.PENDING: 2}
    delays = [row.next_attempt_at - row.updated_at for row in EmailLog.objects.all()]
    assert max(delays) <= timedelta(minutes=10)
    server.start()
    server.script.append(answers("END", "451 greylisted"))
    assert later()[words.SENT] == 1
    assert later()[words.SENT] == 1


@pytest.mark.parametrize("stage", ["MAIL", "RCPT", "DATA"])
def test_a_connection_closed_between_mails_is_opened_again(server: Server, learners: Any, stage: Any) -> None:
    people = learners(5)
    server.script.extend([None, None, hangs_up(stage)])
    summary = run()
    assert (summary.sent, summary.ok) == (5, True)
    assert server.addresses == sorted(person.email for person in people)
    assert server.connections == 2


def test_421_after_some_mails_goes_on_on_a_new_connection(server: Server, learners: Any) -> None:
    people = learners(7)
    server.mails_per_connection = 3
    summary = run()
    assert (summary.sent, summary.retry) == (7, 0)
    assert server.addresses == sorted(person.email for person in people)
    assert [mail.connection for mail in server.received] == [1, 1, 1, 2, 2, 2, 3]


@pytest.mark.parametrize("stage", ["RCPT", "DATA", "END"])
def test_421_in_the_middle_of_a_mail_sends_it_again_on_a_new_connection(
    server: Server, learners: Any, stage: Any
) -> None:
    people = learners(3)
    server.script.extend([None, answers(stage, "421 4.3.2 closing")])
    assert run().sent == 3
    assert server.addresses == sorted(person.email for person in people)


def test_a_connection_that_always_breaks_is_tried_again_later(server: Server, learners: Any) -> None:
    learners(2)
    server.otherwise = hangs_up("MAIL")
    summary = run()
    assert (summary.sent, summary.retry, summary.ok) == (0, 2, True)
    server.otherwise = None
    assert later()[words.SENT] == 2


def test_no_answer_after_the_end_of_a_lifecycle_mail_is_unknown_and_never_sent_again(
    server: Server, learners: Any
) -> None:
    people = learners(4)
    server.script.extend([None, hangs_up("END")])
    summary = run()
    # What stood behind waits, so that a provider that never answers costs one mail and not a slice of them.
    assert (summary.sent, summary.failed, summary.retry, summary.ok) == (1, 1, 2, True)
    for _ in range(3):
        later()
    assert statuses() == {words.SENT: 3, words.UNKNOWN: 1}
    assert EmailLog.objects.get(status=words.UNKNOWN).reason == words.IN_DOUBT
    assert server.addresses == sorted(person.email for person in people)


def test_no_answer_after_the_end_of_a_transactional_mail_sends_it_once_more(
    server: Server, learners: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(KIND, "resend_unknown", 1)
    (person,) = learners(1)
    server.otherwise = hangs_up("END")
    assert run().retry == 1
    for _ in range(3):
        later()
    assert server.addresses == [person.email] * 2
    assert statuses() == {words.UNKNOWN: 1}
    assert len({mail.message["Message-ID"] for mail in server.received}) == 1


@pytest.mark.parametrize("stage", ["MAIL", "RCPT", "DATA", "BODY", "END"])
def test_a_server_that_says_nothing_is_waited_for_once_in_a_run(
    server: Server, learners: Any, settings: Any, stage: Any
) -> None:
    learners(60)
    server.use(settings, timeout=3)
    server.otherwise = stalls(stage, 20)
    started = time.monotonic()
    summary = run()
    assert time.monotonic() - started < 15
    # A small mail has been written to its end before the server has read its middle.
    in_doubt = int(stage in ("BODY", "END"))
    assert (summary.sent, summary.failed, summary.retry, summary.ok) == (0, in_doubt, 60 - in_doubt, True)
    assert server.begun == 1
    assert EmailLog.objects.filter(status=words.PENDING, next_attempt_at__gt=timezone.now()).count() == 60 - in_doubt
    server.otherwise = None
    time.sleep(3)
    assert later()[words.SENT] == 60 - in_doubt


def test_a_server_that_is_only_slow_gets_every_mail(server: Server, learners: Any) -> None:
    learners(3)
    server.otherwise = stalls("END", 0.2)
    assert run().sent == 3


@pytest.fixture
def own_subject(settings: Any, tmp_path: Path) -> Any:
    """Write the subject template of the nudge; None takes it away."""
    path = tmp_path / "schedules/edx_ace/recurringnudge_day3/email/subject.txt"
    path.parent.mkdir(parents=True)
    *_, entry = settings.TEMPLATES
    options = {**entry["OPTIONS"], "loaders": ["django.template.loaders.filesystem.Loader", APPS]}
    settings.TEMPLATES = [{**entry, "DIRS": [str(tmp_path)], "APP_DIRS": False, "OPTIONS": options}]
    return path.write_text


APPS = "django.template.loaders.app_directories.Loader"
RAISES = "{% for one, two in user.first_name %}{% endfor %}Hello"


def test_a_template_that_raises_for_one_learner_holds_up_nobody_else(
    server: Server, learners: Any, own_subject: Any
) -> None:
    broken, *others = learners(4)
    for person in others:
        person.first_name = ""
        person.save()
    own_subject(RAISES)
    summary = run()
    assert (summary.sent, summary.failed, summary.retry, summary.ok) == (3, 0, 1, False)
    row = EmailLog.objects.get(recipient=broken)
    assert (row.status, row.reason) == (words.PENDING, "render_error")
    assert "ValueError" in row.error_message
    own_subject("Hello {{ user.first_name }}")
    assert later()[words.SENT] == 1
    assert len(server.received) == len(set(server.addresses)) == 4


def test_a_missing_template_fails_and_ends_the_command_with_1(server: Server, learners: Any, own_subject: Any) -> None:
    learners(2)
    own_subject('{% include "nowhere.txt" %}')
    summary = run()
    assert (summary.sent, summary.failed, summary.ok) == (0, 2, False)
    assert set(EmailLog.objects.values_list("reason", flat=True)) == {"template_missing"}


def test_the_log_of_faults_names_nobody(
    server: Server, learners: Any, own_subject: Any, caplog: pytest.LogCaptureFixture
) -> None:
    broken, refused, *_ = learners(4)
    type(broken).objects.exclude(pk=broken.pk).update(first_name="")
    server.refused[refused.email] = "550 5.1.1 no such user <ada@example.com>"
    own_subject(RAISES)
    run()
    text = "\n".join(record.getMessage() for record in caplog.records if record.name.startswith("email_automation"))
    assert "ValueError" in text
    assert "@" not in text
    assert not any(name in text for name in (broken.first_name, broken.last_name, broken.username))
