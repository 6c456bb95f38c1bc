"""Mails as bytes: what a server reads is what Django would have sent it."""

from __future__ import annotations

from collections.abc import Iterator
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

import pytest
from django.core.mail import EmailMultiAlternatives, get_connection
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from email_automation import headers
from email_automation.channels import mime
from email_automation.channels.kept import DJANGO_SMTP, OUR_SMTP
from tests.smtp import Server

WORDS = st.one_of(
    st.text(max_size=60),
    st.text(alphabet="aé\u05d0\u202e\U0001f680 ,;:<>\"'@=?_\\\t", max_size=120),
    st.sampled_from(["a" * 300, "é" * 200, "=?utf-8?q?x?=", "x" * 70 + " " + "y" * 70, "Re: " + "word " * 60]),
)
LINES = st.text(alphabet="ab é\u05d0.\r\n\x85\u2028\x0c-", min_size=1, max_size=200)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server.running() as running:
        yield running


def mail(subject: str, name: str, text: str, html: str, *, headers_: dict[str, str] | None = None) -> Any:
    made = EmailMultiAlternatives(
        subject=headers.clean(subject),
        body=text,
        from_email=headers.sender({"from_address": "noreply@example.org"}, name),
        to=["ada@example.com"],
        reply_to=["help@example.org"],
        headers={"Message-ID": "<1@example.com>", "Date": "Thu, 26 Nov 2026 10:00:00 +0000"} | (headers_ or {}),
    )
    made.attach_alternative(html, "text/html")
    return made


def parsed(raw: bytes) -> EmailMessage:
    found = message_from_bytes(raw, policy=policy.default)
    assert isinstance(found, EmailMessage)
    return found


def seen(raw: bytes) -> dict[str, Any]:
    """Return what the standard library reads, apart from the boundary."""
    found = parsed(raw)
    assert not found.defects
    parts = {}
    for part in found.iter_parts():
        assert not part.defects
        # Who reads a mail makes one line end of each of these.
        content = part.get_content().replace("\r\n", "\n").replace("\r", "\n")
        parts[part.get_content_type()] = (content, part.get_content_charset())
    names = sorted(name.lower() for name in found)
    # Django begins a long word on the line after the name.
    values = {name: str(found[name]).strip() for name in names if name != "content-type"}
    return {"parts": parts, "names": names, "values": values, "type": found.get_content_type()}


def sent(server: Server, backend: str, made: Any) -> bytes:
    server.received.clear()
    get_connection(backend, host="127.0.0.1", port=server.port).send_messages([made])
    (received,) = server.received
    assert received.recipients == ["ada@example.com"] and received.sender == "noreply@example.org"
    return received.raw


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(WORDS, WORDS, LINES, LINES)
@example("Hi\r\nBcc: eve@example.com\r\n\r\nx", "A\nB", "\r\n.\r\n..\r\n.", "\n.\n")
@example("Grüße", "Université d'Été", "x" * 1200, "é" * 600)
@example("", "", "--\r\n--=_", "From me\n")
def test_what_arrives_reads_as_what_django_sends(server: Server, subject: str, name: str, text: str, html: str) -> None:
    ours = seen(sent(server, OUR_SMTP, mail(subject, name, text, html)))
    assert ours == seen(sent(server, DJANGO_SMTP, mail(subject, name, text, html)))
    assert "bcc" not in ours["names"]


def test_an_ordinary_mail_is_joined_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    made = mail("Grüße", "Université d'Été", "Bonjour\n", "<p>à</p>\n")
    monkeypatch.setattr(EmailMultiAlternatives, "message", None)
    assert parsed(mime.wire(made))["Subject"] == "Grüße"


@pytest.mark.parametrize("value", ["a\r\nBcc: eve@example.com", "a\nb", "a\rb"])
@pytest.mark.parametrize("name", ["Subject", "X-Own", "From", "To", "Reply-To"])
def test_a_line_break_in_a_header_is_refused(name: str, value: str) -> None:
    made = mail("Hi", "A", "text", "html", headers_={"X-Own": value} if name == "X-Own" else None)
    if name == "Subject":
        made.subject = value
    elif name == "From":
        made.from_email = value
    elif name == "To":
        made.to = [value]
    elif name == "Reply-To":
        made.reply_to = [value]
    with pytest.raises(ValueError, match=r"newline|address"):
        mime.wire(made)


@pytest.mark.parametrize("value", ["x" * 2000, "\x00", "", "\x1b[0m"])
def test_what_is_out_of_the_ordinary_is_left_to_django(value: str) -> None:
    made = mail("Hi", "A", "text", "html", headers_={"X-Own": value})
    assert "X-Own" in parsed(mime.wire(made))


def test_a_name_cannot_end_a_part() -> None:
    boundaries = set()
    for _ in range(3):
        raw = mime.wire(mail("Hi", "A", "text\n", "html\n"))
        found = parsed(raw).get_boundary()
        assert found is not None
        again = mime.wire(mail("Hi", "A", f"--{found}--\n", f"--{found}\n"))
        assert [part.get_content().strip() for part in parsed(again).iter_parts()] == [f"--{found}--", f"--{found}"]
        boundaries.add(found)
    assert len(boundaries) == 3
