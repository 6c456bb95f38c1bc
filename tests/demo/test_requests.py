"""The demo's requests: whoever presses a button sees the states move, and the mail."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from django.core import mail
from django.core.management import call_command
from django.test import Client

from email_automation.braze_standin.server import BrazeStandIn
from lms.demo import fence, licences, requests, stage
from subsidy_requests.models import LicenseRequest

# What events carry follows the commits of what they tell.
pytestmark = pytest.mark.django_db(transaction=True)

PAGE = "/demo/requests/"


@pytest.fixture
def demo(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that serves the demo, on a stage that is set."""
    settings.DEBUG = True
    for name, value in fence.STAY_HERE.items():
        setattr(settings, name, value)
    monkeypatch.setattr("lms.demo.ground.is_ours", lambda: True)
    stage.set_up(datetime.now(UTC).date())
    mail.outbox.clear()


def decide(client: Client, request: LicenseRequest, decision: str) -> str:
    response = client.post(f"{PAGE}{request.uuid}/{decision}/", follow=True)
    assert response.redirect_chain[0][1] == 303
    return response.content.decode()


def test_an_approval_is_fulfilled_and_told(demo: None, client: Client) -> None:
    first, second, third = requests.requests()
    assert client.get(PAGE).content.decode().count(">Approve<") == 3
    page = decide(client, first, "approve")
    first.refresh_from_db()
    assert (first.state, bool(first.license_uuid)) == ("fulfilled", True)
    (sent,) = mail.outbox
    assert sent.to == [first.user.email]
    assert "Told by <a" in page and sent.subject in page
    page = decide(client, third, "decline")
    assert "was declined" in page
    assert len(mail.outbox) == 2
    assert page.count(">Approve<") == 1
    second.refresh_from_db()
    assert second.state == "requested"


def test_a_button_pressed_twice_changes_nothing_more(demo: None, client: Client) -> None:
    first, *_ = requests.requests()
    decide(client, first, "approve")
    assert "Refused" in decide(client, first, "decline")
    decide(client, first, "approve")
    assert len(mail.outbox) == 1


def test_nothing_else_can_be_decided(demo: None, client: Client) -> None:
    first, *_ = requests.requests()
    assert client.get(f"{PAGE}{first.uuid}/approve/").status_code == 405
    assert client.post(f"{PAGE}{first.uuid}/postpone/").status_code == 404
    assert client.post(f"{PAGE}00000000-0000-0000-0000-000000000009/approve/").status_code == 404


def test_it_is_nowhere_else(demo: None, client: Client, settings: Any) -> None:
    settings.DEBUG = False
    assert client.get(PAGE).status_code == 404
    assert client.post(f"{PAGE}{requests.requests()[0].uuid}/approve/").status_code == 404


def test_notices_reach_the_administrators_once(demo: None, braze: BrazeStandIn, settings: Any) -> None:
    requests.approve_first()
    for _ in range(2):
        call_command(licences.COMMAND)
    told = [(who, campaign.rpartition("_")[2]) for who, _, campaign, _ in licences.told(braze)]
    assert told == [("henrik", "75"), ("ines", "75"), ("jonas", "100"), ("greta", "digest"), ("ines", "digest")]
