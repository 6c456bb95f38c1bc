"""Mail through providers' own interfaces: django-anymail's real backends, real requests, and what a run makes of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from anymail.backends.mailgun import MailgunPayload
from django.conf import settings as django_settings
from django.contrib.sites.models import Site
from django.utils import timezone

from email_automation import consent, webhooks, words
from email_automation.channels.mail import METADATA_KEY
from email_automation.models import EmailLog, EmailPreference
from email_automation.pipeline import receipts
from tests.message_factories import NudgeDay3
from tests.providers import Mailgun, Postmark, Provider, SendGrid, Step, answers, hangs_up, stalls

from .test_delivery_smtp import DAY, later, run, statuses
from .test_webhooks_providers import SendGrid as SendGridReports

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.filterwarnings("ignore:django-anymail has dropped official support for SendGrid"),
]


@pytest.fixture(params=[SendGrid, Mailgun], ids=lambda kind: kind.backend)
def provider(request: pytest.FixtureRequest, settings: Any) -> Iterator[Provider]:
    with request.param.running() as running:
        running.use(settings)
        yield running


@pytest.fixture
def postmark(settings: Any) -> Iterator[Postmark]:
    with Postmark.running() as running:
        running.use(settings)
        yield running


@pytest.fixture
def learners() -> Callable[[int], list[Any]]:
    """Make people due; the site's switches are on."""
    site = Site.objects.get(pk=django_settings.SITE_ID)
    factory = NudgeDay3()
    factory.switch(site, enqueue=True, deliver=True)
    return lambda number: factory.due(number, day=DAY, site=site)


def test_what_arrives_is_the_mail_with_its_headers_and_its_reference(provider: Provider, learners: Any) -> None:
    (person,) = learners(1)
    summary = run()
    assert (summary.sent, summary.ok) == (1, True)
    row, (mail,) = EmailLog.objects.get(), provider.accepted
    assert (row.status, row.provider_message_id) == (words.SENT, mail.message_id)
    assert (mail.address, mail.subject) == (person.email, row.subject)
    content = row.stored_content()
    assert content is not None
    assert mail.html.strip() == content["html"].strip()
    assert mail.text.strip() == content["text"].strip()
    headers = {name.lower(): value for name, value in mail.headers.items()}
    for name in ("List-Unsubscribe", "List-Unsubscribe-Post", "List-Id", "Feedback-ID", "Auto-Submitted", "Message-ID"):
        assert headers[name.lower()] == content["headers"][name]
    assert mail.metadata == {METADATA_KEY: receipts.reference(row)}
    assert person.email not in mail.metadata[METADATA_KEY]


def test_one_session_carries_a_run(provider: Provider, learners: Any) -> None:
    people = learners(60)
    assert run().sent == 60
    assert provider.addresses == sorted(person.email for person in people)
    assert provider.connections == 1


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503])
def test_not_now_is_tried_again_and_holds_up_nobody(provider: Provider, learners: Any, status: int) -> None:
    learners(3)
    provider.script.extend([None, answers(status, {"message": "slow down"})])
    summary = run()
    assert (summary.sent, summary.retry, summary.ok) == (2, 1, True)
    row = EmailLog.objects.get(status=words.PENDING)
    assert (row.reason, row.attempts) == ("try_again", 1)
    assert row.next_attempt_at > timezone.now()
    # The answer was one, so the session is still good.
    assert provider.connections == 1
    assert later()[words.SENT] == 1
    assert len(provider.addresses) == len(set(provider.addresses)) == 3


@pytest.mark.parametrize("status", [401, 402, 403, 404])
def test_a_refused_key_or_address_of_ours_ends_the_slice_and_waits_to_be_mended(
    provider: Provider, learners: Any, status: int
) -> None:
    learners(3)
    provider.otherwise = answers(status, "Forbidden")
    summary = run()
    assert (summary.sent, summary.failed, summary.retry, summary.ok) == (0, 0, 3, False)
    assert set(EmailLog.objects.values_list("status", "reason")) == {(words.PENDING, "unreachable")}
    assert provider.requests == 1
    provider.otherwise = None
    assert later()[words.SENT] == 3


def test_a_wrong_key_is_refused_by_the_provider_itself(provider: Provider, learners: Any, settings: Any) -> None:
    learners(1)
    settings.ANYMAIL = {**settings.ANYMAIL, f"{provider.backend.upper()}_API_KEY": "wrong"}
    assert (run().retry, provider.accepted) == (1, [])
    provider.use(settings)
    assert later()[words.SENT] == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"SENDGRID_API_KEY": ..., "MAILGUN_API_KEY": ...},
        {"SENDGRID_API_URL": "nowhere", "MAILGUN_API_URL": "nowhere"},
        {"SENDGRID_API_URL": "https://127.0.0.1:{port}/v3/", "MAILGUN_API_URL": "https://127.0.0.1:{port}/v3/"},
    ],
    ids=["no key", "no address", "no TLS there"],
)
def test_settings_that_cannot_work_use_up_nobodys_attempts(
    provider: Provider, learners: Any, settings: Any, wrong: dict[str, Any]
) -> None:
    learners(3)
    keys = {name: value if value is ... else value.format(port=provider.port) for name, value in wrong.items()}
    settings.ANYMAIL = {name: value for name, value in {**settings.ANYMAIL, **keys}.items() if value is not ...}
    summary = run()
    assert (summary.retry, summary.ok, provider.requests) == (3, False, 0)
    assert set(EmailLog.objects.values_list("status", "reason")) == {(words.PENDING, "unreachable")}
    provider.use(settings)
    assert later()[words.SENT] == 3


def test_a_backend_that_is_not_there_waits_to_be_mended(learners: Any, settings: Any) -> None:
    learners(2)
    settings.EMAIL_BACKEND = "anymail.backends.nobody.EmailBackend"
    summary = run()
    assert (summary.retry, summary.failed, summary.ok) == (2, 0, False)
    # The next mail would meet the same, so it is not even tried.
    assert set(EmailLog.objects.values_list("reason", flat=True)) == {"unreachable"}


def test_a_request_that_is_wrong_fails_alone_and_is_our_fault(provider: Provider, learners: Any) -> None:
    learners(3)
    provider.script.extend([None, answers(400, {"message": "from parameter is not a valid address"})])
    summary = run()
    assert (summary.sent, summary.failed, summary.ok) == (2, 1, False)
    row = EmailLog.objects.get(status=words.FAILED)
    assert (row.reason, row.attempts) == ("channel_error", 1)
    assert "from parameter" in row.error_message
    assert not EmailPreference.objects.exists()


def test_a_mail_that_is_too_large_fails_and_is_nobodys_fault(provider: Provider, learners: Any) -> None:
    learners(2)
    provider.script.append(answers(413))
    summary = run()
    assert (summary.sent, summary.failed, summary.ok) == (1, 1, True)
    assert EmailLog.objects.get(status=words.FAILED).reason == "refused"
    assert not EmailPreference.objects.exists()


def test_a_request_refused_for_its_recipient_is_a_hard_bounce(provider: Provider, learners: Any) -> None:
    odd, other = learners(2)
    # Well-formed, for Django; providers take no such addresses.
    odd.email = "ada@[192.0.2.1]"
    odd.save()
    summary = run()
    assert (summary.sent, summary.failed, summary.ok) == (1, 1, True)
    row = EmailLog.objects.get(recipient=odd)
    assert (row.status, row.reason) == (words.FAILED, "refused")
    assert EmailPreference.of(odd.pk).suppression_reason == "bounce"
    assert EmailPreference.of(other.pk).suppressed_at is None


def test_case_012_a_provider_that_is_down_for_the_run_costs_time_only(provider: Provider, learners: Any) -> None:
    people = learners(60)
    provider.stop()
    summary = run()
    assert (summary.sent, summary.retry, summary.ok) == (0, 60, True)
    assert set(EmailLog.objects.values_list("status", "reason")) == {(words.PENDING, "unreachable")}
    provider.start()
    assert later()[words.SENT] == 60
    assert provider.addresses == sorted(person.email for person in people)


def test_a_name_that_cannot_be_resolved_is_no_doubt(provider: Provider, learners: Any, settings: Any) -> None:
    learners(2)
    url = {f"{provider.backend.upper()}_API_URL": "http://api.nowhere.invalid/v3/"}
    settings.ANYMAIL = {**settings.ANYMAIL, **url}
    assert (run().retry, statuses()) == (2, {words.PENDING: 2})


@pytest.mark.parametrize("step", [hangs_up("after"), hangs_up("before"), answers(200, "<html>Please log in</html>")])
def test_no_answer_of_the_provider_is_unknown_and_lifecycle_mail_never_sent_again(
    provider: Provider, learners: Any, step: Step
) -> None:
    if provider.backend == "sendgrid" and step.status:
        pytest.skip("SendGrid's answer has no body that could be checked")
    people = learners(3)
    provider.script.extend([None, step])
    summary = run()
    assert (summary.sent, summary.failed, summary.retry, summary.ok) == (1, 1, 1, True)
    for _ in range(3):
        later()
    assert statuses() == {words.SENT: 2, words.UNKNOWN: 1}
    assert len(provider.addresses) == len(set(provider.addresses)) >= len(people) - 1


def test_a_provider_that_says_nothing_is_waited_for_once_in_a_run(
    provider: Provider, learners: Any, settings: Any
) -> None:
    learners(60)
    provider.use(settings, timeout=1)
    settings.EMAIL_TIMEOUT = 3
    provider.otherwise = stalls(20)
    started = time.monotonic()
    summary = run()
    assert time.monotonic() - started < 10
    assert (summary.sent, summary.failed, summary.retry) == (0, 1, 59)
    assert provider.requests == 1
    provider.otherwise = None
    time.sleep(3)
    assert later()[words.SENT] == 59


def test_a_mail_in_doubt_is_settled_by_the_providers_report(learners: Any, settings: Any, client: Any) -> None:
    learners(1)
    with SendGrid.running() as provider:
        provider.use(settings, WEBHOOK_SECRET="a:b", **SendGridReports.settings)
        provider.script.append(hangs_up("after"))
        run()
        assert statuses() == {words.UNKNOWN: 1}
        (mail,) = provider.accepted
        given = EmailLog(provider_message_id=mail.message_id, to_address=mail.address)
        reports = SendGridReports()
        body = reports.body("delivered", given, metadata=mail.metadata)
        headers = {"Authorization": "Basic YTpi"} | reports.signature(body)
        assert client.post(reports.path, body, content_type="application/json", headers=headers).status_code == 200
    row = EmailLog.objects.get()
    assert (row.status, row.provider_message_id) == (words.DELIVERED, mail.message_id)


def test_a_provider_that_keeps_no_reference_gets_the_mail_without(
    learners: Any, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(MailgunPayload, "set_metadata")
    learners(2)
    with Mailgun.running() as provider:
        provider.use(settings)
        assert run().sent == 2
        assert [mail.metadata for mail in provider.accepted] == [{}, {}]


@pytest.mark.parametrize("ignored", [False, True])
def test_an_address_on_the_providers_own_list_is_a_hard_bounce(
    postmark: Postmark, learners: Any, settings: Any, ignored: bool
) -> None:
    postmark.use(settings, IGNORE_RECIPIENT_STATUS=ignored)
    inactive, other = learners(2)
    postmark.script.append(Postmark.inactive(inactive.email))
    summary = run()
    assert (summary.sent, summary.failed, summary.ok) == (1, 1, True)
    row = EmailLog.objects.get(recipient=inactive)
    assert (row.status, row.reason, row.provider_message_id) == (words.FAILED, "refused", "")
    assert consent.suppressed_among([inactive.email, other.email]) == {inactive.email}


def test_webhooks_and_backend_share_their_settings(settings: Any) -> None:
    settings.ANYMAIL = {"WEBHOOK_SECRET": "a:b"}
    assert webhooks.secrets() == ["a:b"]
