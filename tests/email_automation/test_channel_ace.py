"""ACE's own parts: its file channel, policies that refuse, and channels with ACE's errors."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.contrib.sites.models import Site
from django.core import mail
from django.utils import timezone
from edx_ace import policy as ace_policy
from edx_ace.channel import Channel, ChannelMap, ChannelType
from edx_ace.channel import channels as ace_channels
from edx_ace.channel.file import FileEmailChannel
from edx_ace.errors import (
    ChannelError,
    FatalChannelDeliveryError,
    RecoverableChannelDeliveryError,
    UnsupportedChannelError,
)
from edx_ace.policy import PolicyResult

from email_automation import words
from email_automation.models import EmailLog
from email_automation.pipeline import desk, dispatch, message
from lms.envs.derive import derive
from tests.message_factories import NudgeDay3

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("fresh_ace")]

DAY = date(2017, 8, 1)
KIND = message.get("recurringnudge_day3")
NAIVE = datetime(2999, 1, 1)  # noqa: DTZ001  (what a careless channel might say)


@pytest.fixture
def people() -> list[Any]:
    site = Site.objects.get(pk=django_settings.SITE_ID)
    factory = NudgeDay3()
    factory.switch(site, enqueue=True, deliver=True)
    return factory.due(2, day=DAY, site=site)


def run() -> dispatch.Summary:
    return dispatch.run_daily(KIND, django_settings.SITE_ID, day=DAY)


def use_channel(monkeypatch: pytest.MonkeyPatch, error: Exception | None) -> None:
    """Make a channel of somebody else's the one that delivers; it raises, or does nothing."""

    class Theirs(Channel):  # type: ignore[misc]
        channel_type = ChannelType.EMAIL

        def deliver(self, message: Any, rendered_message: Any) -> None:
            if error is not None:
                raise error

    found = ChannelMap([["django_mail", Theirs()]])
    monkeypatch.setattr(desk, "channels", lambda: found)
    monkeypatch.setattr("edx_ace.channel.channels", lambda: found)


def test_in_debug_mode_a_mail_is_a_file_and_nothing_is_printed(
    people: Any, settings: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chosen = {"ACE_CHANNEL_SAILTHRU_DEBUG": True, "ACE_ENABLED_CHANNEL": "sailthru_email"}
    derive(chosen)
    for name, value in chosen.items():
        if name.startswith("ACE_"):
            setattr(settings, name, value)
    settings.ACE_MESSAGES_DIR = tmp_path / "ace_messages"
    assert run().sent == 2
    rows = EmailLog.objects.order_by("pk")
    files = sorted(path.name for path in (tmp_path / "ace_messages").iterdir())
    assert files == sorted(f"{row.pk}.html" for row in rows)
    text = (tmp_path / "ace_messages" / f"{rows[0].pk}.html").read_text(encoding="utf-8")
    assert rows[0].to_address in text
    assert {row.channel for row in rows} == {"file_email"}
    assert capsys.readouterr().out == ""
    assert mail.outbox == []


def test_a_file_that_cannot_be_written_is_ours_to_mend(
    people: Any, settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "in_the_way").write_text("")
    settings.ACE_MESSAGES_DIR = tmp_path / "in_the_way"
    found = ChannelMap([["file_email", FileEmailChannel()]])
    monkeypatch.setattr(desk, "channels", lambda: found)
    monkeypatch.setattr("edx_ace.channel.channels", lambda: found)
    summary = run()
    assert (summary.sent, summary.retry, summary.ok) == (0, 2, False)


def test_a_policy_that_denies_skips_with_a_reason(people: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    class NotToTheFirst(ace_policy.Policy):  # type: ignore[misc]
        def check(self, message: Any) -> PolicyResult:
            refused = message.recipient.lms_user_id == people[0].pk
            return PolicyResult(deny={ChannelType.EMAIL} if refused else set())

    monkeypatch.setattr(ace_policy, "policies", lambda: [NotToTheFirst()])
    summary = run()
    assert (summary.sent, summary.skipped, summary.ok) == (1, {"channel_refused": 1}, True)
    assert EmailLog.objects.get(recipient=people[0]).dedupe_key is None


def test_a_policy_that_fails_is_a_fault_of_ours_and_costs_nobody_the_mail(
    people: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken(ace_policy.Policy):  # type: ignore[misc]
        def check(self, message: Any) -> PolicyResult:
            raise ZeroDivisionError

    monkeypatch.setattr(ace_policy, "policies", lambda: [Broken()])
    summary = run()
    assert (summary.sent, summary.retry, summary.ok) == (0, 2, False)


@pytest.mark.parametrize(
    ("error", "status", "reason", "ok"),
    [
        (None, words.SENT, "", True),
        (RecoverableChannelDeliveryError("later", None), words.PENDING, "try_again", True),
        (RecoverableChannelDeliveryError("later", NAIVE), words.PENDING, "try_again", True),
        (RecoverableChannelDeliveryError("later", NAIVE.replace(tzinfo=UTC)), words.PENDING, "try_again", True),
        (FatalChannelDeliveryError("never"), words.FAILED, "channel_error", False),
        (UnsupportedChannelError("never"), words.FAILED, "channel_error", False),
        (ChannelError("never"), words.FAILED, "channel_error", False),
        (ConnectionResetError("gone"), words.PENDING, "connection", True),
        (ValueError("a mistake"), words.PENDING, "channel_error", False),
    ],
    ids=repr,
)
def test_an_error_of_a_channel_ends_as(
    people: Any, monkeypatch: pytest.MonkeyPatch, error: Exception | None, status: str, reason: str, ok: bool
) -> None:
    use_channel(monkeypatch, error)
    summary = run()
    assert summary.ok is ok
    for row in EmailLog.objects.all():
        assert (row.status, row.reason) == (status, reason)
        assert str(error or "") in row.error_message
        if getattr(error, "next_attempt_time", None):
            assert row.next_attempt_at.year == 2999
        elif status == words.PENDING:
            assert timezone.now() < row.next_attempt_at < timezone.now() + timedelta(minutes=2)


def test_a_channel_that_is_not_there_is_ours_to_mend(people: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edx_ace.channel.channels", lambda: ChannelMap([]))
    summary = run()
    assert (summary.sent, summary.retry, summary.ok) == (0, 2, False)
    assert set(EmailLog.objects.values_list("reason", flat=True)) == {"no_channel"}
    monkeypatch.undo()
    assert ace_channels().get_default_channel(ChannelType.EMAIL)
