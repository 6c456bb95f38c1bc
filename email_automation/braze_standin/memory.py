"""What the stand-in knows: campaigns, profiles, limits, faults to come, and everything that was asked of it."""

from __future__ import annotations

import json
import math
import threading
import uuid
from collections import deque
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from django.utils import timezone

from .faults import Fault
from .rules import Order, Recipient

#: Older ones are forgotten.
MOST_KEPT: Final = 10_000
UNKNOWN_USER: Final = "unknown user"
ARCHIVED: Final = "archived campaign"
NOT_ELIGIBLE: Final = "not eligible again yet"


@dataclass(frozen=True)
class Received:
    """A request as it came, and the status it was answered with; 0 where it was not."""

    at: datetime
    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    status: int

    @property
    def json(self) -> Any:
        """The body as JSON, or None where it is none."""
        return parsed(self.body)

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode("utf-8", "replace")


@dataclass(frozen=True, kw_only=True)
class Message:
    """What one user was sent by a campaign, or why not; `properties` are the merged ones."""

    number: int
    at: datetime
    dispatch_id: str
    campaign_id: str
    campaign: str
    user: str
    email: str
    properties: Mapping[str, Any]
    reason: str = ""

    @property
    def delivered(self) -> bool:
        """Whether the user got it."""
        return not self.reason


@dataclass
class CampaignState:
    """How a campaign is set up: after how many minutes a user may get it again (None: never), whether it is gone."""

    name: str
    re_eligible_minutes: float | None = 0
    archived: bool = False


@dataclass
class Limit:
    """So many requests in a window of so many seconds."""

    requests: int = 250_000
    seconds: float = 3600
    used: int = 0
    ends: datetime | None = None

    def remaining(self) -> int:
        """Return how many more requests this window takes; a window begins with the first request after the last."""
        now = timezone.now()
        if self.ends is None or now >= self.ends:
            self.used, self.ends = 0, now + timedelta(seconds=self.seconds)
        return max(self.requests - self.used, 0)

    def headers(self) -> dict[str, str]:
        """Return the headers of every reply, spelled in lower case as the original does."""
        remaining = self.remaining()
        reset = math.ceil(self.ends.timestamp()) if self.ends is not None else 0
        return {
            "x-ratelimit-limit": str(self.requests),
            "x-ratelimit-remaining": str(remaining),
            "x-ratelimit-reset": str(reset),
        }


class Memory:
    """Everything the stand-in remembers. Its methods may be called from any thread."""

    def __init__(self, *, campaigns: Mapping[str, str], keys: Mapping[str, Collection[str]], limit: Limit) -> None:
        self.lock = threading.RLock()
        self.keys = keys
        self.limit = limit
        self.campaigns = {campaign_id: CampaignState(name) for name, campaign_id in campaigns.items() if campaign_id}
        self.clear()

    def clear(self) -> None:
        """Forget requests, messages, profiles and faults; campaigns stay as they are set up."""
        with self.lock:
            self.requests: deque[Received] = deque(maxlen=MOST_KEPT)
            self.messages: deque[Message] = deque(maxlen=MOST_KEPT)
            self.profiles: dict[str, dict[str, Any]] = {}
            self.faults: list[tuple[Fault, int | None]] = []
            self.limit.ends = None
            self._number = 0
            self._last: dict[tuple[str, str], datetime] = {}

    def names(self) -> dict[str, str]:
        """Return the campaigns' names by id."""
        return {campaign_id: state.name for campaign_id, state in self.campaigns.items()}

    def campaign(self, name_or_id: str) -> CampaignState:
        """Return a campaign by name or id. Raises ValueError where there is none."""
        for campaign_id, state in self.campaigns.items():
            if name_or_id in (campaign_id, state.name):
                return state
        raise ValueError(f"campaign: there is no {name_or_id!r}; there are {', '.join(self.names().values())}")

    def fail_next(self, number: int | None, fault: Fault) -> None:
        """Have a fault happen to the next `number` requests it applies to; None: to all of them until cleared."""
        with self.lock:
            self.faults.append((fault, number))

    def next_fault(self, request: Any) -> Fault | None:
        """Return the fault of a request, and count it as happened."""
        with self.lock:
            for at, (fault, number) in enumerate(self.faults):
                if not fault.applies(request, names=self.names()):
                    continue
                if number == 1:
                    del self.faults[at]
                elif number is not None:
                    self.faults[at] = (fault, number - 1)
                return fault
        return None

    def spend(self) -> bool:
        """Count one request against the limit; False where nothing of it was left."""
        with self.lock:
            if not self.limit.remaining():
                return False
            self.limit.used += 1
            return True

    def carry_out(self, order: Order) -> str:
        """Make profiles, deliver, and return the dispatch id."""
        dispatch_id, now = uuid.uuid4().hex, timezone.now()
        with self.lock:
            state = self.campaigns[order.campaign_id]
            served: set[str] = set()
            for recipient in self._recipients(order):
                user = self._profile(recipient)
                key = (user or recipient.user, order.campaign_id)
                # One user named twice in a request gets one message.
                if key[0] in served:
                    continue
                served.add(key[0])
                self._number += 1
                message = Message(
                    number=self._number,
                    at=now,
                    dispatch_id=dispatch_id,
                    campaign_id=order.campaign_id,
                    campaign=state.name,
                    user=key[0],
                    email=str(self.profiles.get(key[0], {}).get("email", "")),
                    properties={**order.properties, **recipient.properties},
                    reason=self._obstacle(state, user, self._last.get(key), now),
                )
                self.messages.append(message)
                if message.delivered:
                    self._last[key] = now
        return dispatch_id

    def _recipients(self, order: Order) -> Iterable[Recipient]:
        if order.broadcast:
            return [Recipient("external_user_id", user, {}, {}, True) for user in self.profiles]
        return order.recipients

    def _profile(self, recipient: Recipient) -> str | None:
        """Return whose profile is meant, made or completed from the attributes; None where nobody is known."""
        wanted: str | None = recipient.user
        if recipient.identifier == "external_user_id":
            user = wanted if wanted in self.profiles else None
        else:
            user = next(
                (known for known, said in self.profiles.items() if said.get(recipient.identifier) == wanted), None
            )
        if user is None and not recipient.existing_only:
            user = wanted
        if user is not None:
            self.profiles.setdefault(user, {}).update(recipient.attributes)
        return user

    @staticmethod
    def _obstacle(state: CampaignState, user: str | None, last: datetime | None, now: datetime) -> str:
        if user is None:
            return UNKNOWN_USER
        if state.archived:
            return ARCHIVED
        if last is None or state.re_eligible_minutes == 0:
            return ""
        if state.re_eligible_minutes is None or now < last + timedelta(minutes=state.re_eligible_minutes):
            return NOT_ELIGIBLE
        return ""


def parsed(body: bytes) -> Any:
    """Return a body as JSON, or None where it is none."""
    try:
        return json.loads(body.decode("utf-8"))
    except (ValueError, RecursionError):
        return None
