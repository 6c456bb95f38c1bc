"""Six providers' webhooks, in the shape that each of them documents, by django-anymail's own views."""

from __future__ import annotations

import hashlib
import hmac
import json
import uuid
from abc import ABC, abstractmethod
from base64 import b64encode
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, ClassVar

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from django.test import Client

from email_automation import consent, words
from email_automation.channels.mail import METADATA_KEY
from email_automation.models import EmailLog, EmailPreference, ProviderEventCount
from email_automation.pipeline import receipts

from .test_webhooks import EARLIER, SECRET, basic, row, stored, times

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.filterwarnings("ignore:django-anymail has dropped official support for SendGrid"),
]


class Provider(ABC):
    """What one provider posts. `settings` are its own keys beside the shared secret."""

    name: ClassVar[str]
    settings: ClassVar[Mapping[str, str]] = {}
    content_type: ClassVar[str] = "application/json"

    @property
    def path(self) -> str:
        """Where it posts."""
        return f"/email/webhooks/{self.name}/tracking/"

    def message_id(self, number: int) -> str:
        """Return an id as the provider gives it to a mail."""
        return str(uuid.UUID(int=number + 1))

    @abstractmethod
    def report(self, kind: str, message_id: str, address: str, at: datetime, metadata: dict[str, str]) -> Any:
        """Return the JSON of one report."""

    def body(self, kind: str, log: EmailLog, *, after: int = 0, metadata: dict[str, str] | None = None) -> bytes:
        """Return what is posted about a mail, so many seconds after nine."""
        at = EARLIER + timedelta(seconds=after)
        made = self.report(kind, log.provider_message_id, log.to_address, at, metadata or {})
        return json.dumps(made).encode()

    def signature(self, body: bytes) -> dict[str, str]:
        """Return the headers by which the provider signs a body, where it does so."""
        return {}

    def forged(self, body: bytes) -> list[tuple[bytes, dict[str, str]]]:
        """Return bodies and headers that only a forger would send, with the right shared secret."""
        return []


class SendGrid(Provider):
    """https://www.twilio.com/docs/sendgrid/for-developers/tracking-events/event"""

    name = "sendgrid"
    key = ec.generate_private_key(ec.SECP256R1())
    settings = {
        "SENDGRID_TRACKING_WEBHOOK_VERIFICATION_KEY": b64encode(
            key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        ).decode()
    }
    kinds: ClassVar[dict[str, dict[str, Any]]] = {
        "accepted": {"event": "processed"},
        "deferred": {"event": "deferred", "response": "400 try again later", "attempt": "5"},
        "delivered": {"event": "delivered", "response": "250 OK", "tls": 1},
        "opened": {"event": "open", "useragent": "Mozilla/4.0", "ip": "192.0.2.1", "sg_machine_open": False},
        "clicked": {"event": "click", "url": "https://example.com/", "url_offset": {"index": 0, "type": "html"}},
        "hard bounce": {"event": "bounce", "type": "bounce", "status": "5.1.1", "reason": "550 5.1.1 unknown user"},
        "soft bounce": {"event": "bounce", "type": "blocked", "status": "5.7.1", "reason": "550 5.7.1 blocked"},
        "rejected": {"event": "dropped", "reason": "Bounced Address", "status": "5.0.0"},
        "complained": {"event": "spamreport"},
        "unsubscribed": {"event": "unsubscribe"},
    }

    def report(self, kind: str, message_id: str, address: str, at: datetime, metadata: dict[str, str]) -> Any:
        common = {
            "email": address,
            "timestamp": int(at.timestamp()),
            "sg_event_id": "sg_event_id",
            "sg_message_id": "14c5d75ce93.dfd.64b469.filter0001.16648.5515E0B88.0",
            "anymail_id": message_id,
        }
        return [common | metadata | self.kinds[kind]]

    def signature(self, body: bytes) -> dict[str, str]:
        timestamp = "1772442000"
        signed = self.key.sign(timestamp.encode() + body, ec.ECDSA(hashes.SHA256()))
        return {
            "X-Twilio-Email-Event-Webhook-Signature": b64encode(signed).decode(),
            "X-Twilio-Email-Event-Webhook-Timestamp": timestamp,
        }

    def forged(self, body: bytes) -> list[tuple[bytes, dict[str, str]]]:
        return [(body, {}), (body + b" ", self.signature(body)), (body, self.signature(b"another"))]


class Mailgun(Provider):
    """https://documentation.mailgun.com/docs/mailgun/user-manual/webhooks/webhooks"""

    name = "mailgun"
    settings = {"MAILGUN_API_KEY": "key-1", "MAILGUN_WEBHOOK_SIGNING_KEY": "signing-1"}
    kinds: ClassVar[dict[str, dict[str, Any]]] = {
        "accepted": {"event": "accepted"},
        "deferred": {"event": "failed", "severity": "temporary", "reason": "generic"},
        "delivered": {"event": "delivered", "delivery-status": {"code": 250, "message": "OK", "tls": True}},
        "opened": {"event": "opened", "ip": "192.0.2.1", "client-info": {"user-agent": "Mozilla/5.0"}},
        "clicked": {"event": "clicked", "url": "https://example.com/", "client-info": {"user-agent": "Mozilla/5.0"}},
        "hard bounce": {
            "event": "failed",
            "severity": "permanent",
            "reason": "bounce",
            "delivery-status": {"code": 550, "message": "5.1.1 no such user", "description": "", "attempt-no": 1},
        },
        "soft bounce": {
            "event": "failed",
            "severity": "permanent",
            "reason": "bounce",
            "delivery-status": {"code": 552, "message": "5.2.2 mailbox full", "description": ""},
        },
        "rejected": {
            "event": "failed",
            "severity": "permanent",
            "reason": "suppress-bounce",
            "delivery-status": {"code": 605, "message": "", "description": "Not delivering to previously bounced"},
        },
        "complained": {"event": "complained"},
        "unsubscribed": {"event": "unsubscribed", "client-info": {"user-agent": "Mozilla/5.0"}},
    }

    def message_id(self, number: int) -> str:
        return f"<2026030209{number}.1.F0D1@mg.example.com>"

    def report(self, kind: str, message_id: str, address: str, at: datetime, metadata: dict[str, str]) -> Any:
        token, timestamp = "a8ce0edb2dd8301dee6c2405235584e45aa91d1e9f979f3de0", str(int(at.timestamp()))
        signed = hmac.new(b"signing-1", f"{timestamp}{token}".encode(), hashlib.sha256).hexdigest()
        data = {
            "id": "CPgfbmQMTCKtHW6uIWtuVe",
            "timestamp": at.timestamp(),
            "log-level": "info",
            "recipient": address,
            "recipient-domain": address.partition("@")[2],
            "message": {"headers": {"to": address, "message-id": message_id.strip("<>"), "from": "a@example.com"}},
            "user-variables": metadata,
            "tags": [],
            "flags": {"is-authenticated": True, "is-test-mode": False},
        }
        block = {"timestamp": timestamp, "token": token, "signature": signed}
        return {"signature": block, "event-data": data | self.kinds[kind]}

    def forged(self, body: bytes) -> list[tuple[bytes, dict[str, str]]]:
        report = json.loads(body)
        block = report["signature"]
        others = [
            block | {"timestamp": "1772442999"},
            block | {"token": "x"},
            block | {"signature": "x"},
            {"token": 1},
            None,
        ]
        return [(json.dumps(report | {"signature": other}).encode(), {}) for other in others]


class Postmark(Provider):
    """https://postmarkapp.com/developer/webhooks/webhooks-overview"""

    name = "postmark"
    kinds: ClassVar[dict[str, dict[str, Any]]] = {
        "deferred": {"RecordType": "Bounce", "Type": "Transient", "TypeCode": 2},
        "delivered": {"RecordType": "Delivery", "Details": "250 OK", "DeliveredAt": ...},
        "opened": {"RecordType": "Open", "FirstOpen": True, "UserAgent": "Mozilla/5.0", "ReceivedAt": ...},
        "clicked": {"RecordType": "Click", "OriginalLink": "https://example.com/", "ReceivedAt": ...},
        "hard bounce": {"RecordType": "Bounce", "Type": "HardBounce", "TypeCode": 1, "Details": "550 unknown user"},
        "soft bounce": {"RecordType": "Bounce", "Type": "SoftBounce", "TypeCode": 4096, "Details": "mailbox full"},
        "rejected": {"RecordType": "Bounce", "Type": "BadEmailAddress", "TypeCode": 100000},
        "complained": {"RecordType": "SpamComplaint", "Type": "SpamComplaint", "TypeCode": 100001},
        "unsubscribed": {
            "RecordType": "SubscriptionChange",
            "SuppressSending": True,
            "SuppressionReason": "ManualSuppression",
            "Origin": "Recipient",
            "ChangedAt": ...,
        },
        "suppressed": {
            "RecordType": "SubscriptionChange",
            "SuppressSending": True,
            "SuppressionReason": "HardBounce",
            "Origin": "Recipient",
            "ChangedAt": ...,
        },
    }

    def report(self, kind: str, message_id: str, address: str, at: datetime, metadata: dict[str, str]) -> Any:
        special = self.kinds[kind]
        if special["RecordType"] in ("Bounce", "SpamComplaint"):
            special = special | {"ID": 42, "Email": address, "BouncedAt": ..., "Inactive": True}
        else:
            special = special | {"Recipient": address}
        special = {
            name: at.isoformat().replace("+00:00", "Z") if value is ... else value for name, value in special.items()
        }
        return {"MessageID": message_id, "ServerID": 23, "MessageStream": "outbound", "Metadata": metadata} | special


class Brevo(Provider):
    """https://developers.brevo.com/docs/transactional-webhooks"""

    name = "brevo"
    kinds: ClassVar[dict[str, dict[str, Any]]] = {
        "accepted": {"event": "request"},
        "deferred": {"event": "deferred", "reason": "451 later"},
        "delivered": {"event": "delivered"},
        "opened": {"event": "unique_opened"},
        "clicked": {"event": "click", "link": "https://example.com/"},
        "hard bounce": {"event": "hard_bounce", "reason": "550 unknown user"},
        "soft bounce": {"event": "soft_bounce", "reason": "452 mailbox full"},
        "rejected": {"event": "invalid_email"},
        "complained": {"event": "complaint"},
        "unsubscribed": {"event": "unsubscribe"},
    }

    def message_id(self, number: int) -> str:
        return f"<20260302090{number}.3333@smtp-relay.mailin.fr>"

    def report(self, kind: str, message_id: str, address: str, at: datetime, metadata: dict[str, str]) -> Any:
        moment = int(at.timestamp())
        return {
            "email": address,
            "id": 1,
            "date": f"{at:%Y-%m-%d %H:%M:%S}",
            "ts": moment,
            "ts_event": moment,
            "ts_epoch": moment * 1000,
            "message-id": message_id,
            "subject": "Hello",
            "X-Mailin-custom": json.dumps(metadata),
            "sending_ip": "192.0.2.1",
        } | self.kinds[kind]


class SparkPost(Provider):
    """https://developers.sparkpost.com/api/webhooks/"""

    name = "sparkpost"
    kinds: ClassVar[dict[str, tuple[str, dict[str, Any]]]] = {
        "accepted": ("message_event", {"type": "injection"}),
        "deferred": ("message_event", {"type": "delay", "bounce_class": "21", "raw_reason": "454 4.4.4 later"}),
        "delivered": ("message_event", {"type": "delivery"}),
        "opened": ("track_event", {"type": "open", "user_agent": "Mozilla/5.0"}),
        "clicked": ("track_event", {"type": "click", "target_link_url": "https://example.com/"}),
        "hard bounce": ("message_event", {"type": "bounce", "bounce_class": "10", "raw_reason": "550 5.1.1 unknown"}),
        "soft bounce": ("message_event", {"type": "bounce", "bounce_class": "22", "raw_reason": "552 mailbox full"}),
        "rejected": ("message_event", {"type": "policy_rejection", "bounce_class": "10", "raw_reason": "550 invalid"}),
        "complained": ("message_event", {"type": "spam_complaint", "fbtype": "abuse"}),
        "unsubscribed": ("unsubscribe_event", {"type": "list_unsubscribe"}),
    }

    def report(self, kind: str, message_id: str, address: str, at: datetime, metadata: dict[str, str]) -> Any:
        event_class, special = self.kinds[kind]
        common = {
            "event_id": "92356927693813856",
            "transmission_id": message_id,
            "message_id": "000443ee14578172be22",
            "timestamp": str(int(at.timestamp())),
            "rcpt_to": address.lower(),
            "raw_rcpt_to": address,
            "rcpt_meta": metadata,
            "customer_id": "1",
        }
        return [{"msys": {event_class: common | special}}]


class Mailjet(Provider):
    """https://dev.mailjet.com/email/guides/webhooks/"""

    name = "mailjet"
    kinds: ClassVar[dict[str, dict[str, Any]]] = {
        "deferred": {"event": "bounce", "hard_bounce": False, "error_related_to": "domain", "error": "greylisted"},
        "delivered": {"event": "sent", "smtp_reply": "250 OK"},
        "opened": {"event": "open", "ip": "192.0.2.1", "agent": "Mozilla/5.0"},
        "clicked": {"event": "click", "url": "https://example.com/"},
        "hard bounce": {
            "event": "bounce",
            "blocked": False,
            "hard_bounce": True,
            "error_related_to": "recipient",
            "error": "user unknown",
            "comment": "550 5.1.1",
        },
        "soft bounce": {
            "event": "bounce",
            "blocked": False,
            "hard_bounce": False,
            "error_related_to": "recipient",
            "error": "quota exceeded",
        },
        "rejected": {"event": "blocked", "error_related_to": "recipient", "error": "user unknown"},
        "complained": {"event": "spam", "source": "JMRPP"},
        "unsubscribed": {"event": "unsub", "mj_list_id": 1},
    }

    def message_id(self, number: int) -> str:
        return str(19421777835146490 + number)

    def report(self, kind: str, message_id: str, address: str, at: datetime, metadata: dict[str, str]) -> Any:
        return [
            {
                "time": int(at.timestamp()),
                "MessageID": int(message_id),
                "Message_GUID": "1ab23cd4-e567-8901-2345-6789f0gh1i2j",
                "email": address,
                "mj_campaign_id": 7257,
                "mj_contact_id": 4,
                "customcampaign": "",
                "CustomID": "",
                "Payload": json.dumps(metadata),
            }
            | self.kinds[kind]
        ]


PROVIDERS = [SendGrid(), Mailgun(), Postmark(), Brevo(), SparkPost(), Mailjet()]
GARBAGE = [b"", b"{", b"null", b"1", b'"text"', b"[1]", b"\xff\xfe", b"[" * 100_000, b'{"a": ' * 100_000]


@pytest.fixture(params=PROVIDERS, ids=lambda provider: provider.name)
def provider(request: pytest.FixtureRequest, settings: Any) -> Any:
    settings.ANYMAIL = {"WEBHOOK_SECRET": SECRET, **request.param.settings}
    return request.param


@pytest.fixture
def log(provider: Provider) -> EmailLog:
    return row(provider_message_id=provider.message_id(0))


def post(provider: Provider, body: bytes, signature: dict[str, str] | None = None, *, secret: str = SECRET) -> int:
    headers = basic(secret) | (provider.signature(body) if signature is None else signature)
    client = Client(raise_request_exception=False)
    return client.post(provider.path, body, content_type=provider.content_type, headers=headers).status_code


def told(provider: Provider, kind: str, log: EmailLog, **options: Any) -> EmailLog:
    """Let the provider report something that it is believed, and return the row."""
    assert post(provider, provider.body(kind, log, **options)) == 200
    return stored(log)


def counted() -> int:
    return sum(ProviderEventCount.objects.values_list("number", flat=True))


@pytest.mark.parametrize(
    ("kind", "status", "reasons"),
    [
        ("deferred", words.SENT, {""}),
        ("delivered", words.DELIVERED, {""}),
        ("opened", words.OPENED, {""}),
        ("clicked", words.CLICKED, {""}),
        ("hard bounce", words.BOUNCED, {"bounced", "bounced:bounced", "bounced:invalid"}),
        ("soft bounce", words.BOUNCED, {"bounced", "bounced:bounced"}),
        ("rejected", words.BOUNCED, {"rejected:bounced", "rejected:invalid", "bounced:bounced", "bounced:invalid"}),
        ("complained", words.COMPLAINED, {"complained", "complained:spam"}),
        ("unsubscribed", words.SENT, {""}),
    ],
)
def test_what_a_provider_reports_is_understood(
    provider: Provider, log: EmailLog, kind: str, status: str, reasons: set[str]
) -> None:
    found = told(provider, kind, log, after=30)
    assert (found.status, found.reason in reasons) == (status, True), found.reason
    preference = EmailPreference.of(log.recipient_id)
    suppressed = {"hard bounce": "bounce", "rejected": "bounce", "complained": "complaint"}.get(kind, "")
    assert preference.suppression_reason == suppressed
    assert bool(consent.suppressed_among([log.to_address])) is bool(suppressed)
    assert preference.reminder_emails is (kind != "unsubscribed")
    known = ProviderEventCount.objects.get()
    assert (known.known, known.number) == (True, 1)


def test_its_times_are_the_providers(provider: Provider, log: EmailLog) -> None:
    for kind, after in (("delivered", 10), ("opened", 20), ("clicked", 30)):
        told(provider, kind, log, after=after)
    assert times(log) == (10, 20, 30)


def test_case_019_opened_before_delivered_and_delivered_twice(provider: Provider, log: EmailLog) -> None:
    told(provider, "opened", log, after=60)
    told(provider, "delivered", log, after=10)
    assert told(provider, "delivered", log, after=10).status == words.OPENED
    assert times(log) == (10, 60, None)


def test_what_is_forged_is_refused_and_changes_nothing(provider: Provider, log: EmailLog) -> None:
    body = provider.body("hard bounce", log)
    for secret in ("", "cadence:wrong", "x"):
        assert 400 <= post(provider, body, secret=secret) < 500
    for forged, headers in provider.forged(body):
        assert 400 <= post(provider, forged, headers) < 500
    assert stored(log).status == words.SENT
    assert not EmailPreference.objects.exists()
    assert counted() == 0


def test_a_replay_changes_nothing_more(provider: Provider, log: EmailLog) -> None:
    body = provider.body("hard bounce", log)
    assert post(provider, body) == 200
    before = EmailLog.objects.filter(pk=log.pk).values().get()
    changes = EmailPreference.history.count()
    assert [post(provider, body) for _ in range(3)] == [200] * 3
    assert EmailLog.objects.filter(pk=log.pk).values().get() == before
    assert EmailPreference.history.count() == changes == 1
    assert counted() == 4


def test_a_late_report_moves_nothing_back(provider: Provider, log: EmailLog) -> None:
    told(provider, "clicked", log, after=30)
    assert told(provider, "delivered", log, after=10).status == words.CLICKED
    assert told(provider, "hard bounce", log, after=5).status == words.CLICKED
    assert told(provider, "complained", log, after=90).status == words.COMPLAINED
    assert told(provider, "opened", log, after=95).status == words.COMPLAINED


@pytest.mark.parametrize("body", GARBAGE, ids=lambda body: repr(body[:8]))
def test_garbage_is_refused(provider: Provider, body: bytes, caplog: pytest.LogCaptureFixture) -> None:
    assert 400 <= post(provider, body) < 500
    assert counted() == 0
    assert all(len(record.getMessage()) < 300 for record in caplog.records)


def test_a_mail_nobody_knows_is_counted(provider: Provider, log: EmailLog) -> None:
    other = EmailLog(provider_message_id=provider.message_id(1), to_address="x@example.com")
    assert post(provider, provider.body("hard bounce", other)) == 200
    assert stored(log).status == words.SENT
    assert not EmailPreference.objects.exists()
    found = ProviderEventCount.objects.get()
    assert (found.known, found.number) == (False, 1)


def test_a_mail_whose_id_was_never_learned_is_known_by_its_reference(provider: Provider) -> None:
    doubtful = row(words.UNKNOWN, provider_message_id="", doubts=1, attempts=1)
    given = EmailLog(provider_message_id=provider.message_id(7), to_address=doubtful.to_address)
    body = provider.body("delivered", given, metadata={METADATA_KEY: receipts.reference(doubtful)})
    assert post(provider, body) == 200
    found = stored(doubtful)
    assert (found.status, found.provider_message_id) == (words.DELIVERED, provider.message_id(7))


def test_postmark_says_by_a_subscription_change_that_an_address_bounced(settings: Any) -> None:
    settings.ANYMAIL = {"WEBHOOK_SECRET": SECRET}
    provider = Postmark()
    log = row(provider_message_id=provider.message_id(0))
    assert told(provider, "suppressed", log).status == words.BOUNCED
    assert EmailPreference.of(log.recipient_id).suppression_reason == "bounce"


def test_many_reports_come_in_one_request(settings: Any) -> None:
    provider = SendGrid()
    settings.ANYMAIL = {"WEBHOOK_SECRET": SECRET, **provider.settings}
    logs = [row(provider_message_id=provider.message_id(number)) for number in range(20)]
    reports = [json.loads(provider.body(kind, log))[0] for log in logs for kind in ("opened", "delivered")]
    assert post(provider, json.dumps(reports).encode()) == 200
    assert set(EmailLog.objects.values_list("status", flat=True)) == {words.OPENED}
