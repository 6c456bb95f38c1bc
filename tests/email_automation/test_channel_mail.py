"""The ordinary channel: what goes over the wire, and what a provider's errors mean."""

from __future__ import annotations

import smtplib
import socket
import ssl
import threading
from collections.abc import Iterator
from email import message_from_bytes, policy
from typing import Any

import pytest
import requests
from django.core import mail
from edx_ace.errors import FatalChannelDeliveryError, RecoverableChannelDeliveryError
from edx_ace.message import Message
from edx_ace.recipient import Recipient
from edx_ace.renderers import RenderedEmail

from email_automation.channels import translation
from email_automation.channels.errors import DeliveryInDoubt, ProviderUnreachable, RecipientRefused
from email_automation.channels.mail import DjangoMailChannel
from tests.smtp import Server, answers, hangs_up

BREAKS = ["\r\n", "\n", "\r", "\0", "\u2028", "\x85", "\x0b"]


@pytest.fixture
def server(settings: Any) -> Iterator[Server]:
    with Server.running() as running:
        running.use(settings)
        yield running


@pytest.fixture
def channel() -> DjangoMailChannel:
    return DjangoMailChannel()


def rendered(**parts: str) -> RenderedEmail:
    whole = {"from_name": "Cadence", "subject": "Hello", "body": "Text", "body_html": "<p>Hi</p>", "head_html": ""}
    return RenderedEmail(**(whole | parts))


def letter(address: str = "ada@example.com", *, options: Any = None, headers: Any = None) -> Message:
    made = Message(app_label="schedules", name="recurringnudge_day3", recipient=Recipient(1, address), language="en")
    made.options = {"from_address": "noreply@example.org", "reply_to": ["help@example.org"]} | (options or {})
    made.headers = {"Message-ID": "<1@example.com>", "List-Id": "<reminder.example.com>"} | (headers or {})
    return made


def sent(server: Server) -> Any:
    (received,) = server.received
    return received


def test_what_arrives_reads_as_it_was_written(server: Server, channel: DjangoMailChannel) -> None:
    content = rendered(
        subject="Grüße aus Łódź — 再见",
        from_name="Université d'Été",
        body="Bonjour à tous,\n\n.\nfin",
        body_html="<p>à</p>",
    )
    channel.deliver(letter(), content)
    received = sent(server)
    found = received.message
    assert found["Subject"] == "Grüße aus Łódź — 再见"
    assert found["From"].addresses[0].display_name == "Université d'Été"
    assert found["From"].addresses[0].addr_spec == received.sender == "noreply@example.org"
    assert (found["To"], found["Reply-To"]) == ("ada@example.com", "help@example.org")
    assert received.part("plain").rstrip() == "Bonjour à tous,\n\n.\nfin"
    assert "<p>à</p>" in received.part("html")
    assert [part.get_content_type() for part in found.walk()] == ["multipart/alternative", "text/plain", "text/html"]


@pytest.mark.parametrize("length", [20, 60, 90])
def test_a_long_host_name_keeps_ids_and_links_in_one_piece(
    server: Server, channel: DjangoMailChannel, length: int
) -> None:
    host = f"{'a' * 40}.{'b' * length}.example.org"[-max(length, 20) :].lstrip(".")
    link = f"<https://{host}/email/unsubscribe/{'t' * 120}:{'s' * 60}/>"
    ids = {"Message-ID": f"<0123456789abcdef0123456789abcdef@{host}>", "List-Unsubscribe": link}
    channel.deliver(letter(headers=ids), rendered())
    raw = sent(server).raw
    found = message_from_bytes(raw, policy=policy.default)
    assert found["Message-ID"] == ids["Message-ID"]
    assert found["List-Unsubscribe"] == link
    assert max(len(line) for line in raw.split(b"\r\n")) < 998


def test_a_host_in_another_script_is_reached_by_its_ascii_name(server: Server, channel: DjangoMailChannel) -> None:
    channel.deliver(letter("ada@bücher.example"), rendered())
    assert sent(server).recipients == ["ada@xn--bcher-kva.example"]


@pytest.mark.parametrize("at_break", BREAKS, ids=repr)
@pytest.mark.parametrize("part", ["subject", "from_name"])
def test_a_line_break_never_makes_a_header(
    server: Server, channel: DjangoMailChannel, part: str, at_break: str
) -> None:
    channel.deliver(letter(), rendered(**{part: f"Hi{at_break}Bcc: eve@example.com{at_break}{at_break}Hello"}))
    received = sent(server)
    assert received.recipients == ["ada@example.com"]
    assert received.message["Bcc"] is None
    assert received.part("plain").strip() == "Text"
    text = str(received.message["Subject"] if part == "subject" else received.message["From"])
    assert "Hi" in text
    assert not any(mark in text for mark in BREAKS)


def test_a_subject_of_many_words_over_many_lines_is_one_line(server: Server, channel: DjangoMailChannel) -> None:
    channel.deliver(letter(), rendered(subject="word\n" * 60))
    assert sent(server).message["Subject"] == " ".join(["word"] * 60)


def test_one_connection_carries_many_mails(server: Server, channel: DjangoMailChannel) -> None:
    for _ in range(5):
        channel.deliver(letter(), rendered())
    assert (server.connections, len(server.received)) == (1, 5)


def test_each_thread_has_a_connection_of_its_own(server: Server, channel: DjangoMailChannel) -> None:
    def send() -> None:
        channel.deliver(letter(), rendered())
        channel.deliver(letter(), rendered())

    threads = [threading.Thread(target=send) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert (server.connections, len(server.received)) == (3, 6)


def test_other_settings_mean_another_connection(server: Server, channel: DjangoMailChannel, settings: Any) -> None:
    channel.deliver(letter(), rendered())
    with Server.running() as other:
        other.use(settings)
        channel.deliver(letter(), rendered())
        assert (len(server.received), len(other.received)) == (1, 1)


def test_a_connection_of_a_parent_process_is_not_used(
    server: Server, channel: DjangoMailChannel, monkeypatch: pytest.MonkeyPatch
) -> None:
    channel.deliver(letter(), rendered())
    monkeypatch.setattr("os.getpid", lambda: -1)
    channel.deliver(letter(), rendered())
    assert server.connections == 2


def test_any_django_backend_will_do(channel: DjangoMailChannel, settings: Any) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    assert channel.deliver(letter(), rendered()) == ""
    assert [message.to for message in mail.outbox] == [["ada@example.com"]]


def test_a_connection_that_breaks_before_the_end_of_a_mail_is_no_doubt(
    server: Server, channel: DjangoMailChannel
) -> None:
    # Larger than what the machine would take over from us before the server has read it.
    server.script.append(hangs_up("BODY"))
    with pytest.raises(RecoverableChannelDeliveryError) as raised:
        channel.deliver(letter(), rendered(body="x" * 70 + "\n" + ("y" * 70 + "\n") * 400_000))
    assert not isinstance(raised.value, ProviderUnreachable)
    channel.deliver(letter(), rendered())
    assert len(server.received) == 1


def test_a_connection_that_breaks_after_the_end_of_a_mail_is_doubt(server: Server, channel: DjangoMailChannel) -> None:
    channel.deliver(letter(), rendered())
    server.script.append(hangs_up("END"))
    with pytest.raises(DeliveryInDoubt):
        channel.deliver(letter(), rendered())
    channel.deliver(letter(), rendered())
    assert [received.answered for received in server.received] == [True, False, True]


@pytest.mark.parametrize("text", ["450 4.2.1 busy", "550 5.1.1 no such user"])
def test_a_refused_mail_costs_no_connection(server: Server, channel: DjangoMailChannel, text: str) -> None:
    channel.deliver(letter(), rendered())
    server.script.append(answers("RCPT", text))
    with pytest.raises((RecoverableChannelDeliveryError, RecipientRefused)):
        channel.deliver(letter(), rendered())
    channel.deliver(letter(), rendered())
    assert server.connections == 1


def test_a_server_without_a_greeting_is_waited_for_once(channel: DjangoMailChannel, settings: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        Server(port=silent.getsockname()[1]).use(settings, timeout=1)
        with pytest.raises(ProviderUnreachable, match="timed out"):
            channel.deliver(letter(), rendered())
        silent.close()
        with pytest.raises(ProviderUnreachable, match="let the last mail time out"):
            channel.deliver(letter(), rendered())


def refused_recipients(code: int) -> smtplib.SMTPRecipientsRefused:
    return smtplib.SMTPRecipientsRefused({"ada@example.com": (code, b"said so")})


def request_error(kind: type[Exception], status: int | None = None) -> Exception:
    """Return what django-anymail raises: its own error, with a status where the provider answered."""
    error = requests.RequestException("API")
    error.status_code = status  # type: ignore[attr-defined]
    if status is None:
        error.__cause__ = kind("api.example.com")
    return error


@pytest.mark.parametrize(
    ("error", "meaning", "ours"),
    [
        (smtplib.SMTPDataError(451, b"later"), RecoverableChannelDeliveryError, None),
        (smtplib.SMTPDataError(554, b"no"), RecipientRefused, None),
        (refused_recipients(450), RecoverableChannelDeliveryError, None),
        (refused_recipients(550), RecipientRefused, None),
        (smtplib.SMTPSenderRefused(451, b"later", "a"), RecoverableChannelDeliveryError, None),
        (smtplib.SMTPSenderRefused(553, b"no", "a"), ProviderUnreachable, True),
        (smtplib.SMTPSenderRefused(552, b"too large", "a"), RecipientRefused, None),
        (smtplib.SMTPNotSupportedError("SMTPUTF8"), RecipientRefused, None),
        (smtplib.SMTPServerDisconnected("gone"), RecoverableChannelDeliveryError, None),
        (TimeoutError("timed out"), ProviderUnreachable, False),
        (request_error(requests.RequestException, 429), RecoverableChannelDeliveryError, None),
        (request_error(requests.RequestException, 503), RecoverableChannelDeliveryError, None),
        (request_error(requests.RequestException, 401), ProviderUnreachable, True),
        (request_error(requests.RequestException, 400), FatalChannelDeliveryError, None),
        (request_error(requests.ConnectTimeout), ProviderUnreachable, False),
        (request_error(requests.ReadTimeout), DeliveryInDoubt, None),
        (request_error(requests.ConnectionError), DeliveryInDoubt, None),
    ],
    ids=lambda value: getattr(value, "__name__", None) or repr(value)[:40],
)
def test_an_error_means(error: Exception, meaning: type[Exception], ours: bool | None) -> None:
    found = translation.failure_to_send(error)
    assert isinstance(found, meaning)
    assert isinstance(found, ProviderUnreachable) is (meaning is ProviderUnreachable)
    assert getattr(found, "ours", None) is ours


def test_an_error_that_is_no_providers_stays_as_it_is() -> None:
    error = ZeroDivisionError()
    assert translation.failure_to_send(error) is error


@pytest.mark.parametrize(
    ("error", "ours"),
    [
        (smtplib.SMTPAuthenticationError(535, b"bad credentials"), True),
        (smtplib.SMTPAuthenticationError(454, b"try later"), False),
        (smtplib.SMTPNotSupportedError("STARTTLS"), True),
        (ssl.SSLCertVerificationError("self-signed"), True),
        (ConnectionRefusedError(), False),
        (smtplib.SMTPConnectError(421, b"busy"), False),
        (socket.gaierror(), False),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_a_connection_that_cannot_be_opened_is_our_fault_or_not(error: OSError, ours: bool) -> None:
    assert translation.failure_to_open(error).ours is ours
