"""What a provider's report does to the row it belongs to, to consent and to the counts, whoever the provider is."""

from __future__ import annotations

import copy
import itertools
import json
import pickle
from base64 import b64encode
from datetime import UTC, datetime, timedelta
from datetime import timezone as zone
from typing import Any
from uuid import RFC_4122, UUID

import pytest
from anymail.exceptions import AnymailInsecureWebhookWarning
from anymail.signals import AnymailTrackingEvent, EventType, RejectReason
from django.contrib.sites.models import Site
from django.db import DatabaseError, connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from email_automation import checks, consent, webhooks, words
from email_automation.channels.mail import METADATA_KEY
from email_automation.models import EmailLog, EmailPreference, ProviderEventCount, SuppressedAddress
from email_automation.models import log as log_module
from email_automation.pipeline import ledger, receipts, waiting
from tests.factories import UserFactory, platform_site

from .test_ledger import KIND, SENT, begin, begun, claim, finish, heard_by_the_app, leased, silence
from .test_ledger_races import at_once

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.every_database,
    pytest.mark.filterwarnings("error", category=AnymailInsecureWebhookWarning),
]

SECRET = "cadence:eipha7Ah"
POSTMARK = "/email/webhooks/postmark/tracking/"
EARLIER = datetime(2026, 3, 2, 9, tzinfo=UTC)


def basic(secret: str) -> dict[str, str]:
    return {"Authorization": f"Basic {b64encode(secret.encode()).decode()}"}


@pytest.fixture(autouse=True)
def _secret(settings: Any) -> None:
    settings.ANYMAIL = {"WEBHOOK_SECRET": SECRET}


def row(status: str = words.SENT, **fields: Any) -> EmailLog:
    now = timezone.now()
    user = fields.pop("recipient", None) or UserFactory()
    values = {
        "recipient": user,
        "email_type": "recurringnudge_day3",
        "to_address": user.email,
        "category": "reminder",
        "status": status,
        "site": Site.objects.get_current(),
        "instant": now,
        "expires_at": now + timedelta(days=1),
        "created_at": EARLIER - timedelta(hours=1),
        "provider_message_id": "id-1",
    }
    return EmailLog.objects.create(**values | fields)


def event(event_type: str, *, after: int = 0, message_id: Any = "id-1", **fields: Any) -> None:
    """Let a provider report something, so many seconds after nine."""
    at = EARLIER + timedelta(seconds=after)
    made = AnymailTrackingEvent(event_type=event_type, timestamp=at, message_id=message_id, **fields)
    webhooks.take(sender=None, event=made, esp_name="Provider")


def stored(log: EmailLog) -> EmailLog:
    return EmailLog.objects.get(pk=log.pk)


def times(log: EmailLog) -> tuple[Any, ...]:
    found = stored(log)
    return tuple(
        None if at is None else (at - EARLIER).total_seconds()
        for at in (found.delivered_at, found.opened_at, found.clicked_at)
    )


def counts() -> dict[tuple[str, bool], int]:
    found = ProviderEventCount.objects.values_list("event", "known", "number")
    return {(name, known): number for name, known, number in found}


def postmark(**fields: Any) -> bytes:
    report = {"RecordType": "Delivery", "MessageID": "id-1", "DeliveredAt": "2026-03-02T09:00:00Z", "Metadata": {}}
    return json.dumps(report | fields).encode()


def post(client: Client, body: bytes = b"", *, path: str = POSTMARK, secret: str = SECRET) -> int:
    headers = basic(secret) if secret else {}
    return client.post(path, body or postmark(), content_type="application/json", headers=headers).status_code


class TestAddress:
    @pytest.mark.parametrize("value", [None, "", [], [""]])
    def test_without_a_shared_secret_there_is_nothing(self, client: Client, settings: Any, value: Any) -> None:
        log = row()
        settings.ANYMAIL = {} if value is None else {"WEBHOOK_SECRET": value}
        assert post(client) == 404
        assert client.head(POSTMARK).status_code == 404
        assert stored(log).status == words.SENT

    @pytest.mark.parametrize("secret", ["", "cadence:wrong", "cadence", ":"])
    def test_a_wrong_secret_is_refused_and_changes_nothing(
        self, client: Client, secret: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        log = row()
        assert post(client, secret=secret) == 400
        assert stored(log).status == words.SENT
        assert counts() == {}
        assert "eipha7Ah" not in caplog.text and "wrong" not in caplog.text

    def test_any_of_several_secrets_will_do(self, client: Client, settings: Any) -> None:
        settings.ANYMAIL = {"WEBHOOK_SECRET": ["old:secret", SECRET]}
        assert [post(client, secret=secret) for secret in (SECRET, "old:secret", "x:y")] == [200, 200, 400]

    @pytest.mark.parametrize(
        "path", ["postmark/inbound/", "mailgun/inbound_mime/", "brevo/inbound/", "nobody/tracking/", "", "postmark"]
    )
    def test_what_is_not_for_tracking_is_not_there(self, client: Client, path: str) -> None:
        assert post(client, path=f"/email/webhooks/{path}") == 404

    def test_it_is_posted_to_without_a_token_of_ours(self) -> None:
        assert post(Client(enforce_csrf_checks=True)) == 200

    def test_a_provider_may_look_whether_somebody_is_there(self, client: Client) -> None:
        assert client.head(POSTMARK).status_code == 200
        assert client.get(POSTMARK).status_code == 405

    def test_a_provider_whose_keys_are_missing_is_refused_and_told_to_the_log(
        self, client: Client, caplog: pytest.LogCaptureFixture
    ) -> None:
        assert post(client, path="/email/webhooks/mailersend/tracking/") == 400
        assert "MAILERSEND_SIGNING_SECRET" in caplog.text

    def test_what_cannot_be_written_down_is_asked_for_again(
        self, client: Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        def fail(*args: Any) -> None:
            raise DatabaseError("ann@example.com")

        monkeypatch.setattr(ledger, "report", fail)
        assert post(client) == 503
        assert "DatabaseError" in caplog.text and "@" not in caplog.text
        assert counts() == {}


class TestStatus:
    def test_case_019_opened_then_delivered_twice_is_opened_with_both_times_set_once(self) -> None:
        log = row()
        event(EventType.OPENED, after=60)
        assert times(log) == (None, 60, None)
        event(EventType.DELIVERED, after=10)
        event(EventType.DELIVERED, after=10)
        assert (stored(log).status, times(log)) == (words.OPENED, (10, 60, None))

    @pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
    def test_whatever_the_order_the_end_is_the_same(self, order: tuple[int, ...]) -> None:
        log = row()
        events = [(EventType.DELIVERED, 10), (EventType.OPENED, 60), (EventType.OPENED, 50), (EventType.CLICKED, 70)]
        for _ in range(2):
            for number in order:
                event(events[number][0], after=events[number][1])
        assert (stored(log).status, times(log)) == (words.CLICKED, (10, 50, 70))

    @pytest.mark.parametrize("before", words.STATUSES)
    @pytest.mark.parametrize("event_type", list(webhooks.STATUSES))
    def test_a_status_only_moves_on(self, before: str, event_type: str) -> None:
        moves = {
            words.DELIVERED: {words.SENT},
            words.OPENED: {words.SENT, words.DELIVERED},
            words.CLICKED: {words.SENT, words.DELIVERED, words.OPENED},
            words.BOUNCED: {words.SENT, words.DELIVERED},
            words.COMPLAINED: {words.SENT, words.DELIVERED, words.OPENED, words.CLICKED, words.BOUNCED},
        }
        word = webhooks.STATUSES[event_type]
        log = row(before)
        # Nobody holds it, so whoever was handing it off has fallen silent.
        expected = word if before in {words.UNKNOWN, words.SENDING} | moves.get(word, set()) else before
        event(event_type)
        assert stored(log).status == expected

    @pytest.mark.parametrize("before", [words.PENDING, words.FAILED, words.SKIPPED, words.UNKNOWN])
    @pytest.mark.parametrize("event_type", [EventType.QUEUED, EventType.DELIVERED, EventType.COMPLAINED])
    def test_a_mail_in_doubt_becomes_what_the_provider_says(self, before: str, event_type: str) -> None:
        log = row(before, doubts=1, attempts=1, reason=words.IN_DOUBT, error_message="ReadTimeout", dedupe_key="k")
        event(event_type, after=5)
        found = stored(log)
        assert (found.status, found.error_message, found.dedupe_key) == (webhooks.STATUSES[event_type], "", "k")
        assert found.sent_at == EARLIER + timedelta(seconds=5)
        assert words.IN_DOUBT not in found.reason

    def test_a_mail_whose_request_failed_and_that_arrived_all_the_same_is_not_sent_again(self) -> None:
        log = row(words.PENDING, attempts=1, reason="try_again")
        event(EventType.DELIVERED)
        assert stored(log).status == words.DELIVERED
        assert waiting.due_ids(10) == []

    def test_a_bounce_keeps_the_servers_words(self) -> None:
        log = row()
        event(EventType.BOUNCED, reject_reason=RejectReason.INVALID, mta_response="550 5.1.1 gone\0 \ud800")
        assert (stored(log).reason, stored(log).error_message) == ("bounced:invalid", "550 5.1.1 gone ?")
        refused = row(provider_message_id="id-2")
        event(EventType.REJECTED, reject_reason=RejectReason.BLOCKED, message_id="id-2")
        assert (stored(refused).status, stored(refused).reason) == (words.BOUNCED, "rejected:blocked")

    @pytest.mark.parametrize("at", [datetime(1970, 1, 1, tzinfo=UTC), datetime(1999, 1, 1)])  # noqa: DTZ001
    def test_a_time_before_the_mail_is_the_mails(self, at: datetime) -> None:
        log = row()
        made = AnymailTrackingEvent(event_type=EventType.DELIVERED, timestamp=at, message_id="id-1")
        webhooks.take(sender=None, event=made, esp_name="Provider")
        assert stored(log).delivered_at == log.created_at

    @pytest.mark.parametrize("at", [None, "noon", datetime(2999, 1, 1, tzinfo=UTC)])
    def test_a_time_that_is_none_or_to_come_is_now(self, at: Any) -> None:
        log, before = row(), timezone.now()
        made = AnymailTrackingEvent(event_type=EventType.DELIVERED, timestamp=at, message_id="id-1")
        webhooks.take(sender=None, event=made, esp_name="Provider")
        assert before <= stored(log).delivered_at <= timezone.now()

    def test_a_report_costs_few_statements(self) -> None:
        row()
        event(EventType.OPENED)
        row(provider_message_id="id-2")
        with CaptureQueriesContext(connection) as queries:
            event(EventType.OPENED, message_id="id-2")
        assert len([query for query in queries if "SAVEPOINT" not in query["sql"]]) == 4


class TestMatching:
    @pytest.mark.parametrize("kept", ["<m@example.com>", "m@example.com"])
    @pytest.mark.parametrize("reported", ["<m@example.com>", "m@example.com", " <m@example.com> "])
    def test_an_id_is_known_with_and_without_brackets(self, kept: str, reported: str) -> None:
        log = row(provider_message_id=kept)
        event(EventType.DELIVERED, message_id=reported)
        assert stored(log).status == words.DELIVERED

    def test_a_number_is_an_id_too(self) -> None:
        log = row(provider_message_id="19421777835146490")
        event(EventType.DELIVERED, message_id=19421777835146490)
        assert stored(log).status == words.DELIVERED

    @pytest.mark.parametrize("message_id", ["id-2", "", None, "<>", "\0", "\ud800", "x" * 1000, {"a": 1}, ["id-1"]])
    @pytest.mark.parametrize("event_type", [EventType.DELIVERED, EventType.UNSUBSCRIBED])
    def test_what_nobody_knows_is_counted_and_no_error(self, message_id: Any, event_type: str) -> None:
        log = row()
        row(provider_message_id="")
        event(event_type, message_id=message_id)
        assert stored(log).status == words.SENT
        assert not EmailPreference.objects.exists()
        assert counts() == {(event_type, False): 1}

    def test_a_message_id_names_its_row_and_no_other_installations(self) -> None:
        log, other = row(provider_message_id=""), row(provider_message_id="")
        for each in (log, other):
            EmailLog.objects.filter(pk=each.pk).update(message_id=f"<{each.message_uuid}@example.com>")
        uuid = log.message_uuid
        beside = UUID(int=uuid.int ^ 1 << 100)
        for wrong in (f"<{uuid}@other.example>", f"<{beside}@example.com>", str(uuid), f"{uuid.hex}@example.com"):
            event(EventType.DELIVERED, message_id=wrong)
        assert {stored(log).status, stored(other).status} == {words.SENT}
        event(EventType.DELIVERED, message_id=f" <{uuid}@example.com> ")
        assert (stored(log).status, stored(other).status) == (words.DELIVERED, words.SENT)
        assert stored(log).provider_message_id == ""

    def test_a_messages_uuid_has_the_number_of_its_row(self) -> None:
        def of(number: int, created: datetime) -> UUID:
            return EmailLog(pk=number, created_at=created).message_uuid

        for number in (1, 255, 10**9, 2**60 - 1):
            uuid = of(number, EARLIER)
            assert (uuid.version, uuid.variant, EmailLog.number_in(uuid)) == (8, RFC_4122, number)
            assert uuid == of(number, EARLIER)
            assert uuid.hex[:12] != of(number, EARLIER + timedelta(microseconds=1)).hex[:12]
            # The same instant in another zone, and an ordinary uuid of the same text, which a copy is.
            log_module._origin.cache_clear()
            assert uuid == of(number, EARLIER.astimezone(zone(timedelta(hours=5)))) == UUID(str(uuid))
            assert (hash(uuid), uuid.hex) == (hash(UUID(str(uuid))), str(uuid).replace("-", ""))
            for copied in (copy.copy(uuid), copy.deepcopy(uuid), pickle.loads(pickle.dumps(uuid))):
                assert (copied, str(copied)) == (uuid, str(uuid))

    def test_a_reference_names_its_row_and_no_other_installations(self) -> None:
        log, other = row(words.UNKNOWN, provider_message_id=""), row(words.UNKNOWN, provider_message_id="")
        reference = receipts.reference(log)
        for wrong in (f"{other.pk}:{log.message_uuid}", f"{log.pk}", "٣:x", f"{10**30}:x", "", ":", {"a": 1}):
            event(EventType.DELIVERED, message_id="new", metadata={METADATA_KEY: wrong})
        assert {stored(log).status, stored(other).status} == {words.UNKNOWN}
        event(EventType.DELIVERED, message_id="new", metadata={METADATA_KEY: reference})
        assert (stored(log).status, stored(other).status) == (words.DELIVERED, words.UNKNOWN)
        # Later reports of it may leave the reference out.
        event(EventType.OPENED, message_id="new", metadata=None)
        assert stored(log).status == words.OPENED


class TestHandOff:
    """Reports that are faster than the record of the hand-off."""

    def test_while_a_mail_is_being_handed_off_its_provider_is_asked_to_come_again(self, client: Client) -> None:
        (log,) = begun()
        body = postmark(MessageID="new", Metadata={METADATA_KEY: receipts.reference(log)})
        assert post(client, body) == 503
        assert stored(log).status == words.SENDING
        assert counts() == {}
        finish(log, SENT)
        assert post(client, body) == 200
        assert stored(log).status == words.DELIVERED

    def test_a_worker_that_has_fallen_silent_is_not_waited_for(self) -> None:
        (log,) = begun()
        silence(log)
        event(EventType.DELIVERED, message_id="new", metadata={METADATA_KEY: receipts.reference(log)})
        assert stored(log).status == words.DELIVERED
        assert finish(log, SENT) is None
        assert ledger.resolve_doubts() == {"unknown": 0, "resent": 0}
        assert stored(log).status == words.DELIVERED

    def test_a_mail_that_waits_for_its_second_attempt_is_not_begun_again(self) -> None:
        (log,) = leased()
        EmailLog.objects.filter(pk=log.pk).update(doubts=1, attempts=1)
        event(EventType.SENT, message_id="new", metadata={METADATA_KEY: receipts.reference(log)})
        assert stored(log).status == words.SENT
        assert not begin(log)


class TestFollowers:
    """The app of a mail, which follows what becomes of it."""

    @pytest.fixture
    def told(self, monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, str]]:
        return heard_by_the_app(monkeypatch)

    @pytest.mark.parametrize(
        ("status", "fields"),
        [(words.UNKNOWN, {"doubts": 1}), (words.FAILED, {"doubts": 1}), (words.PENDING, {"attempts": 1})],
        ids=["unknown", "given up", "waiting again"],
    )
    def test_it_hears_of_a_doubt_that_a_report_settles_and_of_nothing_after_it(
        self, told: list[tuple[int, str]], status: str, fields: dict[str, int]
    ) -> None:
        log = row(status, **fields)
        event(EventType.DELIVERED)
        assert told == [(log.pk, words.DELIVERED)]
        event(EventType.OPENED)
        event(EventType.DELIVERED)
        assert told == [(log.pk, words.DELIVERED)]

    def test_it_knows_already_what_was_sent(self, told: list[tuple[int, str]]) -> None:
        row()
        event(EventType.BOUNCED, reject_reason=RejectReason.INVALID)
        assert told == []

    def test_another_app_hears_nothing(self, told: list[tuple[int, str]]) -> None:
        log = row(words.UNKNOWN, doubts=1, email_type="recurringnudge_day10")
        event(EventType.DELIVERED)
        assert (stored(log).status, told) == (words.DELIVERED, [])

    def test_a_report_that_it_cannot_follow_is_asked_for_again(
        self, client: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(cls: Any, rows: Any) -> None:
            raise DatabaseError

        log = row(words.UNKNOWN, doubts=1)
        monkeypatch.setattr(KIND, "on_finish", classmethod(fail))
        assert post(client) == 503
        assert stored(log).status == words.UNKNOWN


class TestConsent:
    def test_a_hard_bounce_suppresses_where_the_mail_went_and_withdraws_the_rest(self) -> None:
        log = row()
        (waiting,) = claim(people=[log.recipient])
        event(EventType.BOUNCED, reject_reason=RejectReason.INVALID)
        preference = EmailPreference.of(log.recipient_id)
        assert (preference.suppressed_at is not None, preference.suppression_reason) == (True, "bounce")
        assert consent.suppressed_among([log.to_address]) == {log.to_address}
        assert (stored(waiting).status, stored(waiting).reason) == (words.SKIPPED, words.SUPPRESSED)

    def test_a_complaint_suppresses_too_also_after_a_bounce(self) -> None:
        log = row(words.BOUNCED)
        event(EventType.COMPLAINED)
        preference = EmailPreference.of(log.recipient_id)
        assert (stored(log).status, preference.suppression_reason) == (words.COMPLAINED, "complaint")

    def test_somebody_with_a_new_address_keeps_getting_mail_there(self) -> None:
        log = row(to_address="old@example.com")
        event(EventType.BOUNCED, reject_reason=RejectReason.BOUNCED)
        assert EmailPreference.of(log.recipient_id).suppressed_at is None
        assert consent.suppressed_among(["old@example.com"])

    def test_what_an_administrator_has_released_stays_so_when_the_report_comes_again(self) -> None:
        log = row()
        event(EventType.BOUNCED, reject_reason=RejectReason.BOUNCED)
        consent.release(log.recipient_id, source="admin")
        event(EventType.BOUNCED, reject_reason=RejectReason.BOUNCED)
        assert EmailPreference.of(log.recipient_id).suppressed_at is None
        assert not SuppressedAddress.objects.exists()

    def test_an_unsubscription_switches_the_category_off_and_no_more(self) -> None:
        log = row()
        for _ in range(2):
            event(EventType.UNSUBSCRIBED)
        preference = EmailPreference.objects.get()
        assert (preference.reminder_emails, preference.goal_emails, preference.is_subscribed) == (False, True, True)
        assert list(EmailPreference.history.values_list("history_change_reason", flat=True)) == ["provider"]
        assert stored(log).status == words.SENT

    @pytest.mark.parametrize("event_type", [EventType.BOUNCED, EventType.COMPLAINED, EventType.UNSUBSCRIBED])
    def test_a_test_mail_changes_nobodys_consent(self, event_type: str) -> None:
        log = row(is_test=True, to_address="tester@example.com")
        event(event_type, reject_reason=RejectReason.INVALID)
        assert not EmailPreference.objects.exists() and not SuppressedAddress.objects.exists()
        assert stored(log).status == webhooks.STATUSES.get(event_type, words.SENT)

    @pytest.mark.parametrize(
        ("event_type", "reason", "response", "hard"),
        [
            (EventType.BOUNCED, RejectReason.INVALID, None, True),
            (EventType.BOUNCED, RejectReason.BOUNCED, "550 5.1.1 no such user", True),
            (EventType.BOUNCED, RejectReason.BOUNCED, "550 5.4.1 access denied", True),
            (EventType.BOUNCED, RejectReason.OTHER, "smtp; 550 5.1.1 no such user", True),
            (EventType.BOUNCED, RejectReason.OTHER, "550 from 5.1.1.1: no", False),
            (EventType.BOUNCED, RejectReason.BOUNCED, "550 5.7.1 policy", False),
            (EventType.BOUNCED, RejectReason.BOUNCED, "552 5.2.2 full", False),
            (EventType.BOUNCED, RejectReason.BOUNCED, "451 4.4.1 no answer", False),
            (EventType.BOUNCED, RejectReason.BLOCKED, None, False),
            (EventType.BOUNCED, RejectReason.TIMED_OUT, None, False),
            (EventType.BOUNCED, RejectReason.SPAM, None, False),
            (EventType.BOUNCED, None, None, False),
            (EventType.REJECTED, RejectReason.INVALID, None, True),
            (EventType.REJECTED, RejectReason.BOUNCED, None, True),
            (EventType.REJECTED, RejectReason.UNSUBSCRIBED, None, False),
            (EventType.FAILED, None, None, False),
            (EventType.DEFERRED, RejectReason.BOUNCED, None, False),
        ],
    )
    def test_a_bounce_is_hard_when_it_means_the_mailbox(
        self, event_type: str, reason: str | None, response: str | None, hard: bool
    ) -> None:
        log = row()
        event(event_type, reject_reason=reason, mta_response=response)
        assert (EmailPreference.of(log.recipient_id).suppressed_at is not None) is hard


class TestCounts:
    def test_known_and_unknown_are_counted_apart_each_day(self) -> None:
        row()
        for message_id in ("id-1", "id-1", "nobody's"):
            event(EventType.OPENED, message_id=message_id)
        event(EventType.AUTORESPONDED)
        assert counts() == {("opened", True): 2, ("opened", False): 1, ("autoresponded", True): 1}
        found = ProviderEventCount.objects.first()
        assert found is not None
        assert (found.provider, found.day) == ("Provider", timezone.now().astimezone(UTC).date())

    @pytest.mark.parametrize("event_type", [EventType.QUEUED, EventType.DEFERRED, EventType.SUBSCRIBED, "unknown"])
    def test_what_says_nothing_new_only_counts(self, event_type: str) -> None:
        log = row()
        before = EmailLog.objects.filter(pk=log.pk).values().get()
        event(event_type)
        assert EmailLog.objects.filter(pk=log.pk).values().get() == before
        assert counts() == {(event_type, True): 1}


class TestChecks:
    @pytest.mark.parametrize(
        ("backend", "anymail", "found"),
        [
            ("anymail.backends.mailgun.EmailBackend", {}, ["email_automation.W009"]),
            ("anymail.backends.mailgun.EmailBackend", {"WEBHOOK_SECRET": ""}, ["email_automation.W009"]),
            ("anymail.backends.mailgun.EmailBackend", {"WEBHOOK_SECRET": "secret"}, ["email_automation.W010"]),
            ("anymail.backends.mailgun.EmailBackend", {"WEBHOOK_SECRET": ["a:b", "c"]}, ["email_automation.W010"]),
            ("anymail.backends.mailgun.EmailBackend", {"WEBHOOK_SECRET": "a:b"}, []),
            ("django.core.mail.backends.smtp.EmailBackend", {}, []),
        ],
    )
    def test_a_provider_without_a_usable_secret_is_told_at_start_up(
        self, settings: Any, backend: str, anymail: dict[str, Any], found: list[str]
    ) -> None:
        settings.EMAIL_BACKEND, settings.ANYMAIL = backend, anymail
        warnings = checks.check_webhooks(None)
        assert [warning.id for warning in warnings] == found
        assert all(warning.hint for warning in warnings)

    def test_a_secret_under_its_own_name_counts_too(self, settings: Any) -> None:
        settings.EMAIL_BACKEND, settings.ANYMAIL = "anymail.backends.mailgun.EmailBackend", {}
        settings.ANYMAIL_WEBHOOK_SECRET = SECRET
        assert checks.check_webhooks(None) == []


@pytest.mark.django_db(transaction=True)
class TestRaces:
    """Several web processes take the reports of one mail at once."""

    @pytest.fixture(autouse=True)
    def _site(self) -> None:
        platform_site()

    def test_reports_of_one_mail_that_race_each_other_end_right(self) -> None:
        for number in range(5):
            log = row(provider_message_id=f"id-{number}")
            kinds = [(EventType.CLICKED, 70), (EventType.DELIVERED, 10), (EventType.OPENED, 50), (EventType.OPENED, 60)]
            at_once(
                *(
                    lambda kind=kind, after=after, number=number: event(kind, after=after, message_id=f"id-{number}")
                    for kind, after in kinds
                )
            )
            assert (stored(log).status, times(log)) == (words.CLICKED, (10, 50, 70))
        assert counts() == {("clicked", True): 5, ("delivered", True): 5, ("opened", True): 10}

    def test_an_end_wins_whoever_comes_first(self) -> None:
        for number in range(5):
            log = row(provider_message_id=f"id-{number}")
            bounce = lambda name=f"id-{number}": event(  # noqa: E731
                EventType.BOUNCED, reject_reason=RejectReason.INVALID, message_id=name
            )
            delivered = lambda name=f"id-{number}": event(EventType.DELIVERED, message_id=name)  # noqa: E731
            complaint = lambda name=f"id-{number}": event(EventType.COMPLAINED, message_id=name)  # noqa: E731
            at_once(bounce, delivered, complaint, bounce)
            assert stored(log).status == words.COMPLAINED
            assert EmailPreference.objects.get(user=log.recipient).suppressed_at is not None
            assert SuppressedAddress.objects.count() == number + 1

    def test_a_report_a_worker_and_an_opt_out_of_one_person_do_not_lock_each_other_out(self) -> None:
        for number in range(5):
            first, second = leased(2)
            begin(first)
            finish(first, SENT)
            EmailLog.objects.filter(pk=first.pk).update(provider_message_id=f"id-{number}")
            EmailLog.objects.filter(pk=second.pk).update(recipient=first.recipient)
            at_once(
                lambda number=number: event(EventType.COMPLAINED, message_id=f"id-{number}"),
                lambda second=second: begin(second),
                lambda first=first: consent.opt_out(first.recipient_id, "reminder", source="one-click"),
            )
            assert stored(first).status == words.COMPLAINED
            assert stored(second).status in (words.SENDING, words.SKIPPED)
