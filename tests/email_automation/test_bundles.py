"""Which mails go out in one call."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from email_automation.channels.braze import CAMPAIGN, Campaign
from email_automation.pipeline import letters, message

CHANNEL = SimpleNamespace(batch_size=2, deliver_batch=None)


def letter(user: str, *, campaign: str = "digest", about: str = "one") -> Any:
    """Return what `bundles` looks at of a mail."""
    said = Campaign(name=campaign, trigger_properties={"about": about}, external_user_id=user, recipient_properties={})
    return SimpleNamespace(channel=CHANNEL, message=SimpleNamespace(options={CAMPAIGN: said}), user=user)


def users(*mails: Any) -> list[list[str]]:
    return [[each.user for each in bundle] for bundle in letters.bundles(mails)]


def test_there_are_as_many_as_the_channel_takes() -> None:
    assert users(letter("1"), letter("2"), letter("3")) == [["1", "2"], ["3"]]


def test_nobody_is_in_one_twice() -> None:
    assert users(letter("1"), letter("1"), letter("2"), letter("1")) == [["1", "2"], ["1"], ["1"]]


def test_other_words_or_another_campaign_make_another() -> None:
    assert users(letter("1"), letter("2", about="two"), letter("3", campaign="other")) == [["1"], ["2"], ["3"]]


def test_only_what_wants_to_goes_together() -> None:
    wanting = {kind.NAME for kind in message.all_messages() if letters.goes_together(kind, letter("1"))}
    assert wanting == {"license_utilization", "license_weekly_digest"}
