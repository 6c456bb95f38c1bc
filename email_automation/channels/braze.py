"""ACE channel `braze_campaign`: Braze writes and sends the mail, we say which campaign, to whom, with which values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from edx_ace.channel import Channel
from edx_ace.channel.mixins import EmailChannelMixin
from edx_ace.message import Message
from edx_ace.renderers import RenderedEmail

from ..conf import setting
from .braze_client import Accepted, BrazeClient
from .errors import RequestRefused

#: Option of an ACE message: the Campaign it triggers.
CAMPAIGN: Final = "email_automation_campaign"
#: Braze takes no more recipients in a request.
LARGEST_BATCH: Final = 50


@dataclass(frozen=True)
class Campaign:
    """What Braze is told of one mail.

    `name` is a key of BRAZE_CAMPAIGNS. `trigger_properties` are JSON scalars and the same for a whole batch;
    `recipient_properties` are this recipient's own and win where both have a name.
    """

    name: str
    trigger_properties: Mapping[str, Any]
    external_user_id: str
    recipient_properties: Mapping[str, str]


class BrazeCampaignChannel(EmailChannelMixin, Channel):  # type: ignore[misc]  # edx_ace has no type information
    """Triggers a campaign for one recipient or for a batch. What was rendered is for our own log."""

    def __init__(self) -> None:
        self._client = BrazeClient()

    @property
    def batch_size(self) -> int:
        """How many messages `deliver_batch` is to be given at most."""
        return int(setting("BRAZE_BATCH_SIZE"))

    def deliver(self, message: Message, rendered_message: RenderedEmail) -> Accepted:
        """Trigger the campaign for one recipient; see `deliver_batch`."""
        return self.deliver_batch([message])

    def deliver_batch(self, messages: Sequence[Message]) -> Accepted:
        """Trigger one campaign for all messages by one request, and return its dispatch id.

        Raises ValueError for messages that do not belong into one request, otherwise what BrazeClient.send raises;
        an error means every one of the messages.
        """
        campaigns = [_campaign(message) for message in messages]
        _require_one_request(campaigns)
        first = campaigns[0]
        campaign_id = setting("BRAZE_CAMPAIGNS").get(first.name)
        if not campaign_id:
            raise RequestRefused(f"campaign not configured: {first.name}")
        addresses = [message.recipient.email_address for message in messages]
        payload = {
            "campaign_id": campaign_id,
            "trigger_properties": dict(first.trigger_properties),
            "recipients": [
                {
                    "external_user_id": campaign.external_user_id,
                    "trigger_properties": dict(campaign.recipient_properties),
                    # Somebody the service does not know yet is reached too, and it learns the address.
                    "send_to_existing_only": False,
                    "attributes": {"email": address},
                }
                for campaign, address in zip(campaigns, addresses, strict=True)
            ],
            "broadcast": False,
        }
        names = [str(value) for campaign in campaigns for value in campaign.recipient_properties.values()]
        return self._client.send(payload, private=[*addresses, *names])


def _campaign(message: Message) -> Campaign:
    campaign = message.options.get(CAMPAIGN)
    if not isinstance(campaign, Campaign):
        raise RequestRefused(f"the message {message.unique_name} names no campaign")
    return campaign


def _require_one_request(campaigns: Sequence[Campaign]) -> None:
    if not 1 <= len(campaigns) <= LARGEST_BATCH:
        raise ValueError(f"messages: {len(campaigns)} of them; a request takes 1 to {LARGEST_BATCH}")
    first = campaigns[0]
    if any(campaign.name != first.name for campaign in campaigns):
        raise ValueError("campaign name: must be the same for all messages of a request")
    if any(campaign.trigger_properties != first.trigger_properties for campaign in campaigns):
        raise ValueError("trigger_properties: must be the same for all messages of a request")
    if len({campaign.external_user_id for campaign in campaigns}) < len(campaigns):
        # Braze folds them into one mail without a word, and the second row would say "sent".
        raise ValueError("external_user_id: must be another one for each message of a request")
