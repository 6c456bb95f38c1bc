"""What the stand-in for Braze has delivered, on the outbox's pages."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.contrib.sites.models import Site
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from edx_ace.message import Message
from edx_ace.recipient import Recipient

from email_automation import words
from email_automation.braze_standin import reader
from email_automation.braze_standin.server import BrazeStandIn
from email_automation.channels import CAMPAIGN_CHANNEL
from email_automation.channels.braze import CAMPAIGN, BrazeCampaignChannel, Campaign
from email_automation.models import EmailLog, pack_content
from tests import factories

pytestmark = pytest.mark.django_db

PAGE = "/email/outbox/braze/"
TEXTS = {"subject": "75 %", "html": "<p>75 of 100</p>", "text": "75 of 100 <licences>", "headers": {"List-Id": "<x>"}}


@pytest.fixture
def root(client: Client) -> Client:
    client.force_login(factories.UserFactory(admin=True))
    return client


def send(number: int = 1) -> list[EmailLog]:
    """Deliver to so many people by one request, and write down what the engine would."""
    people = [factories.UserFactory() for _ in range(number)]
    accepted = BrazeCampaignChannel().deliver_batch(
        [
            Message(
                app_label="license_notifications",
                name="license_utilization",
                recipient=Recipient(person.pk, person.email.upper()),
                options={
                    CAMPAIGN: Campaign(
                        "license_utilization_75",
                        {"allocated_license_count": 75},
                        str(person.pk),
                        {"user_name": "<Ada>"},
                    )
                },
            )
            for person in people
        ]
    )
    return [log_row(person, provider_message_id=accepted) for person in people]


def log_row(person: Any, **fields: Any) -> EmailLog:
    now = timezone.now()
    return EmailLog.objects.create(
        recipient=person,
        email_type="recurringnudge_day3",
        to_address=person.email,
        category="admin",
        subject="75 %",
        status=words.SENT,
        site=Site.objects.get_current(),
        instant=now,
        expires_at=now + timedelta(days=1),
        channel=CAMPAIGN_CHANNEL,
        content=pack_content(TEXTS),
        **fields,
    )


def shown(client: Client, url: str = PAGE) -> str:
    response = client.get(url)
    assert response.status_code == 200
    return response.content.decode()


class TestTheList:
    def test_case_48_shows_user_campaign_values_and_a_preview(self, root: Client, braze: BrazeStandIn) -> None:
        (row,) = send()
        page = shown(root)
        assert page.count("<section") == 1
        for text in ("license_utilization_75", f"<bdi>{row.recipient_id}</bdi>", "allocated_license_count", ">75<"):
            assert text in page
        assert "&lt;Ada&gt;" in page
        assert "<summary" in page
        assert f'src="/email/outbox/{row.pk}/html/"' in page
        assert "Preview" in page
        assert f'href="/email/outbox/{row.pk}/"' in page
        assert "frame-src 'self'" in root.get(PAGE)["Content-Security-Policy"]
        assert "75 of 100" in shown(root, f"/email/outbox/{row.pk}/html/")

    def test_each_of_a_request_leads_to_its_own_mail(self, root: Client, braze: BrazeStandIn) -> None:
        rows = send(3)
        page = shown(root)
        for row in rows:
            assert page.count(f'href="/email/outbox/{row.pk}/"') == 1

    def test_what_the_log_does_not_know_has_no_preview(self, root: Client, braze: BrazeStandIn) -> None:
        send()
        EmailLog.objects.all().delete()
        page = shown(root)
        assert "no preview" in page
        assert "<iframe" not in page

    def test_goes_back_page_by_page(self, root: Client, braze: BrazeStandIn) -> None:
        send(50)
        send(10)
        first = shown(root)
        assert first.count("<section") == 50
        assert "?before=11" in first
        second = shown(root, f"{PAGE}?before=11")
        assert second.count("<section") == 10
        assert "?before=" not in second
        assert shown(root, f"{PAGE}?before=x").count("<section") == 50
        assert shown(root, f"{PAGE}?before={'9' * 30}").count("<section") == 50

    def test_costs_the_same_for_one_and_for_fifty(self, root: Client, braze: BrazeStandIn) -> None:
        costs = []
        shown(root)
        for number in (1, 49):
            send(number)
            with CaptureQueriesContext(connection) as queries:
                shown(root)
            costs.append(len(queries))
        assert costs[0] == costs[1]

    def test_says_that_nothing_came(self, root: Client, braze: BrazeStandIn) -> None:
        assert "Nothing has been delivered yet." in shown(root)

    def test_says_how_to_start_the_server(self, root: Client, braze: BrazeStandIn) -> None:
        braze.stop()
        page = shown(root)
        assert braze.url in page
        assert "manage.py braze_standin" in page

    def test_asks_nobody_but_this_machine(self, root: Client, settings: Any) -> None:
        settings.BRAZE_API_URL = "https://rest.iad-01.braze.com"
        assert "a list of its own" in shown(root)
        assert PAGE not in shown(root, "/email/outbox/")

    def test_is_for_who_may_see_the_log(self, braze: BrazeStandIn) -> None:
        somebody = factories.UserFactory(is_staff=True)
        client = Client()
        assert "/login/" in client.get(PAGE)["Location"]
        client.force_login(somebody)
        assert client.get(PAGE).status_code == 404
        somebody.user_permissions.set(Permission.objects.filter(codename="view_emaillog"))
        assert client.get(PAGE).status_code == 200
        assert client.post(PAGE).status_code == 405

    @pytest.mark.parametrize("said", ['{"a": 1}', "[1]", "<html>", '[{"number": "x"}]'])
    def test_somebody_elses_server_is_no_stand_in(self, braze: BrazeStandIn, monkeypatch: Any, said: str) -> None:
        monkeypatch.setattr("email_automation.braze_standin.reply.Reply.body", lambda self: said.encode())
        with pytest.raises(reader.NotRunning):
            reader.delivered(limit=1)


class TestTheMail:
    def test_says_that_it_is_a_preview(self, root: Client, braze: BrazeStandIn) -> None:
        (row,) = send()
        page = shown(root, f"/email/outbox/{row.pk}/")
        assert "Delivered as campaign license_utilization_75" in page
        assert "allocated_license_count" in page
        assert "Preview" in page
        assert "As it was sent" not in page
        assert "75 of 100 &lt;licences&gt;" in page
        # Headers are those of a mail that was not sent.
        assert "List-Id" not in page

    def test_says_less_where_braze_itself_has_it(self, root: Client, settings: Any) -> None:
        settings.BRAZE_API_URL = "https://rest.iad-01.braze.com"
        row = log_row(factories.UserFactory(), provider_message_id="dispatch-1")
        page = shown(root, f"/email/outbox/{row.pk}/")
        assert "Braze writes and sends this message." in page
        assert "dispatch-1" in page

    def test_says_less_while_the_stand_in_is_away(self, root: Client, braze: BrazeStandIn) -> None:
        (row,) = send()
        braze.stop()
        assert "Goes out as a campaign of Braze" in shown(root, f"/email/outbox/{row.pk}/")

    def test_an_e_mail_is_shown_as_it_was_sent(self, root: Client, braze: BrazeStandIn) -> None:
        row = log_row(factories.UserFactory())
        EmailLog.objects.update(channel="django_mail")
        page = shown(root, f"/email/outbox/{row.pk}/")
        assert "As it was sent" in page
        assert "List-Id" in page
        assert "campaign" not in page
        assert braze.requests == []


def test_the_outbox_leads_to_it(root: Client, braze: BrazeStandIn) -> None:
    (row,) = send()
    assert f'href="{PAGE}"' in shown(root, "/email/outbox/")
    assert f'href="{PAGE}"' in shown(root, f"/email/outbox/{row.pk}/")
